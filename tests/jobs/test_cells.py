"""Names of cells are read as they are written, and nothing else is a cell's name."""

import pytest

from tsgbench.errors import UserError
from tsgbench.jobs.cells import CellId, cell_names, join_ablation, split_ablation
from tsgbench.jobs.layout import Layout


@pytest.mark.parametrize("name", ["seqpan/shapes/full/seed0", "a/b/blind@val_1/seed12"])
def test_a_name_stands_for_one_cell(name):
    cell = CellId.parse(name)
    assert str(cell) == f"{cell}" == name
    assert CellId.of(cell.wildcards) == cell
    assert cell_names(cell.prefix, [cell.seed]) == [name]


@pytest.mark.parametrize(
    "name",
    ["seqpan/shapes/full", "seqpan/shapes/full/0", "seqpan/shapes/full/seed", "a//c/seed0"]
    + ["seqpan/shapes/full/seed-1", "seqpan/shapes/full/seed1.5", "x/seqpan/shapes/full/seed0", ""],
)
def test_other_names_are_refused(name):
    with pytest.raises(UserError, match="is no cell; cells are called model/dataset"):
        CellId.parse(name)


def test_a_cell_lies_where_it_is_called():
    record = Layout().cell_record("train", "seqpan/shapes/full@val_1/seed3")
    assert record == "results/cells/seqpan/shapes/full@val_1/seed3/run.json"


@pytest.mark.parametrize("pair", [("full", "default"), ("match_none", "val_1")])
def test_ablation_and_protocol_make_one_name(pair):
    assert split_ablation(join_ablation(*pair)) == pair
