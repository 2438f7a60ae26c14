"""`tsgbench demo` in a browser: over the miniature's cell, from a video to a moment that plays."""

import asyncio
import json
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from browser import open_browser
from feature_samples import write_video

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("chromium"), reason="no Chromium"),
]
CELL = Path("results/cells/seqpan/shapes/full/seed0")
MARKUP = "<img src=x onerror=document.title=1> a dog moves to the left"
FIRST = "document.querySelector('.moment')"
# What a person does, as the page's elements take it
CHOOSE = """(() => {
  const list = document.querySelector("#videos");
  list.value = [...list.options].find(one => one.text === %s).value;
  list.dispatchEvent(new Event("change"));
})()"""
ASK = """(() => {
  document.querySelectorAll("#cells input").forEach(box => box.checked = true);
  document.querySelector("#sentences").value = %s;
  document.querySelector("#ask").click();
})()"""
PLACES = """(() => {
  const place = one => (({left, width}) => [left, width])(one.getBoundingClientRect());
  return JSON.stringify([...document.querySelectorAll("video, #charts svg")].map(place));
})()"""
SPILLS = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


@contextmanager
def served(project, *words: str) -> Iterator[tuple[subprocess.Popen, str, Path]]:
    """The server, its address, and the folder that its temporary files are in."""
    with tempfile.TemporaryDirectory() as place:
        server = subprocess.Popen(
            ["tsgbench", "demo", "--port", "0", *words],
            cwd=project.folder,
            env={**project.env, "TMPDIR": place, "TSGBENCH_DEVICE": "cpu"},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            address = re.search(r"http://127\.0\.0\.1:\d+/", server.stdout.readline())[0]
            yield server, address, Path(place)
            server.send_signal(signal.SIGTERM)
            assert server.wait(30) == 0
            assert not list(Path(place).glob("tsgbench*")), "uploads are left"
        finally:
            server.kill()
            server.wait()


async def choose_and_ask(page, video: str, *sentences: str) -> None:
    await page.until("document.querySelector('#videos option')")
    await page.value(CHOOSE % json.dumps(video))
    await page.until("document.querySelector('video').readyState >= 1")
    await page.value(ASK % json.dumps("\n".join(sentences)))
    await page.until(f"!document.querySelector('#ask').disabled && {FIRST}", 120)


async def upload(page, path: Path) -> None:
    root = (await page.send("DOM.getDocument"))["root"]["nodeId"]
    found = await page.send("DOM.querySelector", nodeId=root, selector="#file")
    await page.send("DOM.setFileInputFiles", nodeId=found["nodeId"], files=[str(path)])


def test_a_moment_is_found_compared_and_played(project, tmp_path):
    shutil.copytree(project.folder / CELL, project.folder / CELL.with_name("seed1"))
    cells = [word for name in ("seed0", "seed1") for word in ("--cell", str(CELL.with_name(name)))]
    video = "data/raw/shapes/videos/shapes_test_0000.mp4"
    told = project.run("tsgbench", "ground", video, MARKUP, "--cell", str(CELL), "--json")
    (expected,) = json.loads(told.stdout)

    async def use(address: str) -> None:
        async with open_browser(tmp_path / "profile", (1280, 900)) as page:
            await page.open(address)
            await choose_and_ask(page, "shapes_test_0000", MARKUP, "a red circle moves")
            assert await page.value("document.querySelectorAll('.column').length") == 2
            column = await page.value("document.querySelector('.column').innerText")
            best = expected["moments"][0]
            assert f"{best['start_s']:.1f} – 0:" in column and "dog" in column
            assert await page.value("document.querySelectorAll('#asked button').length") == 2
            assert MARKUP in await page.value("document.querySelector('#asked').innerText")
            places = json.loads(await page.value(PLACES))
            assert len(places) == 4 and all(place == places[0] for place in places)
            await check_playing(page, best)
            await page.value("document.querySelectorAll('#asked button')[1].click()")
            assert "dog" not in await page.value("document.querySelector('.column').innerText")
            assert not await page.value(SPILLS)
            await page.resize(400, 800)
            assert not await page.value(SPILLS)
            places = json.loads(await page.value(PLACES))
            assert all(place == places[0] for place in places) and places[0][1] < 400
            assert "Demo cells" in await page.value("document.body.innerText")
            title = await page.value("document.title")
            assert title == "Find a moment · Shapes (demo)"
            assert page.said == []

    with served(project, *cells) as (_, address, _):
        asyncio.run(use(address))


async def check_playing(page, moment: dict) -> None:
    """A click plays from the moment's start to its end, and no further."""
    now = "document.querySelector('video').currentTime"
    await page.value(f"{FIRST}.click()")
    await page.until(f"!document.querySelector('video').paused && {now}")
    assert await page.value(f"{FIRST}.getAttribute('aria-pressed')") == "true"
    assert await page.value(now) >= moment["start_s"] - 0.01
    limit_s = moment["end_s"] - moment["start_s"] + 30
    await page.until("document.querySelector('video').paused", limit_s)
    assert moment["end_s"] - 0.01 <= await page.value(now) < moment["end_s"] + 1
    assert await page.value(f"{FIRST}.getAttribute('aria-pressed')") == "false"


def test_uploads_are_judged_by_what_they_hold_and_deleted_at_the_end(built, tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    film = write_video(tmp_path / "film.mp4", 96)

    async def use(address: str, place: Path) -> None:
        async with open_browser(tmp_path / "profile") as page:
            await page.open(address)
            await page.until("document.querySelector('#videos option')")
            await upload(page, text)
            said = "document.querySelector('#status').innerText"
            await page.until(f"{said}.includes('text.mp4: cannot be decoded')")
            assert not list(place.rglob("*.mp4"))
            await upload(page, film)
            title = "document.querySelector('#title').innerText"
            await page.until(f"{title}.startsWith('film.mp4 · 0:')")
            await page.value(ASK % '"a red circle moves"')
            await page.until(FIRST, 120)
            assert len(list(place.rglob("*.mp4"))) == 1
            # The browser's own words on the refusal; ours, to the user, are above
            assert [one for one in page.said if "400 (BAD REQUEST)" not in one] == []

    with served(built) as (_, address, place):
        asyncio.run(use(address, place))


def test_a_server_that_is_stopped_at_work_ends_at_once_and_leaves_nothing(built, tmp_path):
    long = write_video(tmp_path / "videos.mp4", 6000)
    (tmp_path / "videos").mkdir()
    shutil.move(long, tmp_path / "videos/long.mp4")

    async def use(address: str) -> None:
        async with open_browser(tmp_path / "profile") as page:
            await page.open(address)
            await page.until("document.querySelector('#videos option')")
            await page.value(CHOOSE % '"long.mp4"')
            await page.value(ASK % '"a red circle moves"')
            said = "document.querySelector('#status').innerText"
            await page.until(f"{said}.includes('of 750 s of the video')")
            assert await page.value("document.querySelector('#videos').disabled") is False

    with served(built, "--videos", str(tmp_path / "videos")) as (_, address, _):
        asyncio.run(use(address))


def test_a_real_video_is_answered(built, mirror, tmp_path):
    film = mirror / "videos/3MSZA.mp4"
    if not film.is_file():
        pytest.skip(f"{film} is not here")

    async def use(address: str) -> None:
        async with open_browser(tmp_path / "profile") as page:
            await page.open(address)
            await choose_and_ask(page, film.name, "person opens the door")
            assert "person" in await page.value("document.querySelector('.words').innerText")
            ends = await page.value("document.querySelector('.moment').innerText")
            assert re.match(r"\d:\d\d\.\d – \d:\d\d\.\d", ends)

    with served(built, "--videos", str(film.parent)) as (_, address, _):
        asyncio.run(use(address))
