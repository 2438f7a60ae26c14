"""What is broken on purpose: the same result, or one sentence, and never anything else.

`make faults` draws many more than the few of every run (FAULTS: how many; SEED: which).
"""

import json
import os
import random
import resource
import signal
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from feature_samples import ATTRS
from tsgbench import files
from tsgbench.errors import UserError
from tsgbench.features.store import FeatureStore, FeatureWriter
from tsgbench.files import atomic_path, unpack, write_text
from tsgbench.jobs.records import check_input, current_record, write_record
from tsgbench.training.trainer import save_tensors

IDENTITY = "0123456789abcdef"
SEED = int(os.environ.get("SEED", "1"))
FAULTS = int(os.environ.get("FAULTS", "3000"))
ODD = (
    *(None, [], {}, "", 0, -1, 1.5, True, "x" * 50, ["a"], [[[]]], {"a": None}, {"to": 1}),
    *({"data.txt": odd} for odd in (None, [], {}, {"bytes": "1", "sha256": 3}, {"bytes": 1})),
    *(
        {name: {"bytes": 1, "sha256": "0"}}
        for name in ("../x", "/etc/passwd", "", "a\0b", "a" * 400)
    ),
)
TEXTS = (
    "",
    "{",
    "null",
    "[]",
    "3",
    '"x"',
    "NaN",
    '{"schema": 1e999}',
    "[" * 100_000,
    '{"a":' * 5000,
)


def make(path: Path, text: str) -> None:
    """A file and its record."""
    data = path.with_name("data.txt")
    write_text(data, text)
    write_record(
        path,
        phase="reduce",
        key="shapes/x",
        identity=IDENTITY,
        settings={},
        code="c",
        inputs={},
        files=[data],
        facts={"text": text},
        made={"at": "now"},
    )


@pytest.fixture
def record(tmp_path) -> Path:
    make(tmp_path / "data.json", "numbers")
    return tmp_path / "data.json"


def outcome(path: Path) -> str:
    """How a consumer and a plan take a record; whatever else is raised fails the test."""
    planned = current_record(path, IDENTITY)
    try:
        found = check_input(path, IDENTITY)
    except UserError as error:
        assert "\n" not in str(error) and str(error).startswith(str(path.parent))
        assert planned is None
        return "refused"
    assert found.file("data.txt").read_text() == "numbers" or not found.content["outputs"]
    return "same"


@pytest.mark.parametrize(
    "field", ["schema", "identity", "digest", "inputs", "outputs", "facts", "accepted"]
)
def test_a_field_of_another_form_is_refused_or_harmless(record, field):
    good, seen = json.loads(record.read_text()), set()
    for odd in ODD:
        record.write_text(json.dumps(good | {field: odd}))
        if field == "outputs" and odd == {}:
            continue  # a record without files, which its facts stand for
        seen.add(outcome(record))
    assert "refused" in seen


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_a_record_that_is_none_is_refused(record, text):
    record.write_text(text)
    assert outcome(record) == "refused"


def test_a_record_that_is_a_folder_or_not_utf8_is_refused(record):
    record.write_bytes(b"\xff\xfe\x00")
    assert outcome(record) == "refused"
    record.unlink()
    record.mkdir()
    with pytest.raises(UserError, match="is a directory; name a file"):
        check_input(record, IDENTITY)


def test_flipped_bits_of_a_record_or_its_file_are_refused_or_harmless(record):
    flip_bits(record, 200)


@pytest.mark.faults
def test_many_flipped_bits(record):
    flip_bits(record, FAULTS)


def flip_bits(record: Path, count: int) -> None:
    draw, data = random.Random(SEED), record.parent / "data.txt"
    whole = {path: path.read_bytes() for path in (record, data)}
    seen = set()
    for _ in range(count):
        path = draw.choice(list(whole))
        content = bytearray(whole[path])
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
        came_out = outcome(record)
        assert path == record or came_out == "refused"
        path.write_bytes(whole[path])
        seen.add(came_out)
    assert "refused" in seen


# What changes the disk, or makes it sure
STEPS = ("open", "close", "fsync", "chmod", "replace", "unlink")


def write_and_die(record: Path, text: str, step: int) -> bool:
    """Write a file and its record in a process of its own, killed at the n-th step; if it was."""
    process = os.fork()
    if process:
        _, status = os.waitpid(process, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
        return os.WIFSIGNALED(status)
    try:
        left = [step]
        for name in STEPS:
            setattr(os, name, dying(getattr(os, name), left))
        make(record, text)
    except BaseException:
        os._exit(1)
    os._exit(0)


def dying(call, left: list[int]):
    def count(*words, **options):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*words, **options)

    return count


def test_a_kill_at_any_step_leaves_the_old_or_the_new_and_no_litter(tmp_path):
    """A result is what its record says it is, and the next run leaves nothing else behind."""
    kills = 0
    for step in range(1000):
        folder = tmp_path / str(step)
        record = folder / "data.json"
        make(record, "old")
        was_killed = write_and_die(record, "new", step)
        assert (folder / "data.txt").read_text() in ("old", "new")
        planned = current_record(record, IDENTITY)
        assert planned is None or planned.facts["text"] == (folder / "data.txt").read_text()
        files._sweep.cache_clear()  # as in the process of the next run
        make(record, "new")
        assert check_input(record, IDENTITY).facts["text"] == "new"
        assert sorted(path.name for path in folder.iterdir()) == ["data.json", "data.txt"]
        kills += was_killed
        if not was_killed:
            break
    assert kills == step >= 8


def test_what_another_process_is_writing_stays(tmp_path):
    with atomic_path(tmp_path / "data.txt") as temporary:
        write_text(tmp_path / "data.txt", "meanwhile")
        temporary.write_text("at last")
    assert (tmp_path / "data.txt").read_text() == "at last"


def write_npz(path: Path) -> None:
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, numbers=np.ones(1 << 18))


def write_parquet(path: Path) -> None:
    with atomic_path(path) as temporary:
        pq.write_table(pa.table({"numbers": np.random.default_rng(0).random(1 << 18)}), temporary)


WRITERS = {
    "text": lambda path: write_text(path, "x" * (2 << 20)),
    "tensors": lambda path: save_tensors(path, {"weights": torch.ones(1 << 19)}),
    "npz": write_npz,
    "parquet": write_parquet,
}


@pytest.fixture
def small_files():
    """A limit of 1 MB a file: what a full disk does to a write, without one."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_write_that_does_not_fit_is_a_sentence_and_leaves_the_old_file(
    tmp_path, small_files, kind
):
    path = tmp_path / "result"
    path.write_text("old")
    with pytest.raises(UserError, match=r"result: file too large; the file system, or a limit"):
        WRITERS[kind](path)
    assert path.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["result"]


def test_features_beyond_a_limit_are_a_sentence_and_not_the_end_of_the_process(
    tmp_path, small_files
):
    """HDF5 would lose numbers, and then crash."""
    times = np.arange(50.0)[:, None] + [0, 1]
    refused = pytest.raises(UserError, match=r"f\.h5: file too large; the file system, or a limit")
    with refused, FeatureWriter(tmp_path / "f.h5", ATTRS) as writer:
        writer.write("v", np.ones((50, 4600), np.float32), times)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 17, resource.RLIM_INFINITY))
    assert [path.name for path in tmp_path.iterdir()] == ["f.h5.partial"]
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 22, resource.RLIM_INFINITY))
    with FeatureWriter(tmp_path / "f.h5", ATTRS) as writer:
        assert writer.done == {"v"}
    with FeatureStore(tmp_path / "f.h5") as store:
        assert (store.read("v")[0] == 1).all()


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of two megabytes; gives its folder and what makes it larger."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder]
    try:
        refused = subprocess.run(mount, capture_output=True, text=True).stderr
    except OSError as error:
        refused = str(error)
    if refused or not folder.is_mount():
        pytest.skip(f"no file system can be mounted here: {refused.strip()}")
    try:
        yield (
            folder,
            lambda: subprocess.run([*mount[:3], "-o", "remount,size=64m", folder], check=True),
        )
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk_is_a_sentence_and_leaves_the_old_file(small_disk, kind):
    folder, enlarge = small_disk
    (folder / "result").write_text("old")
    (folder / "others").write_bytes(bytes(1 << 20))
    with pytest.raises(UserError, match=r"result: the disk is full; free some space and run again"):
        WRITERS[kind](folder / "result")
    assert (folder / "result").read_text() == "old"
    assert sorted(path.name for path in folder.iterdir()) == ["others", "result"]
    (folder / "others").unlink()  # the remedy
    enlarge()
    WRITERS[kind](folder / "result")
    assert (folder / "result").stat().st_size > 1 << 20


@pytest.mark.parametrize("size", [1 << 18, 3 << 18])
def test_features_on_a_full_disk_go_on_where_there_is_room(small_disk, tmp_path, size):
    """Full while a video is noted, or, with all of them noted, while the file is made of them."""
    folder, enlarge = small_disk
    draw = np.random.default_rng(0)
    clips = {f"v{k}": draw.normal(size=(50, size // 400)).astype("f4") for k in range(11)}
    times = np.arange(50.0)[:, None] + [0, 1]

    def write(path: Path) -> int:
        with FeatureWriter(path, ATTRS) as writer:
            known = len(writer.done)
            for video in sorted(set(clips) - writer.done):
                writer.write(video, clips[video], times)
        return known

    with pytest.raises(UserError, match="f.h5.*: the disk is full; free some space and run again"):
        write(folder / "f.h5")
    assert [path.name for path in folder.iterdir()] == ["f.h5.partial"]
    enlarge()
    assert write(folder / "f.h5") > 1  # videos are kept
    write(tmp_path / "f.h5")
    assert (folder / "f.h5").read_bytes() == (tmp_path / "f.h5").read_bytes()


def test_an_archive_that_does_not_fit_is_a_sentence_and_leaves_the_old_folder(small_disk, tmp_path):
    folder, enlarge = small_disk
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(4 << 20))
    (folder / "out").mkdir()
    (folder / "out/old").write_text("old")
    with pytest.raises(UserError, match=r"unpacks to 4 MB, the disk has \d MB; free some space"):
        unpack(tmp_path / "x.zip", folder / "out")
    assert (folder / "out/old").read_text() == "old"
    enlarge()
    assert [path.name for path in unpack(tmp_path / "x.zip", folder / "out")] == ["zeros"]
