"""Which clip stands where in which joined video, and which sentences are asked of it.

Decided from a seed before any picture is decoded; times are counted in frames throughout.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from tsgbench.errors import UserError

SPLITS = ("train", "val", "test")  # the order is part of every random seed: append only


@dataclass(frozen=True)
class Clip:
    """A clip that can be used. source: the video it is of; frames: how many at the set's rate."""

    clip: str
    source: str
    category: int
    frames: int
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Segment:
    """A piece of a clip within a joined video.

    first, frames: what of the clip is shown. at: the frame of the joined video where it begins to
    be seen. start, end: the moment, half-open; they differ from what is seen by half a cross-fade.
    """

    clip: Clip
    first: int
    frames: int
    at: int
    start: int
    end: int
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Joined:
    """A joined video. fade: frames that two neighbouring segments share."""

    video_id: str
    split: str
    segments: tuple[Segment, ...]
    fade: int

    @property
    def frames(self) -> int:
        """Length in frames: its segments lie back to back."""
        return self.segments[-1].end


def split_of(source: str, shares: dict[str, float], seed: int) -> str:
    """The split of all clips of one source video, by a hash of seed and id.

    It depends on no other clip: whatever is missing, footage never changes sides. shares: of val
    and test; the rest trains.
    """
    hashed = hashlib.sha256(f"{seed}:{source}".encode()).digest()
    share = int.from_bytes(hashed[:8]) / 2**64
    if share < shares["test"]:
        return "test"
    return "val" if share < shares["test"] + shares["val"] else "train"


def plan_videos(
    clips: list[Clip], settings: dict, *, fade: int, same_category: bool
) -> list["Joined"]:
    """All joined videos, split by split.

    settings: `seed`, `shares`, `uses`, `clips`, `segment_s`, `sentences`, `fps`. In each of a
    split's `uses` every source video comes once, so that a clip has other neighbours, is cut
    elsewhere and is described by other sentences each time. Returns a list of `Joined`.
    """
    by_split: dict[str, dict[str, list[Clip]]] = {split: {} for split in SPLITS}
    for clip in sorted(clips, key=lambda clip: clip.clip):
        split = split_of(clip.source, settings["shares"], settings["seed"])
        by_split[split].setdefault(clip.source, []).append(clip)
    planned: list[Joined] = []
    for number, (split, sources) in enumerate(by_split.items()):
        fewest = settings["clips"][0]
        if len(sources) < fewest:
            raise UserError(
                f"joined videos: split {split!r} has {len(sources)} source videos and needs"
                f" {fewest} or more; change join.shares or join.clips in config/datasets.yaml"
            )
        index = 0
        for use in range(settings["uses"][split]):
            rng = np.random.default_rng([settings["seed"], number, use])
            pool = [group[use % len(group)] for group in sources.values()]
            for chosen in deal(pool, settings["clips"], rng, same_category=same_category):
                name = f"joined_{split}_{index:04d}"
                segments = _cut(chosen, use, settings, fade, rng)
                planned.append(Joined(name, split, segments, fade))
                index += 1
    return planned


def deal(
    pool: list[Clip], sizes: tuple[int, int], rng: np.random.Generator, *, same_category: bool
) -> list[list[Clip]]:
    """Share the clips out into videos of `sizes` clips, each clip at most once.

    same_category: neighbours in order of category, so that most videos hold one or two.
    A few clips are left out where their number cannot be made of these sizes.
    """
    order = [pool[index] for index in rng.permutation(len(pool))]
    if same_category:
        rank = rng.permutation(1 + max(clip.category for clip in pool))
        order.sort(key=lambda clip: rank[clip.category])
    dealt, begin = [], 0
    for size in _sizes(len(order), *sizes, rng):
        video = order[begin : begin + size]
        dealt.append([video[index] for index in rng.permutation(size)])
        begin += size
    return dealt


def _sizes(total: int, low: int, high: int, rng: np.random.Generator) -> list[int]:
    """Random sizes from low to high whose sum is `total`, or the nearest sum below it."""
    reachable = [True] + [False] * total
    for count in range(1, total + 1):
        reachable[count] = any(reachable[max(0, count - high) : max(0, count - low + 1)])
    left = max(count for count in range(total + 1) if reachable[count])
    sizes = []
    while left:
        fitting = [s for s in range(low, high + 1) if s <= left and reachable[left - s]]
        sizes.append(int(rng.choice(fitting)))
        left -= sizes[-1]
    return sizes


def _cut(
    chosen: list[Clip], use: int, settings: dict, fade: int, rng: np.random.Generator
) -> tuple[Segment, ...]:
    """Segments one after another: of random length, from a random place of each clip."""
    low, high = (round(seconds * settings["fps"]) for seconds in settings["segment_s"])
    lengths = [int(rng.integers(low, min(high, clip.frames) + 1)) for clip in chosen]
    firsts = [
        int(rng.integers(clip.frames - length + 1))
        for clip, length in zip(chosen, lengths, strict=True)
    ]
    seen = np.cumsum([0, *[length - fade for length in lengths]]).tolist()
    # In the middle of a cross-fade: from there on the new clip is at least as strong as the old
    edges = [0, *[at + fade // 2 for at in seen[1:-1]], seen[-1] + fade]
    return tuple(
        Segment(
            clip,
            firsts[index],
            lengths[index],
            seen[index],
            edges[index],
            edges[index + 1],
            _pick(clip, use, settings),
        )
        for index, clip in enumerate(chosen)
    )


def _pick(clip: Clip, use: int, settings: dict) -> tuple[str, ...]:
    """The next few of a clip's sentences, in its own order; from the first when all are used."""
    key = hashlib.sha256(f"{settings['seed']}:{clip.clip}".encode()).digest()[:8]
    order = np.random.default_rng(int.from_bytes(key)).permutation(len(clip.sentences))
    number = min(settings["sentences"], len(order))
    chosen = (use * number + np.arange(number)) % len(order)
    return tuple(clip.sentences[index] for index in order[chosen])
