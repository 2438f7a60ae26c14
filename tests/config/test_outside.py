"""Additions in a project's folder and from installed packages: found, checked, never mixed up."""

import sys
from importlib.metadata import EntryPoint, EntryPoints

import pytest
import yaml

from guides import ROOT, block_of, forget
from tsgbench import outside
from tsgbench.config import Catalogue
from tsgbench.errors import UserError
from tsgbench.jobs import code
from tsgbench.planning.study import Study

MODEL = block_of("add_a_model.md", "python")
ENTRY = block_of("add_a_model.md", "yaml")


@pytest.fixture(autouse=True)
def forgotten():
    """What is read of files once per process, asked again: files change within these tests."""
    yield
    forget()
    outside.open_folder(ROOT)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "config/models").mkdir(parents=True)
    (tmp_path / "Snakefile").touch()
    (tmp_path / "models/tiny.py").write_text(MODEL)
    (tmp_path / "config/models/tiny.yaml").write_text(ENTRY)
    monkeypatch.chdir(tmp_path)
    forget()
    return tmp_path


def study() -> Study:
    forget()
    systems = [{"model": name, "seeds": [0]} for name in ("seqpan", "tiny")]
    return Study(
        {
            **yaml.safe_load((ROOT / "config/demo.yaml").read_text()),
            "systems": systems,
            "overrides": {"tiny": {"train": {"epochs": 2}}},
            "study": "mine",
        }
    )


def identity(planned: Study, model: str) -> str:
    return planned.identity(planned.find_key("train", f"{model}/shapes/full/seed0").record)


def identities(planned: Study) -> tuple[str, str]:
    """At once: code is read when it is asked for."""
    return identity(planned, "tiny"), identity(planned, "seqpan")


def test_a_model_of_the_folder_is_one_among_the_shipped(folder):
    planned = study()
    assert {"tiny", "seqpan", "whole_video"} <= planned.catalogue.models.keys()
    job = planned.find_key("train", "tiny/shapes/full/seed0")
    assert job.modules == ("study_models.tiny",)
    assert {"study_models.tiny", "tsgbench.models.layers"} <= set(code.closure(*job.roots))


def test_an_edit_of_it_or_of_what_it_imports_makes_its_own_cells_stale_alone(folder):
    (folder / "models/parts.py").write_text("SCALE = 1.0\n")
    with_part = MODEL.replace("import torch\n", "import torch\n\nfrom .parts import SCALE\n", 1)
    (folder / "models/tiny.py").write_text(with_part)
    changed = with_part.replace("torch.tanh", "torch.sin")
    edits = [("parts", "SCALE = 2.0\n"), ("tiny", changed), ("tiny", f"{changed}# why\n")]
    found = [identities(study())]
    for name, text in edits:
        (folder / f"models/{name}.py").write_text(text)
        found.append(identities(study()))
    tiny, seqpan = zip(*found, strict=True)
    assert len(set(tiny)) == 3 and tiny[2] == tiny[3]
    assert len(set(seqpan)) == 1


def test_its_settings_are_checked_like_any_other(folder):
    (folder / "config/models/tiny.yaml").write_text(ENTRY.replace("width: 64", "widht: 64"))
    with pytest.raises(UserError, match=r"config/models/tiny\.yaml: .*'widht'; did you mean 'wid"):
        study()
    (folder / "config/models/tiny.yaml").write_text(ENTRY)
    (folder / "models/tiny.py").write_text(MODEL.replace('register("tiny")', 'register("tinny")'))
    with pytest.raises(
        UserError, match=r"models/tiny\.py: registers no 'tiny'; did you mean 'tinn"
    ):
        study()
    (folder / "models/tiny.py").unlink()
    with pytest.raises(UserError, match=r"models/tiny\.py: no such module"):
        study()


def test_a_name_that_is_taken_is_refused_with_both_places(folder):
    (folder / "models/seqpan.py").write_text(MODEL)
    (folder / "config/models/seqpan.yaml").write_text(ENTRY)
    with pytest.raises(
        UserError, match=r"models/seqpan\.py: .*tsgbench/models/seqpan\.py is called"
    ):
        study()
    (folder / "models/seqpan.py").unlink()
    with pytest.raises(UserError, match=r"seqpan\.yaml: seqpan: .*config/models/seqpan\.yaml has"):
        study()


def test_conventions_and_features_of_the_folder_join_the_shipped(folder):
    shipped = yaml.safe_load((ROOT / "config/conventions.yaml").read_text())
    mine = {"mine": {**shipped["official_fian"], "title": "mine"}}
    (folder / "config/conventions.yaml").write_text(yaml.safe_dump(mine))
    recipe = {"title": "smaller", "clips": "c3d_random_stats_w16s8", "reduce": {"pca": {"dim": 8}}}
    (folder / "config/features.yaml").write_text(yaml.safe_dump({"features": {"small": recipe}}))
    forget()
    known = Catalogue.load()
    assert known.conventions.keys() == shipped.keys() | {"mine"}
    assert known.features["small"]["reduce"] == {"pca": {"dim": 8}}
    recipe["clips"] = "c3d_random_stats_w16s9"
    (folder / "config/features.yaml").write_text(yaml.safe_dump({"features": {"small": recipe}}))
    forget()
    with pytest.raises(
        UserError, match=r"config/features\.yaml: features\.small\.clips: .*did you"
    ):
        Catalogue.load()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package with a model and a reader, and what its entry points say."""
    place = tmp_path / "site/my_package"
    place.mkdir(parents=True)
    (place / "__init__.py").touch()
    (place / "tiny.py").write_text(MODEL)
    (place / "tiny.yaml").write_text(ENTRY)
    (place / "lines.py").write_text(
        "from tsgbench.datasets.readers import Row, register\n\n\n"
        '@register("lines")\n'
        "def read(files, *, scale: float = 1.0):\n"
        '    return {name: [Row(name, name, "v", "x", 0, scale, 9)] for name in ("a", "b")}\n'
    )
    entry = {
        "title": "Lines",
        "files": {"all": "lines_file"},
        "settings": {"scale": 2.0},
        "splits": {"train": "a", "select": "last", "test": "b"},
        "conventions": [],
        "note": "n",
    }
    source = {
        "path": "lines.txt",
        "kind": "annotation",
        "urls": ["https://example.org/lines.txt"],
        "licence": "MIT",
        "purpose": "lines",
    }
    (place / "lines.yaml").write_text(
        yaml.safe_dump({"datasets": {"lined": entry}, "sources": {"lines_file": source}})
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    known = {
        "tsgbench.models": [EntryPoint("tiny", "my_package.tiny", "tsgbench.models")],
        "tsgbench.datasets": [EntryPoint("lines", "my_package.lines", "tsgbench.datasets")],
    }
    monkeypatch.setattr(outside, "entry_points", lambda group: EntryPoints(known.get(group, [])))
    yield place
    for name in [name for name in sys.modules if name.startswith("my_package")]:
        del sys.modules[name]


def test_an_installed_package_adds_models_and_data_sets(folder, package):
    from tsgbench.datasets.readers import read_annotations

    (folder / "config/models/tiny.yaml").unlink()
    (folder / "models/tiny.py").unlink()
    planned = study()
    assert planned.find_key("train", "tiny/shapes/full/seed0").modules == ("my_package.tiny",)
    entry = planned.catalogue.datasets["lined"]
    assert entry["reader"] == "my_package.lines" and "lines_file" in planned.catalogue.sources
    (folder / "lines.txt").touch()
    tables, report = read_annotations(
        entry["reader"], {"all": folder / "lines.txt"}, settings=entry["settings"]
    )
    assert tables["b"].moments.tolist() == [[0, 2]] and report["reader"] == "my_package.lines"
    before = identity(planned, "tiny")
    (package / "tiny.py").write_text(MODEL.replace("torch.tanh", "torch.sin"))
    assert identity(study(), "tiny") != before


def test_a_package_and_a_folder_cannot_share_a_name(folder, package):
    with pytest.raises(
        UserError, match=r"my_package/tiny\.yaml: tiny: config/models/tiny\.yaml has"
    ):
        study()


def test_a_reader_of_the_folder_is_found(folder):
    (folder / "datasets").mkdir()
    (folder / "datasets/lines.py").write_text(
        "from tsgbench.datasets.readers import register\n\n\n"
        '@register("lines")\ndef read(files, *, scale: float = 1.0):\n    return {}\n'
    )
    shipped = yaml.safe_load((ROOT / "config/datasets.yaml").read_text())["qvhighlights"]
    entry = {**shipped, "reader": "lines", "settings": {"scale": 3.0}}
    (folder / "config/datasets.yaml").write_text(yaml.safe_dump({"lined": entry}))
    forget()
    assert Catalogue.load().datasets["lined"]["reader"] == "study_datasets.lines"
    entry["settings"] = {"scal": 3.0}
    (folder / "config/datasets.yaml").write_text(yaml.safe_dump({"lined": entry}))
    forget()
    with pytest.raises(UserError, match=r"datasets\.yaml: lined\.settings: .*'scal'; did you mean"):
        Catalogue.load()
