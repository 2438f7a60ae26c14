"""In what reproduced cells depart from the way in which a paper got its printed numbers.

Compared is what the runs record with what the paper prints or its public code does
(`published/*.yaml`, `specifications.printed.practice_of`). Where both are silent there is nothing
to depart from. A departure is material unless it can move a number by no more than chance does:
then it is named all the same, but a verdict may be given.
"""

from collections.abc import Iterator, Sequence

from tsgbench.reporting.cells import Cell
from tsgbench.reporting.document import Departure
from tsgbench.settings import LAST

# Share of the rows by which two sets of them may differ and be called the same: Charades-STA's four
# inverted training rows are 0.03 %, a held-out tenth of the videos is not
ROWS_SHARE = 0.01


def find_departures(
    cells: Sequence[Cell], practice: dict, convention: str | None
) -> list[Departure]:
    """Those of one row's cells on one data set; none without cells.

    practice: of the paper (`practice_of`), and `changed`: settings that the study changed.
    convention: how the cells are scored.
    """
    if not cells or not practice:
        return []
    departures = [*_data(cells[0], practice), *_inputs(cells[0], practice)]
    if practice.get("convention") not in (None, convention):
        departures.append(Departure(f"scored by “{convention}”, not by the paper's own convention"))
    if practice.get("changed"):
        departures.append(Departure(f"settings of this study: {', '.join(practice['changed'])}"))
    return [*departures, *_runs(cells, practice)]


def _data(cell: Cell, practice: dict) -> Iterator[Departure]:
    """Rows that are tested and that train, and what chose the checkpoint."""
    split = cell.evaluation["facts"].get("split")
    if practice.get("tests"):
        yield from _counts(f"tested on “{split}”, ", cell.of_queries, practice["tests"], "")
    if cell.coverage:
        scored, of = cell.coverage
        is_material = of - scored > ROWS_SHARE * of
        yield Departure(f"{of - scored:,} test pairs have no video here", is_material)
    if not cell.is_trained:
        return
    facts = cell.run["facts"]
    trained = facts.get("train_queries")
    if practice.get("trains") and trained is not None:
        without = facts.get("without_features", {}).get("train", {}).get("queries", 0)
        lacking = f" ({without:,} more have no video here)" if without else ""
        yield from _counts("trained on ", trained, practice["trains"], lacking)
    selected = selection_of(cell)
    if practice.get("selects") is not None and practice["selects"] != selected:
        said = practice.get("selects_said") or f"was chosen on {' + '.join(practice['selects'])}"
        yield Departure(f"{describe_selection(selected)}; the paper's {said}")


def _counts(doing: str, ours: int, printed: int, more: str) -> Iterator[Departure]:
    if ours != printed:
        is_material = abs(ours - printed) > ROWS_SHARE * printed
        text = f"{doing}{ours:,} pairs{more}; the paper prints {printed:,}"
        yield Departure(text, is_material)


def selection_of(cell: Cell) -> list[str]:
    """The splits that chose a trained cell's checkpoint; none if it is the last epoch's."""
    if cell.run["facts"].get("selected_by") == LAST:
        return []
    return cell.run["settings"]["splits"]["select"]


def describe_selection(splits: Sequence[str]) -> str:
    """What chose a checkpoint, in words."""
    if not splits:
        return "the last epoch's weights"
    return f"checkpoint chosen on “{' + '.join(splits)}”"


def _inputs(cell: Cell, practice: dict) -> Iterator[Departure]:
    """Features: which network, layer and training data, and whose extraction."""
    inputs, printed = cell.run["settings"]["inputs"], practice.get("features")
    if not printed or inputs.get("video", "real") == "zero":
        return
    name = inputs["features"]
    if name not in printed["recipes"]:
        yield Departure(f"features {name}; the paper's: {printed['said']}")
    elif "unstated" in printed:
        said = f"features {name}; the paper does not state {printed['unstated']}"
        yield Departure(said, is_material=False)
    elif name not in printed.get("released", [name]):
        said = f"features extracted here ({name}), not the release that the paper reads"
        yield Departure(said, is_material=False)


def _runs(cells: Sequence[Cell], practice: dict) -> Iterator[Departure]:
    """Precision of training, and the number of runs behind the number."""
    here, there = cells[0].run["facts"].get("precision"), practice.get("precision")
    is_same = here and here.startswith(str(there)) and "fp16" not in here
    if here and there and not is_same:
        yield Departure(f"precision {here}; the paper's code has {there}")
    runs = practice.get("runs")
    if runs and runs != len(cells):
        ours = f"{len(cells)} run{'s' * (len(cells) > 1)}"
        yield Departure(f"{ours}; the paper's number is of {runs}", is_material=False)
    if not runs and len(cells) > 1:
        said = f"mean of {len(cells)} runs; the paper does not say of how many its number is"
        yield Departure(said, is_material=False)
