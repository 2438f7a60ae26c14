"""Clips that all cells of a machine share: the same bits as a cell's own, made once, checked."""

import os
import resource
import threading

import numpy as np
import pytest
import torch
from test_training import CPU, INPUTS, WORDS

from tsgbench.datasets.queries import Queries
from tsgbench.errors import UserError
from tsgbench.features.store import FeatureStore, FeatureWriter
from tsgbench.jobs.records import Record
from tsgbench.text import WordTable
from tsgbench.training import arrays
from tsgbench.training.arrays import Shared
from tsgbench.training.data import GroundingData

VIDEOS = [f"v{number}" for number in range(9)]
RULES = [
    {"resample": "round_mean", "resample_when": "longer", "max_clips": 12},
    {"resample": "round_mean", "resample_when": "always", "max_clips": 7},
    {"resample": "linspace_mean", "max_clips": 8},
    {"resample": "stride_pick", "max_clips": 5},
    {"resample": "stride_pick", "max_clips": 5, "offset": "random"},
    {"resample": "even_pick", "max_clips": 6},
    {"resample": "chunks", "max_clips": 30, "chunk_s": 1.0},
]


@pytest.fixture
def store(tmp_path):
    rng = np.random.default_rng(0)
    attrs = {"identity": "x", "recipe": {}, "extractor": "test", "weights": "none"}
    attrs |= {"clip_len": 16, "stride": 8, "versions": {}}
    with FeatureWriter(tmp_path / "f.h5", attrs) as writer:
        for video in VIDEOS:
            count = int(rng.integers(3, 20))
            times = np.stack([np.arange(count), np.arange(count) + 1.0], 1)
            writer.write(video, rng.normal(size=(count, 6)).astype(np.float32), times)
    with FeatureStore(tmp_path / "f.h5") as opened:
        yield opened


@pytest.fixture
def shared(tmp_path):
    return make_shared(tmp_path)


def make_shared(folder, content="as first made"):
    record = Record(folder / "shapes/f.json", {"digest": content})
    return Shared.of(folder / "arrays", record, lambda: dict.fromkeys(VIDEOS, 20.0))


def make_data(store, shared=None, videos=VIDEOS, **inputs):
    rows = [videos[row % len(videos)] for row in range(24)]
    moments = np.tile([1.0, 5.0], (24, 1))
    queries = Queries(
        [str(row) for row in range(24)], rows, ["he runs"] * 24, np.full(24, 20.0), moments
    )
    words = WordTable(WORDS, np.zeros((5, 4), np.float32), np.zeros(5, bool))
    how = {"with_moments": True, "seed": 0, "device": CPU, "shared": shared}
    return GroundingData(queries, store, words, INPUTS | inputs, **how)


def all_batches(data):
    order = torch.Generator().manual_seed(0)
    return [*data.batches(5, order), *(batch for _, batch in data.batches_in_order(5))]


def rows_file(shared):
    [file] = shared.folder.glob("*.rows")
    return file


@pytest.mark.parametrize("video", ["real", "zero", "mismatched"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: "-".join(map(str, rule.values())))
def test_shared_clips_are_a_cells_own_to_the_bit(store, shared, rule, video, monkeypatch):
    monkeypatch.setattr(arrays, "READ_AT_ONCE", 4 * 6 * arrays.USUAL_CLIPS * 2)  # two videos
    some = VIDEOS[::-2]  # fewer than are in the file, in another order
    own = make_data(store, videos=some, video=video, **rule)
    data = make_data(store, shared, videos=some, video=video, **rule)
    assert data.source_clips.tolist() == own.source_clips.tolist()
    assert data.videos_shown == own.videos_shown and data.clip_dim == own.clip_dim
    for one, other in zip(all_batches(own), all_batches(data), strict=True):
        for name, value in vars(one).items():
            found = getattr(other, name)
            assert found is value is None or torch.equal(found, value), name


def test_they_are_made_once_and_mapped_read_only(store, shared):
    make_data(store, shared)
    made = rows_file(shared).stat()
    rows = shared.resampled(store, INPUTS).rows
    assert (rows_file(shared).stat().st_mtime_ns, len(rows)) == (
        made.st_mtime_ns,
        made.st_size / 24,
    )
    with pytest.raises(ValueError, match="read-only"):
        rows[0] = 0


def test_source_clips_are_there_for_random_offsets_alone(store, shared):
    how = {"resample": "stride_pick", "max_clips": 5}
    make_data(store, shared, **how)
    assert [file.name for file in shared.folder.glob("*.npz")] == ["stride_pick-5.npz"]
    make_data(store, shared, offset="random", **how)
    names = {file.name for file in shared.folder.glob("*.npz")}
    assert names == {"stride_pick-5.npz", "source.npz"}


def test_one_of_several_that_come_at_once_makes_them(store, shared, monkeypatch):
    written, write = [], arrays._write
    barrier = threading.Barrier(4)

    def slowly(path, *rest):
        written.append(path)
        write(path, *rest)

    def come():
        barrier.wait()
        found.append(shared.resampled(store, INPUTS).rows.tobytes())

    monkeypatch.setattr(arrays, "_write", slowly)
    found = []
    threads = [threading.Thread(target=come) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(written) == 1 and len(found) == 4 and len(set(found)) == 1


def test_those_of_other_features_take_their_place(store, shared, tmp_path):
    before, held = rows_file_of(shared, store), shared.resampled(store, INPUTS)
    copy = held.rows.copy()
    after = rows_file_of(make_shared(tmp_path, "made again"), store)
    assert after != before and not before.exists()
    assert np.array_equal(held.rows, copy), "who has the old ones mapped keeps them"


def test_those_of_other_code_take_their_place(store, shared, monkeypatch):
    before = rows_file_of(shared, store)
    monkeypatch.setattr(arrays, "code_digest", lambda module: "edited")
    assert rows_file_of(shared, store) != before and not before.exists()


def rows_file_of(shared, store):
    shared.resampled(store, INPUTS)
    return rows_file(shared)


def test_a_bit_that_flips_is_noticed_where_it_is_read(store, shared):
    file = rows_file_of(shared, store)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1  # of the last video
    file.write_bytes(content)
    assert make_data(store, shared, videos=VIDEOS[:-1]).batch(torch.arange(24), with_moments=False)
    data = make_data(store, shared)
    with pytest.raises(
        UserError, match=r"\.rows: damaged \(video 'v8' has another checksum\); del"
    ):
        all_batches(data)
    file.unlink()
    assert all_batches(make_data(store, shared))


def test_files_that_are_cut_off_are_made_anew(store, shared, caplog):
    file = rows_file_of(shared, store)
    whole, index = file.read_bytes(), shared.folder / "round_mean-12-longer.npz"
    file.write_bytes(whole[:-1])
    shared.resampled(store, INPUTS)
    assert file.read_bytes() == whole
    listed = index.read_bytes()
    for damaged in (listed[: len(listed) // 2], b"", listed.replace(b"v3", b"v4", 1)):
        index.write_bytes(damaged)
        assert shared.resampled(store, INPUTS).names == VIDEOS
    assert caplog.text.count("damaged") >= 3


def test_a_maker_that_is_killed_leaves_nothing_and_holds_nobody_up(store, shared, monkeypatch):
    child = os.fork()
    if not child:
        monkeypatch.setattr(arrays.zlib, "crc32", lambda rows: os._exit(9))  # the rows are written
        shared.resampled(store, INPUTS)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert list(shared.folder.glob(".*.tmp")), "it was killed while it wrote"
    assert shared.resampled(store, INPUTS).names == VIDEOS
    assert not list(shared.folder.glob(".*.tmp"))


def test_a_disk_that_is_full_is_said_in_a_sentence(store, shared):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(
            UserError, match=r"f/round_mean-12-longer\.\w+\.rows: .*allows no larger"
        ):
            shared.resampled(store, INPUTS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [file.suffix for file in shared.folder.iterdir()] == [".lock"]
    assert shared.resampled(store, INPUTS).names == VIDEOS


def test_a_folder_that_may_not_be_written_is_said_in_a_sentence(store, shared):
    shared.folder.parent.mkdir(parents=True)
    shared.folder.write_text("")
    with pytest.raises(
        UserError, match=r"round_mean-12-longer\.npz: .*a file stands where a folder"
    ):
        shared.resampled(store, INPUTS)


def test_what_a_gpu_would_hold_is_what_is_gathered_from_the_file(store, shared):
    data = make_data(store, shared, videos=VIDEOS[::-2])
    plain = data.batch(torch.arange(24), with_moments=False)
    data._clips.__dict__["_resident"] = data._clips._moved()
    held = data.batch(torch.arange(24), with_moments=False)
    assert torch.equal(held.video, plain.video) and torch.equal(held.v_mask, plain.v_mask)
