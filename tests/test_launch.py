"""Targets may stand behind --configfile; nothing else moves."""

import pytest

from tsgbench.launch import targets_first


@pytest.mark.parametrize(
    ("typed", "passed"),
    [
        ("--cores 8 results/table1.tex", "--cores 8 results/table1.tex"),
        (
            "--cores 2 --configfile config/blind.yaml results/table1.tex",
            "results/table1.tex --cores 2 --configfile config/blind.yaml",
        ),
        ("--configfile a.yaml b.json all -n", "all --configfile a.yaml b.json -n"),
        ("--configfile a.yaml results/mlflow.json", "results/mlflow.json --configfile a.yaml"),
        ("--configfile a.yaml -n x", "--configfile a.yaml -n x"),
        ("--configfile a.yaml -- x", "--configfile a.yaml -- x"),
        ("x --config study=a y=b", "x --config study=a y=b"),
        ("--configfile odd_name", "--configfile odd_name"),
    ],
)
def test_order(typed, passed):
    assert targets_first(typed.split()) == passed.split()
