"""`tsgbench ground`: which arguments are videos, and the answers as text or JSON."""

import json
from dataclasses import asdict
from pathlib import Path

from tsgbench.errors import UserError
from tsgbench.features.failures import VIDEO_ENDINGS
from tsgbench.features.video import shown
from tsgbench.files import check_outputs
from tsgbench.grounding import Answer, load, output
from tsgbench.reporting.endings import kind_of


def part(words: list[str]) -> tuple[list[Path], list[str]]:
    """Videos, those of folders among them, and sentences; `UserError` unless there are both."""
    paths, sentences = [], []
    for word in words:
        if Path(word).is_dir():
            inside = sorted(p for p in Path(word).iterdir() if p.suffix.lower() in VIDEO_ENDINGS)
            if not inside:
                raise UserError(f"{word}: holds no video file ({', '.join(VIDEO_ENDINGS)})")
            paths += inside
        elif Path(word).exists() or word.lower().endswith(VIDEO_ENDINGS):
            paths.append(Path(word))
        else:
            sentences.append(word)
    if not paths:
        raise UserError(f"no video among the arguments: {sentences[0]!r} is no file; name one")
    if not sentences:
        raise UserError('no sentence among the arguments; add one, such as "a dog runs"')
    if gone := [path for path in paths if not path.exists()]:
        raise UserError(f"{gone[0]}: no such video file; check its name")
    return paths, sentences


def answer(
    paths: list[Path], sentences: list[str], cell: str, *, top: int, threads: int
) -> tuple[list[Answer], list[str]]:
    """The answers, and why files are left out."""
    if top < 1:
        raise UserError(f"--top: {top} is less than 1; ask for one moment or more")
    grounder = load(cell)
    with grounder.encode(paths, threads=threads) as videos:
        return grounder.ground(videos, sentences, top=top), videos.failed


def check(
    figure: Path | None, clip: Path | None, videos: list[Path], sentences: int, force: bool
) -> None:
    """`UserError`, before any work, for files that could not be written in the end."""
    answers = len(videos) * sentences
    if clip and answers > 1:
        raise UserError(f"--clip: {clip}: is of one video and one sentence; ask for one at a time")
    if clip and clip.suffix.lower() != ".mp4":
        raise UserError(f"--clip: {clip}: is written as MP4; name a file that ends in .mp4")
    if figure:
        kind_of(figure, "--figure")
    check_outputs([path for path in (figure, clip) if path], force=force, inputs=videos)


def write(figure: Path | None, clip: Path | None, answers: list[Answer]) -> None:
    """The files that were asked for."""
    if figure:
        output.draw_answers(figure, answers)
    if clip:
        output.cut(clip, answers[0])


def as_json(answers: list[Answer]) -> str:
    """The answers as a JSON list, moments in seconds, as `--json` prints them."""
    return json.dumps([asdict(one) | {"video": shown(one.video)} for one in answers], indent=2)


def as_text(answers: list[Answer]) -> str:
    """A table for each sentence; scores are the model's own, comparable within one video alone."""
    lines = []
    for one in answers:
        lines.append(f"{shown(one.video)} ({one.duration_s:.1f} s): {one.sentence!r}")
        if one.unknown:
            lines.append(f"    not in the cell's word table: {', '.join(one.unknown)}")
        if one.untrained:
            lines.append(f"    in no sentence it was trained on: {', '.join(one.untrained)}")
        for rank, moment in enumerate(one.moments, start=1):
            times = f"{moment.start_s:8.2f} - {moment.end_s:8.2f} s"
            lines.append(f"{rank:3}  {times}   score {moment.score:.4f}")
    return "\n".join(lines)
