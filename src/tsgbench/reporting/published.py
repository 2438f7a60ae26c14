"""What the papers printed: `published/{paper}.yaml`, read as facts and never as results."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from tsgbench.errors import UserError
from tsgbench.files import read_utf8
from tsgbench.specifications.printed import own_row

SCHEMA = 1


@dataclass(frozen=True)
class Printed:
    """The row of a paper's own system for one data set.

    values: metric -> number, None where the paper prints none. std: the spread that it prints with
    them. uncertain: metrics whose number or
    place is in doubt. Of a table that has no systems in its rows, `method` is what stands there.
    """

    paper: str
    system: str
    table: str
    method: str
    values: dict[str, float | None]
    std: dict[str, float | None]
    uncertain: frozenset[str]

    @property
    def number(self) -> str:
        """Such as `Table 1`."""
        return self.table.replace("table", "Table ")


def find_printed(
    folder: Path, paper: str, dataset: str, *, method: str | None = None
) -> Printed | None:
    """The paper's own row for `dataset`, or None if it prints none; see `printed.own_row`."""
    content = read_paper(folder, paper)
    own = own_row(paper, content, dataset, method)
    if own is None:
        return None
    _, table, number = own
    [entry] = [entry for entry in content["tables"] if entry["id"] == table]
    return _printed(folder / f"{paper}.yaml", content, table, entry["rows"][number])


def read_rows(folder: Path, paper: str, table: str) -> tuple[dict, list[tuple[dict, Printed]]]:
    """A whole table: its entry, and every row as it stands beside its numbers."""
    path = folder / f"{paper}.yaml"
    content = read_paper(folder, paper)
    for entry in content["tables"]:
        if entry["id"] == table:
            return entry, [(row, _printed(path, content, table, row)) for row in entry["rows"]]
    known = ", ".join(entry["id"] for entry in content["tables"])
    raise UserError(f"{path}: tables: no table {table!r}; it has {known}")


def head_line(entry: dict, printed: list[Printed]) -> str:
    """What a table beside a printed one is called: its paper's system, number and caption."""
    first = printed[0]
    return f"{first.system}, {first.number}: {entry.get('caption', 'Data sets.')}"


def _printed(path: Path, content: dict, table: str, row: dict) -> Printed:
    return Printed(
        paper=path.stem,
        system=content["paper"]["system"],
        table=table,
        method=row["method"],
        values={metric: _number(path, value) for metric, value in row["values"].items()},
        std={metric: _number(path, value) for metric, value in row.get("std", {}).items()},
        uncertain=frozenset(row.get("uncertain", [])),
    )


def read_paper(folder: Path, paper: str) -> dict:
    """The file of one paper's printed numbers; `UserError` if it is not one."""
    path = folder / f"{paper}.yaml"
    try:
        content = yaml.safe_load(read_utf8(path))
        if content["schema"] != SCHEMA:
            raise UserError(f"{path}: schema: this version reads {SCHEMA}, not {content['schema']}")
    except FileNotFoundError:
        raise UserError(f"{path}: no such paper; add its printed numbers there") from None
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a file of published numbers ({error})") from None
    return content


def _number(path: Path, value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{path}: {value!r} is not a number; write null where the paper has none")
    return float(value)
