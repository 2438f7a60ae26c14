"""The epochs of a training as it wrote them down."""

import csv
from pathlib import Path

from tsgbench.errors import UserError


def read_history(path: Path) -> list[tuple[int, dict[str, float]]]:
    """`history.csv` as (epoch, {column: value}); empty cells are left out."""
    rows = []
    with open(path, encoding="utf-8-sig", newline="") as stream:
        for line, row in enumerate(csv.DictReader(stream), start=2):
            try:
                epoch = int(float(row.pop("epoch")))
                values = {name: float(text) for name, text in row.items() if text}
            except (KeyError, TypeError, ValueError) as error:
                raise UserError(
                    f"{path}, line {line}: not a row of numbers with an epoch ({error});"
                    " train the cell again"
                ) from None
            rows.append((epoch, values))
    return rows
