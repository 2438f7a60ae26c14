"""A trained cell as a logged model of MLflow: what its run made, signature, recipe, test numbers.

The checkpoint is in the run's artifacts already. A model names it by digest and has two small
files: `MLmodel`, and `cell.json`, by which MLflow loads the cell from where it was trained.
"""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tsgbench.jobs.asking import why_unasked_here
from tsgbench.jobs.cells import is_trained
from tsgbench.jobs.layout import RESULTS
from tsgbench.tracking.names import BEST, NOTE, TEST, flatten
from tsgbench.tracking.store import BATCH_METRICS, DIGEST_LENGTH, Input, Run

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.models import ModelSignature

KIND = "temporal grounding"
CHECKPOINT, ENTRY = "checkpoint.pt", "cell.json"
LOADER = "tsgbench.grounding.pyfunc"  # by its name: MLflow imports it where a model is loaded
TAGS = ("cell", "study", "identity", "model", "dataset", "ablation", "seed", "code_digest")
UNKNOWN = "ENDPOINT_NOT_FOUND"  # says a server that is older than logged models


def log_model(run: Run, experiment: str, folder: Path, record: dict, read: list[Input]) -> None:
    """Make or complete the model of a cell's run, and link the run's numbers to it.

    read: what the training read.

    A run has one model, whichever attempt made it. Baselines, which learn nothing by epochs, and
    predictions of other programs are no models, and a server older than MLflow 3 knows of none.
    """
    from mlflow.exceptions import MlflowException

    kept = record.get("outputs", {}).get(CHECKPOINT)
    if not kept or not is_trained(record["settings"]):
        return
    tags = {name: run.tags[name] for name in TAGS if name in run.tags}
    tags |= {"superseded": "false", "recipe": _recipe(record), "checkpoint_sha256": kept["sha256"]}
    tags[NOTE] = _describe(folder, record, kept, read)
    try:
        model = _find_or_create(run, experiment, record, tags)
    except MlflowException as error:
        if error.error_code == UNKNOWN:
            return
        raise
    if model.status != "READY":
        _save(run, model, folder, record, kept, read)
    run.client.set_logged_model_tags(model.model_id, tags)
    if model.model_id not in run.models:
        _name_as_output(run, model.model_id, record)
    _link_numbers(run, model, read)


def mark_models(client: "MlflowClient", models: list[str], superseded: str) -> None:
    """Tag the models of a run as the run is."""
    for model in models:
        client.set_logged_model_tags(model, {"superseded": superseded})


def signature() -> "ModelSignature":
    """What the model is asked, and what it answers: a row per moment, best first."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    asked = {"video": "string", "sentence": "string"}
    answered = {"rank": "long", "start_s": "double", "end_s": "double", "score": "double"}
    return ModelSignature(
        Schema([ColSpec(kind, name) for name, kind in asked.items()]),
        Schema([ColSpec(kind, name) for name, kind in (asked | answered).items()]),
        ParamSchema([ParamSpec("top", "long", 5)]),
    )


def _find_or_create(run: Run, experiment: str, record: dict, tags: dict) -> "LoggedModel":
    client = run.client
    found = client.search_logged_models([experiment], f"source_run_id = '{run.run_id}'")
    if found:
        return found[0]
    return client.create_logged_model(
        experiment,
        record["key"].replace("/", "-"),  # MLflow allows no slash in it
        source_run_id=run.run_id,
        tags=tags,
        params=flatten(record["settings"]),
        model_type=KIND,
    )


def _save(
    run: Run, model: "LoggedModel", folder: Path, record: dict, kept: dict, read: list[Input]
) -> None:
    """Write the model's files into the store, and say that it is whole."""
    from mlflow import pyfunc
    from mlflow.models import Model

    spec = Model(
        artifact_path=model.artifact_location,
        run_id=run.run_id,
        model_id=model.model_id,
        model_uuid=model.model_id,
        signature=signature(),
        metadata={
            "cell": record["key"],
            "identity": record["identity"],
            "inputs": {one.role: {"record": one.record, "digest": one.digest} for one in read},
        },
    )
    pyfunc.add_to_model(spec, loader_module=LOADER, data=ENTRY)
    entry = {
        "cell": record["key"],
        "folder": str(folder),
        "identity": record["identity"],
        "checkpoint": {"file": CHECKPOINT, **kept},
    }
    with tempfile.TemporaryDirectory() as made:
        spec.save(str(Path(made) / "MLmodel"))
        (Path(made) / ENTRY).write_text(json.dumps(entry, indent=2) + "\n", encoding="utf-8")
        run.client.log_model_artifacts(model.model_id, made)
    run.client.finalize_logged_model(model.model_id, "READY")


def _name_as_output(run: Run, model: str, record: dict) -> None:
    from mlflow.entities import LoggedModelOutput

    epoch = (record.get("facts") or {}).get("best_epoch")
    run.client.log_outputs(run.run_id, [LoggedModelOutput(model, int(epoch or 0))])
    run.models.append(model)


def _link_numbers(run: Run, model: "LoggedModel", read: list[Input]) -> None:
    """The run's test numbers, and those of its kept epoch, as the model's, on these annotations.

    MLflow links a number as it is logged. One that the run has already is logged again as it was,
    time and all, which adds nothing to the run.
    """
    from mlflow.entities import Metric

    data = next((one for one in read if one.role == "annotations"), None)
    on = {"dataset_name": data.name, "dataset_digest": data.digest[:DIGEST_LENGTH]} if data else {}
    known = {(one.key, one.timestamp, one.step) for one in model.metrics or []}
    numbers = run.client.get_run(run.run_id).data._metric_objs  # `metrics` has no times
    new = [
        Metric(one.key, one.value, one.timestamp, one.step, model_id=model.model_id, **on)
        for one in numbers
        if one.key.startswith((TEST, BEST)) and (one.key, one.timestamp, one.step) not in known
    ]
    for first in range(0, len(new), BATCH_METRICS):
        run.client.log_batch(run.run_id, metrics=new[first : first + BATCH_METRICS])


def _how_to_ask(folder: Path, record: dict) -> list[str]:
    """The command; of a cell that it refuses, why."""
    project = next((p.parent for p in folder.absolute().parents if p.name == RESULTS), Path())
    if refused := why_unasked_here(record, project):
        reason, _, instead = refused.partition("; ")
        return [
            "It cannot be asked about a video of one's own, neither by `tsgbench ground` nor as"
            f" loaded by MLflow ({reason}): {instead}. Its test numbers are what it is for."
        ]
    return [
        "In the folder of the study:",
        "",
        "```sh",
        f'tsgbench ground VIDEO.mp4 "a sentence" --cell {folder}',
        "```",
    ]


def _recipe(record: dict) -> str:
    """The recipe of the features, without which the model can be asked nothing."""
    return str(record["settings"].get("inputs", {}).get("features"))


def _describe(folder: Path, record: dict, kept: dict, read: list[Input]) -> str:
    """The model in a few lines of Markdown: how to use it, what it was trained on, where it is."""
    settings = record["settings"]
    clips = settings.get("inputs", {}).get("max_clips")
    return "\n".join(
        [
            f"**{settings['model']}**, trained on **{settings['dataset']}**, ablation"
            f" `{settings['ablation']}`, seed {settings['seed']}.",
            "",
            *_how_to_ask(folder, record),
            "",
            f"It reads up to {clips} clips of a video, as features of `{_recipe(record)}`, and a"
            " sentence, and ranks moments: start and end in seconds, and a score of its own.",
            "",
            "Trained on",
            *(f"- {one.role}: `{one.record}`, digest `{one.digest}`" for one in read),
            "",
            f"Weights: `{CHECKPOINT}` of that folder and of the run's artifacts, SHA-256"
            f" `{kept['sha256']}`.",
        ]
    )
