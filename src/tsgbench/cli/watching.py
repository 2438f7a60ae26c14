"""How `tsgbench watch` shows a run: a frame that fits the window, again every few seconds."""

import json
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from textwrap import wrap
from typing import Any

from tsgbench.planning.cost import as_span
from tsgbench.planning.progress import DONE, FAILED, RUNNING, SILENT, WAITING, Progress, Sight, View

WIDEST, BAR, GAP = 100, 24, 2
COLUMNS, WIDTHS = ("epoch", "score", "left", "last line"), (7, 17, 11, 11)
KEPT_TOGETHER = "\u00a0"
BOLD, RED, PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[0m"
# A screen of its own without a cursor, and back to what was there before
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
HOME, TO_END_OF_LINE, TO_END = "\x1b[H", "\x1b[K", "\x1b[J"
CELL_STATES = (DONE, RUNNING, FAILED, SILENT, WAITING)


def show_once(progress: Progress, title: str, *, as_json: bool) -> None:
    """Print one frame, for pipes as wide as it likes to be."""
    view = progress.look()
    if as_json:
        print(json.dumps(as_facts(view, title), indent=2))
    else:
        print("\n".join(frame(view, title, width=shutil.get_terminal_size((WIDEST, 24)).columns)))


def watch(progress: Progress, title: str, every_s: float) -> None:
    """Show frames until everything is done or Ctrl-C; the last one stays on the screen."""
    lines: list[str] = []
    try:
        with _own_screen():
            while True:
                view = progress.look()
                width, height = shutil.get_terminal_size()
                lines = frame(view, title, width=width, height=height - 1, colours=True)
                text = "".join(f"{line}{TO_END_OF_LINE}\n" for line in lines)
                sys.stdout.write(f"{HOME}{text}{TO_END}")
                sys.stdout.flush()
                if view.is_done:
                    break
                time.sleep(every_s)
    except KeyboardInterrupt:
        pass
    print("\n".join(lines))


@contextmanager
def _own_screen() -> Iterator[None]:
    """Left however the block ends, a `kill` included."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.stdout.write(ENTER)
    try:
        yield
    finally:
        sys.stdout.write(LEAVE)
        sys.stdout.flush()
        signal.signal(signal.SIGTERM, before)


def frame(
    view: View, title: str, *, width: int, height: int | None = None, colours: bool = False
) -> list[str]:
    """Lines of one frame; what failed comes before what runs."""
    width = min(width, WIDEST)
    clock = f"{datetime.now():%H:%M:%S}"
    head = [_fit(title, width - len(clock) - 2).ljust(width - len(clock)) + clock]
    head += [*_labelled("cells", _cells(view), width), *_labelled("jobs", _phases(view), width)]
    head += _labelled("left", _left(view), width)
    parts = [
        ("failed", RED, [line for sight in view.failed for line in _failure(sight, width)]),
        (_row("running", COLUMNS, width), BOLD, [_running(s, width) for s in view.running]),
        (
            "silent: killed, or busy with one long step",
            BOLD,
            [line for s in view.silent for line in (_running(s, width), f"  {s.job.log}")],
        ),
    ]
    lines = [(BOLD, head[0]), *(("", line) for line in head[1:])]
    shown = [part for part in parts if part[2]]
    for number, (name, colour, rows) in enumerate(shown):
        # In a low window each part has its share of what those before it leave
        room = len(rows) if height is None else (height - len(lines)) // (len(shown) - number) - 2
        lines += [("", ""), (colour, name), *(("", row) for row in _shortened(rows, room))]
    lines = lines[:height]
    return [f"{colour}{line}{PLAIN}" if colours and colour else line for colour, line in lines]


def _shortened(rows: list[str], room: int) -> list[str]:
    if len(rows) <= room:
        return rows
    shown = max(0, room - 1)
    return [*rows[:shown], f"… and {len(rows) - shown} more lines"]


def _labelled(name: str, text: str, width: int) -> list[str]:
    lines = wrap(text, max(20, width - 9), break_on_hyphens=False) or [""]
    lines = [line.replace(KEPT_TOGETHER, " ") for line in lines]
    return [f"{name if number == 0 else '':9}{line}" for number, line in enumerate(lines)]


def _cells(view: View) -> str:
    total = sum(view.cells.values())
    if not total:
        return "none"
    filled = BAR * view.cells[DONE] // total
    bar = "#" * filled + "." * (BAR - filled)
    counts = [f"{view.cells[state]} {state}" for state in CELL_STATES if view.cells[state]]
    return f"[{bar}] {', '.join(counts)} of {total}"


def _phases(view: View) -> str:
    """A phase and its numbers are never parted by the end of a line."""
    return ", ".join(
        f"{phase}{KEPT_TOGETHER}{done}/{of}" for phase, (done, of) in view.phases.items()
    )


def _left(view: View) -> str:
    if view.is_done:
        return "nothing: all is done"
    unknown = sum(view.cost.unknown.values())
    known = sum(view.cost.measured.values())
    more = f"{unknown} jobs of whose kind none has ended here" if unknown else ""
    if not known:
        return more
    pace = f"{view.at_once} at a time" if view.at_once else "one at a time; nothing runs just now"
    return f"about {as_span(view.left_s)} with {pace}{f', and {more}' if more else ''}"


def _running(sight: Sight, width: int) -> str:
    """A training in columns; of another job, what it said last."""
    said, ago = sight.said, as_span(sight.age_s or 0.0)
    if said.epoch is None:
        return _row(_name(sight), (said.line or "nothing logged yet", ago), width)
    score = "" if said.score is None else f"{said.metric} {said.score:5.2f}"
    left = as_span(said.left_s or 0.0) if sight.state == RUNNING else ""
    return _row(_name(sight), (f"{said.epoch}/{said.epochs}", score, left, ago), width)


def _row(name: str, cells: tuple[str, ...], width: int) -> str:
    """A name and what fits into the columns: all of them, or the last and what those before it
    leave."""
    widths = list(WIDTHS)
    if len(cells) == 2:
        widths = [sum(WIDTHS[:-1]) + GAP * (len(WIDTHS) - 2), WIDTHS[-1]]
    room = width - sum(widths) - GAP * len(widths)
    columns = [_fit(name, room).ljust(room)]
    columns += [_fit(cell, wide).rjust(wide) for cell, wide in zip(cells, widths, strict=True)]
    return (" " * GAP).join(columns)


def _failure(sight: Sight, width: int) -> list[str]:
    """The log's path is never cut, so that it can be copied."""
    ago = f"{as_span(sight.age_s or 0.0)} ago"
    name = _fit(_name(sight), width - len(ago) - GAP)
    said = wrap(sight.said.line, max(20, width - GAP), break_on_hyphens=False)
    lines = [name.ljust(width - len(ago)) + ago, *(f"  {line}" for line in said)]
    return [*lines, f"  {sight.job.log}"]


def _name(sight: Sight) -> str:
    return sight.job.key if sight.job.phase == "train" else f"{sight.job.phase} {sight.job.key}"


def _fit(text: str, width: int) -> str:
    """The text, its middle left out where it is too long: names differ at both ends."""
    if len(text) <= width:
        return text
    start = max(0, (width - 1) // 2)
    end = max(0, width - 1 - start)
    return f"{text[:start]}…{text[len(text) - end :]}"


def as_facts(view: View, title: str) -> dict[str, Any]:
    """A frame for programs."""
    cost = view.cost
    return {
        "title": title,
        "is_done": view.is_done,
        "cells": {state: view.cells[state] for state in CELL_STATES},
        "phases": {phase: {"done": done, "of": of} for phase, (done, of) in view.phases.items()},
        "left_s": view.left_s,
        "at_once": view.at_once,
        "never_measured": sum(cost.unknown.values()),
        **{
            name: [_as_facts(sight) for sight in sights]
            for name, sights in (
                (RUNNING, view.running),
                (FAILED, view.failed),
                (SILENT, view.silent),
            )
        },
    }


def _as_facts(sight: Sight) -> dict[str, Any]:
    said = sight.said
    return {
        "phase": sight.job.phase,
        "key": sight.job.key,
        "log": sight.job.log,
        "line": said.line,
        "age_s": sight.age_s,
        "epoch": said.epoch,
        "epochs": said.epochs,
        "epoch_s": said.epoch_s,
        "metric": said.metric,
        "score": said.score,
    }
