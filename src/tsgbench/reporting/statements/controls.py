"""Statements on what a system's score is owed to: the video, its features, or neither."""

from tsgbench.jobs.cells import DEFAULT, FULL, split_ablation
from tsgbench.reporting.evidence import Evidence, System, as_table
from tsgbench.reporting.statements import main_metric, scope_of, statement

TWINS = ("blind", "mismatched")  # as models' files call them
ORDERED = "R@1,IoU=0.5"  # by which systems are set in order


@statement(
    "What systems owe to the video, and what to its features",
    "a trained system that sees the video, beside its blind or mismatched twin or other features",
)
def controls(evidence: Evidence) -> list[str] | None:
    """What systems reach beside their blind and mismatched twins, and with other features."""
    lines: list[str] = []
    for dataset, entry in evidence.datasets.items():
        systems = evidence.select(dataset=dataset)
        by_cell = {(s.model, *split_ablation(s.ablation)): s for s in systems}
        pairs = [
            (full, {name: by_cell.get((model, name, protocol)) for name in TWINS})
            for (model, ablation, protocol), full in by_cell.items()
            if ablation == FULL and full.is_trained and full.sees_video and _main(full)[0]
        ]
        others = [
            (full, other)
            for full, _ in pairs
            for other in systems
            if (other.model, other.protocol) == (full.model, full.protocol)
            and other.features != full.features
        ]
        pairs = [(full, twins) for full, twins in pairs if any(twins.values())]
        if pairs:
            lines += ["", *_twins_table(entry["title"], pairs, systems)]
        if others:
            lines += ["", *_features_table(entry["title"], others)]
        untrained = [s for s in systems if not (s.is_trained or s.is_adopted)]
        if (pairs or others) and untrained:
            lines += ["", *_untrained_table(entry["title"], untrained)]
    if not lines:
        return None
    said = (
        "A blind twin is trained and tested with every clip zero, a mismatched one with the clips"
        " of another video: what they reach is owed to the sentence and to where moments lie. It is"
        " what this network learns of these, which may be less than can be known: so the best of"
        " all systems here that see no video stands beside them. Other features are read by the"
        " same system with the same settings."
    )
    return [said, *lines]


def _twins_table(title: str, pairs: list[tuple[System, dict]], systems: list[System]) -> list[str]:
    """Systems beside their twins and the best of `systems` that sees no video."""
    rows: list[list[str]] = []
    metrics: dict[str, None] = {}
    for full, twins in pairs:
        metric, scope = _main(full)
        metrics[metric] = None
        mean = full.mean(metric, **scope)
        of_twins = [twin.mean(metric, **scope) for twin in twins.values() if twin]
        best = _best_without_video(systems, full.protocol, metric, scope)
        rows.append(
            [
                full.title,
                full.show(metric, **scope),
                *(twin.show(metric, **scope) if twin else "not run" for twin in twins.values()),
                _gain(mean, of_twins),
                f"{best.show(metric, **scope)} ({best.title})" if best else "not run",
                _gain(mean, [best.mean(metric, **scope)] if best else []),
            ]
        )
    gain = "as it is - "
    tail = [f"{gain}better twin", "best without video", f"{gain}best without video"]
    return as_table([f"{title}, {', '.join(metrics)}", "as it is", *TWINS, *tail], rows)


def _best_without_video(
    systems: list[System], protocol: str, metric: str, scope: dict
) -> System | None:
    """The best of systems that see no video, by a protocol; None if there is none."""
    scored = [
        (mean, system)
        for system in systems
        if (system.protocol, system.sees_video, system.is_adopted) == (protocol, False, False)
        and (mean := system.mean(metric, **scope)) is not None
    ]
    return max(scored, key=lambda item: item[0])[1] if scored else None


def _features_table(title: str, others: list[tuple[System, System]]) -> list[str]:
    rows = []
    for full, other in others:
        metric, scope = _main(full)
        rows.append(
            [
                f"{full.title}: `{other.features}` for `{full.features}`",
                other.show(metric, **scope),
                full.show(metric, **scope),
                _gain(full.mean(metric, **scope), [other.mean(metric, **scope)]),
            ]
        )
    return as_table([f"{title}, features", "other", "the system's own", "own - other"], rows)


def _untrained_table(title: str, systems: list[System]) -> list[str]:
    """Systems without a trained network, best first."""
    named_by = [(system, *_main(system)) for system in systems]
    scored = [
        (mean, system, metric, scope)
        for system, metric, scope in named_by
        if metric and (mean := system.mean(metric, **scope)) is not None
    ]
    scored.sort(key=lambda item: -item[0])
    rows = [[s.title, s.show(metric, **scope)] for _, s, metric, scope in scored]
    named = ", ".join(dict.fromkeys(metric for _, _, metric, _ in scored))
    return as_table([f"{title}, without a trained network", named], rows)


def _main(system: System) -> tuple[str, dict]:
    """The metric that sums a system up, empty if it has none, and the scope that has it."""
    scope = {} if main_metric(system) else scope_of(system)
    return main_metric(system, **scope) or "", scope


def _gain(mean: float | None, others: list[float | None]) -> str:
    """How far a system's mean stands above the best of the others; n/a without one of both."""
    known = [other for other in others if other is not None]
    return f"{mean - max(known):+.2f}" if mean is not None and known else "n/a"


@statement(
    "Whether systems stand in the order of their papers' numbers",
    "two trained systems that see the video, whose papers print numbers on a common data set",
)
def order(evidence: Evidence) -> list[str] | None:
    """Pairs of systems, here and as printed, and whether they stand in the same order."""
    lines: list[str] = []
    for dataset, entry in evidence.datasets.items():
        systems = [
            system
            for system in evidence.select(dataset=dataset, is_trained=True, sees_video=True)
            if split_ablation(system.ablation) == (FULL, DEFAULT)
            and system.mean(ORDERED) is not None
        ]
        compared = [
            _compared(evidence, key, first, second)
            for index, first in enumerate(systems)
            for second in systems[index + 1 :]
            for key in _common(evidence, first, second)
        ]
        rows = [row for row in compared if row]
        if rows:
            same = sum(row[-1] == "yes" for row in rows)
            pairs = len({row[0] for row in rows})
            head = [f"{entry['title']}, {ORDERED}", "printed on", "printed", "here", "same order"]
            said = (
                f"{same} of {len(rows)} comparisons on {entry['title']} stand as printed: of"
                f" {pairs} pair{'s' * (pairs > 1)}, each by every data set named."
            )
            lines += ["", *as_table(head, rows), "", said]
    if not lines:
        return None
    said = (
        "Printed numbers are each paper's own, with its own features and data; only their order is"
        " compared. A difference within the seeds' spread decides nothing."
    )
    return [said, *lines]


def _common(evidence: Evidence, first: System, second: System) -> list[str]:
    """Keys of the data sets on which the papers of both print a row of their own: of this one
    alone, where papers report on it; else whichever there are."""
    printed = [evidence.own_rows(system.model) for system in (first, second)]
    keys = printed[0].keys() & printed[1].keys()
    own = evidence.datasets[first.dataset]["published"]
    return sorted(keys & {own} if own else keys)


def _compared(evidence: Evidence, key: str, first: System, second: System) -> list[str] | None:
    printed = [evidence.own_rows(system.model)[key] for system in (first, second)]
    values = [None if ORDERED in one.uncertain else one.values.get(ORDERED) for one in printed]
    numbers = [*values, *(system.mean(ORDERED) for system in (first, second))]
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers):
        return None
    is_same = (known[0] - known[1]) * (known[2] - known[3]) > 0
    return [
        f"{first.title}, {second.title}",
        f"`{key}`",
        f"{known[0]:.2f}, {known[1]:.2f}",
        f"{first.show(ORDERED)}, {second.show(ORDERED)}",
        "yes" if is_same else "no",
    ]
