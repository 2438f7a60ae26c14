"""Files of scores per query: what intervals, tests and qualitative figures are made from.

One row a query that was answered: `query_id`, `video_id`, `split`, and one column
`CONVENTION/METRIC` in percent for each number of `metrics.json`, whose mean over the rows is that
number; NaN where the metric is not defined for a query, which then does not count. In double
precision, because the mean of 17,031 rounded IoUs would differ in the seventh digit; hits are 0 and
100, which Parquet's dictionary packs into a bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tsgbench.datasets.queries import Queries
from tsgbench.errors import UserError
from tsgbench.evaluation.columns import DAMAGED_TABLE, numbers, read_numbers, texts
from tsgbench.evaluation.needs import may_be_undefined
from tsgbench.files import atomic_path
from tsgbench.files.access import readable

LABELS = ("query_id", "video_id", "split")


@dataclass(frozen=True)
class QueryScores:
    """The scores of one cell's queries, as parallel columns of length Q.

    query_ids, video_ids, splits: (Q,) of str. columns: (convention, metric) -> (Q,) percent.
    """

    path: Path
    query_ids: np.ndarray
    video_ids: np.ndarray
    splits: np.ndarray
    columns: dict[tuple[str, str], np.ndarray] = field(repr=False)

    def __len__(self) -> int:
        return len(self.query_ids)

    @property
    def names(self) -> list[tuple[str, str]]:
        """Every (convention, metric) that the file has, in its order."""
        return list(self.columns)

    def values(self, convention: str, metric: str) -> np.ndarray:
        """(Q,) percent; `UserError` if the file has no such column."""
        if (convention, metric) not in self.columns:
            raise UserError(
                f"{self.path}: has no column {f'{convention}/{metric}'!r}; evaluate the cell again,"
                " or name a metric and a convention that its data set has"
            )
        return self.columns[convention, metric]


def write_query_scores(
    path: str | Path,
    queries: Queries,
    splits: Sequence[str] | np.ndarray,
    scores: dict[str, dict[str, np.ndarray]],
) -> None:
    """Write what each query contributes to each metric; equal scores give equal files.

    queries: those scored. splits: (Q,) the split of each. scores: convention -> metric -> (Q,)
    percent.
    """
    columns = {
        "query_id": texts(queries.query_ids),
        "video_id": texts(queries.video_ids),
        "split": texts(splits),
    }
    for convention, values in scores.items():
        for metric, column in values.items():
            columns[f"{convention}/{metric}"] = numbers(column.astype(np.float64))
    with atomic_path(path) as temporary:
        pq.write_table(pa.table(columns), temporary, compression="zstd", write_page_checksum=True)


def read_query_scores(path: str | Path) -> QueryScores:
    """Read such a file; `UserError` if it is missing, damaged or of another kind."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; evaluate the cell again")
    what, remedy = "not a file of scores per query", "evaluate the cell again"
    with readable(path, DAMAGED_TABLE, what, remedy):
        table = pq.ParquetFile(path, page_checksum_verification=True).read()
        labels = [np.array(table[name].to_pylist(), dtype=object) for name in LABELS]
        percent = {name: table[name] for name in table.column_names if name not in LABELS}
    for name, values in zip(LABELS, labels, strict=True):
        if not all(isinstance(value, str) for value in values):
            raise UserError(f"{path}: {name}: not a text in every row; evaluate the cell again")
    if len(set(labels[0])) != len(labels[0]):
        raise UserError(f"{path}: query_id: not distinct; evaluate the cell again")
    columns = {}
    for name, column in percent.items():
        if "/" not in name or column.type != pa.float64():
            raise UserError(
                f"{path}: {name}: not numbers called CONVENTION/METRIC; evaluate the cell again"
            )
        refusal = f"{path}: {name}: not percentages; evaluate the cell again"
        if column.null_count:
            raise UserError(refusal)
        values = read_numbers(column)
        is_right = (values >= 0) & (values <= 100)
        if may_be_undefined(name.partition("/")[2]):
            is_right |= np.isnan(values)
        if not is_right.all():  # nor is NaN
            raise UserError(refusal)
        columns[tuple(name.split("/", maxsplit=1))] = values
    return QueryScores(path, *labels, columns)  # type: ignore[call-arg,arg-type]  # three labels
