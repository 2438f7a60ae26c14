"""Tables of data sets: counted beside printed, missing data sets, and what is refused."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from reporting.report_samples import (
    COLUMNS,
    REPRODUCE,
    printed_row,
    statistics_record,
    write_published,
)
from tsgbench.cli.datasets import list_datasets
from tsgbench.config import Catalogue
from tsgbench.datasets.queries import write_queries
from tsgbench.datasets.readers import read_annotations
from tsgbench.errors import UserError
from tsgbench.jobs.layout import Layout
from tsgbench.jobs.records import Record
from tsgbench.phases import Task, statistics
from tsgbench.reporting import describe, write_table
from tsgbench.reporting.statistics_table import build_statistics_table, count_exact
from tsgbench.specifications.reports import printed_parts
from tsgbench.text.tokens import TOKENIZERS

ROOT = Path(__file__).parents[2]
SPEC = {
    "id": "paper/table1",
    "study": "invented",
    "title": "invented numbers",
    "is_demo": False,
    "notes": ["A note."],
    "paper": "paper",
    "table": "table1",
}


@pytest.fixture
def printed(tmp_path) -> Path:
    folder = tmp_path / "published"
    rows = [
        printed_row("real", 1, 7.25, reproduce=REPRODUCE),
        printed_row("absent", None, 3.5, reproduce=REPRODUCE, uncertain=["moment_s"]),
        printed_row("vague", 9, 1.0),
    ]
    table = {"id": "table1", "kind": "statistics", "columns": COLUMNS, "rows": rows}
    write_published(folder, "paper", "System", [table])
    return folder


@pytest.fixture
def table(printed, tmp_path):
    records = {name: statistics_record(tmp_path, name) for name in ("real", "vague")}
    return build_statistics_table(SPEC, records, printed)


def values(table, dataset):
    [result] = [row.results[dataset] for row in table.rows if dataset in row.results]
    return result, result.values["Videos, test"], result.values["Moment (s)"]


def test_counted_numbers_stand_beside_the_printed_ones(table):
    result, videos, moment = values(table, "real")
    assert (videos.mean, videos.published, videos.difference) == (1, 1, 0)
    assert moment.mean == pytest.approx((5 + 5 + 16 + 2) / 4) and moment.published == 7.25
    assert moment.difference == pytest.approx(-0.25)
    assert (result.status, result.printed.system) == ("complete", "System")
    assert count_exact(table) == (1, 2)


def test_a_data_set_that_is_not_there_is_not_run_and_keeps_its_printed_row(table):
    result, videos, moment = values(table, "absent")
    assert result.status == "not run" and videos.mean is moment.mean is None
    assert moment.published == 3.5 and moment.published_uncertain and moment.difference is None


def test_without_a_rule_for_reproducing_only_the_printed_number_is_given(table):
    _, videos, moment = values(table, "vague")
    assert videos.mean is None and videos.published == 9 and moment.published == 1.0


def test_a_row_may_average_otherwise(printed, tmp_path):
    path = printed / "paper.yaml"
    other = "reproduce:\n      statistics: {moment_s: distinct_moment_s}\n"
    path.write_text(path.read_text().replace("reproduce:\n", other, 1))
    records = {"real": statistics_record(tmp_path)}
    found = values(build_statistics_table(SPEC, records, printed), "real")[2]
    assert found.mean == pytest.approx((5 + 16 + 2) / 3)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("tokenizer: blanks", "tokenizer: blank", "'blank' is not known; use one of blanks"),
        ("statistic: moment_s", "statistic: moments", "'moments' is not known; use one of videos"),
        ("- train", "- trains", "'trains+test' is no union"),
        ("columns:", "column:", "columns: is missing"),
    ],
)
def test_what_cannot_be_counted_is_named(printed, tmp_path, old, new, said):
    path = printed / "paper.yaml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UserError, match=re.escape(said)):
        build_statistics_table(SPEC, {"real": statistics_record(tmp_path)}, printed)


def test_every_form_holds_the_same(table, tmp_path):
    paths = write_table(describe(table, "1dentity"), tmp_path / "out" / "table1")
    tex, text, markdown, trace, page = (path.read_text() for path in paths)
    assert markdown.count("| Data set |") == 1 and "—: not run." in markdown
    assert "| Real | 1 | 7.00 |" in markdown
    assert "| *printed (System, Table 1)* | 1 (0) | 7.25 (-0.25) |" in markdown
    assert "— not run" in markdown and "3.50?" in markdown and "A note." in markdown
    assert "R@n" not in markdown  # nothing is scored here
    assert "{\\num{7.00}} & " in tex and "Data set & " in tex
    rows = {(row["dataset"], row["metric"]): row for row in csv.DictReader(io.StringIO(text))}
    assert rows["real", "Moment (s)"]["difference"] == "-0.25"
    assert rows["absent", "Moment (s)"]["status"] == "not run"
    cell = json.loads(trace)["rows"][0]["results"]["real"]["cells"][0]
    assert cell["identity"] == "5" * 16 and cell["record"].endswith("real/statistics.json")


# The real files ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured(mirror, tmp_path_factory):
    """Statistics of a real data set, made by the phase itself."""
    catalogue, made = Catalogue.load(ROOT), {}
    nowhere = tmp_path_factory.mktemp("none")
    records = {phase: f"{nowhere}/{path}" for phase, path in Layout().records.items()}

    def measure(dataset: str) -> Record:
        if dataset not in made:
            entry = catalogue.datasets[dataset]
            one = {dataset: entry}
            listed = list_datasets(one, catalogue.sources, records, mirror=str(mirror))
            files = {
                role: Path(path)
                for role, path in listed[dataset]["parts"]["annotations"].items()
                if path is not None
            }
            if len(files) < len(entry["files"]):
                pytest.skip(f"{dataset}: the mirror lacks some of its files")
            made[dataset] = run_phase(catalogue, dataset, files, nowhere / dataset)
        return made[dataset]

    return measure


def run_phase(catalogue, dataset: str, files: dict[str, Path], folder: Path) -> Record:
    entry = catalogue.datasets[dataset]
    splits, report = read_annotations(entry["reader"], files, settings=entry["settings"])
    folder.mkdir()
    for split, queries in splits.items():
        write_queries(folder / f"{split}.jsonl", queries)
    outputs = {f"{split}.jsonl": {} for split in splits}
    annotations = Record(folder / "annotations.json", {"outputs": outputs, "facts": report})
    raw = {
        role: Record(path.with_suffix(".record"), {"outputs": {path.name: {}}})
        for role, path in files.items()
    }
    settings = {
        "reader": entry["reader"],
        "generated": {},
        **entry["settings"],
        "parts": printed_parts(catalogue.published, dataset),
        "tokenizers": list(TOKENIZERS),
        "bins": 20,
    }
    inputs = {**raw, "queries": annotations}
    task = Task(settings, inputs, "1" * 16, folder / "statistics.json", {}, {"dataset": dataset})
    facts, written = statistics.run(task)
    assert written == []
    content = {"identity": "1" * 16, "digest": "2" * 16, "inputs": {}, "facts": facts}
    return Record(task.record, content)


def seqpan_table7(record: Record, dataset: str) -> dict:
    spec = SPEC | {"paper": "seqpan", "table": "table7"}
    table = build_statistics_table(spec, {dataset: record}, ROOT / "published")
    return {
        metric: value
        for row in table.rows
        for value_set in [row.results.get(dataset)]
        if value_set is not None
        for metric, value in value_set.values.items()
    } | {"exact": count_exact(table)}


def test_seqpans_row_of_charades_is_exact(measured):
    found = seqpan_table7(measured("charades_sta"), "charades_sta")
    assert found.pop("exact") == (9, 9)
    rounded = {metric: value.mean and round(value.mean, 2) for metric, value in found.items()}
    assert list(rounded.values()) == [
        *(5338, None, 1334, 12408, None, 3720),
        *(2.42, 1303, 30.59, 7.22, 8.22),
    ]


def test_seqpans_rows_of_tacos_agree_but_for_the_known_columns(measured):
    found = seqpan_table7(measured("tacos_2dtan"), "tacos_2dtan")
    assert found.pop("exact") == (8, 11)
    differing = {m: round(v.difference, 2) for m, v in found.items() if abs(v.difference) > 0.005}
    assert differing == {"Vocabulary": -1, "Video (s)": -0.55, "Moment (s)": -0.04}


def test_the_phase_counts_what_was_dropped_and_where_moments_lie(measured):
    facts = measured("charades_sta").facts
    assert facts["counts"]["train"]["dropped"] == {"start not before end": 4}
    moments = facts["moments"][facts["all"]]
    assert moments["queries"] == sum(moments["length"]) == sum(map(sum, moments["start_end"]))
    assert moments["queries"] == 16124 and round(moments["ratio"], 2) == 0.27  # CMA prints 0.27
    assert set(facts["described"]) == {"train", "val", "test", "train+val", "train+val+test"}
