"""Pictures of a scene."""

import numpy as np

from tsgbench.making.shapes.scene import Scene, trace

RGB = {
    "red": (225, 45, 40),
    "green": (40, 190, 60),
    "blue": (45, 75, 230),
    "yellow": (235, 215, 40),
    "purple": (165, 55, 190),
}
# ITU-R BT.601, limited range: what H.264 players assume for small pictures
YUV_OF_RGB = np.array([[65.5, 128.6, 25.0], [-37.8, -74.2, 112.0], [112.0, -93.8, -18.2]]) / 255
YUV_OFFSET = np.array([16, 128, 128])


def draw(rng: np.random.Generator, scene: Scene, *, size: int, noise: float) -> np.ndarray:
    """All frames of a scene as yuv420p: (F, size * 3/2, size) uint8, the planes below each other.

    Painting the three planes costs half of painting RGB, and spares the encoder a conversion.
    noise: standard deviation of the grain in the brightness, new on every frame.
    """
    frames = np.empty((scene.frames, size * 3 // 2, size), dtype=np.uint8)
    small = (scene.frames, size // 2, size // 2)
    bright = np.empty((scene.frames, size, size), dtype=np.int16)
    bright[:] = _texture(rng, size, spread=14.0, level=rng.uniform(95, 145))
    chroma = [
        frames[:, size : size * 5 // 4].reshape(small),
        frames[:, size * 5 // 4 :].reshape(small),
    ]
    for plane in chroma:
        plane[:] = _texture(rng, size // 2, spread=3.0, level=128)
    for number, thing in enumerate(scene.things):
        states = trace(scene.things, scene.events, scene.frames, number)
        y, u, v = YUV_OF_RGB @ RGB[thing.colour] + YUV_OFFSET
        _paint([bright], [y], states, thing.shape)
        _paint(chroma, [u, v], states, thing.shape)
    _add_grain(rng, bright, noise)
    frames[:, :size] = np.clip(bright, 16, 235, out=bright)
    return frames


def _add_grain(rng: np.random.Generator, bright: np.ndarray, noise: float) -> None:
    """Add noise of standard deviation `noise`, in place.

    The sum of two random bytes (a triangle) instead of a normal: four times faster, and it is
    otherwise the most expensive part of a picture.
    """
    first, second = (rng.integers(0, 256, bright.shape, dtype=np.uint8) for _ in range(2))
    grain = first.astype(np.int16) + second - 255
    # the deviation of the sum is 104.5; 7 bits of fraction stay within 16 bits up to noise 26
    grain *= round(noise * 128 / 104.5)
    grain += 64
    grain >>= 7
    bright += grain


def _texture(rng: np.random.Generator, size: int, *, spread: float, level: float) -> np.ndarray:
    """Static soft blotches around `level`: (size, size)."""
    knots = 12
    where = np.linspace(0, knots - 1, size)
    weight = np.maximum(0.0, 1.0 - np.abs(where[:, None] - np.arange(knots)))  # (size, knots)
    blotches = rng.normal(level, spread, size=(knots, knots))
    return np.clip(weight @ blotches @ weight.T, 16, 235)


def _paint(planes: list[np.ndarray], values: list[float], states: np.ndarray, shape: str) -> None:
    """Paint one thing on every frame, in place, with smooth edges.

    planes: arrays (F, S, S) that get one of `values` each. states: (F, 4) from `trace`. Only a
    patch around the thing is looked at.
    """
    size = planes[0].shape[1]
    x, y, radius = (states[:, :3] * size).astype(np.float32).T
    reach = int(np.ceil(1.3 * radius.max())) + 1
    span = np.arange(-reach, reach + 1)
    rows = np.rint(y).astype(int)[:, None] + span  # (F, P)
    columns = np.rint(x).astype(int)[:, None] + span
    dy = (rows + 0.5 - y[:, None]).astype(np.float32)[:, :, None]  # (F, P, 1)
    dx = (columns + 0.5 - x[:, None]).astype(np.float32)[:, None, :]  # (F, 1, P)
    inside = np.clip(_depth(shape, dx, dy, radius[:, None, None]) + 0.5, 0.0, 1.0)
    inside *= states[:, 3, None, None].astype(np.float32)
    # what lies beyond the picture's edge is not painted
    inside *= ((rows >= 0) & (rows < size))[:, :, None]
    inside *= ((columns >= 0) & (columns < size))[:, None, :]
    # A mask finds the places many times faster than `nonzero` of the numbers
    painted = inside > 0
    frames = np.arange(len(states))[:, None, None]
    where = tuple(
        np.broadcast_to(index, painted.shape)[painted]
        for index in (frames, rows[:, :, None], columns[:, None, :])
    )
    share = inside[painted]
    for plane, value in zip(planes, values, strict=True):
        before = plane[where].astype(np.float32)
        plane[where] = before + share * (np.float32(value) - before)


def _depth(shape: str, dx: np.ndarray, dy: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Pixels from the outline, positive inside. Nothing reaches beyond 1.3 radii."""
    if shape == "circle":
        return radius - np.hypot(dx, dy)
    if shape == "square":
        return 0.89 * radius - np.maximum(np.abs(dx), np.abs(dy))
    if shape == "triangle":  # upright; the three sides as half-planes
        lower = 0.85 * radius - dy
        slope = 0.58 * radius + 0.447 * dy - 0.894 * np.abs(dx)
        return np.minimum(lower, slope)
    arm, reach = 0.42 * radius, 1.1 * radius  # cross
    across = np.minimum(arm - np.abs(dy), reach - np.abs(dx))
    along = np.minimum(arm - np.abs(dx), reach - np.abs(dy))
    return np.maximum(across, along)
