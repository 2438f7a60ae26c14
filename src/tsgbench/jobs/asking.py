"""Whether a trained cell can be asked about a video of one's own, as its records have it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tsgbench.errors import UserError
from tsgbench.jobs.records import read_record

# Values of inputs by which a cell is not shown the video or the sentence that it is asked about
NOT_ASKED = {"video": ("zero", "mismatched"), "query": ("shuffled",)}
# Why nothing can be asked on features that a phase other than `extract` made; and what can
BLANK, RELEASED = "blank", "released"
ON_FEATURES = {
    BLANK: "blank features: this cell never saw a video; name a cell of a study with video"
    " features",
    RELEASED: "features as others released them: their extractor is not here, so that other videos"
    " cannot be given the same; name a cell on features of our own extraction",
}


def why_unasked(run: Mapping[str, Any]) -> str | None:
    """By a training's record alone, why not, and the remedy; None if nothing speaks against it."""
    if run["phase"] == "adopt":
        return (
            "predictions of another program, of which nothing runs here; name a cell that was"
            " trained"
        )
    for key, refused in NOT_ASKED.items():
        if (mode := run["settings"]["inputs"].get(key, "real")) in refused:
            return (
                f"inputs.{key}: {mode}: this cell is not shown the {key} that it is asked about;"
                " name a cell of another ablation, such as full"
            )
    return None


def why_unasked_here(run: Mapping[str, Any], project: Path) -> str | None:
    """The same, also by the records of its features, as far as the project has them."""
    if reason := why_unasked(run):
        return reason
    content = run
    for role in ("features", "clips"):  # what a reduction read
        if role not in content["inputs"]:
            break
        try:
            content = read_record(project / content["inputs"][role]["record"]).content
        except UserError:  # gone, or of another version: nothing speaks against it
            return None
        if content.get("phase") in ON_FEATURES:
            return ON_FEATURES[content["phase"]]
    return None
