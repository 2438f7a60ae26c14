"""The findings page: arithmetic of each statement on invented cells, links, what is absent."""

import html
import json
import os
import re
from pathlib import Path
from statistics import fmean, stdev

import pytest
import yaml
from markdown_it import MarkdownIt

from invented import write_cell, write_scores
from reporting.report_samples import (
    COLUMNS,
    REPRODUCE,
    comparison,
    printed_row,
    statistics_record,
    write_published,
)
from tsgbench.errors import UserError
from tsgbench.jobs.layout import Layout
from tsgbench.reporting.evidence import gather
from tsgbench.reporting.findings import write_findings
from tsgbench.reporting.statements import STATEMENTS

ROOT = Path(__file__).resolve().parents[2]

R3, R5, R7 = (f"R@1,IoU=0.{m}" for m in (3, 5, 7))
SPEC = {
    "id": "findings",
    "study": "invented",
    "title": "invented numbers",
    "is_demo": False,
    "datasets": {
        "real": {"title": "Real", "published": "real"},
        "moved": {"title": "Moved", "published": None},
        "ranked": {"title": "Ranked", "published": "ranked"},
    },
    "models": {
        "whole_video": {"title": "Whole video"},
        "prior_action": {"title": "Action word"},
        "net": {"title": "Net", "paper": "net"},
    },
    "published": {"net": "d" * 16},
}
TABLES = [
    {
        "id": "table1",
        "kind": "comparison",
        "rows": [
            comparison("real", "Old", {R3: 40.0, R5: 20.0, "mIoU": 30.0}),
            comparison("real", "Same", {R3: 82.5, R5: 48.1, "mIoU": None}, supervision="weak"),
            comparison(
                "real", "Doubted", {R3: 1.0, R5: 1.0, "mIoU": 1.0}, uncertain=[R3, R5, "mIoU"]
            ),
            comparison("real", "Net", {R3: 70.0, R5: 60.0, "mIoU": 50.0}, own=True),
            comparison("ranked", "Chunks", {"Rank@1": 19.0, "Rank@5": None, "mIoU": 25.0}),
        ],
    },
    {
        "id": "table2",
        "kind": "ablation",
        "rows": [
            comparison("real", "w/o part", {R3: 82.6, R5: 47.8, "mIoU": 34.6}, own=True),
            comparison("real", "near", {R3: 82.6, R5: 48.35}, own=True),
            comparison("real", "one metric", {R3: 82.6}, own=True),
        ],
    },
    {
        "id": "table3",
        "kind": "statistics",
        "columns": COLUMNS,
        "rows": [printed_row("real", 1, 7.25, reproduce=REPRODUCE)],
    },
]


class Bench:
    """Cells and records in a folder that is the working directory."""

    def __init__(self, folder: Path):
        self.folder, self.cells, self.statistics = folder, {}, {}
        write_published(folder / "published", "net", "Net", TABLES)

    def add(
        self, name: str, metrics: dict, *, trained=False, video="zero", features=None, **facts
    ) -> None:
        protocol = name.split("/")[2].partition("@")[2] or "default"
        parameters = 1000 if trained else 0
        options = {"metrics": metrics, "parameters": parameters, "protocol": protocol}
        folder = write_cell(Path("results/cells"), name, **options)
        self.cells[name] = folder
        run = json.loads((folder / "run.json").read_text())
        run["settings"]["inputs"]["video"] = video
        if features:
            run["settings"]["inputs"]["features"] = features
        (folder / "run.json").write_text(json.dumps(run))
        evaluated = json.loads((folder / "metrics.json").read_text())
        evaluated["facts"] |= {"headline": "seconds", "conventions": {"seconds": metrics}, **facts}
        (folder / "metrics.json").write_text(json.dumps(evaluated))
        if "parts" not in facts:
            write_scores(folder)

    def evidence(self, page: str = "results", **changes):
        published = self.folder / "published"
        return gather(SPEC | changes, self.cells, self.statistics, published, Path(page))

    def say(self, name: str) -> str | None:
        lines = STATEMENTS[name].make(self.evidence())
        return None if lines is None else "\n".join(lines)


@pytest.fixture
def bench(tmp_path, monkeypatch) -> Bench:
    monkeypatch.chdir(tmp_path)
    return Bench(tmp_path)


def unlinked(text: str) -> str:
    return re.sub(r"\]\([^)]*\)", "]", text)


def test_without_results_every_statement_is_listed_as_not_run(bench):
    text, made, missing = write_findings(bench.evidence(), "1dentity")
    assert made == [] and set(missing) == set(STATEMENTS)
    listed = text.split("## Not run\n")[1]
    assert all(entry.title in listed and entry.needs in listed for entry in STATEMENTS.values())
    assert len(text.split("## ")) == 2


def test_rows_that_equal_the_whole_video_are_found_and_others_are_not(bench):
    bench.add("whole_video/real/full/seed0", {R3: 82.57, R5: 48.02, "mIoU": 34.57})
    said = unlinked(bench.say("whole_video"))
    # Five rows have two metrics that are not in doubt; w/o part and `Same` are within 0.25
    assert "Of 5 printed rows" in said and "2 are the score" in said
    rows = [line for line in said.splitlines() if line.startswith("| “")]
    assert ["Same" in row for row in rows] == [True, False] and "w/o part" in rows[1]
    assert rows[0].endswith("| 82.50 / 48.10 | [82.57] / [48.02] | 0.08 |")
    assert rows[1].endswith("| 0.22 |")
    # Charades-STA's protocols test the same split: a row that equals is one row
    bench.add("whole_video/real/full@no_val/seed0", {R3: 82.57, R5: 48.02, "mIoU": 34.57})
    assert unlinked(bench.say("whole_video")) == said


def test_parts_of_the_test_split_are_compared_as_well(bench):
    other = {R3: 10.0, R5: 5.0, "mIoU": 8.0}
    equal = {R3: 40.1, R5: 20.1, "mIoU": 30.0}
    scored = {"val_1": {"metrics": equal, "conventions": {}}}
    bench.add("whole_video/real/full/seed0", other, parts=scored)
    said = unlinked(bench.say("whole_video"))
    assert "1 is the score" in said and "`real`, val_1" in said and "0.10" in said


def test_printed_rows_below_a_prior_are_counted_by_the_papers_convention(bench):
    conventions = {"seconds": {R5: 20.0}, "official_net": {R5: 20.5}}
    bench.add("prior_action/real/full/seed0", {R5: 20.0}, conventions=conventions)
    said = unlinked(bench.say("priors"))
    assert f"- Real (test), Action word: above 1 of 3 printed numbers at {R5}." in said
    assert "[20.50]: 1 of 3" in said and "Old 20.00." in said
    assert "Doubted" not in said and "n/a" in said  # no R@1,IoU=0.3 and no mIoU
    bench.add("prior_action/real/full/seed0", {R5: 48.1})
    assert "[48.10]: 1 of 3" in unlinked(bench.say("priors"))  # an equal number is not below
    bench.add("prior_action/real/full/seed0", {R5: 48.2})
    said = unlinked(bench.say("priors"))
    assert "[48.20]: 2 of 3" in said and "Same (weakly supervised) 48.10" in said


def test_a_prior_on_data_that_no_paper_prints_says_nothing(bench):
    bench.add("prior_action/moved/full/seed0", {R5: 20.0})
    assert bench.say("priors") is None


def test_a_blind_twin_is_set_beside_its_own_printed_number(bench):
    bench.add("net/real/blind/seed0", {R5: 30.0}, trained=True)
    bench.add("net/real/blind/seed1", {R5: 36.0}, trained=True)
    bench.add("net/real/full/seed0", {R5: 59.0}, trained=True, video="real")
    said = unlinked(bench.say("blind_twins"))
    assert "reach between 55 and 55 %" in said  # 33 of 60
    assert "| Net, blind | Real, test | R@1,IoU=0.5 | [33.00 ± 4.24] |" in said
    assert said.count("| Net") == 1 and "60.00 ([Net, Table 1])" in said


def test_a_blind_twin_of_other_settings_or_training_data_is_not_called_the_papers_own(bench):
    """A study's twins may be 64 numbers wide, or of a ninth of the training set."""
    bench.add("net/real/blind/seed0", {R5: 30.0}, trained=True)
    practice = {"system": "Net", "trains": 1000, "selects": None, "tests": 0, "changed": []}
    path = bench.cells["net/real/blind/seed0"] / "run.json"
    run = json.loads(path.read_text())
    run["facts"]["train_queries"] = 1000
    path.write_text(json.dumps(run))

    def said(**changed) -> str:
        net = SPEC["models"]["net"] | {"practice": {"real": practice | changed}}
        evidence = bench.evidence(models=SPEC["models"] | {"net": net})
        return unlinked("\n".join(STATEMENTS["blind_twins"].make(evidence)))

    assert "depart" not in said() and "Net, blind on Real" not in said()
    told = said(changed=["model.width", "train.epochs"], trains=9000)
    assert "They depart from the papers' as the list below says." in told
    assert "- settings of this study: model.width, train.epochs: Net, blind on Real." in told
    assert "- trained on 1,000 pairs; the paper prints 9,000: Net, blind on Real." in told


def test_printed_numbers_stand_beside_systems_by_their_own_protocol_alone(bench):
    path = bench.folder / "published/net.yaml"
    content = yaml.safe_load(path.read_text())
    content["paper"]["protocols"] = {"real": {"protocol": "val_1"}}
    path.write_text(yaml.safe_dump(content))
    for protocol, score in (("", 20.0), ("@val_1", 48.2)):
        bench.add(f"prior_action/real/full{protocol}/seed0", {R5: score})
        bench.add(f"net/real/blind{protocol}/seed0", {R5: score}, trained=True)
    said = unlinked(bench.say("priors"))
    assert "Real (test), Action word, protocol val_1: above 2 of 3 printed" in said
    assert "[20.00]" not in said
    twins = unlinked(bench.say("blind_twins"))
    assert "| Net, blind, protocol val_1 |" in twins and "| Net, blind |" not in twins


def test_iid_and_ood_stand_side_by_side(bench):
    parts = {
        part: {"metrics": {R5: first, "d" + R5: second}, "conventions": {}}
        for part, first, second in (("iid", 40.0, 38.0), ("ood", 10.0, 9.5))
    }
    bench.add("prior_action/moved/full/seed0", {R5: 20.0}, parts=parts)
    bench.add("whole_video/real/full/seed0", {R5: 20.0})
    said = unlinked(bench.say("changed_distributions"))
    assert "| Action word (no video) | [40.00] → [10.00] | [38.00] → [9.50] |" in said
    assert "R@1,IoU=0.7" not in said and "Real" not in said


def test_differences_of_conventions_are_ranges_over_systems(bench):
    for name, headline, official in (("whole_video", 10.0, 9.5), ("prior_action", 20.0, 22.4)):
        conventions = {"seconds": {R5: headline}, "official_net": {R5: official, R7: 1.0}}
        metrics = {R5: headline}
        bench.add(f"{name}/real/full/seed0", metrics, conventions=conventions)
    said = unlinked(bench.say("conventions"))
    assert "| Real, `official_net` | -0.50 … +2.40 ([Action word]) | n/a |" in said
    assert "seconds`" not in said


def test_ranked_systems_stand_between_the_printed_ones(bench):
    for name, first in (("whole_video", 0.0), ("prior_action", 19.4)):
        ranked = {"Rank@1": first, "Rank@5": 68.5, "mIoU": 25.42}
        conventions = {"seconds": {"mIoU": 20.0}, "official_didemo": ranked}
        bench.add(f"{name}/ranked/full/seed0", {"mIoU": 20.0}, conventions=conventions)
    rows = [line for line in unlinked(bench.say("ranked_moments")).splitlines() if "[" in line]
    assert [re.search(r"Action|Chunks|Whole", row)[0] for row in rows] == [
        "Action",
        "Chunks",
        "Whole",
    ]
    assert rows[1].endswith("| 19.00 | — | 25.00 |") and "[68.50]" in rows[0]
    assert "fixed order" not in bench.say("ranked_moments")
    counts = {"official_didemo": {"queries_with_appended_candidates": 100}}
    name = "whole_video/ranked/full/seed0"
    bench.add(name, {"mIoU": 20.0}, conventions=conventions, counts=counts)
    assert "some are not named: Whole video 25 %)." in bench.say("ranked_moments")


def test_the_spread_of_seeds_is_a_sample_deviation(bench):
    scores = {"net": (30.0, 33.0, 36.0), "prior_action": (20.0, 20.0, 21.0)}
    for model, values in scores.items():
        for seed, value in enumerate(values):
            bench.add(f"{model}/real/full/seed{seed}", {R5: value})
    bench.add("whole_video/real/full/seed0", {R5: 1.0})
    said = unlinked(bench.say("seeds"))
    middle = fmean(stdev(values) for values in scores.values())  # the median of two
    assert f"| Real | {R5} | 2 | {middle:.2f} | [3.00] (Net; 6.00 from end to end) |" in said


def test_statistics_say_what_is_exact_and_what_differs(bench):
    bench.statistics["real"] = statistics_record(Path())
    said = unlinked(bench.say("printed_statistics"))
    assert "1 of 2 counted numbers" in said and "moment (s): 7.00, printed 7.25." in said
    places = unlinked(bench.say("places")).splitlines()[-1]
    # Four moments: starts at 0, 0, 0.2 and 0.25; ends at 0.5, 0.5, 1 and 0.5
    assert places == "| Real | [4] | 75.0 | 25.0 | 25.0 | 50.0 | 0.512 |"


def test_every_number_links_to_a_file_that_is_there(bench):
    bench.add("whole_video/real/full/seed0", {R3: 82.57, R5: 48.02, "mIoU": 34.57})
    for seed in (0, 1):
        bench.add(f"net/real/blind/seed{seed}", {R5: 30.0 + seed}, trained=True)
    bench.statistics["real"] = statistics_record(Path())
    for folder, root in (("results", "../"), ("results/blind", "../../"), ("docs", "../")):
        text, made, _ = write_findings(bench.evidence(folder), "1dentity")
        assert {"whole_video", "blind_twins", "seeds", "places"} <= set(made)
        targets = set(re.findall(r"\]\(([^)]+)\)", text))
        statistics = f"{root}data/annotations/real/statistics.json"
        assert f"{root}results/cells/net/real/blind" in targets and statistics in targets
        assert f"{root}published/net.yaml" in targets
        for target in targets - {statistics}:
            assert Path(os.path.normpath(Path(folder) / target)).exists(), target


def test_links_of_the_page_in_docs_lead_to_the_folders_of_the_blind_study():
    links = set(re.findall(r"\]\(([^)]+)\)", (ROOT / "docs/findings.md").read_text()))
    places = {os.path.normpath(Path("docs") / link) for link in links}
    printed = {place for place in places if place.startswith("published/")}
    made = tuple(Layout("blind").records[phase].split("{")[0] for phase in ("train", "statistics"))
    assert made[0] == "results/blind/cells/"
    assert printed and all((ROOT / place).exists() for place in printed)
    assert places > printed and all(place.startswith(made) for place in places - printed)


def test_demo_numbers_are_called_so(bench):
    assert "DEMO" in write_findings(bench.evidence(is_demo=True), "1dentity")[0]
    assert "DEMO" not in write_findings(bench.evidence(), "1dentity")[0]


@pytest.mark.parametrize(
    "text",
    [
        "[x](javascript:alert(1))",
        "![x](http://example.org/x.png)",
        "<img src=x onerror=alert(1)>",
        "a | b `c` **d**",
    ],
)
def test_titles_are_text_whatever_they_say(bench, text):
    """A study's, its models' and data sets', and what papers call their systems."""
    bench.add("whole_video/real/full/seed0", {R3: 82.5, R5: 48.1, R7: 10.0, "mIoU": 34.5})
    bench.add("net/real/full/seed0", {R3: 70.0, R5: 60.0, R7: 30.0, "mIoU": 50.0}, trained=True)
    plain, made, _ = write_findings(bench.evidence(), "0")
    tables = json.loads(json.dumps(TABLES).replace('"Same"', json.dumps(text)))
    write_published(bench.folder / "published", "net", text, tables)
    changed = {
        "title": text,
        "datasets": {name: one | {"title": text} for name, one in SPEC["datasets"].items()},
        "models": {name: one | {"title": text} for name, one in SPEC["models"].items()},
    }
    page, also_made, _ = write_findings(bench.evidence(**changed), "0")
    assert also_made == made and len(made) >= 2
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    tags = [re.findall(r"<(\w+)", parser.render(one)) for one in (plain, page)]
    assert tags[0] == tags[1] and tags[0].count("a") > 5
    assert html.unescape(parser.render(page)).count(text) >= 4


def test_a_number_without_identity_is_refused(bench):
    bench.add("whole_video/real/full/seed0", {R5: 1.0})
    path = bench.cells["whole_video/real/full/seed0"] / "metrics.json"
    content = json.loads(path.read_text())
    del content["identity"]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="identity"):
        bench.evidence()


def test_what_video_and_features_are_worth(bench):
    for seed, score in ((0, 50.0), (1, 54.0)):
        bench.add(f"net/real/full/seed{seed}", {R5: score}, trained=True, video="real")
    bench.add("net/real/blind/seed0", {R5: 20.0}, trained=True)
    bench.add("net/real/mismatched/seed0", {R5: 22.5}, trained=True, video="mismatched")
    bench.add("net/real/other/seed0", {R5: 35.0}, trained=True, video="real", features="plain")
    bench.add("prior_action/real/full/seed0", {R5: 10.0})
    bench.add("whole_video/real/full/seed0", {R5: 12.0})
    said = unlinked(bench.say("controls"))
    assert "| Net | [52.00 ± 2.83] | [20.00] | [22.50] | +29.50 |" in said
    assert (
        "| Net: `plain` for `c3d_random_stats_w16s8_pca128` | [35.00] | [52.00 ± 2.83] | +17.00 |"
        in said
    )
    assert said.index("| Whole video | [12.00] |") < said.index("| Action word | [10.00] |")


def test_a_twin_without_the_number_is_not_compared(bench):
    """As one that was scored before the study asked for that metric."""
    bench.add("net/real/full/seed0", {R5: 50.0}, trained=True, video="real")
    bench.add("net/real/blind/seed0", {R7: 20.0}, trained=True)
    bench.add("net/real/other/seed0", {R7: 35.0}, trained=True, video="real", features="plain")
    said = unlinked(bench.say("controls"))
    assert "| Net | [50.00] | n/a | not run | n/a | not run | n/a |" in said
    assert "`plain` for `c3d_random_stats_w16s8_pca128` | n/a | [50.00] | n/a |" in said
    bench.add("net/real/mismatched/seed0", {R5: 22.5}, trained=True, video="mismatched")
    said = unlinked(bench.say("controls"))
    assert "| Net | [50.00] | n/a | [22.50] | +27.50 | not run | n/a |" in said


def test_a_twin_that_learns_less_than_a_prior_does_not_flatter_its_system(bench):
    """SeqPAN's answers with the whole video where moments tile it: below any prior."""
    bench.add("net/real/full/seed0", {R5: 50.0}, trained=True, video="real")
    bench.add("net/real/blind/seed0", {R5: 0.0}, trained=True)
    bench.add("whole_video/real/full/seed0", {R5: 0.0})
    bench.add("prior_action/real/full/seed0", {R5: 18.0})
    bench.add("prior_action/real/full/seed1", {R5: 22.0})
    row = "| Net | [50.00] | [0.00] | not run | +50.00 | [20.00 ± 2.83] (Action word) | +30.00 |"
    assert row in unlinked(bench.say("controls"))
    # Other protocols and other data sets are other tests
    bench.add("prior_action/real/full@val_1/seed0", {R5: 60.0})
    bench.add("prior_action/moved/full/seed0", {R5: 60.0})
    bench.add("whole_video/moved/full/seed0", {R5: 60.0})
    assert row in unlinked(bench.say("controls"))


def test_twins_and_features_of_another_protocol_are_not_compared(bench):
    bench.add("net/real/full/seed0", {R5: 50.0}, trained=True, video="real")
    bench.add("net/real/blind@val_1/seed0", {R5: 20.0}, trained=True)
    assert bench.say("controls") is None


def test_order_is_compared_with_what_both_papers_print(bench):
    write_published(
        bench.folder / "published",
        "other",
        "Other",
        [
            {
                "id": "table1",
                "kind": "comparison",
                "rows": [comparison("real", "Other", {R5: 50.0}, own=True)],
            }
        ],
    )
    models = SPEC["models"] | {"other": {"title": "Other", "paper": "other"}}
    changes = {"models": models, "published": SPEC["published"] | {"other": "e" * 16}}
    bench.add("net/moved/full/seed0", {R5: 40.0}, trained=True, video="real")
    bench.add("other/moved/full/seed0", {R5: 30.0}, trained=True, video="real")
    bench.add("other/moved/blind/seed0", {R5: 90.0}, trained=True)

    def said() -> str:
        return unlinked("\n".join(STATEMENTS["order"].make(bench.evidence(**changes))))

    row = "| Net, Other | `real` | 60.00, 50.00 | [40.00], [30.00] | yes |"
    assert row in said() and "1 of 1 comparisons on Moved stand as printed: of 1 pair," in said()
    bench.add("other/moved/full/seed1", {R5: 70.0}, trained=True, video="real")
    assert "| no |" in said() and "0 of 1 comparisons" in said()


def test_a_pair_is_one_pair_however_many_data_sets_print_it(bench):
    """Where no paper reports on the data set, all that both print are compared; else it alone."""
    numbers = {"net": {"real": 60.0, "ranked": 20.0}, "other": {"real": 50.0, "ranked": 30.0}}
    for paper, printed in numbers.items():
        rows = [comparison(key, paper, {R5: value}, own=True) for key, value in printed.items()]
        table = {"id": "table1", "kind": "comparison", "rows": rows}
        write_published(bench.folder / "published", paper, paper, [table])
        for dataset in ("moved", "real"):
            value = 40.0 if paper == "net" else 30.0
            name = f"{paper}/{dataset}/full/seed0"
            bench.add(name, {R5: value}, trained=True, video="real")
    changes = {
        "models": {name: {"title": name.title(), "paper": name} for name in numbers},
        "published": dict.fromkeys(numbers, "e" * 16),
    }
    said = unlinked("\n".join(STATEMENTS["order"].make(bench.evidence(**changes))))
    assert "1 of 2 comparisons on Moved stand as printed: of 1 pair," in said
    assert "1 of 1 comparisons on Real stand as printed: of 1 pair," in said
    assert said.count("| Net, Other | `ranked` |") == 1  # not beside numbers on Real


@pytest.mark.parametrize(("queries", "said"), [(400, "sure by both"), (8, "may be chance")])
def test_pairs_that_change_places_are_counted_and_tested(bench, queries, said):
    """Eight queries are of two videos, of which no test can tell anything from chance."""
    for name, headline, official in (
        ("whole_video/real/full/seed0", 30.0, 10.0),
        ("net/real/full/seed0", 29.0, 14.0),
        ("net/real/full/seed1", 27.0, 14.0),
        ("prior_action/real/full/seed0", 35.0, 20.0),
    ):
        conventions = {"seconds": {R5: headline}, "official_net": {R5: official}}
        bench.add(name, {R5: headline}, conventions=conventions, queries=queries)
    lines = unlinked(bench.say("changes_of_order")).splitlines()
    sure = 1 if said == "sure by both" else 0
    assert f"| Real, `official_net` | 1 of 3 ({sure} sure) | n/a | n/a |" in lines
    [change] = [line for line in lines if line.startswith("- ")]
    assert change.endswith(
        "Whole video (no video) against Net (no video) is [30.00] to [28.00 ± 1.41] by the"
        f" headline, [10.00] to [14.00 ± 0.00] by `official_net`; {said}"
    )


def test_systems_scored_on_other_queries_are_no_pair(bench):
    for name, value, queries in (("whole_video", 30.0, 400), ("prior_action", 20.0, 399)):
        conventions = {"seconds": {R5: value}, "official_net": {R5: 100 - value}}
        bench.add(f"{name}/real/full/seed0", {R5: value}, conventions=conventions, queries=queries)
    assert bench.say("changes_of_order") is None


def test_people_stand_first_among_those_scored_as_they_are(bench):
    for name, value in (("whole_video", 30.0), ("prior_action", 90.0)):
        conventions = {"seconds": {R5: value}, "official_otani": {R5: value}, "other": {R5: 1.0}}
        annotators = {"official_otani": {R5: 83.456, R3: 90.0}}
        facts = {"conventions": conventions, "annotators": annotators}
        bench.add(f"{name}/real/full/seed0", {R5: value}, **facts)
    lines = unlinked(bench.say("people")).splitlines()
    assert lines[2:] == [
        "| Real, `official_otani` | R@1,IoU=0.5 |",
        "| :--- | ---: |",
        "| People (no system) | 83.46 |",
        "| Action word (no video) | [90.00] |",
        "| Whole video (no video) | [30.00] |",
    ]
    assert bench.say("people").count("metrics.json") == 2
    # One that lacks some queries says nothing of people, and takes nothing from what others say
    facts |= {"annotators": {}, "queries": 380, "of_queries": 400}
    bench.add("net/real/blind/seed0", {R5: 30.0}, trained=True, **facts)
    said = unlinked(bench.say("people"))
    assert "| People (no system) | 83.46 |" in said
    assert "| Net, blind (no video) [380 of 400 queries] | [90.00] |" in said
