"""Look at what a trained cell does on a few queries of its test split: maps, frames, spans.

The queries are the best and the worst by IoU of the first prediction, those that the paper prints,
and any that are named. Each goes through the model alone, so that nothing in a map is padding of a
batch.
"""

import os
from pathlib import Path

import numpy as np
import torch

from tsgbench.assembly import Assembly
from tsgbench.datasets.table import Queries
from tsgbench.devices import choose_device
from tsgbench.downloads.manifest import files_of
from tsgbench.errors import UserError
from tsgbench.evaluation.predictions import read_ranked
from tsgbench.features.failures import find_file, name_by_video
from tsgbench.inspection.choice import Choice, choose_queries
from tsgbench.inspection.examples import find_example
from tsgbench.inspection.store import Inspected, write_inspection
from tsgbench.inspection.thumbnails import read_thumbnails
from tsgbench.loading import GroundingData, place_times
from tsgbench.models.base import Batch, Grounder
from tsgbench.models.targets import index_labels, region_labels
from tsgbench.moments import iou
from tsgbench.phases import Task
from tsgbench.records import Record
from tsgbench.text import words_seen
from tsgbench.training import seed_everything

KEPT_PREDICTIONS = 5


def run(task: Task):
    """facts: the chosen queries with their IoU, the maps there are, and videos without frames.

    settings: `model` (all that the training was given) and `choose`: `best` and `worst` (numbers),
    `ids` (of queries) and `examples` (what papers print: `sentence`, `moment_s`), both optional.
    """
    torch.set_num_threads(max(1, min(task.threads, os.cpu_count() or 1)))
    settings, device = task.settings["model"], choose_device()
    seed_everything(settings["seed"])
    path = task.inputs["run"].file("predictions.parquet")
    with Assembly(settings, task.inputs, device) as cell:
        data = cell.load("test")
        model = cell.load_model(task.inputs["run"])
        words = words_seen(
            data.sentences_shown,
            cell.words,
            **{name: settings["inputs"][name] for name in ("tokenizer", "oov", "max_words")},
        )
        spans = read_ranked(path, data.queries).spans
        ious = iou(spans[:, 0], data.queries.moments)
        chosen, absent = _choose(task.settings["choose"], data.queries, ious, words, path)
        looked_at = [
            _inspect(choice, cell, data, model, spans, ious, words[choice.row]) for choice in chosen
        ]
    without = _add_thumbnails(looked_at, task.inputs.get("videos"))
    write_inspection(task.files["maps"], looked_at)
    names = {name for query in looked_at for name in query.maps}
    facts = {
        "queries": [
            {
                "query_id": query.query_id,
                "chosen_as": query.kind,
                "iou": round(query.iou, 6),
                "better": query.better,
                "worse": query.worse,
                "of": query.of,
                "forward_gap_s": round(query.forward_gap_s, 6),
            }
            for query in looked_at
        ],
        "maps": sorted(names),
        "examples_not_found": absent,
        "without_thumbnails": without,
    }
    return facts, [task.files["maps"]]


def _choose(
    choose: dict, queries: Queries, ious: np.ndarray, words: list[list[str]], path: Path
) -> tuple[list[Choice], list[str]]:
    """The chosen queries, and the sentences of printed examples that are not in the split."""
    ids = choose.get("ids", [])
    if unknown := sorted(set(ids) - set(queries.query_ids)):
        raise UserError(f"choose.ids: query {unknown[0]!r} is not among those that {path} answers")
    wanted = choose.get("examples", [])
    rows = [find_example(one["sentence"], one["moment_s"], queries) for one in wanted]
    chosen = choose_queries(
        ious,
        np.array([len(one) for one in words]),
        queries,
        best=choose["best"],
        worst=choose["worst"],
        ids=ids,
        examples=[row for row in rows if row is not None],
    )
    absent = [one["sentence"] for one, row in zip(wanted, rows, strict=True) if row is None]
    return chosen, absent


@torch.inference_mode()
def _inspect(
    choice: Choice,
    cell: Assembly,
    data: GroundingData,
    model: Grounder,
    spans: np.ndarray,
    ious: np.ndarray,
    words: list[str],
) -> Inspected:
    """One query through the model. spans: (Q, K, 2) of the prediction file; ious: (Q,)."""
    row, queries = choice.row, data.queries
    batch = data.batch(torch.tensor([row]), with_moments=False)
    outputs = model(batch)
    first = model.decode(outputs, batch, 1)[0, 0, :2].double().cpu().numpy()
    present = spans[row, :KEPT_PREDICTIONS]
    moment = queries.moments[row]
    regions = _regions(model, outputs, batch, torch.from_numpy(moment)[None])
    return Inspected(
        query_id=queries.query_ids[row],
        video_id=queries.video_ids[row],
        video_shown=data.videos_shown[row],
        sentence=queries.sentences[row],
        duration_s=float(queries.durations[row]),
        moment=moment,
        kind=choice.kind,
        iou=float(ious[row]),
        better=int((ious > ious[row]).sum()),
        worse=int((ious < ious[row]).sum()),
        of=len(ious),
        words=words,
        predictions=present[~np.isnan(present[:, 0])],
        forward_gap_s=float(np.abs(first - spans[row, 0]).max()),
        clips_s=place_times(
            cell.store.read(data.videos_shown[row])[1],
            int(batch.v_mask.sum()),
            cell.settings["inputs"],
        ),
        maps={
            name: value[0].float().cpu().numpy()
            for name, value in outputs.items()
            if value.is_floating_point()
        },
        **regions,
    )


def _regions(
    model: Grounder, outputs: dict[str, torch.Tensor], batch: Batch, moment: torch.Tensor
) -> dict[str, np.ndarray]:
    """Region of each place as labelled and as found, where a model labels regions (SeqPAN)."""
    logits = outputs.get("match_logits")
    if logits is None or logits.ndim != 3:
        return {}
    counts = batch.v_mask.sum(dim=1)
    span = index_labels(moment.to(counts.device), batch.dur, counts)
    labels = region_labels(span, counts, logits.shape[1], model.extension)
    return {
        "regions_true": labels[0].cpu().numpy().astype(np.int8),
        "regions_found": logits[0].argmax(dim=-1).cpu().numpy().astype(np.int8),
    }


def _add_thumbnails(looked_at: list[Inspected], videos: Record | None) -> dict[str, str]:
    """Give every query frames of its video; returns the videos that have none, and why."""
    if videos is None:
        return {query.video_id: "the study has no videos" for query in looked_at}
    files = name_by_video(files_of(videos))
    without = {}
    for query in looked_at:
        path = find_file(query.video_id, files)
        if path is None:
            without[query.video_id] = "there is no file of this video"
            continue
        try:
            query.thumbnails, query.thumbnails_s = read_thumbnails(path, query.duration_s)
        except UserError as error:
            without[query.video_id] = str(error)
    return without
