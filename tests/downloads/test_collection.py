"""Videos by id list: by template, by a make-believe yt-dlp, by hand, from a mirror or a spare."""

import csv
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import zipfile
from pathlib import Path

import pytest
from download_server import serve, status

from tsgbench.downloads import content_key, obtain, ytdlp
from tsgbench.downloads.identifiers import read_ids, read_list
from tsgbench.downloads.manifest import read_manifest
from tsgbench.downloads.unavailable import Loss, Unavailable, count_reasons, read_losses
from tsgbench.errors import UserError

MP4 = b"\0\0\0\x18ftypmp42"
IDS = [f"v_{letter * 11}" for letter in "ABCDE"]

# Understands the arguments that matter; what it does for each video stands in plan.json beside it
PROGRAM = """#!{python}
import json, os, pathlib, sys, time
here = pathlib.Path(__file__).parent
output, address = sys.argv[sys.argv.index("--output") + 1], sys.argv[-1]
assert sys.argv[-2] == "--" and "--ignore-config" in sys.argv
key = address.rpartition("=")[2]
with open(here / "calls.txt", "a") as calls:
    calls.write(key + "\\n")
plan = json.loads((here / "plan.json").read_text()).get(key, "video")
target = pathlib.Path(output.replace("%(ext)s", "mp4"))
if plan == "video":
    target.write_bytes(b"\\0\\0\\0\\x18ftypmp42" + key.encode())
elif plan == "page":
    target.write_bytes(b"<html>consent</html>")
elif plan == "hang":
    target.with_suffix(".mp4.part").write_bytes(b"half")
    time.sleep(60)
elif plan != "nothing":
    print("WARNING: something else", file=sys.stderr)
    print("ERROR: [youtube] " + key + ": " + plan, file=sys.stderr)
    sys.exit(1)
"""


class FakeSite:
    """The make-believe yt-dlp: what it will do, and what it was asked."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir()
        program = folder / "yt-dlp"
        program.write_text(PROGRAM.replace("{python}", sys.executable))
        program.chmod(0o755)
        self.plan()

    def plan(self, **plans: str) -> None:
        """By the letter of the id: "video", "page", "hang", "nothing" or an error's text."""
        content = {letter * 11: plan for letter, plan in plans.items()}
        (self.folder / "plan.json").write_text(json.dumps(content))

    def calls(self) -> str:
        """The letters of the videos it was asked for since the last time."""
        path = self.folder / "calls.txt"
        text = path.read_text() if path.exists() else ""
        path.unlink(missing_ok=True)
        return "".join(line[0] for line in text.split())


@pytest.fixture
def site(tmp_path, monkeypatch) -> FakeSite:
    fake = FakeSite(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{fake.folder}{os.pathsep}{os.environ['PATH']}")
    return fake


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "data/videos/set"


@pytest.fixture
def get(server, tmp_path):
    """Collect the videos that the annotations `ids.json` name; changes go into `videos`."""
    server.plans["ids.json"] = [serve(json.dumps({video: {} for video in IDS}).encode())]

    def run(mirror=None, others=None, needs=(), page=None, **change) -> dict:
        spec = {"ids_from": ["ids"], "suffix": ".mp4", "by": "yt_dlp", "max_failed_share": 0.5}
        spec |= {"url": "https://example.org/watch?v={key}", "key": "v_(.{11})"} | change
        sources = {
            "ids": {"path": "ids.json", "urls": [f"{server.url}/ids.json"]},
            "set": {"path": "videos/set", "needs": ["ids", *needs], "videos": spec},
        } | (others or {})
        if page:
            sources["set"]["page"] = page
        how = {"attempts": 2, "backoff_s": 0.001, "timeout_s": 2, "progress": False}
        return obtain("set", sources, tmp_path / "data", mirror=mirror, **how)

    return run


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_video_comes_once_and_is_listed(site, get, folder):
    facts = get()
    assert site.calls() == "ABCDE"
    assert names(folder) == ["manifest.csv", "unavailable.csv", *(f"{v}.mp4" for v in IDS)]
    assert facts["videos"]["wanted"] == facts["videos"]["here"] == 5
    assert facts["videos"]["bytes"] == 5 * (len(MP4) + 11)
    assert [file["path"] for file in facts["files"]] == ["videos/set/manifest.csv"]
    assert get()["files"] == facts["files"] and site.calls() == ""


GONE = {
    "Private video. Sign in if you've been granted access to this video": "private",
    "Video unavailable. This video has been removed by the uploader": "removed",
    "Video unavailable. This video is no longer available because the YouTube account associated"
    " with this video has been terminated.": "account closed",
    "Video unavailable. This video contains content from X, who has blocked it on copyright"
    " grounds": "removed for copyright",
    "The uploader has not made this video available in your country": (
        "not available in this country"
    ),
    "Sign in to confirm your age. This video may be inappropriate": "age restricted",
    "Video unavailable": "unavailable",
}


@pytest.mark.parametrize(("said", "reason"), GONE.items())
def test_a_video_that_is_gone_is_noted_with_its_reason_and_not_asked_again(
    site, get, folder, said, reason
):
    site.plan(B=said)
    facts = get()
    assert facts["videos"] | {"bytes": 0} == {
        "wanted": 5,
        "here": 4,
        "bytes": 0,
        "unavailable": {reason: 1},
    }
    with open(folder / "unavailable.csv", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["id"], row["reason"], row["final"]) == (IDS[1], reason, "yes")
    assert time.strptime(row["date"], "%Y-%m-%d")
    site.calls()
    get()
    assert site.calls() == "" and read_losses(folder / "unavailable.csv")[IDS[1]].is_final
    (folder / "unavailable.csv").unlink()
    site.plan()
    assert get()["videos"]["here"] == 5 and site.calls() == "B"


@pytest.mark.parametrize(
    "said",
    [
        "Sign in to confirm you’re not a bot. Use --cookies",
        "Unable to download webpage: HTTP Error 429: Too Many Requests",
        "Video unavailable. This content isn't available, try again later.",
        "unable to download video data: HTTP Error 403: Forbidden",
        "something nobody foresaw",
        "nothing",
        "page",
    ],
)
def test_a_fault_that_may_pass_is_tried_again_in_the_next_run(site, get, folder, said):
    site.plan(C=said)
    assert sum(get()["videos"]["unavailable"].values()) == 1
    assert not read_losses(folder / "unavailable.csv")[IDS[2]].is_final
    assert not (folder / f"{IDS[2]}.mp4").exists()
    site.plan()
    site.calls()
    assert get()["videos"]["unavailable"] == {} and site.calls() == "C"


def test_more_losses_than_allowed_stop_with_one_sentence(site, get, folder):
    site.plan(A="Private video", B="Private video", C="video")
    with pytest.raises(
        UserError, match=r"set: 2 of 5 .* share 0\.2 .*\(2 private\); see .*unavail"
    ):
        get(max_failed_share=0.2)
    assert site.calls() == "AB"  # no use in asking for the rest
    with pytest.raises(UserError, match="2 of 5"):
        get(max_failed_share=0.2)
    assert get(max_failed_share=0.4)["videos"]["here"] == 3


def test_a_site_that_refuses_everything_is_left_alone(site, server, get, folder):
    many = {f"v_{n:011}": {} for n in range(40)}
    server.plans["ids.json"] = [serve(json.dumps(many).encode())]
    (site.folder / "plan.json").write_text(
        json.dumps({key[2:]: "HTTP Error 429" for key in list(many)[3:]})
    )
    with pytest.raises(UserError, match=r"10 videos in a row failed \(last: HTTP Error 429\)"):
        get(max_failed_share=1.0)
    assert len(site.calls()) == 13 and len(read_manifest(folder / "manifest.csv")) == 3


def test_a_video_that_never_ends_is_given_up(site, tmp_path):
    site.plan(A="hang")
    target = tmp_path / f"{IDS[0]}.mp4"
    with pytest.raises(Unavailable, match="took more than 1 s") as error:
        ytdlp.bring_video(
            ytdlp.find_program(),
            "https://example.org/watch?v=" + "A" * 11,
            target,
            scratch=tmp_path / "scratch",
            longest_s=1,
        )
    assert not error.value.is_final and not target.exists()


def test_a_full_disk_is_no_lost_video(site, get, folder):
    site.plan(B="unable to write data: [Errno 28] No space left on device")
    with pytest.raises(UserError, match="the disk is full"):
        get()
    assert read_losses(folder / "unavailable.csv") == {}


def test_without_the_program_one_sentence_says_how_to_get_it(get, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"yt-dlp: not found.*pip install yt-dlp"):
        get()


def test_a_complete_folder_needs_no_program(site, get, monkeypatch, tmp_path):
    get()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert get()["videos"]["here"] == 5


def test_a_killed_run_goes_on_with_the_next_video(site, get, server, folder, tmp_path):
    site.plan(C="hang")
    script = textwrap.dedent(f"""
        from tsgbench.downloads import content_key, obtain, ytdlp
        videos = dict(ids_from=["ids"], suffix=".mp4", by="yt_dlp", max_failed_share=0.5,
                      url="https://example.org/watch?v={{key}}", key="v_(.{{11}})")
        obtain("set", {{"ids": {{"path": "ids.json", "urls": ["{server.url}/ids.json"]}},
                        "set": {{"path": "videos/set", "needs": ["ids"], "videos": videos}}}},
               {str(tmp_path / "data")!r}, mirror=None, progress=False)
    """)
    with subprocess.Popen([sys.executable, "-c", script], start_new_session=True) as running:
        begun = folder / ".incoming" / f"{IDS[2]}.mp4.part"
        deadline = time.monotonic() + 15
        while not begun.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert begun.exists()
        os.killpg(running.pid, signal.SIGKILL)
    assert names(folder) == [".incoming", f"{IDS[0]}.mp4", f"{IDS[1]}.mp4"]
    site.plan()
    site.calls()
    facts = get()
    assert site.calls() == "CDE" and facts["videos"]["here"] == 5
    assert names(folder) == ["manifest.csv", "unavailable.csv", *(f"{v}.mp4" for v in IDS)]


def test_however_many_reasons_the_count_stays_short_and_complete():
    losses = {f"{n}": Loss(f"reason {n % 40}", "2026-01-01", False) for n in range(1000)}
    reasons = count_reasons(losses)
    assert sum(reasons.values()) == 1000 and len(reasons) < 20


def test_a_table_of_losses_spoilt_by_hand_is_said_so(site, get, folder):
    get()
    (folder / "unavailable.csv").write_text("id,reason\nv_x,unknown\n")
    with pytest.raises(UserError, match=r"unavailable\.csv: no table of id, reason, date, final"):
        get()


# --- by template ---------------------------------------------------------------------------


def by_template(server) -> dict:
    return {"by": "template", "url": f"{server.url}/v/{{key_1}}/{{key_2}}/{{key}}.mp4"}


def clip(video: str) -> bytes:
    return MP4 + video.encode() * 2000


@pytest.fixture
def hosted(server) -> None:
    for video in IDS:
        key = video[2:]
        server.plans[f"v/{key[:3]}/{key[3:6]}/{key}.mp4"] = [serve(clip(video), etag=f'"{key}"')]


def plan_name(letter: str) -> str:
    return f"v/{letter * 3}/{letter * 3}/{letter * 11}.mp4"


def test_a_template_gives_every_address(server, get, hosted, folder):
    facts = get(**by_template(server))
    assert facts["videos"]["here"] == 5 and facts["videos"]["unavailable"] == {}
    assert (folder / f"{IDS[0]}.mp4").read_bytes() == clip(IDS[0])
    assert names(folder) == ["manifest.csv", "unavailable.csv", *(f"{v}.mp4" for v in IDS)]
    asked = len(server.requests)
    get(**by_template(server))
    assert len(server.requests) == asked


def test_each_video_of_a_template_resumes(server, get, hosted, folder):
    server.plans[plan_name("B")] = [serve(clip(IDS[1]), stop_after=9_000, etag='"b"')]
    get(**by_template(server))
    assert (folder / f"{IDS[1]}.mp4").read_bytes() == clip(IDS[1])
    begins = [asked for name, asked in server.requests if name == plan_name("B")]
    assert begins == [None, "bytes=9000-", "bytes=18000-"]


@pytest.mark.parametrize(
    ("behaviour", "is_final"),
    [
        (status(404), True),
        (status(403), True),
        (status(500), False),
        (serve(b"<html>gone</html>"), True),
        (serve(b""), True),
    ],
)
def test_a_template_that_fails_for_one_video_counts_it(
    server, get, hosted, folder, behaviour, is_final
):
    server.plans[plan_name("D")] = [behaviour]
    assert get(**by_template(server))["videos"]["here"] == 4
    assert read_losses(folder / "unavailable.csv")[IDS[3]].is_final is is_final
    assert not (folder / f"{IDS[3]}.mp4").exists()


def test_names_of_the_host_come_from_a_table(server, get, folder):
    table = "".join(f"{video[2:]}\thash{n}\n" for n, video in enumerate(IDS[:4]))
    server.plans["keys.txt"] = [serve(table.encode())]
    for n, video in enumerate(IDS[:4]):
        server.plans[f"hash{n}.mp4"] = [serve(clip(video))]
    keys = {"keys": {"path": "keys.txt", "urls": [f"{server.url}/keys.txt"]}}
    change = {"by": "template", "url": f"{server.url}/{{key}}.mp4", "keys": "keys"}
    facts = get(others=keys, needs=["keys"], **change)
    assert facts["videos"]["here"] == 4
    assert facts["videos"]["unavailable"] == {"its host's name for it is not known": 1}


def test_spares_serve_what_the_host_lost(server, get, hosted, folder):
    server.plans[plan_name("A")] = [status(404)]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(f"missing/{IDS[0]}.mp4", clip("spare"))
    server.plans["spare.zip"] = [serve(stream.getvalue())]
    unpack = {"into": "spare", "max_bytes": 1_000_000}
    spare = {"path": "spare.zip", "urls": [f"{server.url}/spare.zip"], "unpack": unpack}
    facts = get(others={"spare": spare}, spares=["spare"], **by_template(server))
    assert facts["videos"]["here"] == 5
    assert (folder / f"{IDS[0]}.mp4").read_bytes() == clip("spare")


def test_a_spare_that_is_gone_costs_its_videos_and_no_more(server, get, hosted):
    server.plans[plan_name("A")] = [status(404)]
    unpack = {"into": "spare", "max_bytes": 1_000_000}
    spare = {"path": "spare.zip", "urls": [f"{server.url}/spare.zip"], "unpack": unpack}
    facts = get(others={"spare": spare}, spares=["spare"], **by_template(server))
    assert facts["videos"]["here"] == 4


@pytest.mark.parametrize("kind", ["folder", "url"])
def test_a_mirror_is_asked_first_and_for_what_was_lost(server, site, get, tmp_path, kind):
    site.plan(A="Private video", B="Private video")
    assert get()["videos"]["here"] == 3
    site.calls()
    place = tmp_path / "mirror/videos/set" / f"{IDS[0]}.mp4"
    place.parent.mkdir(parents=True)
    place.write_bytes(clip(IDS[0]))
    server.plans[f"m/videos/set/{IDS[0]}.mp4"] = [serve(clip(IDS[0]))]
    mirror = {"folder": str(tmp_path / "mirror"), "url": f"{server.url}/m"}[kind]
    facts = get(mirror=mirror)
    assert facts["videos"]["here"] == 4 and facts["videos"]["unavailable"] == {"private": 1}
    assert site.calls() == ""


# --- from a list with checksums -----------------------------------------------------------------


@pytest.fixture
def listed(server, tmp_path):
    """Collect the videos of a list with checksums from two hosts, /v/ and /w/."""
    path = tmp_path / "list.csv"
    rows = [f"{video},{hashlib.sha256(clip(video)).hexdigest()}\n" for video in IDS]
    path.write_text("video,sha256\n" + "".join(rows))

    def run(max_failed_share=0.5, mirror=None) -> dict:
        spec = {"listed_in": str(path), "suffix": ".mp4", "by": "template"}
        spec |= {"url": [f"{server.url}/{host}/{{key}}.mp4" for host in "vw"]}
        spec |= {"max_failed_share": max_failed_share}
        source = {"path": "videos/set", "videos": spec}
        how = {"attempts": 2, "backoff_s": 0.001, "timeout_s": 2, "progress": False}
        return obtain("set", {"set": source}, tmp_path / "data", mirror=mirror, **how)

    return run


def host(server, name: str, videos: list[str], content=clip) -> None:
    for video in videos:
        server.plans[f"{name}/{video}.mp4"] = [serve(content(video))]


def test_a_second_host_serves_what_the_first_lacks_or_has_wrong(server, listed, folder):
    host(server, "v", IDS[:2])
    host(server, "v", IDS[2:4], lambda video: clip(video)[:-1] + b"x")
    host(server, "w", IDS[1:])
    facts = listed()
    assert facts["videos"]["here"] == facts["videos"]["wanted"] == 5
    assert all((folder / f"{video}.mp4").read_bytes() == clip(video) for video in IDS)


def test_a_wrong_file_counts_as_missing_wherever_it_lies(server, listed, folder, tmp_path):
    """In the mirror, or already in the folder: it is replaced if the right one can be had."""
    host(server, "v", IDS[:4])
    for place in (folder, tmp_path / "mirror/videos/set"):
        place.mkdir(parents=True)
        (place / f"{IDS[0]}.mp4").write_bytes(clip("other"))
        (place / f"{IDS[4]}.mp4").write_bytes(clip("other"))
    facts = listed(mirror=str(tmp_path / "mirror"))
    assert facts["videos"]["here"] == 4
    assert (folder / f"{IDS[0]}.mp4").read_bytes() == clip(IDS[0])
    assert not (folder / f"{IDS[4]}.mp4").exists()
    with pytest.raises(UserError, match=r"1 of 5 videos cannot be had, more than the share 0\.1"):
        listed(max_failed_share=0.1)


def test_a_list_decides_what_a_source_is_and_addresses_do_not(listed, tmp_path):
    spec = {"listed_in": str(tmp_path / "list.csv"), "suffix": ".mp4", "url": "http://x/{key}"}
    source = {"path": "videos/set", "videos": spec}
    moved = source | {"videos": spec | {"url": ["http://y/{key}"]}}
    before = content_key(source)
    assert content_key(moved) == before
    text = (tmp_path / "list.csv").read_text()
    (tmp_path / "list.csv").write_text("".join(text.splitlines(keepends=True)[:-1]))
    assert content_key(source) != before


@pytest.mark.parametrize(
    "content", [None, "video\nx\n", f"video,sha256\n../x,{'0' * 64}\n", "video,sha256\nx,12\n"]
)
def test_a_spoilt_list_is_said_so(tmp_path, content):
    if content is not None:
        (tmp_path / "list.csv").write_text(content)
    with pytest.raises(UserError, match=r"list\.csv: .*check it out again"):
        read_list(tmp_path / "list.csv")


# --- by hand, and ids ----------------------------------------------------------------------


def test_videos_to_be_placed_by_hand_name_the_page_and_the_place(get, folder):
    change = {"by": "page", "page": "https://example.org/form", "max_failed_share": 0}
    folder.mkdir(parents=True)
    (folder / f"{IDS[0]}.mp4").write_bytes(clip(IDS[0]))
    with pytest.raises(
        UserError, match=r"4 of 5 .*get them from https://example\.org/form .*ID\.mp4"
    ):
        get(**change)
    for video in IDS:
        (folder / f"{video}.mp4").write_bytes(clip(video))
    assert get(**change)["videos"]["here"] == 5


def test_a_video_replaced_by_hand_gets_its_own_checksum(site, get, folder):
    get()
    (folder / f"{IDS[0]}.mp4").write_bytes(clip("other"))
    get()
    entry = read_manifest(folder / "manifest.csv")[f"{IDS[0]}.mp4"]
    assert entry.bytes == len(clip("other"))


@pytest.mark.parametrize("bad", ["../x", "a/b", "/x", ".x", "", "a\\b", "x" * 300])
def test_an_id_that_would_leave_the_folder_is_refused(tmp_path, bad):
    (tmp_path / "ids.json").write_text(json.dumps({bad: {}}))
    with pytest.raises(UserError, match="not a video id"):
        read_ids(tmp_path / "ids.json")


@pytest.mark.parametrize("content", ["3", '["a"]', '[{"other": 1}]', "[[1]]"])
def test_a_file_without_ids_is_refused(tmp_path, content):
    (tmp_path / "ids.json").write_text(content)
    with pytest.raises(UserError, match="neither a JSON object by video id nor a list"):
        read_ids(tmp_path / "ids.json")


def test_ids_are_read_from_objects_and_rows(tmp_path):
    (tmp_path / "rows.json").write_text('[{"video": "1@N00_2_3.mov"}, {"video": "x"}]')
    assert read_ids(tmp_path / "rows.json") == ["1@N00_2_3.mov", "x"]
