"""config/paper.yaml made small by code, in a project copy of its own, and run from end to end."""

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from pathlib import Path

import yaml

from downloads.download_server import Handler, serve, status
from tsgbench.config import Catalogue
from tsgbench.planning.study import Study
from workflow import upstream
from workflow.conftest import Project, check_out

PAPER = ("--configfile", "config/paper.yaml")
# Of the papers' own tables and figures: one kind each
PRINTED = (
    "results/paper/seqpan/table2.tex",
    "results/paper/seqpan/table7.tex",
    "results/paper/fsan/table2.tex",
    "results/paper/cma/figure6.pdf",
)
# A cell takes seconds to start, so beside every model on all its data sets only a few are run: the
# controls of one model, those with features of their own, a baseline for each data set
MORE_ABLATIONS = {
    "fsan": ["blind", "own_c3d", "own_vgg16"],
    "cma": ["i3d_finetuned"],
}
# Beside each data set's default: the papers' of three models and of one baseline
PROTOCOLS = {model: ["default", "printed"] for model in ("random", "ia_net", "cma", "seqpan")}
OFFICIAL = "official_cma"  # of the practices of public code, this one
NARROW = {
    "ia_net": {
        "inputs": {"max_clips": 16},
        "model": {"width": 16, "reduce": 8, "widths": [2, 4, 8]},
    },
    "fian": {
        "inputs": {"max_clips": 16},
        "model": {"width": 16, "heads": 2, "ffn_scale": 2, "max_clips": 16, "windows": [2, 4]},
    },
    "cma": {"model": {"width": 16, "heads": 2, "ffn_width": 16, "phrase_width": 8}},
    "seqpan": {"model": {"width": 16, "heads": 2, "char_dim": 6, "conv_layers": 1}},
    "fsan": {"model": {"width": 16, "heads": 2, "expansion": 2, "layers": 1}},
}
# Understands what downloads say to yt-dlp; a video that is gone is gone in the site's words
YT_DLP = """#!{python}
import pathlib, sys, urllib.error, urllib.request
target = pathlib.Path(sys.argv[sys.argv.index("--output") + 1].replace("%(ext)s", "mp4"))
address = sys.argv[-1]
try:
    with urllib.request.urlopen(address.replace("watch?v=", "watched/")) as answer:
        target.write_bytes(answer.read())
except urllib.error.HTTPError:
    key = address.rpartition("=")[2]
    print("ERROR: [youtube] " + key + ": Video unavailable. This video has been removed by the"
          " uploader", file=sys.stderr)
    sys.exit(1)
"""


def shrink_study(study: dict) -> dict:
    """The study with one seed, few ablations and narrow models; the rest as it is."""
    few, datasets = [], iter(study["datasets"])
    for system in study["systems"]:
        smaller = system | {"seeds": system["seeds"][:1]}
        if "datasets" not in system:
            smaller["datasets"] = [next(datasets)]
        elif "ablations" in system:
            smaller["ablations"] = ["full", *MORE_ABLATIONS.get(system["model"], [])]
        if system.get("protocols") != [OFFICIAL]:
            smaller["protocols"] = PROTOCOLS.get(system["model"], ["default"])
        few.append(smaller)
    overrides = {
        model: {**narrow, "train": {"epochs": 1, "batch_size": 8}}
        for model, narrow in NARROW.items()
    }
    one = {phase: kept | {"threads": 1} for phase, kept in study["resources"].items()}
    return study | {"systems": few, "overrides": overrides, "resources": one}


def shrink_features(recipes: dict) -> dict:
    """Every recipe with a narrow network, small pictures and few principal components."""
    for clips in recipes["clips"].values():
        if clips["checkpoint"]:
            clips["network"] = clips["network"] | {"width": upstream.WIDTH}
            size = clips["frames"]
            size |= {"resize": [upstream.CROP, 40]} if "resize" in size else {}
            size |= {"short_side": upstream.CROP} if "short_side" in size else {}
            size["crop"] = upstream.CROP
    for features in recipes["features"].values():
        if (features.get("reduce") or {}).get("pca"):
            features["reduce"]["pca"]["dim"] = 8
    return recipes


def plan_server(server: ThreadingHTTPServer, sources: dict, made: upstream.Upstream) -> None:
    """What each address answers; some fail once, and one of two alternates for good."""
    for name, body in made.files.items():
        # A file that comes in pieces, each of which has addresses of its own
        pieces = sources[name].get("parts", [sources[name]])
        size = -(-len(body) // len(pieces))
        for place, piece in enumerate(pieces):
            for address in piece["urls"]:
                part = body[place * size : (place + 1) * size]
                server.plans[upstream.server_path(address)] = [serve(part)]
    for name, fault in {
        "charades_sta_train": status(503),
        "glove_840b_300d": serve(made.files["glove_840b_300d"], stop_after=5000, etag='"a"'),
        "tacos_val": status(500),
    }.items():
        server.plans[upstream.server_path(sources[name]["urls"][0])].insert(0, fault)
    for name in ("didemo_train", "charades_videos"):
        server.plans[upstream.server_path(sources[name]["urls"][0])] = [status(404)]
    for address, body in made.videos.items():
        server.plans[address] = [status(404) if body is None else serve(body)]


@dataclass
class Ran:
    """The miniature after everything ran, and what was seen on the way."""

    project: Project
    made: upstream.Upstream
    study: dict
    by_hand: str  # what the first download said of the videos that a person must fetch
    asked: list[str]  # of the server, in order

    def record(self, path: str) -> dict:
        return json.loads(self.project.read(path))

    def plan(self) -> Study:
        return Study(self.study, Catalogue.load(self.project.folder))


def run_everything(folder: Path, warm: Path) -> Ran:
    """Download, place by hand what must be, run everything; the download over, no server is left.

    folder: empty, for the project copy and what the server has. warm: see `Project`.
    """
    made = upstream.make_upstream(folder / "upstream")
    project = check_out(folder / "project", warm)
    study, sources = shrink_project(project)
    put_yt_dlp_on_path(project, folder / "bin")
    with run_server() as server:
        url = f"http://127.0.0.1:{server.server_port}"
        plan_server(server, sources, made)
        led = upstream.lead_to_server(sources, url, made)
        write_yaml(project.folder / "config/sources.yaml", led)
        first = project.snakemake("--keep-going", "download", *PAPER, check=False)
        assert first.returncode == 1, "nobody has placed the videos that must come by hand yet"
        for name, body in made.by_hand.items():
            (project.folder / "data/raw/videos/tacos" / name).write_bytes(body)
        project.snakemake("download", *PAPER)
        asked = [name for name, _ in server.requests]
    project.snakemake("phase_report", *PRINTED, *PAPER)
    return Ran(project, made, study, first.stdout + first.stderr, asked)


def shrink_project(project: Project, name: str = "paper") -> tuple[dict, dict]:
    """Make the copy's study and recipes small; the study, and the sources as they are."""
    config = project.folder / "config"
    names = (name, "features", "sources")
    read = {name: yaml.safe_load((config / f"{name}.yaml").read_text()) for name in names}
    study, recipes = shrink_study(read[name]), shrink_features(read["features"])
    write_yaml(config / f"{name}.yaml", study)
    write_yaml(config / "features.yaml", recipes)
    return study, read["sources"]


def write_yaml(path: Path, content: dict) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def put_yt_dlp_on_path(project: Project, folder: Path) -> None:
    """The make-believe program, and no proxy between it and the server."""
    folder.mkdir()
    program = folder / "yt-dlp"
    program.write_text(YT_DLP.replace("{python}", sys.executable))
    program.chmod(0o755)
    project.env["PATH"] = f"{folder}{os.pathsep}{project.env['PATH']}"
    project.env["no_proxy"] = "127.0.0.1"


@contextmanager
def run_server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.plans, server.requests = {}, []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
