"""Whether the rows of a table differ from one of them, tested query by query."""

from collections.abc import Iterable
from dataclasses import replace

from tsgbench.evaluation.resampling import holm
from tsgbench.reporting.draft import Result, Row
from tsgbench.reporting.uncertainty import compare


def compare_rows(rows: list[Row], dataset: str, against: str, metrics: list[str]) -> None:
    """Give each number of a data set's rows its p value against the row labelled `against`, and the
    smallest difference that its test could find.

    Paired permutation tests, corrected over all rows and metrics of the data set (Holm). Rows of
    which seeds are missing, of another protocol, or scored on other queries are not tested; if the
    reference is such a row, none is. What a test could find, it finds whatever the others show: at
    the level of Holm's first step.
    """
    results = {row.label: row.results[dataset] for row in rows if dataset in row.results}
    reference = results.get(against)
    if reference is None or reference.status != "complete":
        return
    tested = [result for result in results.values() if _can_be_paired(result, reference)]
    tests = [
        (result, metric, difference)
        for result in tested
        for metric, difference in compare(result.cells, reference.cells, metrics).items()
    ]
    corrected: Iterable[float] = holm([one.p_value for *_, one in tests]) if tests else []
    for (result, metric, difference), p_value in zip(tests, corrected, strict=True):
        result.values[metric] = replace(
            result.values[metric],
            p_value=float(p_value),
            detectable=difference.detectable(len(tests)),
            test_videos=difference.videos,
        )


def _can_be_paired(result: Result, reference: Result) -> bool:
    return (
        result.status == "complete"
        and result.wanted != reference.wanted
        and result.protocol == reference.protocol
        and {cell.asked for cell in result.cells} == {cell.asked for cell in reference.cells}
    )
