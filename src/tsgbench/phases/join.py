"""Join the untrimmed videos of a data set from the clips that were downloaded for it."""

from tsgbench.downloads.manifest import MANIFEST, files_of
from tsgbench.downloads.unavailable import read_unavailable
from tsgbench.making.joined import join
from tsgbench.phases import Outcome, Task


def run(task: Task) -> Outcome:
    """settings: those of the joining (docs/joined.md). facts: as `join` counts them."""
    folder = task.folder / task.wildcards["dataset"]
    clips = files_of(task.inputs["videos"])
    (sentences,) = files_of(task.inputs["sentences"]).values()
    facts = join(
        folder,
        clips={path.stem: path for name, path in clips.items() if not name.endswith(MANIFEST)},
        gone=read_unavailable(task.inputs["videos"]),
        sentences=sentences,
        settings=task.settings,
        workers=task.threads,
    )
    return facts, [folder / "annotations.json", *sorted((folder / "videos").glob("*.mp4"))]
