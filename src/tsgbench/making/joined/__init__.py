"""Untrimmed videos joined from real clips, each with its human sentences.

Footage and sentences are real; the joins are not: a moment is where one clip ends and the next
begins, not an event. docs/joined.md is the data card of the set that config/datasets.yaml makes so.
"""

from functools import partial
from pathlib import Path
from typing import Any

from tsgbench.errors import UserError
from tsgbench.files import digest, sha256_file, write_json
from tsgbench.making import folders
from tsgbench.making.joined import footage
from tsgbench.making.joined.msrvtt import read_descriptions
from tsgbench.making.joined.plan import SPLITS, Clip, Joined, plan_videos

# Raise it with every change that alters pixels or the plan: half-joined folders are then redone.
VERSION = 1
# fade_s: seconds that neighbours share; same_category: whether they are mostly of one category
DIFFICULTIES: dict[str, dict[str, Any]] = {
    "standard": {"fade_s": 0.0, "same_category": False},
    "hard": {"fade_s": 1.0, "same_category": True},
}
DEFAULTS = {
    "seed": 0,
    "shares": {"val": 0.1, "test": 0.25},
    "uses": {"train": 5, "val": 3, "test": 3},
    "clips": [4, 6],
    "segment_s": [5, 14],
    "sentences": 2,
    "size": [224, 298],
    "fps": 3,
    "difficulty": "standard",
    "max_lost_share": 0.05,
}


def join(
    folder: Path,
    *,
    clips: dict[str, Path],
    gone: dict[str, str],
    sentences: Path,
    settings: dict,
    workers: int,
) -> dict:
    """Join the data set into `folder/videos/*.mp4` and, last, `folder/annotations.json`.

    clips: clip -> file. gone: clip -> why its download could not have it. sentences: MSR-VTT's own
    file. settings: any of `DEFAULTS`. workers: processes. The same settings and clips give the same
    bytes (with the same PyAV and NumPy). An interrupted run keeps its finished videos. Returns
    facts. `UserError` if more than `max_lost_share` of the clips are gone or cannot be decoded.
    """
    settings = check_settings(settings)
    folder = Path(folder)
    usable, lost, short = _find_usable(clips, gone, sentences, settings, workers)
    made_of = {clip.clip: sha256_file(clips[clip.clip]) for clip in usable}
    done = folders.prepare_folder(folder, _identity(settings, made_of, sentences))
    hardness = DIFFICULTIES[settings["difficulty"]]
    videos = plan_videos(
        usable,
        settings,
        fade=round(hardness["fade_s"] * settings["fps"]),
        same_category=hardness["same_category"],
    )
    missing = [video for video in videos if f"{video.video_id}.mp4" not in done]
    folders.in_parallel(
        partial(_join_one, folder / "videos", clips, settings),
        missing,
        workers=workers,
        doing="joining",
    )
    write_json(
        folder / "annotations.json", {"videos": [_annotate(v, settings["fps"]) for v in videos]}
    )
    return _facts(folder, videos, lost=lost, short=short, joined=len(missing))


def check_settings(settings: dict) -> dict:
    """Settings with defaults filled in; `UserError` names a key that is unknown or out of range."""
    full = folders.fill_in(settings, DEFAULTS, "join")
    rules = {
        "seed": (_is_whole(full["seed"], 0), "a whole number from 0"),
        "shares": (_are_shares(full["shares"]), "{val, test} above 0, together below 1"),
        "uses": (
            isinstance(full["uses"], dict)
            and set(full["uses"]) == set(SPLITS)
            and all(_is_whole(number, 1) for number in full["uses"].values()),
            f"whole numbers from 1 for {', '.join(SPLITS)}",
        ),
        "clips": (
            folders.is_range(full["clips"]) and all(_is_whole(n, 2) for n in full["clips"]),
            "[fewest, most] clips per video, from 2",
        ),
        "segment_s": (
            folders.is_range(full["segment_s"]) and full["segment_s"][0] >= 3,
            "[shortest, longest] seconds, from 3",
        ),
        "sentences": (_is_whole(full["sentences"], 1), "a whole number from 1"),
        "size": (
            isinstance(full["size"], list | tuple)
            and len(full["size"]) == 2
            and all(_is_whole(side, 16) and side % 2 == 0 for side in full["size"]),
            "[height, width], even numbers of pixels from 16",
        ),
        "fps": (_is_whole(full["fps"], 1), "a whole number of frames per second"),
        "difficulty": (full["difficulty"] in DIFFICULTIES, f"one of {', '.join(DIFFICULTIES)}"),
        "max_lost_share": (
            isinstance(full["max_lost_share"], int | float) and 0 <= full["max_lost_share"] < 1,
            "a share from 0 to below 1",
        ),
    }
    folders.refuse_wrong(full, rules, "join")
    return full


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _are_shares(value: object) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"val", "test"}
        and all(isinstance(share, int | float) and share > 0 for share in value.values())
        and sum(value.values()) < 1
    )


def _find_usable(
    clips: dict[str, Path], gone: dict[str, str], sentences: Path, settings: dict, workers: int
) -> tuple[list[Clip], dict[str, str], int]:
    """The clips that can be joined, why the others cannot, and how many are merely too short.

    Every clip is decoded once: a damaged one must be known before anything is planned with it.
    """
    described = read_descriptions(sentences)
    names = sorted(clips)
    if unknown := [n for n in names if n not in described or not described[n].sentences]:
        raise UserError(
            f"{sentences}: sentences: none of clip {unknown[0]!r} ({clips[unknown[0]]}); download"
            " both again"
        )
    counted = folders.in_parallel(
        partial(footage.count_frames, fps=settings["fps"]),
        [clips[name] for name in names],
        workers=workers,
        doing="reading the clips",
    )
    frames = dict(zip(names, counted, strict=True))
    lost = gone | {name: why for name, why in frames.items() if isinstance(why, str)}
    allowed = settings["max_lost_share"] * len(clips.keys() | gone.keys())
    if len(lost) > allowed:
        first = min(lost)
        raise UserError(
            f"{len(lost)} of {len(clips.keys() | gone.keys())} clips cannot be used, more than the"
            f" share {settings['max_lost_share']} of join.max_lost_share (the first, {first}:"
            f" {lost[first]}); get them again, or raise it in config/datasets.yaml"
        )
    shortest = round(settings["segment_s"][0] * settings["fps"])
    usable = [
        Clip(
            name,
            described[name].source,
            described[name].category,
            number,  # type: ignore[arg-type]  # whose text is why it is lost
            described[name].sentences,
        )
        for name, number in frames.items()
        if name not in lost and number >= shortest
    ]
    return usable, lost, len(names) - len(usable) - sum(name in lost for name in names)


def _identity(settings: dict, made_of: dict[str, str], sentences: Path) -> str:
    """Digest of all that decides the videos: another clip, and they are all joined anew."""
    read = {"clips": made_of, "sentences": sha256_file(sentences)}
    return digest(
        {"settings": settings, "version": VERSION, "tools": folders.tool_versions(), **read}
    )


def _join_one(videos: Path, clips: dict[str, Path], settings: dict, video: Joined) -> None:
    out = videos / f"{video.video_id}.mp4"
    footage.join(video, clips, tuple(settings["size"]), settings["fps"], out)


def _annotate(video: Joined, fps: int) -> dict:
    """The annotation entry of one video: what it is joined from, and the queries."""
    queries = [
        (text, segment.start / fps, segment.end / fps)
        for segment in video.segments
        for text in segment.sentences
    ]
    return {
        "video_id": video.video_id,
        "split": video.split,
        "duration_s": video.frames / fps,
        "segments": [
            {
                "clip": segment.clip.clip,
                "source": segment.clip.source,
                "category": segment.clip.category,
                "from_s": segment.first / fps,
                "frames": segment.frames,
                "start_s": segment.start / fps,
                "end_s": segment.end / fps,
            }
            for segment in video.segments
        ],
        "queries": [
            {"query_id": f"{video.video_id}_q{n}", "sentence": text, "start_s": start, "end_s": end}
            for n, (text, start, end) in enumerate(queries)
        ],
    }


def _facts(
    folder: Path, videos: list[Joined], *, lost: dict[str, str], short: int, joined: int
) -> dict:
    """Counts by split, and what of the clips was used."""
    by_split = {split: [v for v in videos if v.split == split] for split in SPLITS}
    segments = {split: [s for v in by_split[split] for s in v.segments] for split in SPLITS}
    twins = [
        sum(other.clip.category == segment.clip.category for other in video.segments) > 1
        for video in videos
        for segment in video.segments
    ]
    return {
        "videos": {split: len(by_split[split]) for split in SPLITS},
        "clips": {split: len({s.clip.clip for s in segments[split]}) for split in SPLITS},
        "sources": {split: len({s.clip.source for s in segments[split]}) for split in SPLITS},
        "segments": {split: len(segments[split]) for split in SPLITS},
        "sentences": {split: sum(len(s.sentences) for s in segments[split]) for split in SPLITS},
        "with_one_of_its_category": round(sum(twins) / len(twins), 3),
        "frames": sum(video.frames for video in videos),
        "bytes": sum(path.stat().st_size for path in (folder / "videos").glob("*.mp4")),
        "lost": dict(sorted(lost.items())),
        "too_short": short,
        "joined_now": joined,
    }
