"""Released features in the layouts of their releases, with invented numbers."""

import csv
import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml

from tsgbench.config import merge, read_yaml
from tsgbench.datasets.queries import Queries, write_queries
from tsgbench.errors import UserError
from tsgbench.features.foreign import look, take_inventory
from tsgbench.features.released import convert, row_times
from tsgbench.features.store import FeatureStore
from tsgbench.jobs.records import read_record, write_record
from tsgbench.models import build
from tsgbench.phases import Task, released
from tsgbench.planning.study import Study
from tsgbench.text import WordTable
from tsgbench.training.data import GroundingData

ROOT = Path(__file__).resolve().parents[2]
RECIPES = yaml.safe_load((ROOT / "config" / "features.yaml").read_text())["features"]
ACTIVITYNET = RECIPES["activitynet_c3d_fc7_pca500_released"]["released"]
DIDEMO = RECIPES["didemo_vgg16_fc7_5s_released"]["released"]
CHARADES = RECIPES["charades_i3d_tmlga_released"]["released"]


def numbers(rows: int, dim: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(1, 1, (rows, dim)).astype(np.float32)


def write_activitynet(path: Path, videos: dict[str, np.ndarray]) -> dict[str, Path]:
    with h5py.File(path, "w") as file:
        for video, array in videos.items():
            file.create_dataset(f"{video}/c3d_features", data=array)
    return {path.name: path}


def write_didemo(path: Path, videos: dict[str, np.ndarray]) -> dict[str, Path]:
    """Six rows a video in double precision, zeros beyond its end."""
    with h5py.File(path, "w") as file:
        for video, array in videos.items():
            six = np.zeros((6, array.shape[1]))
            six[: len(array)] = array
            file.create_dataset(video, data=six)
    return {path.name: path}


def write_npy(folder: Path, videos: dict[str, np.ndarray]) -> dict[str, Path]:
    found = {}
    for video, array in videos.items():
        path = folder / f"{video}.npy"
        np.save(path, array)
        found[f"i3d/{path.name}"] = path
    return found


def run(files: dict, durations: dict, out: Path, recipe: dict, **options) -> dict:
    facts = convert(files, durations, out, recipe=recipe, identity="me", **options)
    assert json.loads(json.dumps(facts)) == facts, "a record can hold them"
    return facts


def contents(path: Path) -> dict:
    with FeatureStore(path) as store:
        assert store.attrs["weights"] == "as released"
        return {name: store.read(name) for name in store.video_ids}


def test_activitynets_numbers_are_unchanged(tmp_path):
    videos = {"v_a": numbers(7, 500), "v_b": numbers(3, 500, 1), "v_unasked": numbers(2, 500)}
    files = write_activitynet(tmp_path / "sub.hdf5", videos)
    facts = run(files, {"v_a": 14.0, "v_b": 10.0}, tmp_path / "f.h5", ACTIVITYNET)
    assert {name: facts[name] for name in ("videos", "rows", "dim", "unused")} == {
        "videos": 2,
        "rows": 10,
        "dim": 500,
        "unused": 1,
    }
    found = contents(tmp_path / "f.h5")
    assert all((found[name][0] == videos[name]).all() for name in ("v_a", "v_b"))
    assert found["v_a"][1].tolist() == [[2 * k, 2 * k + 2] for k in range(7)]
    assert found["v_b"][1][-1].tolist() == [pytest.approx(20 / 3), 10.0]


def test_didemos_rows_beyond_the_end_are_dropped(tmp_path):
    videos = {"x.mov": numbers(6, 8), "y.mp4": numbers(5, 8, 1)}
    videos["y.mp4"][2] = 0  # a row of zeros in the middle is a row
    files = write_didemo(tmp_path / "average_fc7.h5", videos)
    facts = run(files, {"x.mov": 30.0, "y.mp4": 25.0}, tmp_path / "f.h5", DIDEMO)
    assert facts["dropped_zero_rows"] == 1 and facts["rows"] == 11
    found = contents(tmp_path / "f.h5")
    assert (found["y.mp4"][0] == videos["y.mp4"]).all()
    assert found["y.mp4"][1].tolist() == [[5 * k, 5 * k + 5] for k in range(5)]


def zeros(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["x.mov"][...] = 0


def nothing(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["x.mov"]
        file.create_dataset("x.mov", data=h5py.Empty("f4"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [(zeros, "has nothing but zeros in the release"), (nothing, "has no row in the release")],
)
def test_a_video_of_which_a_release_holds_nothing_is_counted(tmp_path, spoil, said):
    """As extractors leave a place for a video that they could not read."""
    path = tmp_path / "r.h5"
    with h5py.File(path, "w") as file:
        for place, video in enumerate(("x.mov", "y.mp4")):
            file.create_dataset(video, data=numbers(6, 8, place))
    spoil(path)
    recipe = {"layout": "hdf5", "times": "equal", "dtype": "float32"}
    durations = {"x.mov": 30.0, "y.mp4": 25.0}
    with pytest.raises(UserError, match=f"1 of 2 videos failed, the first: {said}"):
        run({"r.h5": path}, durations, tmp_path / "f.h5", recipe)
    allowed = recipe | {"max_failed_share": 0.5}
    facts = run({"r.h5": path}, durations, tmp_path / "g.h5", allowed)
    assert facts["failed"] == [{"video": "x.mov", "reason": said}]
    inventory = take_inventory(path)
    assert look(inventory, {}, durations).keys() >= {"y.mp4"}


def test_from_didemos_release_to_fsans_segments(tmp_path):
    """A video's segments are those of its annotated chunks, be its rows fewer or more."""
    videos = {
        "whole.mov": numbers(6, 8),
        "zero.mov": numbers(5, 8, 1),
        "more.mov": numbers(6, 8, 2),
    }
    durations = {"whole.mov": 30.0, "zero.mov": 30.0, "more.mov": 25.0}
    files = write_didemo(tmp_path / "average_fc7.h5", videos)
    facts = run(files, durations, tmp_path / "f.h5", DIDEMO, are_exact=False)
    assert facts["failed"] == []
    entry = read_yaml(ROOT / "config/models/fsan.yaml")
    own = merge(entry["settings"], entry["datasets"]["didemo"])
    queries = Queries(
        ["1", "2", "3"],
        list(videos),
        ["a b"] * 3,
        np.array(list(durations.values())),
        np.array([[0.0, 5.0]] * 3),
    )
    words = WordTable(["<pad>", "<unk>", "a", "b"], np.eye(4, dtype="f4"), np.ones(4, bool))
    how = {"with_moments": False, "seed": 0, "device": torch.device("cpu")}
    with FeatureStore(tmp_path / "f.h5") as store:
        data = GroundingData(queries, store, words, own["inputs"], **how)
    batch = data.batch(torch.arange(3), with_moments=False)
    for row, (video, places) in enumerate([("whole.mov", 6), ("zero.mov", 5), ("more.mov", 5)]):
        assert (batch.video[row, :places].numpy() == videos[video][:places]).all()
        assert (batch.video[row, places:] == 0).all()
    small = own["model"] | {"width": 16, "heads": 2, "layers": 1}
    model = build("fsan", clip_dim=8, words=words, settings=small).eval()
    with torch.inference_mode():
        moments = model.decode(model(batch), batch, 21)[..., :2].double()
    for row, chunks in enumerate([6, 6, 5]):
        every = {(5.0 * i, 5.0 * j) for i in range(chunks) for j in range(i + 1, chunks + 1)}
        found = {tuple(moment) for moment in moments[row].tolist() if moment[1] > moment[0]}
        assert found == every


@pytest.mark.parametrize("shape", [(4, 6), (1, 4, 6), (4, 1, 1, 1, 6), (1, 4, 1, 1, 6)])
def test_charades_folders_of_arrays(tmp_path, shape):
    array = numbers(4, 6)
    files = write_npy(tmp_path, {"AO8RW": array.reshape(shape)})
    run(files, {"AO8RW": 20.0}, tmp_path / "f.h5", CHARADES)
    vectors, times = contents(tmp_path / "f.h5")["AO8RW"]
    assert (vectors == array).all()
    assert times.tolist() == [[0, 5], [5, 10], [10, 15], [15, 20]]


def test_names_with_and_without_the_videos_suffix(tmp_path):
    files = write_npy(tmp_path, {"s13-d21": numbers(4, 6)})
    run(files, {"s13-d21.avi": 20.0}, tmp_path / "f.h5", CHARADES)
    assert list(contents(tmp_path / "f.h5")) == ["s13-d21.avi"]


def test_lacking_videos_are_counted_up_to_the_stated_share(tmp_path):
    files = write_npy(tmp_path, {"a": numbers(2, 4), "b": numbers(2, 4)})
    durations = {"a": 4.0, "b": 4.0, "c": 4.0}
    with pytest.raises(UserError, match=r"1 of 3 videos failed, the first: is not in the release"):
        run(files, durations, tmp_path / "f.h5", CHARADES)
    assert not (tmp_path / "f.h5").exists()
    facts = run(files, durations, tmp_path / "f.h5", CHARADES | {"max_failed_share": 0.4})
    assert facts["failed"] == [{"video": "c", "reason": "is not in the release"}]
    assert list(contents(tmp_path / "f.h5")) == ["a", "b"]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ("equal", [[0, 2.5], [2.5, 5], [5, 7.5], [7.5, 10]]),
        ({"chunk_s": 3}, [[0, 3], [3, 6], [6, 9], [9, 12]]),
        ({"fps": 4, "clip_len": 16, "stride": 8}, [[0, 4], [2, 6], [4, 8], [6, 10]]),
    ],
)
def test_times(times, expected):
    assert row_times(4, 10.0, times).tolist() == expected


def test_a_rate_that_contradicts_the_duration_is_a_failure(tmp_path):
    files = write_npy(tmp_path, {"a": numbers(40, 4)})
    recipe = CHARADES | {"times": {"fps": 24, "clip_len": 16, "stride": 24}}
    with pytest.raises(UserError, match=r"40 rows, at the stated 1 s each, last 39\.7 s, and the"):
        run(files, {"a": 20.0}, tmp_path / "f.h5", recipe)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_is_refused_whatever_the_share(tmp_path, value):
    array = numbers(3, 4)
    array[1, 2] = value
    recipe = CHARADES | {"max_failed_share": 1.0}
    with pytest.raises(UserError, match=r"a\.npy: holds NaN or infinity"):
        run(write_npy(tmp_path, {"a": array}), {"a": 4.0}, tmp_path / "f.h5", recipe)


def test_files_that_are_something_else(tmp_path):
    out = tmp_path / "f.h5"
    files = write_activitynet(tmp_path / "sub.hdf5", {"v_a": numbers(2, 4)})
    with pytest.raises(UserError, match=r"v_a: holds \['c3d_features'\], not 'fc7'"):
        run(files, {"v_a": 4.0}, out, ACTIVITYNET | {"member": "fc7"})
    with pytest.raises(UserError, match="hdf5 needs one file, and the source has 0"):
        run({}, {"v_a": 4.0}, out, ACTIVITYNET)
    with pytest.raises(UserError, match="no .npy file"):
        run(files, {"v_a": 4.0}, out, CHARADES)
    (tmp_path / "sub.hdf5").write_bytes(b"not HDF5" * 50)
    with pytest.raises(UserError, match=r"sub\.hdf5: not an HDF5 file"):
        run(files, {"v_a": 4.0}, out, ACTIVITYNET)
    path = tmp_path / "v_a.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"v_a\.npy: not a NumPy file of plain numbers"):
        run({path.name: path}, {"v_a": 4.0}, out, CHARADES)
    for array, words in ((np.zeros((2, 3, 4)), "has shape"), (np.zeros((2, 3), int), "int64")):
        np.save(path, array)
        with pytest.raises(UserError, match=words):
            run({path.name: path}, {"v_a": 4.0}, out, CHARADES)


def write_hdf5(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, Path]:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return {path.name: path}


PLAIN = {"layout": "hdf5", "times": "equal"}
AB = {"a": 4.0, "b": 4.0}


@pytest.mark.parametrize("layout", ["hdf5", "npy"])
@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        (((8, 5), (8, 10)), r"a has shape \(8, 5\) and b \(8, 10\).*\(transposed\?\)"),
        (((5, 8), (8, 10)), r"a has shape \(5, 8\) and b \(8, 10\).*\(one transposed\?\)"),
        (((5, 8), (6, 16)), r"a has shape \(5, 8\) and b \(6, 16\)"),
    ],
)
def test_arrays_of_two_widths_are_named_with_their_shapes(tmp_path, layout, shapes, said):
    arrays = {name: numbers(*shape) for name, shape in zip("ab", shapes, strict=True)}
    if layout == "hdf5":
        files = write_hdf5(tmp_path / "x.hdf5", arrays)
    else:
        files = write_npy(tmp_path, arrays)
    with pytest.raises(UserError, match=said):
        run(files, AB, tmp_path / "f.h5", PLAIN | {"layout": layout})


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (None, r"x\.hdf5: a: holds \['deep', 'fc7'\], and the recipe names none"),
        ("fc6", r"x\.hdf5: a: holds \['deep', 'fc7'\], not 'fc6'"),
        ("deep", r"x\.hdf5: a: deep holds \['fc6'\]; .*deep/…"),
    ],
)
def test_groups_list_their_members(tmp_path, member, said):
    files = write_hdf5(tmp_path / "x.hdf5", {"a/fc7": numbers(3, 4), "a/deep/fc6": numbers(3, 4)})
    with pytest.raises(UserError, match=said):
        run(files, {"a": 4.0}, tmp_path / "f.h5", PLAIN | {"member": member})
    run(files, {"a": 4.0}, tmp_path / "f.h5", PLAIN | {"member": "deep/fc6"})


@pytest.mark.parametrize("ending", [".avi", ".mp4"])
def test_names_may_end_like_files(tmp_path, ending):
    files = write_hdf5(tmp_path / "x.hdf5", {video + ending: numbers(3, 4) for video in AB})
    assert run(files, AB, tmp_path / "f.h5", PLAIN)["videos"] == 2


@pytest.mark.parametrize("there", ["v_{}", "{}.c3d", "prefix/{}"])
def test_other_names_are_shown_beside_those_asked_for(tmp_path, there):
    names = [there.format(video) for video in AB]
    files = write_hdf5(tmp_path / "x.hdf5", {name: numbers(3, 4) for name in names})
    shown = names[0].split("/")[0]
    with pytest.raises(UserError, match=rf"asked for 'a'; there is '{shown}'"):
        run(files, AB, tmp_path / "f.h5", PLAIN)


def test_links_to_nothing_are_failures_and_links_to_other_files_refused(tmp_path):
    (secret,) = write_hdf5(tmp_path / "other.hdf5", {"a": numbers(3, 4)}).values()
    files = write_hdf5(tmp_path / "x.hdf5", {"b": numbers(3, 4)})
    recipe = PLAIN | {"max_failed_share": 0.5}
    with h5py.File(tmp_path / "x.hdf5", "a") as file:
        file["a"] = h5py.SoftLink("/gone")
    facts = run(files, AB, tmp_path / "f.h5", recipe)
    assert facts["failed"] == [{"video": "a", "reason": "is a link to what is not in the release"}]
    with h5py.File(tmp_path / "x.hdf5", "a") as file:
        del file["a"]
        file["a"] = h5py.SoftLink("/b")  # within the file, a link is as good as what it names
    assert run(files, AB, tmp_path / "g.h5", recipe)["videos"] == 2
    layout = h5py.VirtualLayout((3, 4), "f4")
    layout[:] = h5py.VirtualSource(str(secret), "a", (3, 4))
    for name in ("link", "virtual", "raw"):
        with h5py.File(tmp_path / "x.hdf5", "a") as file:
            del file["a"]
            if name == "link":
                file["a"] = h5py.ExternalLink(str(secret), "/a")
            elif name == "virtual":
                file.create_virtual_dataset("a", layout)
            else:
                file.create_dataset("a", (3, 4), "f4", external=[(str(secret), 0, 48)])
        with pytest.raises(
            UserError, match=r"x\.hdf5: a: (is a link to|has its numbers in) another"
        ):
            run(files, AB, tmp_path / f"{name}.h5", recipe)


def test_a_link_through_a_link_leads_to_no_other_file(tmp_path):
    """Neither by a detour within the file, nor in the name of a member, is it even opened."""
    (secret,) = write_hdf5(
        tmp_path / "other.hdf5", {"a": numbers(3, 4), "g/a": numbers(3, 4)}
    ).values()
    files = write_hdf5(tmp_path / "x.hdf5", {"c/fc6": numbers(3, 4)})
    with h5py.File(tmp_path / "x.hdf5", "a") as file:
        file["door"] = h5py.ExternalLink(str(secret), "/")
        file["a"] = h5py.SoftLink("/door/a")
        file["b"] = h5py.SoftLink("a")
        file["c/out"] = h5py.ExternalLink(str(secret), "/a")
        file["c/deep"] = h5py.SoftLink("/door/g")
    secret.unlink()
    os.mkfifo(secret)  # who opened it would wait for ever
    refused = r"x\.hdf5: {}: is a link to another file \(.*other\.hdf5\), not followed"
    for video in "ab":
        with pytest.raises(UserError, match=refused.format(video)):
            run(files, {video: 4.0}, tmp_path / "f.h5", PLAIN)
    for member in ("out", "deep/a", "/door/a"):
        with pytest.raises(UserError, match=refused.format(f"c/{member}")):
            run(files, {"c": 4.0}, tmp_path / "f.h5", PLAIN | {"member": member})
    assert run(files, {"c": 4.0}, tmp_path / "f.h5", PLAIN | {"member": "fc6"})["videos"] == 1


def test_links_in_a_circle_are_links_to_nothing(tmp_path):
    files = write_hdf5(tmp_path / "x.hdf5", {"b": numbers(3, 4)})
    with h5py.File(tmp_path / "x.hdf5", "a") as file:
        file["a"] = h5py.SoftLink("/c")
        file["c"] = h5py.SoftLink("/a")
    facts = run(files, AB, tmp_path / "f.h5", PLAIN | {"max_failed_share": 0.5})
    assert facts["failed"] == [{"video": "a", "reason": "is a link to what is not in the release"}]


@pytest.mark.parametrize("chunks", [None, (1, 1000)])
def test_a_shape_without_its_numbers_fills_no_memory(tmp_path, chunks):
    files = write_hdf5(tmp_path / "x.hdf5", {"b": numbers(3, 4)})
    with h5py.File(tmp_path / "x.hdf5", "a") as file:
        file.create_dataset("a", (1 << 40, 1000), "f4", chunks=chunks)
    with pytest.raises(UserError, match=r"x\.hdf5: a: states a shape of \(1099511627776, 1000\)"):
        run(files, AB, tmp_path / "f.h5", PLAIN)


def test_a_numpy_file_that_states_too_much_is_a_sentence(tmp_path):
    (path,) = write_npy(tmp_path, {"a": numbers(2, 10)}).values()
    content = path.read_bytes()
    assert b"(2, 10), }      " in content
    path.write_bytes(content.replace(b"(2, 10), }      ", b"(2, 9999999999)}"))
    with pytest.raises(UserError, match=r"a\.npy: not a NumPy file of plain numbers"):
        run({"a.npy": path}, {"a": 4.0}, tmp_path / "f.h5", PLAIN | {"layout": "npy"})


def study_with(features: str) -> Study:
    """A study of one model on Charades-STA with these features."""
    chosen = {"features": features, "vectors": "learned"}
    config = {
        "study": "of_a_release",
        "title": "released features",
        "datasets": {"charades_sta": chosen},
        "systems": [{"model": "seqpan", "seeds": [0]}],
        "tables": {"table1": {"metrics": ["mIoU"]}},
    }
    return Study(config, source="released.yaml")


def test_the_plan_reads_a_release(monkeypatch):
    monkeypatch.chdir(ROOT)
    study = study_with("charades_i3d_charades_lgi_released")
    (record,) = study.targets("released")
    job = study.jobs[record]
    assert record == "data/features/charades_sta/charades_i3d_charades_lgi_released.json"
    assert job.inputs["released"] == "data/raw/charades_i3d_lgi.json"
    assert not study.targets("extract", "reduce")
    trained = study.jobs[study.targets("train")[0]]
    assert trained.inputs["features"] == record


def test_a_release_can_be_reduced(monkeypatch):
    monkeypatch.chdir(ROOT)
    study = study_with("didemo_vgg16_fc7_5s_released_pca500")
    (record,) = study.targets("reduce")
    assert [study.jobs[record].inputs["clips"]] == study.targets("released")


def test_the_phase_lists_what_the_release_lacks(tmp_path):
    def record(name: str, files: list[Path]):
        common = {"phase": "x", "key": "x", "identity": "0", "settings": {}, "code": ""}
        path = tmp_path / name
        write_record(path, inputs={}, files=files, facts={}, made={}, **common)
        return read_record(path)

    queries = Queries(
        ["1", "2"], ["a", "b"], ["x", "y"], np.array([4.0, 4.0]), np.array([[0.0, 1.0]] * 2)
    )
    write_queries(tmp_path / "train.jsonl", queries)
    (array,) = write_npy(tmp_path, {"a": numbers(2, 4)}).values()
    task = Task(
        settings={"released": CHARADES | {"max_failed_share": 0.5}},
        inputs={
            "annotations": record("annotations.json", [tmp_path / "train.jsonl"]),
            "released": record("released.json", [array]),
        },
        identity="me",
        record=tmp_path / "out.json",
        files={"features": tmp_path / "out.h5", "failed": tmp_path / "out.failed.csv"},
        wildcards={},
    )
    facts, made = released.run(task)
    assert facts["videos"] == 1 and facts["failed"] == 1 and all(path.exists() for path in made)
    with open(tmp_path / "out.failed.csv", newline="") as stream:
        assert list(csv.DictReader(stream)) == [{"video": "b", "reason": "is not in the release"}]
