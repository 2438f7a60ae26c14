"""Where numbers come from: the one check of it, and what its pages and links are called.

A number that does not lead to an evaluated run of known
code is refused here, before any file of the table is written.
"""

import re
from typing import TYPE_CHECKING

from tsgbench.errors import UserError

if TYPE_CHECKING:
    from tsgbench.reporting.document import Document

# What must be known of an evaluated cell; of what is counted or measured, of its one record
EVALUATED = {"run": "the identity of its run", "evaluation": "the identity of its evaluation"}
RECORDED = {"identity": "its identity"}


def check_traceable(document: "Document") -> None:
    """Refuse a table in which some number has no cell, or a cell lacks identity, run or code.

    `UserError` names the first such row and cell.
    """
    for row in document.rows:
        for dataset, result in row.results.items():
            where = f"table {document.table}: {row.label!r} on {dataset}"
            has_number = any(value.mean is not None for value in result.values.values())
            if has_number and not result.cells:
                raise UserError(f"{where}: a number without a cell that it comes from; run it")
            for cell in result.cells if has_number else []:
                missing = _missing(cell)
                if missing:
                    raise UserError(
                        f"{where}: cell {cell.get('cell')!r}: lacks {missing}, so its numbers "
                        "cannot be traced; run it again"
                    )


def _missing(cell: dict) -> str | None:
    """What keeps a cell's numbers from being traced; None if nothing does."""
    if not cell.get("cell"):
        return "its name"
    needed = EVALUATED if EVALUATED.keys() & cell.keys() else RECORDED
    needed = needed | {"code": "the digest of its code"}
    return next((about for key, about in needed.items() if not cell.get(key)), None)


def system_of(cell: str) -> str:
    """A cell's name without its seed: `seqpan/shapes/full/seed0` -> `seqpan/shapes/full`."""
    return re.sub(r"/seed\d+$", "", cell)


def name_of(cell: str) -> str:
    """What a table asked for, of a cell of its page: statistics and measurements are told apart
    from the scores of the same name by what stands before it."""
    return re.sub(r"^(statistics|measured)/", "", cell)


def anchor(cell: str) -> str:
    """The id of a cell's section in a page: `cell-seqpan-shapes-full` for each of its seeds.

    Names hold no `-`, so that no two systems share one.
    """
    return "cell-" + system_of(cell).replace("/", "-")


def heading(table: str, papers: dict[str, str] | None = None) -> str:
    """What a table or figure is called: `seqpan/table5` -> `SeqPAN, Table 5`.

    papers: the systems' names by the papers' keys; a key that is not there stands as it is.
    """
    paper, slash, number = table.partition("/")
    if not slash:
        return _number(table)
    return f"{(papers or {}).get(paper, paper)}, {_number(number)}"


def _number(name: str) -> str:
    match = re.fullmatch(r"(table|figure)(\d+)(?:_(\w+))?", name)
    if not match:
        return name.replace("_", " ")
    kind, number, rest = match.groups()
    return f"{kind.title()} {number}" + (f" ({rest.replace('_', ' ')})" if rest else "")
