"""Scenes of the demo data set: which things there are and what happens to them, when.

Times are whole frames here, so that a moment's ends are exact; positions and radii are fractions
of the picture's side, so that a scene does not depend on the resolution it is drawn at.
"""

from dataclasses import dataclass

import numpy as np

from tsgbench.errors import UserError

COLOURS = ("red", "green", "blue", "yellow", "purple")
SHAPES = ("circle", "square", "triangle", "cross")
MOVES = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
ACTIONS = (*MOVES, "grow", "shrink", "blink", "shake")

THINGS = 3
RADIUS = {"small": 0.10, "middle": 0.14, "large": 0.18}
MARGIN = 0.19  # keeps the largest thing inside the picture
ROOM = 1.0 - 2 * MARGIN  # how far a thing can travel along one axis
TRAVEL = (0.36, 0.56)  # length of one move
SHORTEST_TRAVEL = 0.26
ATTEMPTS = 200
REPEAT_SHARE = 0.3  # of the events after the first: what "again" and "for the first time" need


@dataclass(frozen=True)
class Difficulty:
    """What the two variants of the data set differ in."""

    colours: int  # how many of COLOURS are in use
    shapes: int  # how many of SHAPES are in use
    shares_colours: bool  # may two things of one video have the same colour?
    overlap: float  # largest share of an event during which one other event runs as well
    noise: float  # standard deviation of the pixel noise, in grey levels of 255


DIFFICULTIES = {
    "standard": Difficulty(colours=4, shapes=3, shares_colours=False, overlap=0.1, noise=4.0),
    "hard": Difficulty(colours=5, shapes=4, shares_colours=True, overlap=0.5, noise=8.0),
}


@dataclass(frozen=True)
class Thing:
    """One coloured shape with its state at frame 0. x, y, radius: shares of the picture's side."""

    colour: str
    shape: str
    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Event:
    """Thing number `thing` does `action` during frames `[start, end)`.

    travel: how far it moves, as a share of the picture's side; 0 for actions that are no moves.
    """

    thing: int
    action: str
    start: int
    end: int
    travel: float = 0.0


@dataclass(frozen=True)
class Scene:
    """What a video shows: length in frames, things, and what they do when."""

    frames: int
    things: list[Thing]
    events: list[Event]  # by start


def sample_scene(
    rng: np.random.Generator,
    *,
    fps: int,
    duration_s: tuple[float, float],
    event_s: tuple[float, float],
    difficulty: Difficulty,
) -> Scene:
    """Draw one scene: three things and four or five events.

    duration_s, event_s: shortest and longest length of the video and of an event, in seconds.
    """
    frames = int(rng.integers(round(duration_s[0] * fps), round(duration_s[1] * fps) + 1))
    lengths = (round(event_s[0] * fps), round(event_s[1] * fps))
    looks = _sample_looks(rng, difficulty)
    for _ in range(ATTEMPTS):
        spans = _sample_spans(rng, frames, lengths, difficulty.overlap)
        plan = _Plan(rng, gap=fps // 2)
        if spans and all(plan.add_event(start, end) for start, end in spans):
            return Scene(frames, plan.place(looks, frames), plan.done)
    raise UserError(
        f"demo settings: event_s: four events of up to {event_s[1]} s hardly ever fit into"
        f" {frames / fps:.1f} s; make the events shorter or the videos longer"
    )


def _sample_spans(
    rng: np.random.Generator, frames: int, lengths: tuple[int, int], overlap: float
) -> list[tuple[int, int]]:
    """Four or five spans `[start, end)` of frames, sorted by start; none if this draw had no luck.

    Spans that repel each other crowd at the ends of a line, which would give a predictor that
    never looks at the video an easy guess. So they are drawn on a circle a little longer than the
    video, where no place is special, and those that cross the cut are left out. Lengths are
    log-uniform: no length is typical either.
    """
    around = frames + lengths[1] // 2
    count = int(rng.integers(5, 7))
    length = (
        np.exp(rng.uniform(*np.log(lengths), size=count))  # type: ignore[call-overload]  # of two
        .round()
        .astype(int)
    )
    # Neighbours may share as much as the shortest span may; the rest of the circle is free, and
    # cutting it at uniform places gives every arrangement the same chance.
    shared = int(overlap * length.min())
    free = around - int(length.sum()) + count * shared
    if free < 0:
        return []
    cuts = np.sort(rng.integers(0, free + 1, size=count))
    start = (np.cumsum(length - shared) - length + shared + cuts + rng.integers(around)) % around
    inside = start + length <= frames
    if not 4 <= inside.sum() <= 5:
        return []
    return sorted((int(s), int(s + n)) for s, n in zip(start[inside], length[inside], strict=True))


def _sample_looks(rng: np.random.Generator, difficulty: Difficulty) -> list[tuple[str, str]]:
    """Three different (colour, shape) pairs."""
    if difficulty.shares_colours:
        pairs = rng.choice(difficulty.colours * difficulty.shapes, size=THINGS, replace=False)
        return [(COLOURS[i // difficulty.shapes], SHAPES[i % difficulty.shapes]) for i in pairs]
    colours = rng.choice(difficulty.colours, size=THINGS, replace=False)
    return [(COLOURS[i], SHAPES[rng.integers(difficulty.shapes)]) for i in colours]


class _Plan:
    """Hands out events one after another, keeping what the things have done so far possible."""

    def __init__(self, rng: np.random.Generator, gap: int) -> None:
        self.rng = rng
        self.gap = gap  # frames of rest between two events of one thing
        self.done: list[Event] = []
        # per thing and axis: offset from the first position, and the range it has covered
        self.offset = np.zeros((THINGS, 2))
        self.low = np.zeros((THINGS, 2))
        self.high = np.zeros((THINGS, 2))
        self.size: list[str | None] = [None] * THINGS  # last size event
        self.first_size: list[str | None] = [None] * THINGS

    def add_event(self, start: int, end: int) -> bool:
        """Choose who does what during `[start, end)`, and book it; False if nobody is free."""
        free = [
            thing
            for thing in range(THINGS)
            if all(e.end + self.gap <= start for e in self.done if e.thing == thing)
        ]
        options = [(t, a) for t in free for a in ACTIONS if self._is_possible(t, a)]
        repeats = [option for option in options if self._times(*option) == 1]
        fresh = [option for option in options if self._times(*option) == 0]
        chosen = repeats if repeats and self.rng.random() < REPEAT_SHARE else fresh
        if not chosen:
            return False
        thing, action = chosen[self.rng.integers(len(chosen))]
        self.done.append(Event(thing, action, start, end, self._book(thing, action)))
        return True

    def _times(self, thing: int, action: str) -> int:
        return sum(e.thing == thing and e.action == action for e in self.done)

    def _room(self, thing: int, action: str) -> float:
        """How far `thing` could still move that way before it leaves the picture."""
        axis, sign = self._axis(action)
        offset, low, high = (part[thing, axis] for part in (self.offset, self.low, self.high))
        return ROOM - (high - offset if sign < 0 else offset - low)

    @staticmethod
    def _axis(action: str) -> tuple[int, int]:
        dx, dy = MOVES[action]
        return (0, dx) if dx else (1, dy)

    def _is_possible(self, thing: int, action: str) -> bool:
        if self._times(thing, action) >= 2:
            return False  # a third time could not be told apart by "first" and "again"
        if action in MOVES:
            return self._room(thing, action) >= SHORTEST_TRAVEL
        return action in ("blink", "shake") or self.size[thing] != action

    def _book(self, thing: int, action: str) -> float:
        if action in ("grow", "shrink"):
            self.size[thing] = action
            self.first_size[thing] = self.first_size[thing] or action
        if action not in MOVES:
            return 0.0
        axis, sign = self._axis(action)
        travel = min(float(self.rng.uniform(*TRAVEL)), self._room(thing, action))
        self.offset[thing, axis] += sign * travel
        self.low[thing, axis] = min(self.low[thing, axis], self.offset[thing, axis])
        self.high[thing, axis] = max(self.high[thing, axis], self.offset[thing, axis])
        return travel

    def place(self, looks: list[tuple[str, str]], frames: int) -> list[Thing]:
        """First positions: every move stays inside, the things keep apart (best of 24 draws)."""
        radius = [
            RADIUS[{"grow": "small", "shrink": "large", None: "middle"}[first]]
            for first in self.first_size
        ]
        best, best_distance = [], -1.0
        for _ in range(24):
            start = self.rng.uniform(MARGIN - self.low, 1.0 - MARGIN - self.high)  # (THINGS, 2)
            things = [
                Thing(colour, shape, float(x), float(y), r)
                for (colour, shape), (x, y), r in zip(looks, start, radius, strict=True)
            ]
            paths = np.stack([trace(things, self.done, frames, t)[:, :2] for t in range(THINGS)])
            apart = np.linalg.norm(paths[[0, 0, 1]] - paths[[1, 2, 2]], axis=-1).min()
            if apart > best_distance:
                best, best_distance = things, apart
        return best


def trace(things: list[Thing], events: list[Event], frames: int, thing: int) -> np.ndarray:
    """State of one thing over time: (frames, 4) of x, y, radius and visibility (0 or 1)."""
    first = things[thing]
    state = np.tile(np.array([first.x, first.y, first.radius, 1.0]), (frames, 1))
    for event in events:
        if event.thing != thing:
            continue
        step = np.arange(event.end - event.start)
        progress = (step + 1) / len(step)
        during, after = slice(event.start, event.end), slice(event.end, None)
        if event.action in MOVES:
            way = event.travel * np.array(MOVES[event.action])
            state[during, :2] += progress[:, None] * way
            state[after, :2] += way
        elif event.action in ("grow", "shrink"):
            target = RADIUS["large" if event.action == "grow" else "small"]
            state[during, 2] += progress * (target - state[event.start, 2])
            state[after, 2] = target
        elif event.action == "blink":
            state[during, 3] = (step // 2) % 2  # two frames off, two frames on
        else:
            state[during, 0] += 0.07 * np.sin(np.pi / 2 * step)  # one shake in four frames
    return state
