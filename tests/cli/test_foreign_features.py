"""`tsgbench features --like`: what others' features are, and that its recipe works as printed."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from tsgbench.cli import datasets
from tsgbench.cli.foreign_features import as_text
from tsgbench.cli.main import main
from tsgbench.config import Catalogue
from tsgbench.features.store import FeatureStore
from tsgbench.jobs.records import read_record
from tsgbench.planning.study import Study
from tsgbench.running.job import run_job

ROOT = Path(__file__).resolve().parents[2]
DURATIONS = {"AAA0A": 10.0, "BBB1B": 21.0, "CCC2C": 32.0, "DDD3D": 8.0, "EEE4E": 15.0}
TRAIN, TEST = ["AAA0A", "BBB1B", "CCC2C"], ["DDD3D", "EEE4E"]
WIDTH = 6
PASTED = ("config/sources.yaml", "config/features.yaml")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A project with five annotated videos of Charades-STA, and no other data set's files."""
    folder = tmp_path_factory.mktemp("whole") / "project"
    for part in ("config", "published"):
        shutil.copytree(ROOT / part, folder / part)
    shutil.copy2(ROOT / "Snakefile", folder)
    put_annotations(folder)
    return folder


@pytest.fixture
def project(whole, monkeypatch) -> Iterator[Path]:
    """The project, its catalogue as it was once the test is over."""
    stated = {name: (whole / name).read_bytes() for name in PASTED}
    monkeypatch.chdir(whole)
    monkeypatch.delenv("TSGBENCH_MIRROR", raising=False)
    yield whole
    for name, content in stated.items():
        (whole / name).write_bytes(content)


@pytest.fixture(scope="module", autouse=True)
def forgotten() -> Iterator[None]:
    """Catalogues are remembered by folder, and `.` is another one in other tests."""
    Catalogue.load.cache_clear()
    yield
    Catalogue.load.cache_clear()


def put_annotations(folder: Path) -> None:
    """Where downloads lie, as files that the sources' entries no longer hold to a checksum."""
    path = folder / "config/sources.yaml"
    sources = yaml.safe_load(path.read_text())
    for split, videos in (("train", TRAIN), ("test", TEST)):
        rows = [f"{video} 0.5 {DURATIONS[video] - 1}##a person sits." for video in videos]
        table = ["id,length", *(f"{video},{DURATIONS[video]}" for video in videos)]
        for name, lines in ((f"charades_sta_{split}", rows), (f"charades_v1_{split}", table)):
            target = folder / "data/raw" / sources[name]["path"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text("\n".join(lines) + "\n")
            del sources[name]["bytes"], sources[name]["sha256"]
    path.write_text(yaml.safe_dump(sources, sort_keys=False))


def arrays(step_s: float = 0.5, dtype: str = "float32") -> dict[str, np.ndarray]:
    """A row per `step_s` of each video, no number zero."""
    rng = np.random.default_rng(0)
    return {
        video: rng.uniform(1, 2, (int(seconds / step_s), WIDTH)).astype(dtype)
        for video, seconds in DURATIONS.items()
    }


def write_hdf5(path: Path, name: str, videos: dict[str, np.ndarray]) -> Path:
    """name: of each array, with {} where the video's is."""
    with h5py.File(path, "w") as file:
        for video, array in videos.items():
            file[name.format(video)] = array
    return path


def write_npy(folder: Path, name: str, videos: dict[str, np.ndarray]) -> Path:
    for video, array in videos.items():
        path = folder / name.format(video)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, array)
    return folder


def plain(folder: Path) -> Path:
    return write_hdf5(folder / "Plain Features.h5", "{}", arrays())


def grouped(folder: Path) -> Path:
    return write_hdf5(folder / "grouped.hdf5", "{}/c3d_features", arrays())


def nested(folder: Path) -> Path:
    return write_hdf5(folder / "nested.hdf5", "all/rgb_{}.mp4/i3d", arrays())


def turned(folder: Path) -> Path:
    videos = {video: array.T for video, array in arrays(dtype="float16").items()}
    return write_hdf5(folder / "turned.h5", "x/{}", videos)


def padded(folder: Path) -> Path:
    """All of one length, zeros beyond the video's end; a row per 5 s, and one video missing."""
    videos = {}
    for video, array in arrays(step_s=5.0).items():
        videos[video] = np.zeros((6, WIDTH), np.float32)
        videos[video][: len(array)] = array
    del videos["EEE4E"]
    return write_hdf5(folder / "padded.h5", "{}", videos)


def many_files(folder: Path) -> Path:
    return write_npy(folder / "i3d", "rgb/{}_rgb.npy", arrays())


def one_archive(folder: Path) -> Path:
    np.savez_compressed(folder / "one.npz", **arrays())
    return folder / "one.npz"


def many_archives(folder: Path) -> Path:
    (folder / "clip").mkdir()
    for video, array in arrays().items():
        np.savez(folder / f"clip/{video}.npz", features=array[:, None, None])
    return folder / "clip"


LAYOUTS = {
    plain: {"layout": "hdf5"},
    grouped: {"layout": "hdf5", "member": "c3d_features"},
    nested: {"layout": "hdf5", "member": "i3d", "name": "all/rgb_{key}.mp4"},
    turned: {"layout": "hdf5", "name": "x/{key}", "transposed": True, "dtype": "float16"},
    padded: {"layout": "hdf5", "drop_zero_rows": True, "max_failed_share": 0.2},
    many_files: {"layout": "npy", "name": "{key}_rgb"},
    one_archive: {"layout": "npz"},
    many_archives: {"layout": "npz", "member": "features"},
}


def ask(path: Path, capsys: pytest.CaptureFixture, *more: str) -> tuple[dict, str]:
    """The verb's answer for programs, and the same for people."""
    capsys.readouterr()
    assert main(["features", "--like", str(path), "--json", *more]) == 0, capsys.readouterr().err
    facts = json.loads(capsys.readouterr().out)
    return facts, as_text(facts) + "\n"


def paste(text: str) -> str:
    """Each block at the end of the file that the line above it names; the recipe's name."""
    blocks = re.findall(r"^# at the end of (\S+?)[:,].*\n((?:(?!#).*\n)+)", text, re.M)
    assert tuple(path for path, _ in blocks) == PASTED
    for path, block in blocks:
        with open(path, "a") as stream:
            stream.write(block)
    (said,) = re.findall(r"^#   charades_sta: \{features: (\w+),", text, re.M)
    Catalogue.load.cache_clear()
    return said


def run_released(name: str) -> Path:
    """The released phase of a study that reads the recipe, and what it needs; the feature file."""
    chosen = {"features": name, "vectors": "learned"}
    study = Study(
        {
            "study": "others",
            "title": "others' features",
            "datasets": {"charades_sta": chosen},
            "systems": [{"model": "prior", "seeds": [0]}],
            "tables": {"table1": {"metrics": ["mIoU"]}},
        },
        source="others.yaml",
    )
    for phase in ("download", "annotations", "released"):
        for record in study.targets(phase):
            run_job(study, study.jobs[record])
    (record,) = study.targets("released")
    return read_record(record).file(f"{name}.h5")


def test_the_recipes_work_as_printed(project, tmp_path, capsys):
    said = {make: ask(make(tmp_path), capsys) for make in LAYOUTS}
    names = {make: paste(text) for make, (_, text) in said.items()}
    for make, (facts, _) in said.items():
        times = facts["released"].pop("times")
        assert facts["released"] == LAYOUTS[make] and facts["problems"] == []
        assert facts["dataset"] == "charades_sta" and facts["width"] == WIDTH
        # Two rows of 5 s are no 10 s and a half of video, which the padded one has
        assert times == ("equal" if make is padded else {"chunk_s": 0.5})
        expected = arrays(step_s=5.0 if make is padded else 0.5)
        with FeatureStore(run_released(names[make])) as store:
            lacking = {"EEE4E"} if make is padded else set()
            assert set(store.video_ids) == set(expected) - lacking
            for video in store.video_ids:
                clips, seconds = store.read(video)
                is_half = facts["dtypes"] == ["float16"]
                assert (clips == expected[video].astype("f2" if is_half else "f4")).all()
                assert seconds[-1, 1] == pytest.approx(DURATIONS[video], abs=1)


def test_whole_chunks_are_said_to_be_so(project, tmp_path, capsys):
    """As DiDeMo's: a row per five seconds, the last one shorter than the others."""
    rows = {video: np.ones((-int(-seconds // 2), 3)) for video, seconds in DURATIONS.items()}
    facts, _ = ask(write_hdf5(tmp_path / "x.h5", "{}", rows), capsys)
    assert facts["released"]["times"] == {"chunk_s": 2.0}
    assert "max_failed_share" not in facts["released"]


def test_what_it_says_of_ids_rows_and_rate(project, tmp_path, capsys):
    videos = arrays()
    del videos["BBB1B"]
    videos["ZZZ9Z"] = videos["AAA0A"]
    videos["CCC2C"][4] = 0
    videos["DDD3D"][-2:] = 0
    facts, text = ask(write_hdf5(tmp_path / "x.h5", "v_{}", videos), capsys)
    assert facts["missing"] == ["BBB1B"] and facts["unused"] == 1
    assert (facts["videos"], facts["of_videos"]) == (4, 5)
    assert facts["ends_in_zeros"] == 1 and facts["zero_within"] == 1 and facts["broken"] == []
    assert facts["rate"]["step_s"] == pytest.approx(0.5)
    assert facts["rows"] == [14, 25, 64]
    assert "a row per 0.5 s" in text and "every 8 frames at 16" in text
    assert "missing   1: BBB1B" in text and "v_{key}" in text


def test_the_best_of_the_data_sets_is_named(project, tmp_path, capsys):
    videos = {f"s13-d{number}.avi": np.ones((9, WIDTH), np.float32) for number in range(4)}
    row = {"timestamps": [[0, 9]], "sentences": ["He cooks."], "fps": 10, "num_frames": 45}
    sources = Catalogue.load().sources
    for split in ("train", "val", "test"):
        path = tmp_path / "mirror" / sources[f"tacos_2dtan_{split}"]["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dict.fromkeys(videos, row)))
    few = dict(list(arrays().items())[:4])
    path = write_hdf5(tmp_path / "x.h5", "{}", few | {name[:-4]: videos[name] for name in videos})
    facts, text = ask(path, capsys, "--mirror", str(tmp_path / "mirror"))
    assert facts["dataset"] == "tacos_2dtan" and facts["unused"] == 4
    assert facts["rate"]["step_s"] == 0.5 and facts["rate"]["fixed_rows"] == 9
    assert "9 rows in every video" in text and "activitynet_captions" in facts["untried"]
    facts, _ = ask(path, capsys, "--dataset", "charades_sta")
    assert facts["dataset"] == "charades_sta" and facts["videos"] == 4
    facts, _ = ask(path, capsys, "--videos", "2")
    assert facts["dataset"] == "charades_sta" and facts["looked_at"] == 2


def test_nan_is_named_and_gives_no_recipe(project, tmp_path, capsys):
    videos = arrays()
    videos["CCC2C"][3, 1] = np.nan
    facts, text = ask(write_hdf5(tmp_path / "x.h5", "{}", videos), capsys)
    assert facts["broken"] == ["CCC2C"] and "recipe" not in facts
    assert "1 arrays hold NaN or infinity, the first 'CCC2C'" in text
    assert "config/features.yaml" not in text


@pytest.mark.parametrize("rows", [0, 4])
def test_nothing_but_zeros_gives_no_recipe(project, tmp_path, capsys, rows):
    """Its reader would refuse every video."""
    videos = {video: np.zeros((rows, WIDTH), np.float32) for video in DURATIONS}
    facts, _ = ask(write_hdf5(tmp_path / "x.h5", "{}", videos), capsys)
    assert "no array has a row that is not zeros alone" in facts["problems"][0]
    assert "recipe" not in facts


def test_two_widths_give_no_recipe(project, tmp_path, capsys):
    videos = arrays()
    videos["CCC2C"] = np.ones((5, WIDTH + 1), np.float32)
    facts, _ = ask(write_hdf5(tmp_path / "x.h5", "{}", videos), capsys)
    assert "neither one width nor one number of rows" in facts["problems"][0]
    assert "recipe" not in facts


def test_shapes_that_are_all_alike_are_told_by_known_widths(project, tmp_path, capsys):
    square = {video: np.ones((1024, 8), np.float32) for video in DURATIONS}
    facts, _ = ask(write_hdf5(tmp_path / "x.h5", "{}", square), capsys)
    assert facts["transposed"] and facts["width"] == 1024
    square = {video: np.ones((9, 7), np.float32) for video in DURATIONS}
    facts, _ = ask(write_hdf5(tmp_path / "y.h5", "{}", square), capsys)
    assert not facts["transposed"] and "not to be told" in facts["known_by"]


def test_names_that_are_taken_are_refused_or_numbered(project, tmp_path, capsys):
    path = write_hdf5(tmp_path / "charades_sta_train.h5", "{}", arrays())
    facts, _ = ask(path, capsys)
    assert facts["name"] == "charades_sta_train_2"
    for name in ("charades_sta_train", "My-Features"):
        assert main(["features", "--like", str(path), "--name", name]) == 1
        assert f"--name: {name!r}" in capsys.readouterr().err
    facts, _ = ask(path, capsys, "--name", "mine")
    assert facts["source"]["path"] == "features/mine.h5"


def touch(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def linked(folder: Path) -> Path:
    path = write_hdf5(folder / "x.h5", "{}", arrays())
    with h5py.File(path, "a") as file:
        file["FFF5F"] = h5py.ExternalLink("/etc/other.h5", "/a")
    return path


def own(folder: Path) -> Path:
    with h5py.File(folder / "x.h5", "w") as file:
        file.attrs["schema"] = "tsgbench-features-1"
    return folder / "x.h5"


def hollow(folder: Path) -> Path:
    with h5py.File(folder / "x.h5", "w") as file:
        for video in DURATIONS:
            file.create_dataset(video, (1 << 40, 1000), "f4", chunks=(1, 1000))
    return folder / "x.h5"


def pickled(folder: Path) -> Path:
    path = folder / "x/AAA0A.npy"
    path.parent.mkdir()
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    return path.parent


def circle(folder: Path) -> Path:
    path = write_hdf5(folder / "x.h5", "{}", arrays())
    with h5py.File(path, "a") as file:
        file["again"] = file["/"]
        file["round"] = h5py.SoftLink("/round")
    return path


ODD = {
    "no such file": (lambda folder: folder / "gone.h5", "no such file or folder"),
    "pickle": (lambda folder: touch(folder / "x.pt", b"PK\x03\x04"), "a pickle of Python objects"),
    "folder of pickles": (
        lambda folder: touch(folder / "x/AAA0A.pt", b"\x80").parent,
        "a pickle of Python objects",
    ),
    "gzip": (lambda folder: touch(folder / "x.h5", b"\x1f\x8b\0\0"), "packed by gzip; unpack it"),
    "xz": (lambda folder: touch(folder / "x.h5.xz", b"\xfd7zXZ\0"), "packed by xz; unpack it"),
    "zip": (lambda folder: touch(folder / "x.zip", b"PK\x03\x04"), "a zip archive; unpack it"),
    "empty": (lambda folder: touch(folder / "x.h5", b""), "empty; get it again"),
    "text": (lambda folder: touch(folder / "x.csv", b"a,b\n"), "neither HDF5 nor NumPy's"),
    "damaged": (lambda folder: touch(folder / "x.h5", b"\x89HDF\r\n\x1a\n" + b"x" * 99), "damaged"),
    "no array": (lambda folder: touch(folder / "x/readme.txt", b"a").parent, "1 .txt"),
    "one array": (lambda folder: touch(folder / "x.npy", b"\x93NUMPY"), "says of no row which"),
    "not an archive": (lambda folder: touch(folder / "x.npz", b"nothing"), "not a NumPy file"),
    "pickled array": (pickled, "not a NumPy file of plain numbers"),
    "two HDF5 files": (
        lambda folder: touch(touch(folder / "x/a.h5", b"x").parent / "b.h5", b"x").parent,
        "2 HDF5 files",
    ),
    "link elsewhere": (linked, "is a link to another file"),
    "tsgbench's own": (own, "a feature file of tsgbench's own"),
    "hollow": (hollow, "of which its file holds next to nothing"),
    "integers": (
        lambda folder: write_hdf5(folder / "x.h5", "{}", {"AAA0A": np.ones((2, 3), int)}),
        "no array of floating-point numbers",
    ),
    "grids": (
        lambda folder: write_hdf5(folder / "x.h5", "{}", {"AAA0A": np.ones((2, 3, 4))}),
        "rows of numbers are needed",
    ),
    "other ids": (
        lambda folder: write_hdf5(folder / "x.h5", "{}", {"dog": np.ones((2, 3))}),
        "holds a video's id of charades_sta ('AAA0A', …)",
    ),
}


@pytest.mark.parametrize("odd", ODD)
def test_hostile_and_odd_files_are_one_sentence(project, tmp_path, capsys, odd):
    make, said = ODD[odd]
    assert main(["features", "--like", str(make(tmp_path))]) == 1
    told = capsys.readouterr()
    assert said in told.err and told.out == ""
    assert told.err.count("\n") == 1 and "Traceback" not in told.err


def test_a_circle_of_groups_ends(project, tmp_path, capsys):
    facts, _ = ask(circle(tmp_path), capsys)
    assert facts["videos"] == len(DURATIONS)


def test_a_folder_whose_files_changed_is_refused(project, tmp_path, capsys):
    _, text = ask(many_files(tmp_path), capsys)
    name = paste(text)
    np.save(tmp_path / "i3d/rgb/AAA0A_rgb.npy", np.ones((2, WIDTH), np.float32))
    with pytest.raises(Exception, match="its 5 files are not those that config/sources.yaml"):
        run_released(name)
    assert not (project / f"data/raw/features/{name}").exists()


def test_a_project_without_annotations_says_so(project, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(datasets, "folders_of", lambda *_: [tmp_path])
    path = plain(tmp_path)
    assert main(["features", "--like", str(path), "--dataset", "charades_sta"]) == 1
    assert "its annotations are not all here" in capsys.readouterr().err
    assert main(["features", "--like", str(path)]) == 1
    assert "any data set; not tried" in capsys.readouterr().err
