"""Sentences about a scene's events, each true of exactly one of them.

sentence := clause | clause order | clause relation clause | relation clause clause
clause   := subject action          "the red circle", "a red circle", "the red object", ...
order    := "again" | "for the second time" | "for the first time"
relation := "before" | "after"
"""

from dataclasses import dataclass

import numpy as np

from tsgbench.making.shapes.scene import Event, Scene

PHRASES = {
    "left": ("moves to the left", "slides left", "goes towards the left side"),
    "right": ("moves to the right", "slides right", "goes towards the right side"),
    "up": ("moves up", "rises", "goes towards the top"),
    "down": ("moves down", "sinks", "goes towards the bottom"),
    "grow": ("grows", "gets bigger", "becomes larger"),
    "shrink": ("shrinks", "gets smaller", "becomes tiny"),
    "blink": ("blinks", "flashes", "turns on and off"),
    "shake": ("shakes", "trembles", "wobbles quickly"),
}
ORDERS = {1: ("for the first time",), 2: ("again", "for the second time")}
RELATIONS = ("before", "after")
ANY_SHAPE = ("object", "shape", "thing")
RELATION_SHARE = 0.25  # of the sentences that would be clear without "before" or "after"


@dataclass(frozen=True)
class Claim:
    """What a clause says: a thing of this colour and shape (None: any) does this action."""

    colour: str | None
    shape: str | None
    action: str

    def holds(self, scene: Scene, event: Event) -> bool:
        """Whether the event of the scene is what the claim says."""
        thing = scene.things[event.thing]
        return (
            self.action == event.action
            and self.colour in (None, thing.colour)
            and self.shape in (None, thing.shape)
        )

    def rows(self, scene: Scene) -> list[int]:
        """The events it holds for, in time order."""
        return [row for row, event in enumerate(scene.events) if self.holds(scene, event)]


def describe(rng: np.random.Generator, scene: Scene, row: int) -> str:
    """A sentence that is true of event number `row` and of no other."""
    claim = _sample_claim(rng, scene, row)
    rows = claim.rows(scene)
    related = _relations(scene, rows, row)
    needs_more = len(rows) > 1
    by_relation = related and rng.random() < (0.5 if needs_more else RELATION_SHARE)
    clause = _clause(rng, claim)
    if by_relation:
        relation, other = related[rng.integers(len(related))]
        second = _clause(rng, other)
        swap = rng.random() < 0.3
        return f"{relation} {second} {clause}" if swap else f"{clause} {relation} {second}"
    if needs_more:
        words = ORDERS[rows.index(row) + 1]
        return f"{clause} {words[rng.integers(len(words))]}"
    return clause


def _sample_claim(rng: np.random.Generator, scene: Scene, row: int) -> Claim:
    """Colour and shape, or one of them; at most two events may satisfy it."""
    event = scene.events[row]
    thing = scene.things[event.thing]
    full = Claim(thing.colour, thing.shape, event.action)
    chance = rng.random()
    if chance < 0.25:
        short = Claim(thing.colour, None, event.action)
    elif chance < 0.35:
        short = Claim(None, thing.shape, event.action)
    else:
        return full
    return short if len(short.rows(scene)) <= 2 else full


def _relations(scene: Scene, rows: list[int], row: int) -> list[tuple[str, Claim]]:
    """Every ("before" | "after", other clause) that leaves only `row` of `rows`.

    The other clause must itself be true of one event only. Moments may overlap a little, so a
    relation counts only if the strict reading (one ends before the other starts) and the loose one
    (one starts before the other) pick the same event.
    """
    claims = []
    for other_row, other in enumerate(scene.events):
        thing = scene.things[other.thing]
        claim = Claim(thing.colour, thing.shape, other.action)
        if other_row in rows or len(claim.rows(scene)) > 1:
            continue
        for relation in RELATIONS:
            loose = [r for r in rows if _follows(scene.events[r], other, relation, strict=False)]
            strict = [r for r in rows if _follows(scene.events[r], other, relation, strict=True)]
            if loose == strict == [row]:
                claims.append((relation, claim))
    return claims


def _follows(event: Event, other: Event, relation: str, *, strict: bool) -> bool:
    first, second = (event, other) if relation == "before" else (other, event)
    return first.end <= second.start if strict else first.start < second.start


def _clause(rng: np.random.Generator, claim: Claim) -> str:
    article = "a" if claim.colour and claim.shape and rng.random() < 0.3 else "the"
    shape = claim.shape or ANY_SHAPE[rng.integers(len(ANY_SHAPE))]
    subject = f"{article} {claim.colour} {shape}" if claim.colour else f"the {shape}"
    phrases = PHRASES[claim.action]
    return f"{subject} {phrases[rng.integers(len(phrases))]}"
