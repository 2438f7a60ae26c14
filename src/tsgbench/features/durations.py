"""Annotated durations against the features' time axes.

Models place moments by their share of the video. Where a file lasts 8 s and its annotation says 30,
each moment is learnt and answered 3.75 times too late: a re-cut upload, another version of the
video, features of a part of it.
"""

from pathlib import Path
from typing import Any

from tsgbench.features.failures import TooManyFailed

# Annotated durations are rounded, and headers a little wrong: a difference counts above both.
DIFFERS_S = 2.0
DIFFERS_SHARE = 0.05
NAMED = 5  # videos that a record names


def compare_durations(
    ends_s: dict[str, float], durations: dict[str, float], until_s: float | None = None
) -> list[dict]:
    """The videos whose features end elsewhere than their annotation says: {video, reason}, sorted.

    ends_s: when each video's last row ends. durations: as annotated. until_s: what comes later was
    not to be extracted.
    """
    compared = []
    for video in sorted(ends_s.keys() & durations.keys()):
        annotated_s = durations[video]
        expected_s = min(annotated_s, until_s or annotated_s)
        if abs(ends_s[video] - expected_s) > max(DIFFERS_S, DIFFERS_SHARE * expected_s):
            reason = f"annotated {annotated_s:.1f} s, its features end at {ends_s[video]:.1f} s"
            compared.append({"video": video, "reason": reason})
    return compared


def check_durations(out: Path, differ: list[dict], videos: int, allowed: float) -> dict:
    """Facts for the record of `out`: `compared`, `differ`, and the `first` few by name.

    `TooManyFailed` if more than the share `allowed` of `videos` differ, as for those that fail.
    """
    facts: dict[str, Any] = {
        "compared": videos,
        "differ": len(differ),
        "first": [f"{row['video']}: {row['reason']}" for row in differ[:NAMED]],
    }
    if len(differ) > allowed * videos:
        raise TooManyFailed(
            f"{out}: {len(differ)} of {videos} videos do not last as long as annotated, the first:"
            f" {facts['first'][0]}; get the annotated version of the videos, or raise"
            " max_failed_share in the recipe",
            differ,
        )
    return facts
