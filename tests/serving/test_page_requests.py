"""The page of `tsgbench demo`: what it serves to whom, what it takes, and what it answers."""

import re
import threading
import time
from pathlib import Path

import pytest

from cell_samples import make_cell
from feature_samples import write_video
from inspection_samples import SENTENCES
from tsgbench.cli.demo import find_offer
from tsgbench.cli.main import main
from tsgbench.errors import UserError
from tsgbench.grounding import Cell, load
from tsgbench.serving import desk as desks
from tsgbench.serving.app import build_app
from tsgbench.serving.desk import CELLS, CHARACTERS, WAITING, Desk, Offered
from tsgbench.serving.desk import SENTENCES as MOST
from tsgbench.serving.server import listen
from tsgbench.serving.shelf import UPLOADS, Shelf, read_data

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1:5001"
OURS = {"Host": HOST, "Origin": f"http://{HOST}"}
LIMIT = 200_000


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A cell as it is offered, its videos by name, and those as the page has them."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TSGBENCH_DEVICE", "cpu")
        cell, videos = make_cell(tmp_path_factory.mktemp("project"), "seqpan")
        for part in ("config", "published"):
            (cell.parents[5] / part).symlink_to(ROOT / part)
        offer = find_offer([cell], strict=True)
        (offered,) = offer.cells
        assert (offer.title, offer.is_demo) == ("own", False)
        known, lacking = read_data(offer.parts, {"own": "Own"})
        assert not lacking
        yield offered, videos, known


class Site:
    """The page over a folder of videos, or over those of the cell, as a client sees it."""

    def __init__(self, made, place: Path, folder: Path | None = None):
        offered, _, known = made
        self.place, self.cell = place, offered.key
        place.mkdir()
        self.desk = Desk([offered, Offered("gone", "Gone", "", place / "gone")], place, threads=1)
        self.shelf = Shelf([] if folder else known, folder, place, max_bytes=LIMIT)
        app = build_app(self.shelf, self.desk, port=5001, title="own", is_demo=True)
        self.client = app.test_client()

    def get(self, path, **headers):
        return self.client.get(path, headers=OURS | headers)

    def post(self, path, **options):
        return self.client.post(path, headers=OURS, **options)

    def upload(self, name, content):
        return self.post("/videos", query_string={"name": name}, data=content)

    def videos(self):
        return {video["name"]: video for video in self.get("/offers").json["videos"]}

    def ask(self, video, sentences, cells=None):
        asked = {"video": video, "sentences": sentences, "cells": cells or [self.cell]}
        return self.post("/questions", json=asked)

    def answers(self, *asked):
        told = self.ask(*asked)
        assert told.status_code == 202, told.json
        for _ in range(600):
            told = self.get(f"/questions/{self.number(told)}")
            if told.json["state"] in ("done", "failed"):
                return told
            time.sleep(0.05)
        raise AssertionError(told.json)

    @staticmethod
    def number(told):
        return told.json.get("number") or told.request.path.rpartition("/")[2]


@pytest.fixture
def site(made, tmp_path):
    return Site(made, tmp_path / "own")


@pytest.fixture
def folder(tmp_path):
    """Of one video, beside one that must not be seen."""
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos/inside.mp4", 8)
    write_video(tmp_path / "outside.mp4", 8)
    return tmp_path / "videos"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example:5001"},  # a name that was led to 127.0.0.1
        {"Host": "127.0.0.1:80"},
        {"Host": "127.0.0.1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},  # another port of this machine
    ],
    ids=str,
)
def test_what_others_ask_for_is_refused(site, headers):
    told = site.get("/offers", **headers)
    assert told.status_code == 403 and told.json.keys() == {"error"}


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "http://127.0.0.1:80"])
def test_what_another_page_sends_is_refused(site, origin):
    headers = {"Host": HOST} | ({"Origin": origin} if origin else {})
    for path in ("/videos?name=a.mp4", "/questions"):
        told = site.client.post(path, headers=headers, data=b"x")
        assert told.status_code == 403 and "may not send" in told.json["error"]
    assert not list(site.place.iterdir())


def test_the_page_is_served_under_its_two_names_and_links_to_it_work(site):
    for host in (HOST, "localhost:5001"):
        assert site.client.get("/", headers={"Host": host}).status_code == 200
    told = site.get("/", **{"Sec-Fetch-Site": "cross-site"})
    assert told.status_code == 200
    sent = {"Host": "localhost:5001", "Origin": "http://localhost:5001"}
    assert site.client.post("/questions", headers=sent, json={}).status_code == 400


def test_the_page_loads_nothing_from_elsewhere(site):
    page = site.get("/")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) == 4
    for path in (one for one in loaded if one != "data:,"):
        told = site.get(path)
        assert told.status_code == 200, path
        assert "url(" not in told.text and "@import" not in told.text
        addresses = set(re.findall(r"https?://[^\"'` )]+", told.text))
        assert addresses <= {"http://www.w3.org/2000/svg"}, path  # a name, not fetched
    assert not re.search(r"<[^>]+ (?:on\w+|style)=", page.text)


@pytest.mark.parametrize(
    "path",
    [
        "/videos/../outside.mp4",
        "/videos/..%2foutside.mp4",
        "/videos/inside.mp4",
        "/videos//etc/passwd",
        "/page/../app.py",
        "/page/__init__.py",
        "/page/demo.html",
        "/page/..%2fapp.py",
        "/questions/9",
    ],
)
def test_no_path_leads_to_a_file(made, tmp_path, folder, path):
    site = Site(made, tmp_path / "own", folder)
    assert list(site.videos()) == ["inside.mp4"]
    told = site.get(path)
    assert told.status_code in (308, 400, 404) and b"ftyp" not in told.data


def test_links_out_of_the_folder_are_not_followed(made, tmp_path, folder):
    (folder / "link.mp4").symlink_to(tmp_path / "outside.mp4")
    (folder / "within.mp4").symlink_to(folder / "inside.mp4")
    (folder / "notes.txt").write_text("no video")
    site = Site(made, tmp_path / "own", folder)
    videos = site.videos()
    assert list(videos) == ["inside.mp4", "within.mp4"]
    assert site.get(f"/videos/{videos['within.mp4']['key']}").status_code == 200
    (folder / "inside.mp4").unlink()
    (folder / "inside.mp4").symlink_to(tmp_path / "outside.mp4")
    for name in videos:
        told = site.get(f"/videos/{videos[name]['key']}")
        assert told.status_code == 400 and "not here any more" in told.json["error"]


def test_a_player_gets_the_range_that_it_asks_for(site, made):
    video, whole = site.videos()["a"], made[1]["a"].read_bytes()
    path = f"/videos/{video['key']}"
    told = site.get(path)
    assert told.data == whole and told.headers["Content-Type"] == "video/mp4"
    part = site.get(path, Range="bytes=10-19")
    assert part.status_code == 206 and part.data == whole[10:20]
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(whole)}"
    assert site.get(path, Range=f"bytes={len(whole)}-").status_code == 416


def test_videos_of_a_data_set_come_with_their_sentences(site):
    videos = site.videos()
    assert list(videos) == ["a", "b", "c"] and videos["a"]["group"] == "Own, test videos"
    assert [text for text, _, _ in videos["a"]["sentences"]] == list(SENTENCES[:2])
    _, start_s, end_s = videos["a"]["sentences"][0]
    assert 0 < start_s < end_s


def test_an_upload_is_kept_under_its_name_alone_and_served(site, made):
    content = made[1]["b"].read_bytes()
    told = site.upload("../..\\C:\\<img src=x>.mp4", content)
    assert told.json["name"] == "<img src=x>.mp4" and told.json["group"] == "Uploaded"
    assert told.headers["Content-Type"] == "application/json"
    assert site.get(f"/videos/{told.json['key']}").data == content
    (kept,) = site.place.iterdir()
    assert kept.name == f"{told.json['key']}.mp4"
    assert next(iter(site.videos())) == "<img src=x>.mp4"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("page.mp4", b"<script>alert(1)</script>" * 20, "page.mp4: "),
        ("list.avi", b"#EXTM3U\nfile:///etc/passwd\n", "list.avi: "),
        ("empty.mp4", b"", "empty.mp4: is empty"),
        ("cut.mp4", slice(0, 300), "cut.mp4: cannot be decoded"),
        ("film.html", slice(None), "film.html: not named as a video is (.3gp"),
        ("", slice(None), "The file: not named as a video is"),
    ],
)
def test_an_upload_that_is_no_video_is_refused_in_a_sentence(site, made, name, content, said):
    if isinstance(content, slice):
        content = made[1]["a"].read_bytes()[content]
    told = site.upload(name, content)
    assert told.status_code == 400 and told.json["error"].startswith(said)
    assert str(site.place) not in told.json["error"]
    assert not list(site.place.iterdir())


def test_an_upload_is_no_larger_than_allowed(site):
    told = site.upload("large.mp4", bytes(LIMIT + 1))
    assert told.status_code == 413 and "larger --max-upload" in told.json["error"]
    assert not list(site.place.iterdir())


def test_of_many_uploads_the_oldest_goes(site, made):
    content = made[1]["b"].read_bytes()
    keys = [site.upload(f"{k}.mp4", content).json["key"] for k in range(UPLOADS + 1)]
    assert len(list(site.place.iterdir())) == UPLOADS
    told = [site.get(f"/videos/{key}").status_code for key in keys]
    assert told == [400, *[200] * UPLOADS]


def test_an_answer_is_that_of_the_cell_and_names_words_it_does_not_know(site, made):
    cell, videos, _ = made
    sentence = "the <b>dog</b> opens a door"
    told = site.answers(site.videos()["c"]["key"], [f"  {sentence}\t", sentence, ""])
    assert told.headers["Content-Type"] == "application/json"
    (mine,) = told.json["answers"]
    grounder = load(cell.folder)
    with grounder.encode([videos["c"]]) as encoded:
        (expected,) = grounder.ground(encoded, [sentence])
    (answer,) = mine["answers"]
    assert answer["sentence"] == sentence and "dog" in answer["unknown"]
    assert [one["start_s"] for one in answer["moments"]] == [m.start_s for m in expected.moments]
    assert [one["score"] for one in answer["moments"]] == [m.score for m in expected.moments]
    assert len(answer["curve"]) == desks.POINTS
    assert max(filter(None, answer["curve"])) == expected.moments[0].score
    assert mine["label"] == "SeqPAN" and mine["about"] == "own, seed 0"


def test_a_video_is_encoded_once_and_what_one_cell_lacks_leaves_the_others(
    site, monkeypatch, tmp_path
):
    encoded = []
    encode = Cell.encode
    monkeypatch.setattr(
        Cell, "encode", lambda *given, **named: encoded.append(given) or encode(*given, **named)
    )
    monkeypatch.setattr(desks, "ENCODED", 1)
    a, b = (site.videos()[name]["key"] for name in "ab")
    site.answers(a, ["a door"])
    mine, gone = site.answers(a, ["a man"], [site.cell, "gone"]).json["answers"]
    assert len(encoded) == 1
    assert mine["answers"] and "gone: no folder" in gone["error"]
    site.answers(b, ["a man"])
    assert len(encoded) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sentences": ["", " "]}, "No sentence yet"),
        ({"sentences": ["a"] + [f"a {k}" for k in range(MOST)]}, "more than 8; ask some later"),
        ({"sentences": ["a" * (CHARACTERS + 1)]}, "longer than 300 characters"),
        ({"sentences": "a"}, "a list of sentences"),
        ({"sentences": [1]}, "a list of sentences"),
        ({"cells": []}, "No cell chosen"),
        ({"cells": ["../x"]}, "Cell ../x: not offered"),
        ({"cells": [str(k) for k in range(CELLS + 1)]}, "5 cells are more than 4"),
        ({"video": "../x"}, "not here any more"),
        ({"video": None}, "A question has a video"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(site, change, said):
    asked = {"video": site.videos()["a"]["key"], "sentences": ["a"], "cells": [site.cell]}
    told = site.post("/questions", json=asked | change)
    assert told.status_code == 400 and said in told.json["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"a"', b"x" * 70_000], ids=len)
def test_what_is_no_question_is_refused(site, body):
    told = site.post("/questions", data=body, content_type="application/json")
    assert told.status_code in (400, 413) and told.json.keys() == {"error"}


def test_questions_wait_for_each_other_and_too_many_are_refused(site, monkeypatch):
    goes_on = threading.Event()
    monkeypatch.setattr(desks, "load", lambda folder: goes_on.wait(30) and load(folder))
    key = site.videos()["b"]["key"]
    numbers = [site.ask(key, [f"a door {k}"]).json["number"] for k in range(WAITING + 1)]
    told = site.ask(key, ["a man"])
    assert told.status_code == 429 and told.json["error"].startswith("4 questions wait already")
    assert site.get("/").status_code == 200 and site.desk.is_busy
    said = site.get(f"/questions/{numbers[2]}").json
    assert (said["state"], said["said"]) == ("waiting", "Waiting for 2 earlier questions")
    goes_on.set()
    while site.desk.is_busy:
        time.sleep(0.05)
    assert {site.get(f"/questions/{number}").json["state"] for number in numbers} == {"done"}


def test_how_far_an_extraction_is_is_told(site, monkeypatch):
    seen = []
    read = desks.encoded_s

    def encode(cell, paths, **options):
        monkeypatch.setattr(desks, "encoded_s", lambda folder: read(folder) + 3.0)
        seen.append(site.get("/questions/1").json)
        raise UserError(f"{paths[0]}: broken")

    monkeypatch.setattr(Cell, "encode", encode)
    video = site.videos()["c"]
    (mine,) = site.answers(video["key"], ["a man"]).json["answers"]
    assert seen[0]["said"] == "Extracting features for SeqPAN: 3 of 12 s of the video"
    assert seen[0]["share"] == pytest.approx(0.25)
    assert mine["error"] == "c: broken"


def test_a_fault_of_ours_is_said_and_the_page_goes_on(site, monkeypatch):
    key, trace = site.videos()["a"]["key"], Cell.trace
    monkeypatch.setattr(Cell, "trace", lambda *given, **named: 1 / 0)
    told = site.answers(key, ["a man"]).json
    assert told["state"] == "failed" and "terminal" in told["said"]
    monkeypatch.setattr(Cell, "trace", trace)
    assert site.answers(key, ["a man"]).json["state"] == "done"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """In which nothing is trained."""
    for part in ("config", "published"):
        (tmp_path / part).symlink_to(ROOT / part)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TSGBENCH_STUDY", raising=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "study 'demo' has no trained cell here; train some first: make table1"),
        (["--study", "config/real.yaml"], "train some first: snakemake --cores 8 phase_cells"),
        (["--cell", "seqpan/shapes/full/seed0"], "not trained here; train it first"),
        (["--videos", "none"], "--videos: none: no such folder; check its name"),
        (["--max-upload", "0"], "--max-upload: 0 is not above 0"),
    ],
    ids=str,
)
def test_what_cannot_be_served_is_said_in_a_sentence(project, capsys, words, said):
    assert main(["demo", *words]) == 1
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1


def test_cells_that_cannot_be_asked_are_refused_by_name_and_left_out_of_a_study(tmp_path):
    blind, _ = make_cell(tmp_path, "fsan", video="zero")
    for strict, said in ((True, "not shown the video"), (False, "no cell here can be asked")):
        with pytest.raises(UserError, match=said):
            find_offer([blind], strict=strict)


def test_a_port_that_is_taken_or_none_is_said_in_a_sentence():
    with listen(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"{port} cannot be had .*; choose another"):
            listen(port)
    with pytest.raises(UserError, match="not between 0 and 65535"):
        listen(70_000)
