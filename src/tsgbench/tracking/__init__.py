"""MLflow tracking: one run per cell, logged live by the trainer or later from the cell's files.

The files of a cell are the truth; MLflow is a view of them. `CellTracker` fills the view during a
training without ever stopping it; `sync` completes it afterwards, as often as one likes.
MLflow is imported inside functions only: it takes seconds, and most commands do not need it.
"""

from tsgbench.tracking.history import read_history
from tsgbench.tracking.live import CellTracker
from tsgbench.tracking.names import flatten, metric_key, metric_name
from tsgbench.tracking.replay import record_tags, sync
from tsgbench.tracking.store import default_uri, public_uri, resolve_uri

__all__ = [
    "CellTracker",
    "default_uri",
    "flatten",
    "metric_key",
    "metric_name",
    "public_uri",
    "read_history",
    "record_tags",
    "resolve_uri",
    "sync",
]
