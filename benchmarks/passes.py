"""Processor seconds of extractions of the same videos, one by one and in one pass that decodes each
video once; and of their decoding alone, which is what is left of them beside a fast GPU.

    python benchmarks/passes.py FOLDER_OR_VIDEO... --recipes c3d_sports1m_fc6_w16s8 ...

Weights are random. Reading comes first, of all videos, so that every row finds them in memory.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import torch
import yaml

from tsgbench.features.extract import Wanted, extract_shard
from tsgbench.features.feeding import view_of
from tsgbench.features.recipe import check_recipe
from tsgbench.features.video import probe, read_views

ENDINGS = (".mp4", ".avi", ".mkv", ".webm")
RECIPES = ("c3d_sports1m_fc6_w16s8", "i3d_kinetics_rgb_w16s8", "efficientnet_lite0_imagenet_1s")


def busy(work: Callable[[], object]) -> float:
    """Processor seconds of all threads."""
    start = time.process_time()
    work()
    return time.process_time() - start


def decode(videos: dict[str, Path], recipes: list[dict]) -> None:
    """All frames that the recipes take, of their size, in one pass."""
    for path in videos.values():
        for _ in read_views(path, [view_of(recipe) for recipe in recipes]):
            pass


def extract(videos: dict[str, Path], recipes: list[dict], threads: int) -> None:
    """The same, and through the networks, into journals."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = [
            Wanted(Path(folder) / f"{n}.h5", recipe, "0", journal=Path(folder) / f"{n}.journal")
            for n, recipe in enumerate(recipes)
        ]
        for facts in extract_shard(videos, wanted, threads=threads, device="cpu"):
            assert not facts["failed"], facts["failed"]


def measure(videos: dict[str, Path], recipes: dict[str, dict], options: argparse.Namespace) -> dict:
    """Kind of work -> name of a recipe, or `together` -> processor seconds, the best of rounds."""
    kinds = {"decoding": lambda some: decode(videos, some)}
    if options.networks:
        kinds["extraction"] = lambda some: extract(videos, some, options.threads)
    found: dict = {kind: {} for kind in kinds}
    for _ in range(options.rounds):
        for kind, work in kinds.items():
            for name, some in {**{n: [r] for n, r in recipes.items()}, "together": None}.items():
                took = busy(lambda some=some, work=work: work(some or list(recipes.values())))
                found[kind][name] = min(took, found[kind].get(name, took))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", nargs="+", type=Path, help="files, or folders of them")
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3, help="of which the best is taken")
    parser.add_argument("--networks", action="store_true", help="measure extraction, too")
    parser.add_argument("--width", type=float, default=1.0, help="of the networks, as published: 1")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    entries = yaml.safe_load(Path("config/features.yaml").read_text(encoding="utf-8"))["clips"]
    recipes = {}
    for name in options.recipes:
        recipes[name] = check_recipe(entries[name] | {"checkpoint": None})
        if "width" in recipes[name]["network"]:
            recipes[name]["network"] |= {"width": options.width}
    files = [
        path
        for given in options.videos
        for path in (sorted(given.iterdir()) if given.is_dir() else [given])
        if path.suffix in ENDINGS
    ]
    videos = {path.stem: path for path in files}
    video_s = sum(probe(path).duration_s for path in files)
    decode(videos, list(recipes.values())[:1])
    found = measure(videos, recipes, options)
    result = {
        "videos": len(videos),
        "video_s": round(video_s, 1),
        "versions": {"torch": torch.__version__, "av": av.__version__},
        "load": os.getloadavg()[0],
        "threads": options.threads,
        "cpu_s": found,
    }
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{len(videos)} videos of {video_s:.0f} s, {options.threads} threads,"
          f" torch {torch.__version__}, load {result['load']:.1f}")  # fmt: skip
    for kind, rows in found.items():
        apart = sum(seconds for name, seconds in rows.items() if name != "together")
        for name, seconds in {**rows, "one by one": apart}.items():
            print(
                f"{kind:11} {name:32} {seconds:8.2f} s   {3600 * seconds / video_s:7.1f} s per hour"
            )


if __name__ == "__main__":
    main()
