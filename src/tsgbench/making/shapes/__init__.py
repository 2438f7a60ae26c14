"""The demo data set `shapes`: rendered videos with sentences about their moments.

Small coloured shapes move, grow, blink and shake on noisy textured backgrounds; each sentence is
true of exactly one moment of its video. docs/shapes.md is its data card.
"""

from functools import partial
from pathlib import Path

import numpy as np

from tsgbench.files import atomic_path, digest, write_json
from tsgbench.making import folders
from tsgbench.making.shapes import drawing, grammar, scene
from tsgbench.making.shapes.scene import DIFFICULTIES, Scene

# Raise it with every change that alters pixels or sentences: half-rendered folders are then redone.
VERSION = 1
QUANTISER = 25  # lets some of the grain through
SPLITS = ("train", "val", "test")  # the order is part of every video's random seed: append only
DEFAULTS = {
    "seed": 0,
    "videos": {"train": 400, "val": 60, "test": 100},
    "size": 96,
    "fps": 8,
    "duration_s": [22, 32],
    "event_s": [2, 9],
    "difficulty": "standard",
}


def render(folder: Path, *, settings: dict, workers: int) -> dict:
    """Render the data set into `folder/videos/*.mp4` and, last, `folder/annotations.json`.

    settings: any of `DEFAULTS`. workers: processes. The same settings give the same bytes (with the
    same PyAV and NumPy). An interrupted run keeps its finished videos; videos of other settings are
    deleted first. Returns facts: videos and sentences per split, vocabulary, bytes, rendered now.
    """
    settings = check_settings(settings)
    folder = Path(folder)
    done = folders.prepare_folder(folder, _identity(settings))
    jobs = [(split, index) for split in SPLITS for index in range(settings["videos"].get(split, 0))]
    missing = [job for job in jobs if f"{video_id(*job)}.mp4" not in done]
    render_one = partial(_render_one, folder / "videos", settings)
    folders.in_parallel(render_one, missing, workers=workers, doing="rendering")
    videos = [_annotate(settings, split, index) for split, index in jobs]
    write_json(folder / "annotations.json", {"videos": videos})
    return _facts(folder, videos, rendered=len(missing))


def video_id(split: str, index: int) -> str:
    """Name of a split's video, by its place in the split from 0."""
    return f"shapes_{split}_{index:04d}"


def check_settings(settings: dict) -> dict:
    """Settings with defaults filled in; `UserError` names a key that is unknown or out of range."""
    full = folders.fill_in(settings, DEFAULTS, "demo")
    videos = full["videos"]
    rules = {
        "videos": (
            isinstance(videos, dict)
            and bool(videos)
            and all(s in SPLITS and isinstance(n, int) and n >= 0 for s, n in videos.items())
            and sum(videos.values()) > 0,
            f"counts by split, from {', '.join(SPLITS)}",
        ),
        "size": (
            isinstance(full["size"], int) and full["size"] >= 32 and full["size"] % 4 == 0,
            "a multiple of 4 pixels, 32 or more",
        ),
        "fps": (
            isinstance(full["fps"], int) and full["fps"] >= 4,
            "a whole number of frames a second, 4 or more",
        ),
        "duration_s": (folders.is_range(full["duration_s"]), "[shortest, longest] seconds"),
        "event_s": (
            folders.is_range(full["event_s"]) and full["event_s"][0] >= 1,
            "[shortest, longest] seconds, from 1 s",
        ),
        "difficulty": (full["difficulty"] in DIFFICULTIES, f"one of {', '.join(DIFFICULTIES)}"),
        "seed": (isinstance(full["seed"], int) and full["seed"] >= 0, "a whole number from 0"),
    }
    folders.refuse_wrong(full, rules, "demo")
    return full


def sample_video(settings: dict, split: str, index: int) -> tuple[Scene, list[str], int]:
    """Scene, one sentence per event and a seed for the pixels of one video.

    It depends on (seed, split, index) alone, never on the other videos.
    """
    rng = np.random.default_rng([settings["seed"], SPLITS.index(split), index])
    sampled = scene.sample_scene(
        rng,
        fps=settings["fps"],
        duration_s=tuple(settings["duration_s"]),
        event_s=tuple(settings["event_s"]),
        difficulty=DIFFICULTIES[settings["difficulty"]],
    )
    sentences = [grammar.describe(rng, sampled, row) for row in range(len(sampled.events))]
    return sampled, sentences, int(rng.integers(2**63))


def _identity(settings: dict) -> str:
    tools = folders.tool_versions()
    return digest({"settings": settings, "version": VERSION, "tools": tools})


def _render_one(videos: Path, settings: dict, job: tuple[str, int]) -> None:
    split, index = job
    sampled, _, pixel_seed = sample_video(settings, split, index)
    frames = drawing.draw(
        np.random.default_rng(pixel_seed),
        sampled,
        size=settings["size"],
        noise=DIFFICULTIES[settings["difficulty"]].noise,
    )
    with atomic_path(videos / f"{video_id(split, index)}.mp4") as path:
        folders.encode(path, frames, fps=settings["fps"], quantiser=QUANTISER)


def _annotate(settings: dict, split: str, index: int) -> dict:
    """The annotation entry of one video: what is in it, what happens, and the queries."""
    sampled, sentences, _ = sample_video(settings, split, index)
    fps = settings["fps"]
    name = video_id(split, index)
    spans = [(event.start / fps, event.end / fps) for event in sampled.events]
    things = [f"{thing.colour} {thing.shape}" for thing in sampled.things]
    return {
        "video_id": name,
        "split": split,
        "duration_s": sampled.frames / fps,
        "things": things,
        "events": [
            {"thing": things[e.thing], "action": e.action, "start_s": start_s, "end_s": end_s}
            for e, (start_s, end_s) in zip(sampled.events, spans, strict=True)
        ],
        "queries": [
            {"query_id": f"{name}_q{n}", "sentence": text, "start_s": start_s, "end_s": end_s}
            for n, (text, (start_s, end_s)) in enumerate(zip(sentences, spans, strict=True))
        ],
    }


def _facts(folder: Path, videos: list[dict], rendered: int) -> dict:
    splits = [video["split"] for video in videos]
    words = {w for video in videos for q in video["queries"] for w in q["sentence"].split()}
    queries = [len(video["queries"]) for video in videos]
    return {
        "videos": {split: splits.count(split) for split in SPLITS},
        "sentences": {
            split: sum(n for n, s in zip(queries, splits, strict=True) if s == split)
            for split in SPLITS
        },
        "vocabulary": len(words),
        "bytes": sum(path.stat().st_size for path in (folder / "videos").glob("*.mp4")),
        "rendered_now": rendered,
    }
