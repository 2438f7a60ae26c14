"""A trained cell that answers sentences about videos: `load` once, `encode` once, `ground` often.

from tsgbench.grounding import load

cell = load("results/cells/seqpan/shapes/full/seed0")
with cell.encode(["holiday.mp4"]) as videos:
    for answer in cell.ground(videos, ["a dog runs", "the dog lies down"]):
        print(answer.video, answer.sentence, answer.moments[0])
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tsgbench.datasets.queries import Queries, read_splits
from tsgbench.errors import UserError
from tsgbench.evaluation.needs import Need
from tsgbench.features.extract import extract
from tsgbench.features.recipe import bearing_all_but_one
from tsgbench.features.reduce import Reduction, carried_attrs, write_reduced
from tsgbench.features.store import FeatureStore, FeatureWriter
from tsgbench.features.video import probe
from tsgbench.grounding.parts import Parts, find_cell, find_parts
from tsgbench.text import tokenize
from tsgbench.training.assembly import Assembly
from tsgbench.training.data import GroundingData
from tsgbench.training.devices import choose_device
from tsgbench.training.trainer import predict, seed_everything

TOP, APART = 5, 0.5  # moments that are given; above this IoU, of two the better one


@dataclass(frozen=True)
class Moment:
    """rank: among all candidates, from 1."""

    rank: int
    start_s: float
    end_s: float
    score: float


@dataclass(frozen=True)
class Answer:
    """unknown: words that are not in the cell's word table. untrained: known, but in no sentence
    that it was trained on."""

    video: Path
    duration_s: float
    sentence: str
    moments: list[Moment]
    unknown: list[str]
    untrained: list[str]


class Videos:
    """Features of videos as the cell reads them, in a file that lives as long as this."""

    def __init__(self, folder: tempfile.TemporaryDirectory, store: FeatureStore) -> None:
        self._folder, self.store = folder, store
        self.paths: dict[str, Path] = {}  # id in the store -> file
        self.durations: dict[str, float] = {}
        self.failed: list[str] = []  # why a file is left out

    def __enter__(self) -> "Videos":
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()
        self._folder.cleanup()


class Cell:
    """What `load` gives. parts: the records it was found by."""

    def __init__(self, parts: Parts, device: torch.device) -> None:
        self.parts, self.device = parts, device
        self.settings = parts.run.content["settings"]
        seed_everything(self.settings["seed"])
        with Assembly(self.settings, parts.inputs, device) as assembly:
            self.model = assembly.load_model(parts.run)
            self.words = assembly.words
            self._known = set(self.words.words)
            self.reduction = Reduction.from_arrays(assembly.store.arrays())
            self.attrs = carried_attrs(assembly.store)
        sentences = read_splits(
            parts.inputs["annotations"], self.settings["splits"]["train"]
        ).sentences
        self._trained = {word for sentence in sentences for word in self._words_of(sentence)}

    def encode(self, paths: Sequence[str | Path], *, threads: int = 1) -> Videos:
        """Decode and extract as the cell's features were. Files that cannot be read are listed in
        `failed`; `UserError` if none can."""
        numbered = {str(number): Path(path) for number, path in enumerate(paths)}
        recipe = self.parts.extraction.content["settings"]
        folder = tempfile.TemporaryDirectory(prefix="tsgbench-")
        try:
            raw, out = Path(folder.name) / "clips.h5", Path(folder.name) / "features.h5"
            facts = extract(
                numbered,
                raw,
                recipe=bearing_all_but_one(recipe, len(numbered)),
                identity=self.parts.extraction.identity,
                threads=threads,
                checkpoint=self.parts.checkpoint,
                device=str(self.device),
            )
            self._reduce(raw, out)
            videos = Videos(folder, FeatureStore(out))
        except BaseException:
            folder.cleanup()
            raise
        videos.failed = [failure["reason"] for failure in facts["failed"]]
        videos.paths = {name: numbered[name] for name in videos.store.video_ids}
        videos.durations = {name: probe(path).duration_s for name, path in videos.paths.items()}
        return videos

    def _reduce(self, raw: Path, out: Path) -> None:
        dtype = (self.parts.inputs["features"].content["settings"]["reduce"] or {}).get("dtype")
        with (
            FeatureStore(raw) as store,
            FeatureWriter(out, self.attrs, dtype=dtype or "float32") as writer,
        ):
            write_reduced(store, writer, self.reduction)
        raw.unlink()

    def ground(
        self, videos: Videos, sentences: Sequence[str], *, top: int = TOP, apart: float = APART
    ) -> list[Answer]:
        """The best `top` moments of every sentence in every video, no two with an IoU above
        `apart`. The first is the one that an evaluation would score."""
        if empty := [sentence for sentence in sentences if not self._words_of(sentence)]:
            raise UserError(f"sentence {empty[0]!r}: holds no word; say what to look for")
        asked = [(video, sentence) for video in videos.paths for sentence in sentences]
        durations = np.array([videos.durations[video] for video, _ in asked])
        queries = Queries(
            [str(row) for row in range(len(asked))],
            [video for video, _ in asked],
            [sentence for _, sentence in asked],
            durations,
            np.stack([np.zeros(len(asked)), durations], axis=1),  # no moment is known
        )
        train = self.settings["train"]
        data = GroundingData(
            queries,
            videos.store,
            self.words,
            self.settings["inputs"],
            with_moments=False,
            seed=self.settings["seed"],
            device=self.device,
            half=train.get("resident") == "fp16",
        )
        seed_everything(self.settings["seed"])
        needs: list[Need] = [{"iou": "seconds", "above": apart, "depth": top}]
        ranked = predict(self.model, data, needs, train.get("batch_size", 1))
        ranked_moments: list[list[Moment]] = [[] for _ in asked]
        for row, rank, numbers in zip(ranked.rows, ranked.ranks, ranked.found, strict=True):
            ranked_moments[row].append(Moment(int(rank) + 1, *map(float, numbers)))
        return [
            Answer(
                videos.paths[video],
                videos.durations[video],
                sentence,
                moments,
                *self._new(sentence),
            )
            for (video, sentence), moments in zip(asked, ranked_moments, strict=True)
        ]

    def _words_of(self, sentence: str) -> list[str]:
        return tokenize(sentence, self.settings["inputs"]["tokenizer"])

    def _new(self, sentence: str) -> tuple[list[str], list[str]]:
        words = dict.fromkeys(self._words_of(sentence))
        unknown = [word for word in words if word not in self._known]
        untrained = [word for word in words if word in self._known - self._trained]
        return unknown, untrained


def load(cell: str | Path) -> Cell:
    """A trained cell by its folder or its name; `UserError` if a part of it is missing."""
    return Cell(find_parts(find_cell(cell)), choose_device())
