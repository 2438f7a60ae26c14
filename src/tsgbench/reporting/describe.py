"""From a table that is assembled to its document: the sentences around it, labels, provenance."""

from tsgbench.reporting import draft
from tsgbench.reporting.caption import (
    caption,
    legend,
    only_printed_label,
    people_in,
    printed_label,
    row_label,
)
from tsgbench.reporting.document import Document, PrintedRow, Result, Row, Value
from tsgbench.reporting.numbers import PEOPLE


def describe(table: draft.Table, identity: str) -> Document:
    """The document of a table. identity: digest of what made it; it stands in every form."""
    return Document(
        table=table.id,
        identity=identity,
        study=table.study,
        title=table.title,
        is_demo=table.is_demo,
        caption=caption(table),
        notes=legend(table),
        heading=table.heading,
        against=table.against,
        convention=_convention(table),
        has_one_block=table.has_one_block,
        metrics=table.metrics,
        datasets=table.datasets,
        groups=table.groups,
        rows=[
            Row(
                label=row.label,
                model=row.model,
                ablation=row.ablation,
                seeds=row.seeds,
                group=row.group,
                is_quoted=row.is_quoted,
                results={name: _result(table, row, result) for name, result in row.results.items()},
            )
            for row in table.rows
        ]
        + _people(table),
    )


def _people(table: draft.Table) -> list[Row]:
    """The last row of every block whose queries several people annotated."""
    results = {
        block.name: Result(
            label=PEOPLE,
            is_only_printed=False,
            status="people",
            wanted=[],
            departures=[],
            cells=[found[0].provenance()],
            printed=None,
            values={metric: Value(mean=found[1].get(metric)) for metric in table.metrics},
        )
        for block in table.datasets
        if (found := people_in(table, block))
    }
    return [Row(PEOPLE, "", "", [], "people", False, results)] if results else []


def _convention(table: draft.Table) -> str | None:
    names = {block.convention.name for block in table.datasets if block.convention}
    return names.pop() if len(names) == 1 else None


def _result(table: draft.Table, row: draft.Row, result: draft.Result) -> Result:
    printed = result.printed
    return Result(
        label=only_printed_label(row) if result.is_only_printed else row_label(row, result),
        is_only_printed=result.is_only_printed,
        status=result.status,
        wanted=result.wanted,
        departures=result.departures,
        cells=[cell.provenance() for cell in result.cells],
        printed=PrintedRow(
            paper=printed.paper,
            system=printed.system,
            table=printed.table,
            row=printed.method,
            label=printed_label(table, result, printed),
        )
        if printed
        else None,
        values=result.values,
    )
