"""`tsgbench score` from file to number: by plain loops after the rules of the public evaluators."""

import csv
import gzip
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from tsgbench.cli import scoring
from tsgbench.cli.datasets import read_tables
from tsgbench.cli.known import Known
from tsgbench.cli.main import main
from tsgbench.config import Catalogue
from tsgbench.evaluation.matching import POLICIES
from tsgbench.evaluation.predictions import write_predictions

ROOT = Path(__file__).resolve().parents[2]
RUNS = [(i, i) for i in range(6)] + list(itertools.combinations(range(6), 2))


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("TSGBENCH_MIRROR", raising=False)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def score(path: Path, dataset: str, **how) -> dict:
    return scoring.score(path, dataset, Known(Catalogue.load()), **how)


def place(mirror: Path, dataset: str, **texts: str) -> None:
    """Annotation files where the sources of the data set's roles have them."""
    known = Catalogue.load()
    for role, text in texts.items():
        path = mirror / known.sources[known.datasets[dataset]["files"][role]]["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def moment(rng, length: float, step: float = 0.5) -> list[float]:
    """On a coarse grid, so that equal IoUs and IoUs of exactly m come about."""
    start, end = sorted(rng.choice(int(length / step) + 1, 2, replace=False) * step)
    return [float(start), float(end)]


def numbers(facts: dict, convention: str, part: str | None = None) -> dict[str, float]:
    return {
        number["metric"]: number["value"]
        for number in facts["numbers"]
        if (number["convention"], number["part"]) == (convention, part)
    }


def overlap(a, b) -> float:
    inter = min(a[1], b[1]) - max(a[0], b[0])
    return max(inter, 0) / (max(a[1], b[1]) - min(a[0], b[0]))


def suppressed(ranked, threshold, count):
    kept = []
    for one in ranked:
        if all(overlap(one, other) <= threshold for other in kept):
            kept.append(one)
    return kept[:count]


def paragraphs(rng, videos: int, name: str = "v_{}") -> dict:
    content = {}
    for number in range(videos):
        count = int(rng.integers(1, 5))
        content[name.format(number)] = {
            "duration": 60.0,
            "timestamps": [moment(rng, 60) for _ in range(count)],
            "sentences": [f"Scene {number} part {n}." for n in range(count)],
        }
    return content


def asked_of(content: dict) -> list[tuple]:
    return [
        (video, sentence, label)
        for video, entry in content.items()
        for sentence, label in zip(entry["sentences"], entry["timestamps"], strict=True)
    ]


def test_activitynet_captions_ranked_lists_with_suppression(tmp_path, rng):
    content = paragraphs(rng, 60)
    text = json.dumps(content)
    place(tmp_path, "activitynet_captions", train=text, val_1=text, val_2=text)
    asked, rows, ranked = asked_of(content), [], []
    for video, sentence, label in asked:
        near = [[max(0, label[0] + shift), label[1] + shift] for shift in (-1.0, 0.5, 2.0)]
        answers = [moment(rng, 60) for _ in range(rng.integers(0, 12))] + near
        scores = rng.permutation(len(answers)).astype(float)
        rows += [[video, sentence, *a, s] for a, s in zip(answers, scores, strict=True)]
        ranked.append([answers[n] for n in np.argsort(-scores)])
    with gzip.open(tmp_path / "p.csv.gz", "wt", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["video_id", "sentence", "start_s", "end_s", "score"])
        writer.writerows(rows[n] for n in rng.permutation(len(rows)))
    facts = score(tmp_path / "p.csv.gz", "activitynet_captions", mirror=str(tmp_path))
    assert facts["queries"] == facts["of_queries"] == len(asked)
    for convention, threshold, is_hit in (
        ("seconds", 0.5, lambda iou, m: iou >= m),
        ("official_fsan", 0.45, lambda iou, m: iou > m),
    ):
        expected = {}
        for n, m in itertools.product((1, 5), (0.1, 0.3, 0.5, 0.7)):
            hits = [
                any(is_hit(overlap(one, label), m) for one in suppressed(answers, threshold, n))
                for (_, _, label), answers in zip(asked, ranked, strict=True)
            ]
            expected[f"R@{n},IoU={m}"] = 100 * np.mean(hits)
        expected["mIoU"] = 100 * np.mean(
            [overlap(a[0], label) for (_, _, label), a in zip(asked, ranked, strict=True)]
        )
        assert numbers(facts, convention) == pytest.approx(expected, abs=1e-9)
    assert "official_ia_net" in facts["not_computable"]


def test_charades_sta_texts_of_a_language_model(tmp_path, rng):
    lines, durations, asked, said = [], ["id,length"], [], {}
    for number in range(80):
        video, label = f"AB{number:03}", moment(rng, 30)
        durations.append(f"{video},30.0")
        lines.append(f"{video} {label[0]} {label[1]}##person {number} sits.")
        first, last = moment(rng, 34)
        text = [
            f"The event happens in {first} - {last} seconds.",
            f"From {last} to {first}.",
            "I do not see it.",
        ][number % 3]
        asked.append((label, None if number % 3 == 2 else (first, last)))
        said[f"{video}.mp4>>>person {number} sits>>>{label}"] = text
    place(
        tmp_path,
        "charades_sta",
        train="ZZ 0.0 5.0##person sits.\nYY 0.0 5.0##person sits.",
        test="\n".join(lines),
        durations_train="id,length\nZZ,30.0\nYY,30.0",
        durations_test="\n".join(durations),
    )
    (tmp_path / "p.json").write_text(json.dumps(said))
    facts = score(tmp_path / "p.json", "charades_sta", mirror=str(tmp_path))
    ious = [overlap(label, one) if one else 0.0 for label, one in asked]
    expected = {
        f"R@1,IoU={m}": 100 * sum(iou >= m for iou in ious) / len(ious) for m in (0.3, 0.5, 0.7)
    }
    expected["mIoU"] = 100 * sum(ious) / len(ious)
    for convention in ("seconds", "official_cma"):
        found = numbers(facts, convention)
        assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    assert facts["counts"]["texts_without_times"] == 26 == facts["counts"]["queries_without_answer"]
    assert facts["counts"]["answers_outside"] > 0


def test_didemo_rankings_of_all_runs(tmp_path, rng):
    entries, lines, expected = [], [], {"Rank@1": [], "Rank@5": [], "mIoU": []}
    for number in range(60):
        times = [list(RUNS[n]) for n in rng.integers(0, 21, 4)]
        times[1:3] = [times[0]] * int(rng.integers(0, 3)) or times[1:3]
        entry = {"annotation_id": 900 + number, "video": f"u@N_{number}.avi", "times": times}
        entries.append(entry | {"description": "a dog", "num_segments": 6})
        ranking = [RUNS[n] for n in rng.permutation(21)]
        if number % 2:  # the right one first, so that hits come about
            ranking.remove(tuple(times[0]))
            ranking.insert(0, tuple(times[0]))
        windows = [[5 * i, 5 * (j + 1), 21 - rank] for rank, (i, j) in enumerate(ranking)]
        lines.append({"qid": 900 + number, "pred_relevant_windows": windows})
        ranks = sorted(ranking.index(tuple(one)) + 1 for one in times)[:3]
        first, ious = ranking[0], []
        for one in times:
            inter = min(first[1], one[1]) + 1 - max(first[0], one[0])
            union = max(first[1], one[1]) + 1 - min(first[0], one[0])
            ious.append(max(inter, 0) / union)
        expected["Rank@1"].append(np.mean(ranks) <= 1)
        expected["Rank@5"].append(np.mean(ranks) <= 5)
        expected["mIoU"].append(np.mean(sorted(ious)[-3:]))
    text = json.dumps(entries)
    place(tmp_path, "didemo", test=text, val=json.dumps([entries[0] | {"video": "w.avi"}]))
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    facts = score(tmp_path / "p.jsonl", "didemo", mirror=str(tmp_path))
    expected = {name: 100 * np.mean(values) for name, values in expected.items()}
    assert expected["Rank@1"] > 0
    assert numbers(facts, "official_didemo") == pytest.approx(expected, abs=1e-9)


def test_a_query_without_an_answer_earns_nothing_from_the_fixed_order_of_didemo(tmp_path):
    """The first run of that order is the right one here."""
    entry = {"video": "a.avi", "num_segments": 6, "times": [[0, 0]] * 3}
    tested = [entry | {"annotation_id": n, "description": f"dog {n}"} for n in (1, 2)]
    text = json.dumps(tested)
    place(tmp_path, "didemo", test=text, val=text)
    answers = {1: [], 2: [[0, 5]]}
    lines = [{"qid": n, "pred_relevant_windows": found} for n, found in answers.items()]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    facts = score(tmp_path / "p.jsonl", "didemo", mirror=str(tmp_path))
    assert numbers(facts, "official_didemo") == {"Rank@1": 50.0, "Rank@5": 50.0, "mIoU": 50.0}


def precision_by_loop(ranked: list, annotated: list, threshold: float) -> float:
    """Area below precision over recall of one query, as the benchmark's evaluator has it."""
    taken, is_right = set(), []
    for one in ranked:
        ious = [overlap(one, label) for label in annotated]
        found = [n for n in np.argsort(ious)[::-1] if ious[n] >= threshold and n not in taken]
        taken |= set(found[:1])
        is_right.append(bool(found))
    right = np.cumsum(is_right)
    precision = [0.0, *(right / np.arange(1, len(ranked) + 1)), 0.0]
    recall = [0.0, *(right / len(annotated)), 1.0]
    for place in range(len(precision) - 2, -1, -1):
        precision[place] = max(precision[place], precision[place + 1])
    steps = range(1, len(recall))
    return sum((recall[n] - recall[n - 1]) * precision[n] for n in steps)


def highlights(tmp_path, rng, count: int) -> list[dict]:
    """Queries with several windows, whose answers lie near them and overlap each other."""
    queries, lines = [], []
    for number in range(count):
        windows = [sorted(map(int, rng.choice(76, 2, replace=False) * 2)) for _ in range(4)]
        windows = windows[: rng.integers(1, 5)]
        query = {"qid": number, "query": f"q {number}", "vid": f"u{number}_0.0_150.0"}
        queries.append(query | {"duration": 150, "relevant_windows": windows})
        answers = [moment(rng, 150, 2) for _ in range(rng.integers(1, 6))]
        answers += [[w[0] + 2 * int(rng.integers(-1, 2)), w[1]] for w in windows * 2]
        answers = [
            answers[n] for n in rng.permutation(len(answers)) if answers[n][1] > answers[n][0]
        ]
        scored = [[*one, 1 - rank / 50] for rank, one in enumerate(answers)]
        lines.append(query | {"pred_relevant_windows": scored or [[0, 150, 1]]})
    text = "".join(json.dumps(query) + "\n" for query in queries)
    place(tmp_path, "qvhighlights", train=text.replace('"qid": ', '"qid": 9'), val=text, test=text)
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    pairs = zip(queries, lines, strict=True)
    return [
        (query["relevant_windows"], [one[:2] for one in line["pred_relevant_windows"]])
        for query, line in pairs
    ]


def test_qvhighlights_as_the_benchmark_scores_them(tmp_path, rng):
    pairs = highlights(tmp_path, rng, 70)
    how = {"split": "val", "mirror": str(tmp_path)}
    facts = score(tmp_path / "p.jsonl", "qvhighlights", keep_overlaps=True, **how)
    thresholds = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
    expected = {}
    for name, (low, high) in {
        "": (0, 150),
        ",short": (0, 10),
        ",middle": (10, 30),
        ",long": (30, 150),
    }.items():
        by_query = []
        for windows, answers in pairs:
            inside = [w for w in windows if low < w[1] - w[0] <= high]
            if inside:
                by_query.append([precision_by_loop(answers[:10], inside, m) for m in thresholds])
        expected[f"mAP{name}"] = 100 * np.mean(by_query)
        if not name:
            expected["mAP,IoU=0.5"] = 100 * np.mean(by_query, axis=0)[0]
            expected["mAP,IoU=0.75"] = 100 * np.mean(by_query, axis=0)[5]
    best = [max(overlap(answers[0], w) for w in windows) for windows, answers in pairs]
    for m in (0.5, 0.7):
        expected[f"R@1,IoU={m}"] = 100 * np.mean([iou >= m for iou in best])
    expected["mIoU"] = 100 * np.mean(best)
    assert numbers(facts, "official_qvhighlights") == pytest.approx(expected, abs=1e-9)
    thinned = score(tmp_path / "p.jsonl", "qvhighlights", **how)
    by_query = [
        [precision_by_loop(suppressed(answers, 0.7, 10), windows, m) for m in thresholds]
        for windows, answers in pairs
    ]
    found = numbers(thinned, "official_qvhighlights")
    assert found["mAP"] == pytest.approx(100 * np.mean(by_query), abs=1e-9)
    assert found["mAP"] != pytest.approx(expected["mAP"], abs=1e-3)


@pytest.fixture
def mirror(tmp_path, rng):
    """Charades-CD with two test splits, and whole videos as answers to all but one query."""
    splits = {name: paragraphs(rng, 12, f"{name}{{}}") for name in ("x", "iid", "ood")}
    texts = {
        name: json.dumps(content).replace('"duration"', '"video_duration"')
        for name, content in splits.items()
    }
    place(tmp_path, "charades_cd", train=texts["x"], val=texts["x"].replace("x", "y"))
    place(tmp_path, "charades_cd", test_iid=texts["iid"], test_ood=texts["ood"])
    rows = [*asked_of(splits["iid"]), *asked_of(splits["ood"])][1:]
    lines = ["video_id,sentence,start_s,end_s", *(f"{v},{s},0,60" for v, s, _ in rows)]
    (tmp_path / "p.csv").write_text("\n".join(lines))
    return tmp_path


def run(mirror, *words: str) -> int:
    return main(["score", str(mirror / "p.csv"), "--dataset", "charades_cd", *words])


def test_parts_are_scored_apart_and_what_is_missing_is_said(mirror, capsys):
    assert run(mirror, "--mirror", str(mirror), "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    counts = {n["part"]: (n["queries"], n["of_queries"]) for n in facts["numbers"]}
    (whole, of), iid, ood = counts[None], counts["iid"], counts["ood"]
    assert whole == of - 1 and iid[0] == iid[1] - 1 and ood[0] == ood[1]
    assert facts["counts"]["queries_absent"] == 1
    weighed = sum(
        numbers(facts, "seconds", part)["mIoU"] * counts[part][0] for part in ("iid", "ood")
    )
    assert numbers(facts, "seconds")["mIoU"] == pytest.approx(weighed / whole)
    assert run(mirror, "--mirror", str(mirror)) == 0
    said = capsys.readouterr().out
    assert f"{whole} of {of} queries of charades_cd (test_iid + test_ood)" in said
    assert f"seconds [{whole} of {of} queries]" in said and "seconds, ood\n" in said
    assert f"        1 {POLICIES['queries_absent']}" in said


def test_one_set_of_answers_gets_one_set_of_numbers_in_any_format_and_order(mirror, rng):
    with open(mirror / "p.csv", newline="") as stream:
        asked = [(row["video_id"], row["sentence"]) for row in csv.DictReader(stream)]
    answers = {one: [moment(rng, 60) for _ in range(4)] for one in asked}
    ranked = {one: [[*a, 1 / (n + 1)] for n, a in enumerate(answers[one])] for one in asked}
    rows = [[*one, *a] for one in asked for a in ranked[one]]
    lines = [
        {"qid": n, "vid": one[0], "query": one[1], "pred_relevant_windows": ranked[one]}
        for n, one in enumerate(asked)
    ]
    keyed = {
        f"videos/{video}.mp4>>>{said.upper()}>>>[0.0, 1.0]": {"timestamps": answers[video, said]}
        for video, said in asked
    }
    header = "video_id,sentence,start_s,end_s,score\n"
    shuffled = [rows[n] for n in rng.permutation(len(rows))]
    texts = [
        header + "".join(",".join(map(str, row)) + "\n" for row in rows),
        header + "".join(",".join(map(str, row)) + "\n" for row in shuffled),
        "".join(json.dumps(line) + "\n" for line in lines),
        json.dumps(lines[::-1], indent=1),
        json.dumps(keyed),
        "".join(json.dumps({key: keyed[key]}) + "\n" for key in reversed(keyed)),
        json.dumps(
            {
                key: " ".join(f"{start} - {end} s;" for start, end in value["timestamps"])
                for key, value in keyed.items()
            }
        ),
    ]
    found = []
    for text in texts:
        (mirror / "p").write_text(text)
        facts = score(mirror / "p", "charades_cd", mirror=str(mirror))
        found.append((facts["numbers"], facts["counts"].get("queries_absent")))
    assert all(one == found[0] for one in found) and len(found[0][0]) > 20


def test_numbers_are_written_as_csv_and_nothing_is_overwritten_unasked(mirror, capsys):
    words = ["--mirror", str(mirror), "--split", "test_ood", "--csv", str(mirror / "n.csv")]
    assert run(mirror, *words, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    with open(mirror / "n.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["value"]) for row in rows] == [n["value"] for n in facts["numbers"]]
    before = (mirror / "n.csv").read_bytes()
    assert run(mirror, *words) == 1 and "say --force" in capsys.readouterr().err
    assert (mirror / "n.csv").read_bytes() == before
    assert run(mirror, *words, "--force") == 0


def test_numbers_never_take_the_place_of_the_predictions(mirror, capsys):
    before = (mirror / "p.csv").read_bytes()
    words = ["--mirror", str(mirror), "--split", "test_ood", "--csv", str(mirror / "p.csv")]
    for more in ([], ["--force"]):
        assert run(mirror, *words, *more) == 1
        assert "p.csv: is what is read here; name another" in capsys.readouterr().err
    assert (mirror / "p.csv").read_bytes() == before


def test_bad_asking_is_refused_in_a_sentence(mirror, capsys):
    here = ["--mirror", str(mirror)]
    for words, said in (
        ([*here, "--split", "test"], "--split: 'test' is not a known split"),
        ([*here, "--protocol", "no_val"], "--protocol: 'no_val' is not a known protocol"),
        ([*here, "--format", "cvs"], "--format: 'cvs' is not a known format; did you mean 'csv'"),
        ([*here, "--format", "timelens"], "p.csv, column 1: not valid JSON"),
        ([*here, "--max-missing", "5"], "--max-missing: 5 is no share"),
        ([*here, "--max-missing", "0"], "has"),
        ([*here, "--against", "no/such/cell/seed0"], "cell no/such/cell/seed0: not trained here"),
        ([], "--dataset: charades_cd: its annotations are not all here"),
        (
            ["--dataset", "charades_std"],
            "--dataset: 'charades_std' is no data set of config/datasets.yaml",
        ),
    ):
        assert run(mirror, *words) == 1, words
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1, words


def test_our_own_predictions_keep_their_clips_and_what_they_do_not_answer(tmp_path, rng):
    content = paragraphs(rng, 12)
    text = json.dumps(content)
    place(tmp_path, "activitynet_captions", train=text, val_1=text, val_2=text)
    tables, _ = read_tables(Catalogue.load(), "activitynet_captions", str(tmp_path))
    known = tables["val_2"]
    answered = known.take(np.arange(1, len(known)))
    ranked = np.dstack([answered.moments[:, None], np.ones((len(answered), 1))])
    path = tmp_path / "predictions.parquet"
    clips = np.full(len(answered), 30)
    write_predictions(path, answered, ranked, clips, unanswered=known.query_ids[:1])
    facts = score(path, "activitynet_captions", mirror=str(tmp_path))
    assert facts["format"] == "predictions" and not facts["not_computable"]
    assert facts["counts"] == {"queries_absent": 1}
    assert numbers(facts, "seconds")["mIoU"] == 100
    assert numbers(facts, "official_ia_net")["R@1,IoU=0.5"] > 0


def test_every_policy_and_format_is_in_the_docs():
    text = " ".join((ROOT / "docs/scoring.md").read_text().split())
    for policy in POLICIES.values():
        assert policy.partition(":")[0] in text, policy
    assert all(f"`{form}`" in text for form in scoring.FORMATS)
