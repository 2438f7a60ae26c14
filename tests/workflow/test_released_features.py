"""config/released_features.yaml on miniatures of the released files, in their real layouts."""

import pytest
import yaml

from tsgbench.planning.study import Study
from workflow import upstream
from workflow.conftest import ROOT, check_out
from workflow.miniature import (
    plan_server,
    put_yt_dlp_on_path,
    run_server,
    shrink_project,
    write_yaml,
)

pytestmark = pytest.mark.slow

STUDY = ("--configfile", "config/released_features.yaml")
# One model for each data set, so that each release is read by one
MODELS = {
    "cma": "activitynet_captions",
    "ia_net": "charades_sta",
    "seqpan": "tacos_2dtan",
    "fsan": "didemo",
}


def test_no_video_is_asked_for():
    study = Study(yaml.safe_load((ROOT / "config/released_features.yaml").read_text()))
    kinds = {
        study.catalogue.sources[job.wildcards["source"]]["kind"]
        for job in study.jobs.values()
        if job.phase == "download"
    }
    assert kinds == {"annotation", "features", "vectors"}
    assert not study.targets("extract")


def test_every_release_is_read_trained_on_and_in_the_tables(tmp_path, warm):
    made = upstream.make_upstream(tmp_path / "upstream")
    project = check_out(tmp_path / "project", warm)
    study, sources = shrink_project(project, "released_features")
    study["systems"] = [
        {"model": model, "datasets": [dataset], "seeds": [0]} for model, dataset in MODELS.items()
    ]
    write_yaml(project.folder / "config/released_features.yaml", study)
    put_yt_dlp_on_path(project, tmp_path / "bin")
    with run_server() as server:
        plan_server(server, sources, made)
        url = f"http://127.0.0.1:{server.server_port}"
        led = upstream.lead_to_server(sources, url, made)
        write_yaml(project.folder / "config/sources.yaml", led)
        first = project.snakemake("--keep-going", "download", *STUDY, check=False)
        said = first.stdout + first.stderr
        assert said.count("Error in rule fetch") == 1
        assert "by hand, from https://github.com/microsoft/VideoX" in said
        for name, body in made.by_hand_features.items():
            path = project.folder / "data/raw/features" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
        tables = [f"results/released_features/{name}.tex" for name in ("table1", "didemo")]
        project.snakemake(*tables, *STUDY)
    for table in ("table1", "didemo"):
        assert "not run" not in project.read(f"results/released_features/{table}.md")
