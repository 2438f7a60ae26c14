"""A recipe of clips: its defaults, what is wrong with one, and the shape of its clips."""

from typing import Any

import torch

from tsgbench.errors import UserError
from tsgbench.features.pooling import POOLS

DEFAULTS: dict[str, Any] = {
    "checkpoint": None,
    "network": {},
    "clip_len": 16,
    "stride": 8,
    "fps": None,
    "until_s": None,
    "chunk_s": None,
    "precision": "float32",
    "batch_clips": 8,  # one number everywhere: kernels round by it (docs/features.md)
    "compile": False,
    "dtype": "float32",
    "max_failed_share": 0.0,
}
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
KNOWN = {*DEFAULTS, "extractor", "frames", "taps", "pool"}


def bearing_all_but_one(recipe: dict, videos: int) -> dict:
    """The recipe for somebody's own files: those that cannot be read are left out while any can."""
    return recipe | {"max_failed_share": 1 - 1 / max(1, videos)}


def check_recipe(recipe: dict) -> dict:
    """The recipe with defaults filled in; `UserError` names what is wrong with it."""
    unknown = sorted(set(recipe) - KNOWN)
    if unknown:
        raise UserError(f"feature recipe: unknown key {unknown[0]!r}; it takes {sorted(KNOWN)}")
    for name in ("extractor", "frames", "taps", "pool"):
        if name not in recipe:
            raise UserError(f"feature recipe: {name}: is missing")
    if recipe["pool"] not in POOLS:
        raise UserError(
            f"feature recipe: pool: {recipe['pool']!r} is unknown; one of {', '.join(POOLS)}"
        )
    precision = recipe.get("precision", DEFAULTS["precision"])
    if precision not in PRECISIONS:
        raise UserError(
            f"feature recipe: precision: {precision!r} is unknown; one of {', '.join(PRECISIONS)}"
        )
    if not (recipe.get("chunk_s") is None or recipe["chunk_s"] > 0):
        raise UserError(f"feature recipe: chunk_s: {recipe['chunk_s']!r} must be above 0, or null")
    if not recipe["taps"] or not isinstance(recipe["taps"], list | tuple):
        raise UserError(f"feature recipe: taps: {recipe['taps']!r} is no list of names")
    size = recipe.get("batch_clips", DEFAULTS["batch_clips"])
    if not (isinstance(size, int) and size >= 1):
        raise UserError(f"feature recipe: batch_clips: {size!r} is wrong; give 1 or more")
    frames = recipe["frames"]
    if (
        not isinstance(frames, dict)
        or not set(frames) <= {"resize", "short_side", "crop"}
        or (("resize" in frames) == ("short_side" in frames))
    ):
        raise UserError(
            f"feature recipe: frames: {frames!r} is wrong; give {{resize: [height, width]}} or "
            "{short_side: pixels}, and perhaps crop: pixels"
        )
    return DEFAULTS | recipe


def square_side(frames: dict) -> int | None:
    """Side of the square pictures that a recipe's `frames` makes; None if it makes no squares."""
    side = frames.get("crop") or frames.get("resize")
    if isinstance(side, list | tuple):
        return side[0] if side[0] == side[1] else None
    return side


def clip_shape(recipe: dict) -> tuple[int, int, int, int]:
    """(T, H, W, 3) of a clip; twice as wide as high where that depends on the video."""
    frames = recipe["frames"]
    crop, size = frames.get("crop"), frames.get("resize")
    if crop:
        size = (crop, crop)
    elif size is None:
        size = (frames["short_side"], 2 * frames["short_side"])
    elif isinstance(size, int):
        size = (size, size)
    return recipe["clip_len"], *size, 3
