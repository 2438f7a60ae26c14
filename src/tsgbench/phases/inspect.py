"""Look at what a trained cell does on a few queries: maps, frames, spans.

The queries are the best and the worst of the test split by IoU of the first prediction, those that
the paper prints, and any that are named. A printed query of another split, such as a training
video, is looked at as well and says so: it is read here alone, after all training. Each query goes
through the model alone, so that nothing in a map is padding of a batch.
"""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from tsgbench.datasets.moments import iou
from tsgbench.datasets.queries import Queries, part_by_video, read_splits
from tsgbench.downloads.manifest import files_of
from tsgbench.errors import UserError
from tsgbench.evaluation.predictions import read_ranked
from tsgbench.features.failures import find_file, name_by_video
from tsgbench.inspection.choice import Choice, choose_queries
from tsgbench.inspection.examples import find_example
from tsgbench.inspection.store import Inspected, write_inspection
from tsgbench.inspection.thumbnails import read_thumbnails
from tsgbench.jobs.records import Record
from tsgbench.models.base import Batch, Grounder
from tsgbench.models.products import fast_products
from tsgbench.models.targets import index_labels, region_labels
from tsgbench.phases import Outcome, Task
from tsgbench.text import words_seen
from tsgbench.training.arrays import FOLDER, position_times
from tsgbench.training.assembly import Assembly
from tsgbench.training.data import GroundingData
from tsgbench.training.devices import choose_device
from tsgbench.training.trainer import seed_everything

KEPT_PREDICTIONS = 5
TEST = "test"
ROLES = (TEST, "select", "train")
# Values of inputs that show each query what belongs to another one of its split
SWAPPED = {"video": "mismatched", "query": "shuffled"}


@dataclass(frozen=True)
class Shown:
    """Queries as the model is shown them, Q, and what the prediction file answers to them.

    words: of each query. splits: of the data set's annotations, in which each query is. spans:
    (Q, K, 2) seconds, ious: (Q,) of the first of them; none where the queries were not predicted.
    """

    data: GroundingData
    words: list[list[str]]
    splits: list[str]
    spans: np.ndarray | None = None

    @cached_property
    def ious(self) -> np.ndarray:
        """(Q,) of each query's first prediction with its moment; none without predictions."""
        if self.spans is None:
            return np.zeros(0)
        return iou(self.spans[:, 0], self.data.queries.moments)


def run(task: Task) -> Outcome:
    """facts: the chosen queries with their IoU, the maps there are, and videos without frames.

    settings: `model` (all that the training was given) and `choose`: `best` and `worst` (numbers),
    `ids` (of queries) and `examples` (what papers print: `sentence`, `moment_s`), both optional.
    """
    torch.set_num_threads(max(1, min(task.threads, os.cpu_count() or 1)))
    settings, device = task.settings["model"], choose_device()
    seed_everything(settings["seed"])
    path = task.inputs["run"].file("predictions.parquet")
    choose = task.settings["choose"]
    with Assembly(settings, task.inputs, device, shared=FOLDER) as cell:
        data = cell.load(TEST)
        model = cell.load_model(task.inputs["run"])
        spans = read_ranked(path, data.queries).spans
        shown = Shown(data, _words_of(cell, data), _splits_of(cell, data.queries), spans)
        chosen, absent = _choose(choose, shown, path)
        looked_at = [_inspect(one, cell, shown, model) for one in chosen]
        elsewhere, absent = _look_elsewhere(absent, cell, model)
        looked_at += elsewhere
    without = _add_thumbnails(looked_at, task.inputs.get("videos"))
    write_inspection(task.files["maps"], looked_at)
    facts = {
        "queries": [_describe(query) for query in looked_at],
        "maps": sorted({name for query in looked_at for name in query.maps}),
        "examples_not_found": [one["sentence"] for one in absent],
        "without_thumbnails": without,
    }
    return facts, [task.files["maps"]]


def _describe(query: Inspected) -> dict:
    return {
        "query_id": query.query_id,
        "split": query.split,
        "chosen_as": query.kind,
        "iou": round(query.iou, 6),
        "better": query.better,
        "worse": query.worse,
        "of": query.of,
        "forward_gap_s": round(query.forward_gap_s, 6),
    }


def _choose(choose: dict, shown: Shown, path: Path) -> tuple[list[Choice], list[dict]]:
    """The chosen queries of the test split, and the printed examples that are not in it."""
    queries, ids = shown.data.queries, choose.get("ids", [])
    if unknown := sorted(set(ids) - set(queries.query_ids)):
        raise UserError(f"choose.ids: query {unknown[0]!r} is not among those that {path} answers")
    wanted = choose.get("examples", [])
    rows = [find_example(one["sentence"], one["moment_s"], queries) for one in wanted]
    chosen = choose_queries(
        shown.ious,
        np.array([len(one) for one in shown.words]),
        queries,
        best=choose["best"],
        worst=choose["worst"],
        ids=ids,
        examples=[row for row in rows if row is not None],
    )
    return chosen, [one for one, row in zip(wanted, rows, strict=True) if row is None]


def _look_elsewhere(
    wanted: list[dict], cell: Assembly, model: Grounder
) -> tuple[list[Inspected], list[dict]]:
    """Printed examples of the data set's other splits, looked at, and those that are in none.

    Nothing is looked for where the cell swaps videos or queries: what such a query would be shown
    depends on all others of its split.
    """
    if any(cell.settings["inputs"].get(name) == mode for name, mode in SWAPPED.items()):
        return [], wanted
    asked = cell.settings["splits"][TEST]
    others = [name.removesuffix(".jsonl") for name in cell.annotations.files(".jsonl")]
    looked_at = []
    for split in sorted(set(others) - set(asked)) if wanted else []:
        queries, _ = part_by_video(read_splits(cell.annotations, [split]), cell.store)
        rows = [find_example(one["sentence"], one["moment_s"], queries) for one in wanted]
        for row in dict.fromkeys(row for row in rows if row is not None):
            data = cell.read(queries.take(np.array([row])))
            shown = Shown(data, _words_of(cell, data), [split])
            looked_at.append(_inspect(Choice(0, "example"), cell, shown, model))
        wanted = [one for one, row in zip(wanted, rows, strict=True) if row is None]
    return looked_at, wanted


def _splits_of(cell: Assembly, queries: Queries) -> list[str]:
    """Of which split of the test role each query is."""
    splits = {
        name: split
        for split in cell.settings["splits"][TEST]
        for name in read_splits(cell.annotations, [split]).query_ids
    }
    return [splits[name] for name in queries.query_ids]


def _words_of(cell: Assembly, data: GroundingData) -> list[list[str]]:
    """The words of each query as the model is given them."""
    settings = cell.settings["inputs"]
    given = {name: settings[name] for name in ("tokenizer", "oov", "max_words")}
    return words_seen(data.sentences_shown, cell.words, **given)


@torch.inference_mode()
def _inspect(choice: Choice, cell: Assembly, shown: Shown, model: Grounder) -> Inspected:
    """One query through the model."""
    row, data, queries = choice.row, shown.data, shown.data.queries
    batch = data.batch(torch.tensor([row]), with_moments=False)
    with fast_products(model):
        outputs = model.inspect(batch)
    first = model.decode(outputs, batch, 1)[0, :, :2].double().cpu().numpy()  # (1, 2)
    moment = queries.moments[row]
    spans = first if shown.spans is None else shown.spans[row, :KEPT_PREDICTIONS]
    best = iou(spans[0], moment)
    roles = [role for role in ROLES if shown.splits[row] in cell.settings["splits"].get(role, [])]
    return Inspected(
        query_id=queries.query_ids[row],
        video_id=queries.video_ids[row],
        video_shown=data.videos_shown[row],
        sentence=queries.sentences[row],
        duration_s=float(queries.durations[row]),
        moment=moment,
        kind=choice.kind,
        split=shown.splits[row],
        role=next(iter(roles), ""),
        iou=float(best),
        better=int((shown.ious > best).sum()),
        worse=int((shown.ious < best).sum()),
        of=len(shown.ious),
        words=shown.words[row],
        predictions=spans[~np.isnan(spans[:, 0])],
        forward_gap_s=float(np.abs(first[0] - spans[0]).max()),
        clips_s=position_times(
            cell.store.read(data.videos_shown[row])[1],
            int(batch.v_mask.sum()),
            cell.settings["inputs"],
        ),
        maps={
            name: value[0].float().cpu().numpy()
            for name, value in outputs.items()
            if value.is_floating_point()
        },
        **_regions(model, outputs, batch, torch.from_numpy(moment)[None]),
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
    # A model with such logits has an extension
    labels = region_labels(span, counts, logits.shape[1], model.extension)  # type: ignore[arg-type]
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
