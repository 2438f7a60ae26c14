"""config/sources.yaml against its section, the data sets and the mirror."""

import re
from pathlib import Path

import pytest
import yaml

from tsgbench.config.refusals import check
from tsgbench.config.sections import sources as sections
from tsgbench.downloads import fetch
from tsgbench.downloads.identifiers import (
    as_list,
    fill_template,
    key_of,
    read_ids,
    read_keys,
    read_list,
)
from tsgbench.errors import UserError

ROOT = Path(__file__).parents[2]


def read_config(name: str) -> dict:
    return yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())


FILE = {"path": "a/b.zip", "urls": ["http://x/y"], "kind": "weights"}
FILE |= {"licence": "MIT", "purpose": "test"}
BARE = {key: value for key, value in FILE.items() if key != "urls"}
UNPACK = {"into": "a/b", "max_bytes": 10}
VIDEOS = {"ids_from": ["ids"], "suffix": ".mp4", "by": "template", "url": "http://x/{key}"}
VIDEOS |= {"max_failed_share": 0.1, "key": "v_(.*)"}
LISTED = {key: VIDEOS[key] for key in VIDEOS if key != "ids_from"}
LISTED |= {"listed_in": "config/lists/x.csv", "url": ["http://x/{key}", "http://y/{key}"]}
MEMBER = {"member": "p/rows.npy", "bytes": 5, "sha256": "0" * 64}
PACKAGE = {"name": "a-package", "version": "1.0", "members": [MEMBER]}
PARTS = [{"urls": ["http://x/0"]}, {"urls": ["http://x/1"], "bytes": 5}]


@pytest.mark.parametrize(
    "source",
    [
        FILE,
        FILE | {"unpack": UNPACK},
        BARE | {"page": "http://x/"},
        BARE | {"parts": PARTS, "unpack": UNPACK},
        BARE | {"package": PACKAGE},
        BARE | {"videos": VIDEOS},
        BARE | {"videos": VIDEOS | {"by": "yt_dlp", "pause_s": 3}},
        BARE | {"page": "http://x/", "videos": VIDEOS | {"by": "page"}},
        BARE | {"videos": LISTED},
    ],
)
def test_the_section_accepts(source):
    check(sections.FILE, {"good": source}, "sources.yaml")


@pytest.mark.parametrize(
    "source",
    [
        FILE | {"urls": []},
        FILE | {"urls": ["ftp://x/y"]},
        FILE | {"path": "../x"},
        FILE | {"path": "a/../../x"},
        FILE | {"path": "/x"},
        FILE | {"sha256": "12"},
        FILE | {"sha-256": "0" * 64},
        FILE | {"bytes": 0},
        FILE | {"kind": "other"},
        FILE | {"unpack": {"into": "a"}},
        FILE | {"unpack": UNPACK | {"into": "../a"}},
        FILE | {"parts": PARTS},
        FILE | {"videos": VIDEOS},
        FILE | {"package": PACKAGE},
        BARE | {"package": PACKAGE, "unpack": UNPACK},
        BARE | {"package": PACKAGE | {"members": []}},
        BARE | {"package": PACKAGE | {"members": [{"member": "p/rows.npy"}]}},
        BARE,
        BARE | {"parts": PARTS[:1]},
        BARE | {"videos": VIDEOS | {"max_failed_share": 2}},
        BARE | {"videos": VIDEOS | {"key": "without a group"}},
        BARE | {"videos": VIDEOS | {"suffix": ".exe"}},
        BARE | {"videos": {key: VIDEOS[key] for key in VIDEOS if key != "url"}},
        BARE | {"videos": VIDEOS, "unpack": UNPACK},
        BARE | {"videos": VIDEOS | LISTED},
        BARE | {"videos": LISTED | {"listed_in": "/etc/x.csv"}},
    ],
)
def test_the_section_rejects(source):
    with pytest.raises(UserError, match=r"^sources\.yaml: bad"):
        check(sections.FILE, {"bad": source}, "sources.yaml")


def test_sources_name_sources_that_exist():
    sources = read_config("sources")
    for source in sources.values():
        needs, spec = set(source.get("needs", [])), source.get("videos", {})
        reads = set(spec.get("ids_from", [])) | ({spec["keys"]} if "keys" in spec else set())
        assert reads <= needs <= set(sources)
        assert set(spec.get("spares", [])) <= set(sources)
        if spec.get("by") in ("template", "yt_dlp"):
            for template in as_list(spec["url"]):
                assert fill_template(template, "abcdefghi").startswith("https://")
            assert re.compile(spec.get("key", "(.+)")).groups == 1
        if "listed_in" in spec:
            assert read_list(ROOT / spec["listed_in"])


def test_no_two_sources_share_a_place():
    sources = read_config("sources").values()
    places = [source["path"] for source in sources]
    places += [source["unpack"]["into"] for source in sources if "unpack" in source]
    places += [
        entry["path"]
        for source in sources
        for entry in [*source.get("excerpts", []), *source.get("substitutes", [])]
    ]
    assert len(places) == len(set(places))


def test_every_file_of_a_data_set_is_a_source():
    sources = read_config("sources")
    for entry in read_config("datasets").values():
        assert set(entry["files"].values()) <= set(sources)
        assert entry["files"] or entry["generated"]


def test_the_mirror_holds_what_the_sources_state(mirror, tmp_path):
    sources = read_config("sources")
    absent = []
    for name, source in sources.items():
        if source["kind"] != "annotation":
            continue
        try:
            facts = fetch(source | {"urls": []}, tmp_path, mirror=str(mirror), progress=False)
        except UserError:
            absent.append(name)
            continue
        assert all(file["from"] == "mirror" for file in facts["files"])
        assert facts["substitute"] is (name == "activitynet_cd_train") and not facts["excerpt"]
    assert absent == ["didemo_train"]
    glove = sources["glove_840b_300d"] | {"urls": []}
    assert fetch(glove, tmp_path, mirror=str(mirror), progress=False)["excerpt"] is True


@pytest.mark.parametrize(
    ("name", "files", "videos"),
    [
        ("activitynet_videos", ["activitynet_captions_train", "activitynet_captions_val_1"], 14926),
        ("didemo_videos", ["didemo_val", "didemo_test"], 2131),
    ],
)
def test_every_video_of_the_mirrors_annotations_has_a_name_at_its_host(mirror, name, files, videos):
    sources = read_config("sources")
    spec = sources[name]["videos"]
    keys = read_keys(mirror / sources[spec["keys"]]["path"]) if "keys" in spec else None
    assert set(files) <= set(spec["ids_from"])
    ids = {video for file in files for video in read_ids(mirror / sources[file]["path"])}
    found = [key_of(video, spec["key"], keys) for video in ids]
    assert len(ids) == videos and None not in found
    # DiDeMo names 62 uploads twice, by two suffixes; a pattern that lost digits would merge others
    assert len(set(found)) == len({video.rsplit(".", 1)[0] for video in ids})
