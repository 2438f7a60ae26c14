"""The feature file: what is written is read, kills cost one video, damage is one clear error."""

import errno
import multiprocessing
import os
import random
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from feature_samples import ATTRS, sample_features, write_features
from tsgbench.errors import UserError
from tsgbench.features.store import SCHEMA, FeatureStore, FeatureWriter


def assert_same(path, features):
    with FeatureStore(path) as store:
        assert store.video_ids == sorted(features)
        for name, (clips, times) in features.items():
            read_clips, read_times = store.read(name)
            assert (read_clips == clips).all() and (read_times == times).all()


def test_round_trip(tmp_path):
    features = sample_features()
    arrays = {"mean": np.arange(3.0)}
    path = write_features(tmp_path / "new" / "f.h5", features, arrays=arrays)
    assert_same(path, features)
    with FeatureStore(path) as store:
        assert store.dim == 8 and "v0" in store and "w" not in store
        assert store.attrs == ATTRS | {"schema": SCHEMA, "dim": 8}
        assert (store.arrays()["mean"] == arrays["mean"]).all()
        assert store.read("v0")[0].dtype == np.float32
    assert os.listdir(path.parent) == ["f.h5"]


def test_read_all_packs_in_the_order_asked_for(tmp_path):
    features = sample_features()
    with FeatureStore(write_features(tmp_path / "f.h5", features)) as store:
        wanted = ["v3", "v0", "v5", "v0"]
        clips, offsets, times = store.read_all(wanted)
    assert offsets.dtype == np.int64 and len(offsets) == 5 and offsets[-1] == len(clips)
    for row, name in enumerate(wanted):
        rows = slice(offsets[row], offsets[row + 1])
        assert (clips[rows] == features[name][0]).all() and (times[rows] == features[name][1]).all()


def test_float16_on_disk_is_float32_in_memory(tmp_path):
    features = sample_features()
    path = write_features(tmp_path / "f.h5", features, dtype="float16")
    with h5py.File(path) as file:
        assert file["videos/v0/clips"].dtype == np.float16
    with FeatureStore(path) as store:
        clips, _ = store.read("v0")
    assert clips.dtype == np.float32
    assert clips == pytest.approx(features["v0"][0], rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_refused(tmp_path, bad):
    clips = np.zeros((3, 4), np.float32)
    clips[1, 2] = bad
    with (
        pytest.raises(UserError, match="video 'a': extractor c3d gave NaN or infinite"),
        FeatureWriter(tmp_path / "f.h5", ATTRS) as writer,
    ):
        writer.write("a", clips, np.zeros((3, 2)))
    assert not (tmp_path / "f.h5").exists()


def test_overflow_to_float16_is_refused(tmp_path):
    with pytest.raises(UserError, match="float16"):
        write_features(
            tmp_path / "f.h5", {"a": (np.full((1, 2), 1e6), np.zeros((1, 2)))}, dtype="float16"
        )


def test_numbers_that_float16_makes_zeros_of_are_refused(tmp_path):
    tiny = np.array([[1.0, 2.0], [1e-9, -1e-9]])
    times = np.zeros((2, 2))
    with pytest.raises(UserError, match=r"video 'a': .* too small for float16.*; store float32"):
        write_features(tmp_path / "f.h5", {"a": (tiny, times)}, dtype="float16")
    write_features(tmp_path / "f.h5", {"a": (tiny, times)})
    small = np.array([[1.0, 1e-9], [0.0, 0.0]])  # a number, or a row that was zeros, is no loss
    write_features(tmp_path / "g.h5", {"a": (small, times)}, dtype="float16")


def test_an_error_keeps_the_finished_videos(tmp_path):
    features = sample_features()
    path = tmp_path / "f.h5"
    with pytest.raises(RuntimeError), FeatureWriter(path, ATTRS) as writer:
        for name in ("v0", "v1"):
            writer.write(name, *features[name])
        raise RuntimeError
    assert not path.exists()
    with FeatureWriter(path, ATTRS) as writer:
        assert writer.done == {"v0", "v1"} and writer.dim == 8
        for name in features.keys() - writer.done:
            writer.write(name, *features[name])
    assert_same(path, features)


def _write_until_killed(path, features):
    writer = FeatureWriter(path, ATTRS).__enter__()
    for name in ("v0", "v1", "v2"):
        writer.write(name, *features[name])
    os.kill(os.getpid(), 9)


def test_kill_9_keeps_the_finished_videos(tmp_path):
    features = sample_features()
    path = tmp_path / "f.h5"
    process = multiprocessing.get_context("fork").Process(
        target=_write_until_killed, args=(path, features)
    )
    process.start()
    process.join()
    assert process.exitcode == -9
    with FeatureWriter(path, ATTRS) as writer:
        assert writer.done == {"v0", "v1", "v2"}
        for name in ("v3", "v4", "v5"):
            writer.write(name, *features[name])
    assert_same(path, features)


def test_a_journal_torn_anywhere_loses_only_what_was_being_written(tmp_path):
    features = sample_features()
    path = tmp_path / "f.h5"
    sizes, partial = {}, path.with_name("f.h5.partial")
    with pytest.raises(RuntimeError), FeatureWriter(path, ATTRS) as writer:
        sizes[partial.stat().st_size] = 0
        for count, (name, item) in enumerate(features.items(), start=1):
            writer.write(name, *item)
            sizes[partial.stat().st_size] = count
        raise RuntimeError
    journal = partial.read_bytes()
    for cut in np.linspace(0, len(journal), 40).astype(int):
        partial.write_bytes(journal[:cut])
        whole = max((count for size, count in sizes.items() if size <= cut), default=0)
        with pytest.raises(RuntimeError), FeatureWriter(path, ATTRS) as writer:
            assert len(writer.done) == whole
            raise RuntimeError
    partial.write_bytes(journal[: len(journal) // 2] + b"\0" * (len(journal) // 2))
    with FeatureWriter(path, ATTRS) as writer:
        assert 0 < len(writer.done) < 6
        for name in features.keys() - writer.done:
            writer.write(name, *features[name])
    assert_same(path, features)


def test_a_journal_of_other_settings_is_not_taken_over(tmp_path, caplog):
    features = sample_features()
    path = tmp_path / "f.h5"
    with pytest.raises(RuntimeError), FeatureWriter(path, ATTRS | {"identity": "old"}) as writer:
        writer.write("v0", *features["v0"])
        raise RuntimeError
    with FeatureWriter(path, ATTRS) as writer:
        assert not writer.done
        writer.write("v1", *features["v1"])
    assert "other settings" in caplog.text
    assert_same(path, {"v1": features["v1"]})


def test_two_writers_of_one_file(tmp_path):
    with pytest.raises(UserError, match="another process"), FeatureWriter(tmp_path / "f", ATTRS):
        FeatureWriter(tmp_path / "f", ATTRS).__enter__()


def test_misuse(tmp_path):
    with pytest.raises(ValueError, match="identity"):
        FeatureWriter(tmp_path / "f.h5", {})
    with pytest.raises(UserError, match="dtype"):
        FeatureWriter(tmp_path / "f.h5", ATTRS, dtype="int8")
    with pytest.raises(UserError, match="no video"), FeatureWriter(tmp_path / "f.h5", ATTRS):
        pass
    one = np.zeros((2, 3)), np.zeros((2, 2))
    for name, clips, times, error in (
        ("a/b", *one, UserError),
        ("a", np.zeros((0, 3)), np.zeros((0, 2)), ValueError),
        ("a", one[0], np.zeros((3, 2)), ValueError),
        ("b", *one, ValueError),
        ("c", np.zeros((2, 4)), one[1], ValueError),
    ):
        with pytest.raises(error), FeatureWriter(tmp_path / "g.h5", ATTRS) as writer:
            if "b" not in writer.done:
                writer.write("b", *one)
            writer.write(name, clips, times)


def test_a_video_that_is_not_there_is_named(tmp_path):
    path = write_features(tmp_path / "f.h5", sample_features())
    with FeatureStore(path) as store:
        with pytest.raises(UserError, match=r"f\.h5: video 'v99' is not in it"):
            store.read("v99")
        with pytest.raises(UserError, match="v98"):
            store.read_all(["v0", "v98"])


def damage(path, kind):
    content = path.read_bytes()
    if kind == "missing":
        path.unlink()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("features")
    elif kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "flipped":
        with h5py.File(path) as file:
            chunk = file["videos/v1/clips"].id.get_chunk_info(0)
        at = chunk.byte_offset + 5
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    else:
        with h5py.File(path, "r+") as file:
            if kind == "other schema":
                file.attrs["schema"] = "something-else-7"
            elif kind == "no schema":
                del file.attrs["schema"]
            elif kind == "no identity":
                del file.attrs["identity"]
            elif kind == "no videos":
                del file["videos"]
            elif kind == "no times":
                del file["videos/v1/times_s"]
            elif kind == "other shape":
                del file["videos/v1/clips"]
                file["videos/v1/clips"] = np.zeros((3, 7))
            elif kind == "a data set for a video":
                del file["videos/v1"]
                file["videos/v1"] = np.zeros(3)


@pytest.mark.parametrize(
    "kind",
    [
        "missing",
        "empty",
        "text",
        "truncated",
        "flipped",
        "other schema",
        "no schema",
        "no identity",
        "no videos",
        "no times",
        "other shape",
        "a data set for a video",
    ],
)
def test_a_damaged_file_is_one_clear_error(tmp_path, kind):
    path = write_features(tmp_path / "f.h5", sample_features())
    damage(path, kind)
    with pytest.raises(UserError, match=r"f\.h5: ") as caught, FeatureStore(path) as store:
        store.read("v1")
    said = str(caught.value)
    assert "\n" not in said
    is_ours = kind not in ("missing", "empty", "text", "truncated", "other schema", "no schema")
    assert ("features step" in said) == (is_ours or kind == "missing")
    # Advice must not destroy what may be somebody's: only what fails its checksum is worth nothing
    assert ("delete" in said) == (kind == "flipped")
    if kind in ("empty", "text", "other schema", "no schema"):
        assert "not a feature file of tsgbench" in said


GROUPS = ("videos", "videos/v0", "arrays")
NUMBERS = ("videos/v0/clips", "videos/v0/times_s", "arrays/mean")
ELSEWHERE = [(member, form) for member in GROUPS + NUMBERS for form in ("link", "link within")]
ELSEWHERE += [(member, form) for member in NUMBERS for form in ("mosaic", "raw", "hollow")]


@pytest.mark.parametrize(("member", "form"), ELSEWHERE)
def test_numbers_of_another_file_are_no_features(tmp_path, member, form):
    """A file that came from elsewhere could make any file here into features."""
    features, arrays = sample_features(), {"mean": np.zeros(8)}
    secret = write_features(tmp_path / "secret.h5", features, arrays=arrays)
    path = write_features(tmp_path / "f.h5", features, arrays=arrays)
    with h5py.File(path, "a") as file:
        shape = getattr(file[member], "shape", None)
        del file[member]
        if form == "link":
            file[member] = h5py.ExternalLink(str(secret), f"/{member}")
        elif form == "link within":
            file[member] = h5py.SoftLink("/elsewhere")
            file["elsewhere"] = h5py.ExternalLink(str(secret), f"/{member}")
        elif form == "mosaic":
            layout = h5py.VirtualLayout(shape, "f8")
            layout[:] = h5py.VirtualSource(str(secret), member, shape)
            file.create_virtual_dataset(member, layout)
        elif form == "raw":
            file.create_dataset(member, shape, "f8", external=[(str(secret), 0, 1 << 20)])
        else:
            file.create_dataset(member, (1 << 40, 8), "f4")
    secret.unlink()
    os.mkfifo(secret)  # who opened it would wait for ever
    name = member.rsplit("/")[-1]
    said = rf"f\.h5: {name} is a link, or its numbers are not in"
    with pytest.raises(UserError, match=said), FeatureStore(path) as store:
        store.read("v0")
        store.arrays()


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """A small file with everything in it, and what is read from it."""
    arrays = {"mean": np.arange(8.0), "components": np.ones((8, 3)), "center": np.array(1)}
    path = write_features(
        tmp_path_factory.mktemp("sealed") / "f.h5", sample_features(), arrays=arrays
    )
    return path, everything(path)


def everything(path) -> dict:
    with FeatureStore(path) as store:
        clips, offsets, times = store.read_all(store.video_ids)
        arrays = {name: (a.dtype, a.shape, a.tobytes()) for name, a in store.arrays().items()}
        numbers = (clips.tobytes(), offsets.tolist(), times.tobytes())
        return {"attrs": store.attrs, "ids": store.video_ids, "numbers": numbers, **arrays}


def flip_bits(sealed, folder, seed: int, count: int) -> dict[str, int]:
    """A bit of a copy is wrong, anywhere in it: numbers, arrays, names, attributes, HDF5's own."""
    path, whole = sealed
    content, draw, seen = path.read_bytes(), random.Random(seed), {"same": 0, "refused": 0}
    for _ in range(count):
        damaged = bytearray(content)
        damaged[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        (folder / "f.h5").write_bytes(damaged)
        try:
            found = everything(folder / "f.h5")
        except UserError as error:
            assert "\n" not in str(error)
            seen["refused"] += 1
            continue
        assert found == whole
        seen["same"] += 1
    return seen


def test_a_flipped_bit_anywhere_is_refused_or_changes_nothing(sealed, tmp_path):
    seen = flip_bits(sealed, tmp_path, 1, 150)
    assert seen["refused"] > 100


@pytest.mark.faults
def test_many_flipped_bits(sealed, tmp_path):
    seed, count = int(os.environ.get("SEED", "1")), int(os.environ.get("FAULTS", "3000"))
    assert flip_bits(sealed, tmp_path, seed, count)["refused"] > count // 2


def test_equal_features_are_equal_files_whenever_they_are_made(sealed, tmp_path):
    path, _ = sealed
    arrays = {"mean": np.arange(8.0), "components": np.ones((8, 3)), "center": np.array(1)}
    assert time.time() - path.stat().st_mtime > 1 or time.sleep(1.1) is None
    again = write_features(tmp_path / "f.h5", sample_features(), arrays=arrays)
    assert again.read_bytes() == path.read_bytes()


def test_attributes_of_any_text_and_size_come_back(tmp_path):
    attrs = ATTRS | {"recipe": {"long": "\u00e9" * 100_000}, "weights": "", "more": "na\u00efve"}
    path = tmp_path / "f.h5"
    with FeatureWriter(path, attrs) as writer:
        writer.write("v", *sample_features()["v0"])
    with FeatureStore(path) as store:
        assert store.attrs == attrs | {"schema": SCHEMA, "dim": 8}


def test_a_file_of_another_version_is_called_so(tmp_path):
    path = write_features(tmp_path / "f.h5", sample_features())
    with h5py.File(path, "r+") as file:
        file.attrs["schema"] = "tsgbench-features-99"
    with pytest.raises(UserError, match=r"another version \(tsgbench-features-99, not") as caught:
        FeatureStore(path)
    assert "delete" not in str(caught.value)


def test_a_file_that_a_notebook_holds_is_locked_and_not_damaged(tmp_path):
    """HDF5 locks what is open for writing; here another process has it."""
    path = write_features(tmp_path / "f.h5", sample_features())
    hold = "import h5py, sys; f = h5py.File(sys.argv[1], 'a'); print('open', flush=True); input()"
    command = [sys.executable, "-c", hold, str(path)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as notebook:
        assert notebook.stdout.readline() == "open\n"
        with pytest.raises(UserError, match=r"f\.h5: locked; .*notebook.*close it") as caught:
            FeatureStore(path)
        notebook.communicate("\n")
    assert "delete" not in str(caught.value) and "damaged" not in str(caught.value)
    FeatureStore(path).close()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("form", ["number", "text"])
def test_what_the_system_refuses_is_not_damage(tmp_path, monkeypatch, number, form):
    """HDF5 gives the number, or hides it in its text."""
    path = write_features(tmp_path / "f.h5", sample_features())
    text = f"Can't read data (file read failed: errno = {number}, error message = '…')"
    error = OSError(number, text) if form == "number" else OSError(text)

    def refuse(*args, **options):
        raise error

    with FeatureStore(path) as store:
        monkeypatch.setattr("tsgbench.features.store._read_into", refuse)
        with pytest.raises(UserError, match=rf"f\.h5: {os.strerror(number).lower()}; ") as caught:
            store.read("v1")
    assert "delete" not in str(caught.value) and "damaged" not in str(caught.value)


def test_a_file_system_without_locks_is_warned_of_once(tmp_path, monkeypatch, caplog):
    def refuse(*args):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("tsgbench.files.access.fcntl.flock", refuse)
    for name in ("f.h5", "g.h5"):
        write_features(tmp_path / name, sample_features())
    assert caplog.text.count("its file system has no locks") == 1
    with FeatureStore(tmp_path / "g.h5") as store:
        assert len(store.video_ids) == 6


def test_parts_make_the_same_file_as_a_whole(tmp_path):
    features = sample_features(4, dim=8)
    whole = write_features(tmp_path / "whole.h5", features)
    with FeatureWriter(tmp_path / "parts.h5", ATTRS) as writer:
        for name, (clips, times) in features.items():
            for rows in np.array_split(np.arange(len(clips)), 3):
                if len(rows):
                    writer.append(name, clips[rows], times[rows])
            writer.end(name)
    with FeatureStore(whole) as one, FeatureStore(tmp_path / "parts.h5") as other:
        assert one.video_ids == other.video_ids
        for name in one.video_ids:
            for a, b in zip(one.read(name), other.read(name), strict=True):
                assert np.array_equal(a, b)


def test_a_video_that_never_ended_is_not_there(tmp_path):
    """Killed between two parts of a video: the next run starts that video again."""
    clips, times = numbers = np.ones((2, 3), np.float32), np.array([[0.0, 1], [1, 2]])
    with pytest.raises(KeyboardInterrupt), FeatureWriter(tmp_path / "f.h5", ATTRS) as writer:
        writer.write("a", *numbers)
        writer.append("b", *numbers)
        raise KeyboardInterrupt
    with FeatureWriter(tmp_path / "f.h5", ATTRS) as writer:
        assert writer.done == {"a"}
        writer.append("b", 2 * clips, times)
        writer.end("b")
    with FeatureStore(tmp_path / "f.h5") as store:
        assert store.video_ids == ["a", "b"] and (store.read("b")[0] == 2).all()


def test_a_broken_video_leaves_nothing_behind(tmp_path):
    numbers = np.ones((2, 3), np.float32), np.array([[0.0, 1], [1, 2]])
    with FeatureWriter(tmp_path / "f.h5", ATTRS) as writer:
        writer.append("bad", *numbers)
        with pytest.raises(ValueError, match="comes before the end of 'bad'"):
            writer.append("a", *numbers)
        writer.discard("bad")
        writer.discard("never seen")
        writer.write("a", *numbers)
        with pytest.raises(ValueError, match="ends without a clip"):
            writer.end("b")
    with FeatureStore(tmp_path / "f.h5") as store:
        assert store.video_ids == ["a"]
