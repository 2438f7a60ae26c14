"""What a prediction file must hold so that a convention's numbers are those of all candidates.

A model has hundreds or thousands of candidates per query, and R@n after suppression may need any
of them: the first hundred often lie around one moment, of which suppression keeps one. So a file
is not cut at a rank. It keeps what each convention can ask for, its *needs*
(`evaluation/keeping.py` finds the candidates that meet them):

| need | holds for each query |
|---|---|
| `{ranks: n}` | the first n candidates |
| `{iou: seconds, above: t, depth: n}` | the first n that survive suppression at an IoU above t |
| `{iou: index, positions: M, labels: L, above: t, depth: n}` | the same, on rounded indices |
| `{chunks: C, chunk_s: s}` | the best candidate for each run of the C chunks of s seconds |

They stand in the settings of a training, so that a new need trains again, and in the schema of the
file. Two conventions with the same suppression share a need. Plain data and no imports: the plan
computes them before every command.
"""

import re
from collections.abc import Iterable
from typing import Any

METRIC = re.compile(r"(?P<discounted>d?)R@(?P<n>[1-9]\d*),IoU=(?P<m>0\.\d{1,2})")
# Average precision: over all thresholds, at one of them, or of moments of one range of lengths
PRECISION = re.compile(r"mAP(,IoU=(?P<m>0\.\d{1,2})|,(?P<length>[a-z]+))?")
PRECISION_DEPTH = 10  # moments of a query that average precision looks at, as QVHighlights has it
# Ranks that are kept whatever the conventions: what figures and inspections show
SHOWN = 5

Need = dict[str, str | int | float]
Nms = float | dict[str, float] | None


def may_be_undefined(metric: str) -> bool:
    """Whether a metric is not defined for every query: it is of moments of some lengths alone."""
    match = PRECISION.fullmatch(metric)
    return match is not None and match["length"] is not None


def threshold_at(m: str, nms: Nms) -> float | None:
    """The IoU above which suppression drops a candidate, for hits at IoU m; None for none."""
    # In double precision, as the code of this lineage computes it: 0.7 - 0.05 is below 0.65
    return float(m) - nms["minus"] if isinstance(nms, dict) else nms


def needs_of(options: dict[str, Any]) -> list[Need]:
    """What one convention needs, with the options that it has on a data set."""
    if options["predictions"] == "chunks":
        return [{"chunks": options["chunks"], "chunk_s": options["chunk_s"]}]
    axis = {"iou": options["iou"]}
    if options["iou"] == "index":
        axis |= {"positions": options.get("positions"), "labels": options["labels"]}
    needs: list[Need] = [{"ranks": 1}]
    for match in filter(None, map(METRIC.fullmatch, options["metrics"])):
        depth, above = int(match["n"]), threshold_at(match["m"], options["nms"])
        if depth == 1 or above is None:
            needs.append({"ranks": depth})
        else:
            needs.append({**axis, "above": above, "depth": depth})
    if any(map(PRECISION.fullmatch, options["metrics"])):
        need: Need = {"ranks": PRECISION_DEPTH}
        if options["nms"] is not None:
            need = {**axis, "above": options["nms"], "depth": PRECISION_DEPTH}
        needs.append(need)
    return _deepest(needs)


def needs_of_all(conventions: Iterable[dict[str, Any]]) -> list[Need]:
    """What all the conventions of a data set need together, and what figures show."""
    shared = [need for options in conventions for need in needs_of(options)]
    return _deepest([{"ranks": SHOWN}, *shared])


def first_unmet(wanted: list[Need], held: list[Need]) -> Need | None:
    """The first need that `held` does not meet; None if it meets them all."""
    depths = {_kind(need): _depth(need) for need in held}
    return next((need for need in wanted if depths.get(_kind(need), 0) < _depth(need)), None)


def _deepest(needs: list[Need]) -> list[Need]:
    """Each kind of need once, as deep as the deepest, in the order of their first appearance."""
    deepest: dict[tuple[Any, ...], Need] = {}
    for need in needs:
        known = deepest.setdefault(_kind(need), need)
        if _depth(need) > _depth(known):
            deepest[_kind(need)] = need
    return list(deepest.values())


def _kind(need: Need) -> tuple[Any, ...]:
    if "ranks" in need:
        return ("ranks",)
    return tuple(sorted((key, value) for key, value in need.items() if key != "depth"))


def _depth(need: dict[str, Any]) -> int:
    return need.get("ranks") or need.get("depth") or 1
