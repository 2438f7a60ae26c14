"""config/datasets.yaml: protocols that cannot cheat, and entries that fit their readers."""

import copy
import importlib
import inspect
import re
from pathlib import Path

import pytest

from tsgbench.config import Catalogue, as_list, check_protocols
from tsgbench.datasets.readers import POLICIES
from tsgbench.errors import UserError

ROOT = Path(__file__).parents[2]
CATALOGUE = Catalogue.load(ROOT)
PROTOCOLS = {
    f"{dataset}.{name}": protocol
    for dataset, entry in CATALOGUE.datasets.items()
    for name, protocol in [("splits", entry["splits"]), *entry.get("protocols", {}).items()]
}


def change(dataset: str, path: list[str], value) -> dict:
    datasets = copy.deepcopy(CATALOGUE.datasets)
    holder = datasets[dataset]
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return datasets


@pytest.mark.parametrize(
    ("dataset", "path", "value", "message"),
    [
        ("charades_sta", ["splits", "select"], "test", "charades_sta.splits: selects checkpoints"),
        ("activitynet_captions", ["splits", "select"], ["val_1", "val_2"], "'val_2', which it"),
        ("activitynet_captions", ["splits", "test"], ["val_2", "val_1"], "'val_1', which it tests"),
        ("activitynet_captions", ["protocols", "merged", "select"], "val_1", "protocols.merged: "),
        (
            "charades_sta",
            ["protocols", "official_seqpan", "official"],
            False,
            "official_seqpan: sel",
        ),
        (
            "charades_sta",
            ["protocols", "official_seqpan", "train"],
            ["train", "test"],
            "both trains and",
        ),
        ("charades_cd", ["splits", "score", "iid"], "val", "score.iid: 'val' is not tested"),
    ],
)
def test_only_an_official_protocol_selects_on_what_it_tests(dataset, path, value, message):
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        check_protocols(change(dataset, path, value), "datasets.yaml")
    said = str(caught.value)
    assert said.startswith(f"datasets.yaml: {dataset}.") and "\n" not in said


def test_the_check_runs_whenever_the_catalogue_is_read(tmp_path):
    (tmp_path / "config").mkdir()
    for path in (ROOT / "config").iterdir():
        (tmp_path / "config" / path.name).symlink_to(path)
    datasets = tmp_path / "config/datasets.yaml"
    text = datasets.read_text().replace("official: true", "official: false")
    datasets.unlink()
    datasets.write_text(text)
    with pytest.raises(UserError, match=r"datasets\.yaml: .*: selects checkpoints on"):
        Catalogue.load(tmp_path)


def test_official_protocols_are_named_so_and_do_select_on_the_test():
    official = {name for name, protocol in PROTOCOLS.items() if protocol.get("official")}
    assert official == {name for name in PROTOCOLS if ".official" in name}
    for name in official:
        assert set(as_list(PROTOCOLS[name]["select"])) & set(as_list(PROTOCOLS[name]["test"]))


@pytest.mark.parametrize("dataset", CATALOGUE.datasets)
def test_entries_fit_their_readers(dataset):
    entry = CATALOGUE.datasets[dataset]
    reader = importlib.import_module(f"tsgbench.datasets.{entry['reader']}").read
    settings = set(entry.get("settings", {})) - {"policy"}
    assert settings <= set(inspect.getfullargspec(reader).kwonlyargs)
    assert entry.get("settings", {}).get("policy", "clip") in POLICIES


@pytest.mark.parametrize("dataset", CATALOGUE.datasets)
def test_every_file_has_a_source(dataset):
    entry = CATALOGUE.datasets[dataset]
    named = {*entry["files"].values(), *([entry["videos"]] if "videos" in entry else [])}
    assert named <= set(CATALOGUE.sources)


def test_published_names_are_those_of_the_papers():
    text = "".join(path.read_text() for path in (ROOT / "published").glob("*.yaml"))
    for entry in CATALOGUE.datasets.values():
        if "published" in entry:
            assert re.search(rf"\b{entry['published']}\b", text)
