"""Thumbnails: the pixels of very small pictures as they are. No network, nothing learned.

What changes between two of them is all that a detector of cuts needs (`models/baselines.py`).
"""

from collections.abc import Sequence

import torch

from tsgbench.features.networks import ClipNetwork, register


@register("thumbnail")
class Thumbnail(ClipNetwork):
    """The tap `pixels`: every number of a clip's pictures, from 0 to 1."""

    TAPS = ("pixels",)

    @property
    def dtype(self) -> torch.dtype:
        """There are no weights."""
        return torch.float32

    def forward(self, clips: torch.Tensor, taps: Sequence[str]) -> dict[str, torch.Tensor]:
        """clips: (n, T, H, W, 3) uint8 RGB. Returns (n, T * H * W * 3) by tap."""
        self.check_taps(taps)
        return {tap: clips.flatten(1).float() / 255 for tap in taps}
