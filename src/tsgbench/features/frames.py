"""What the extractors of single pictures share: colours normalised, activations by clip."""

from collections.abc import Sequence

import torch

from tsgbench.features.networks import ClipNetwork


class FrameNetwork(ClipNetwork):
    """Base of the extractors that see one picture at a time.

    MEAN, DEVIATION: red, green and blue that the weights were trained with, of 0..255.
    """

    MEAN: Sequence[float]
    DEVIATION: Sequence[float]
    MEMORY_FORMAT = torch.channels_last

    def see(self, pictures: torch.Tensor, taps: Sequence[str]) -> dict[str, torch.Tensor]:
        """pictures: (m, 3, H, W), normalised, in memory order channels-last. Returns at least the
        activations asked for, by tap: (m, C, H', W') or (m, C)."""
        raise NotImplementedError

    def forward(self, clips: torch.Tensor, taps: Sequence[str]) -> dict[str, torch.Tensor]:
        """clips: (n, T, H, W, 3) uint8 RGB. Returns the activations asked for, by tap:
        (n, C, T, H', W'), with H' and W' of 1 where a tap has no positions."""
        self.check_taps(taps)
        n, time = clips.shape[:2]
        # a view in memory order channels-last, which is the order the frames come in
        x = clips.flatten(0, 1).permute(0, 3, 1, 2).float()
        norm = torch.tensor([self.MEAN, self.DEVIATION], device=x.device).view(2, 1, 3, 1, 1)
        tapped = self.see(((x - norm[0]) / norm[1]).to(self.dtype), taps)
        return {tap: _by_clip(tapped[tap], n, time) for tap in taps}


def _by_clip(x: torch.Tensor, n: int, time: int) -> torch.Tensor:
    """(n T, C) or (n T, C, H, W) to (n, C, T, H, W)."""
    x = x[..., None, None] if x.ndim == 2 else x
    return x.unflatten(0, (n, time)).movedim(2, 1)
