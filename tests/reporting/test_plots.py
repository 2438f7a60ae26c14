"""What `dvc metrics`, `dvc plots` and readers of the figure get."""

import csv
import json
import subprocess
import sys

import pytest

from tsgbench.errors import UserError
from tsgbench.files import write_text
from tsgbench.reporting import (
    write_learning_curves,
    write_metrics,
    write_systems,
)
from tsgbench.reporting.vega import read_scripts


def read_csv(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def read_metrics(folder) -> dict[str, dict]:
    paths = (path.relative_to(folder) for path in folder.rglob("*.json"))
    return {str(path.with_suffix("")): json.loads((folder / path).read_text()) for path in paths}


def test_metrics_are_a_file_of_means_for_each_system(cells, tmp_path):
    """DVC shows a row for each file."""
    folder = tmp_path / "metrics"
    write_text(folder / "shapes" / "gone" / "full.json", "{}")
    files = write_metrics(cells, folder)
    content = read_metrics(folder)
    assert len(files) == len(content) == 8 and "shapes/gone/full" not in content
    assert content["shapes/seqpan/full"]["R@1,IoU=0.5"] == 51.0
    assert content["real/seqpan/blind"]["mIoU"] == 35.0
    assert "R@5,IoU=0.5" not in content["real/whole/full"]


def test_systems_have_a_line_each(cells, tmp_path):
    write_systems(cells, tmp_path / "plots" / "systems.csv")
    rows = {(r["dataset"], r["system"]): r for r in read_csv(tmp_path / "plots" / "systems.csv")}
    assert len(rows) == 8
    assert rows["shapes", "other/full"]["R@1,IoU=0.3"] == "66.0"
    assert rows["shapes", "other/full"]["seeds"] == "2"
    assert rows["shapes", "whole/full"]["R@5,IoU=0.3"] == ""


def test_learning_curves_have_a_line_an_epoch(cells, tmp_path):
    (cells["whole/shapes/full/seed0"] / "history.csv").unlink()
    (cells["whole/real/full/seed0"] / "history.csv").write_text("epoch\n")
    write_learning_curves(cells, tmp_path / "learning.csv")
    rows = read_csv(tmp_path / "learning.csv")
    assert len(rows) == 3 * (len(cells) - 2)
    last = rows[-1]
    assert (last["cell"], last["epoch"]) == ("seqpan/shapes/full/seed1", "3")
    assert (last["val/mIoU"], last["system"]) == ("30.0", "seqpan/full")


def test_cells_without_evaluation_have_no_metrics(cells, tmp_path):
    (cells["seqpan/shapes/blind/seed0"] / "metrics.json").unlink()
    write_metrics(cells, tmp_path / "metrics")
    content = read_metrics(tmp_path / "metrics")
    assert "shapes/seqpan/full" in content and "shapes/seqpan/blind" not in content


def test_plots_need_no_network():
    """In the order of what needs what, each with its licence."""
    text = read_scripts()
    assert "University of Washington Interactive Data Lab" in text
    places = [text.index(f"global.{name} = ") for name in ("vega", "vegaLite", "vegaEmbed")]
    assert places == sorted(places)


def test_a_wrong_cell_name_is_refused(cells, tmp_path):
    with pytest.raises(UserError, match="is no cell"):
        write_learning_curves({"seqpan": next(iter(cells.values()))}, tmp_path / "learning.csv")


def test_importing_reporting_is_light():
    heavy = ("mlflow", "torch", "pandas", "matplotlib", "jinja2", "markdown_it")
    code = f"import sys, tsgbench.reporting; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
