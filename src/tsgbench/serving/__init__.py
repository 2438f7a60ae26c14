"""The page of `tsgbench demo`: a video and sentences, and where trained cells find them.

`shelf` has the videos that may be asked about, `desk` answers questions one after another, `app`
says which requests are served and `page/` what they show, `server` listens on this machine alone.
"""
