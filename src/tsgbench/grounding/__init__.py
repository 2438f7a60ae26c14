"""Moments in one's own videos: a trained cell asked about other videos and sentences.

`parts` follows a cell's records to what it was trained on; `cell` extracts, reduces and predicts
with the very functions of the pipeline.
"""

from tsgbench.grounding.cell import Answer, Cell, Moment, Videos, encoded_s, load

__all__ = ["Answer", "Cell", "Moment", "Videos", "encoded_s", "load"]
