"""TACoS (Regneri et al., TACL 2013), in the two versions that papers report on.

Both are `{video: {"timestamps", "sentences", ...}}` with 75, 27 and 25 cooking videos. The original
version (Gao et al., TALL, ICCV 2017) counts in seconds and knows no durations: these come from the
other version's files, which are of the same videos. The version of 2D-TAN (Zhang et al., AAAI 2020)
counts in frames of 29.4 a second, states `fps` and `num_frames`, and has other moments, four times
as long: results on the two cannot be compared.

Several people described each moment and often chose the same words, so both hold many exact
repetitions (641 of the original's 4,083 test rows). Papers count and score them; so do we.

The original's JSON files lost the full stop that ends every sentence of the raw text they were made
from. `full_stop` puts it back: the tokens of all 18,818 sentences then equal the raw text's, and
the mean is the 10.05 tokens that SeqPAN prints.
"""

from dataclasses import replace
from pathlib import Path

from tsgbench.datasets.json_format import (
    Clock,
    check_kind,
    number,
    optional_number,
    read_files,
    read_strict,
)
from tsgbench.datasets.readers import Row, register
from tsgbench.errors import UserError

NAME = "tacos"
SPLITS = ("train", "val", "test")


@register(NAME)
def read(files: dict[str, Path], *, full_stop: bool = False) -> dict[str, list[Row]]:
    """Rows of the splits train, val and test, in seconds.

    files: a role for each split, and where these files state no `fps`: `durations_train`,
    `durations_val` and `durations_test`, files that do, of the same videos. An entry with `fps`
    counts in frames, any other in seconds. full_stop: end every sentence with one.
    """
    durations: dict[str, float | None] = {}
    for role in sorted(files):
        if role.startswith("durations_"):
            durations |= _read_durations(files[role])
    clock = _clock(durations)
    rows = read_files(files, SPLITS, NAME, clock)
    if full_stop:
        rows = {role: [_end_sentence(row) for row in rows[role]] for role in SPLITS}
    return rows


def _end_sentence(row: Row) -> Row:
    # An empty sentence stays empty: the policy is to see it
    return replace(row, sentence=f"{row.sentence}.") if row.sentence.strip() else row


def _clock(durations: dict[str, float | None]) -> Clock:
    def tell(video: str, entry: dict, where: str) -> tuple[float | None, float]:
        if "fps" in entry:
            return _duration(entry, where), _fps(entry, where)
        return durations.get(video.removesuffix(".avi")), 1.0

    return tell


def _read_durations(path: Path) -> dict[str, float | None]:
    durations = {}
    for video, entry in read_strict(path, dict).items():
        where = f"{path}, {video}"
        durations[video.removesuffix(".avi")] = _duration(
            check_kind(entry, dict, where, "entry"), where
        )
    return durations


def _duration(entry: dict, where: str) -> float | None:
    frames = optional_number(entry, "num_frames", where)
    return None if frames is None else frames / _fps(entry, where)


def _fps(entry: dict, where: str) -> float:
    fps = number(entry.get("fps"), where, "fps")
    if fps <= 0:
        raise UserError(f"{where}: fps: must be above 0, got {fps}; download the file again")
    return fps
