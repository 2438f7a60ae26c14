"""Features of a study without video: each video's time axis, and a zero for every clip.

The time axis is what a real extractor would give for the annotated duration, so that a blind model
sees as many clips as the real one would, and nothing else.
"""

import numpy as np

from tsgbench.datasets.queries import video_durations
from tsgbench.features.store import FeatureWriter
from tsgbench.phases import Outcome, Task


def run(task: Task) -> Outcome:
    """settings: a recipe with a `timeline`. facts: how many videos got zeros."""
    recipe = task.settings
    durations = video_durations(task.inputs["annotations"])
    timeline = recipe["timeline"]
    attrs = {
        "identity": task.identity,
        "recipe": recipe,
        "extractor": "none",
        "weights": "none",
        "clip_len": timeline["clip_len"],
        "stride": timeline["stride"],
        "versions": {"numpy": np.__version__},
    }
    with FeatureWriter(task.files["features"], attrs) as writer:
        for video, duration_s in sorted(durations.items()):
            times = clip_times(duration_s, **timeline)
            writer.write(video, np.zeros((len(times), 1), np.float32), times)
    return {"videos": len(durations)}, [task.files["features"]]


def clip_times(duration_s: float, fps: float, clip_len: int, stride: int) -> np.ndarray:
    """(n, 2) seconds: the windows of `clip_len` frames every `stride` frames; at least one."""
    count = max(1, int((duration_s * fps - clip_len) // stride) + 1)
    starts = np.arange(count) * stride / fps
    return np.stack([starts, np.minimum(starts + clip_len / fps, duration_s)], axis=1)
