"""Whether the rows of a table differ from one of them, tested query by query."""

from collections.abc import Iterable
from dataclasses import replace

from tsgbench.evaluation.resampling import holm
from tsgbench.reporting.draft import Result, Row
from tsgbench.reporting.uncertainty import compare


def compare_rows(rows: list[Row], dataset: str, against: str, metrics: list[str]) -> None:
    """Give each number of a data set's rows its p value against the row labelled `against`.

    Paired permutation tests, corrected over all rows and metrics of the data set (Holm). Rows of
    which seeds are missing, of another protocol, or scored on other queries are not tested; if the
    reference is such a row, none is.
    """
    results = {row.label: row.results[dataset] for row in rows if dataset in row.results}
    reference = results.get(against)
    if reference is None or reference.status != "complete":
        return
    tested = [result for result in results.values() if _can_be_paired(result, reference)]
    p_values = [compare(result.cells, reference.cells, metrics) for result in tested]
    tests = [
        (result, metric, p_value)
        for result, values in zip(tested, p_values, strict=True)
        for metric, p_value in values.items()
    ]
    corrected: Iterable[float] = holm([p_value for *_, p_value in tests]) if tests else []
    for (result, metric, _), p_value in zip(tests, corrected, strict=True):
        result.values[metric] = replace(result.values[metric], p_value=float(p_value))


def _can_be_paired(result: Result, reference: Result) -> bool:
    return (
        result.status == "complete"
        and result.wanted != reference.wanted
        and result.protocol == reference.protocol
        and {cell.asked for cell in result.cells} == {cell.asked for cell in reference.cells}
    )
