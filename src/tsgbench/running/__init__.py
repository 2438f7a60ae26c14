"""Jobs run, once for the study and once more for whoever doubts them.

`job`: check a job's inputs, do its phase, write its record; `gpu`: the share of one that it gets.
`verification`: whether results are what their records say (`digests`), and come out the same when
made again in a folder apart (`repeating`, `comparing`).
"""
