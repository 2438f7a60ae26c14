"""Features of one's own files: what their names and kinds may be."""

import os
from pathlib import Path

import pytest

from feature_samples import RECIPE, write_video
from tsgbench.cli.own_videos import extract_files, find_recipe
from tsgbench.config import Catalogue
from tsgbench.downloads.manifest import write_manifest
from tsgbench.errors import UserError
from tsgbench.features.failures import find_file, name_by_video
from tsgbench.features.store import FeatureStore

OWN = RECIPE | {"checkpoint": None}
LATIN = os.fsdecode(b"caf\xe9.mp4")


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setenv("TSGBENCH_DEVICE", "cpu")


def test_a_name_with_a_colon_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "10:30.mp4", 20)
    extract_files([Path("10:30.mp4")], Path("o.h5"), recipe=OWN)
    with FeatureStore(tmp_path / "o.h5") as store:
        assert store.video_ids == ["10:30"]


def test_a_name_that_is_not_utf8_is_refused_before_any_work(tmp_path):
    """An HDF5 file could not hold it: found out at the very end, it would be so at every rerun."""
    paths = [write_video(tmp_path / "a.mp4", 20), tmp_path / LATIN]
    os.rename(write_video(tmp_path / "b.mp4", 20), paths[1])
    with pytest.raises(UserError, match=r"caf\\xe9\.mp4: its name is not UTF-8.*rename") as caught:
        extract_files(paths, tmp_path / "o.h5", recipe=OWN)
    str(caught.value).encode()
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".mp4", ".mp4"]
    with pytest.raises(UserError, match=r"caf\\udce9\.mp4': its name is not UTF-8"):
        write_manifest(tmp_path, [path.name for path in paths])


def test_a_folder_that_is_not_utf8_is_read_and_its_failures_listed(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    (folder / "b.mp4").write_text("text")
    paths = [write_video(folder / "a.mp4", 20), folder / "b.mp4"]
    facts = extract_files(paths, tmp_path / "o.h5", recipe=OWN)
    assert facts["videos"] == 1 and len(facts["failed"]) == 1
    assert r"caf\xe9/b.mp4: cannot be decoded" in (tmp_path / "o.failed.csv").read_text()


def test_pictures_beside_videos_and_folders_of_frames(tmp_path):
    """Thumbnails do not stand in the way; where there is nothing else, they are called pictures."""
    names = ["a.mp4", "a.jpg", "b.PNG", "c/1.jpg", "c/2.jpg", "d/1.jpg", "list.csv"]
    found = name_by_video({name: tmp_path / name for name in names})
    assert find_file("a", found).name == "a.mp4" and find_file("b", found).name == "b.PNG"
    assert find_file("c", found) is None and find_file("list", found) is None
    with pytest.raises(UserError, match="is of the same video"):
        name_by_video({"a.mp4": tmp_path / "a.mp4", "b": tmp_path / "c" / "a.mp4"})


def test_a_checkpoint_for_what_has_no_weights_is_refused(tmp_path):
    """It was left unread, and the features taken for those of its network."""
    video, weights = write_video(tmp_path / "a.mp4", 20), tmp_path / "w.pt"
    weights.write_bytes(b"weights")
    recipe = find_recipe("thumbnail", Catalogue.load().clips)
    with pytest.raises(UserError, match=r"w\.pt: extractor 'thumbnail' has no weights"):
        extract_files([video], tmp_path / "o.h5", recipe=recipe, checkpoint=weights)
    assert not (tmp_path / "o.h5").exists()
