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
from functools import partial
from pathlib import Path

import numpy as np
import torch

from tsgbench.datasets.queries import Queries, read_splits
from tsgbench.errors import UserError
from tsgbench.evaluation.keeping import Ranked, keep
from tsgbench.evaluation.needs import Need
from tsgbench.features.extract import extract
from tsgbench.features.failures import TooManyFailed
from tsgbench.features.journal import journal_of, last_end_s
from tsgbench.features.recipe import bearing_all_but_one
from tsgbench.features.reduce import Reduction, carried_attrs, write_reduced
from tsgbench.features.store import FeatureStore, FeatureWriter
from tsgbench.features.video import probe
from tsgbench.grounding.parts import Parts, find_cell, find_parts, project_of
from tsgbench.outside import load_named, open_folder
from tsgbench.text import tokenize
from tsgbench.training.assembly import Assembly
from tsgbench.training.data import GroundingData
from tsgbench.training.devices import choose_device
from tsgbench.training.trainer import predict, seed_everything

TOP, APART = 5, 0.5  # moments that are given; above this IoU, of two the better one
PREFIX, RAW = "tsgbench-", "clips.h5"  # of the folder of an encoding; in it, while it is made


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
        self.close()

    def close(self) -> None:
        """Delete the file."""
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

    def encode(
        self, paths: Sequence[str | Path], *, threads: int = 1, folder: Path | None = None
    ) -> Videos:
        """Decode and extract as the cell's features were. Files that cannot be read are listed in
        `failed`; `UserError` if none can. folder: for temporary files, in one below (default:
        `TMPDIR`)."""
        numbered = {str(number): Path(path) for number, path in enumerate(paths)}
        recipe = self.parts.extraction.content["settings"]
        own = tempfile.TemporaryDirectory(prefix=PREFIX, dir=folder)
        try:
            raw, out = Path(own.name) / RAW, Path(own.name) / "features.h5"
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
            videos = Videos(own, FeatureStore(out))
        except TooManyFailed as error:  # all of them: what it says is of a recipe and a study
            own.cleanup()
            first, *more = [failure["reason"] for failure in error.failed]
            others = f" (and {len(more)} more videos that cannot be read)" if more else ""
            raise UserError(f"{first}{others}") from None
        except BaseException:
            own.cleanup()
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
        queries = self._queries(videos, sentences)
        return self._answers(videos, queries, self._predict(videos, queries, _needs(top, apart)))

    def trace(
        self,
        videos: Videos,
        sentences: Sequence[str],
        *,
        points: int,
        top: int = TOP,
        apart: float = APART,
    ) -> list[tuple[Answer, np.ndarray]]:
        """The answers of `ground`, each with its scores over time (`best_scores`)."""
        queries = self._queries(videos, sentences)
        every = self._predict(videos, queries, None)
        ranked = np.full((len(queries), int(every.counts.max()), 3), np.nan)
        ranked[every.rows, every.ranks] = every.moments
        best = keep(ranked, queries.durations, None, _needs(top, apart))
        curves = map(partial(best_scores, points=points), ranked, queries.durations)
        return list(zip(self._answers(videos, queries, best), curves, strict=True))

    def _queries(self, videos: Videos, sentences: Sequence[str]) -> Queries:
        if empty := [sentence for sentence in sentences if not self._words_of(sentence)]:
            raise UserError(f"sentence {empty[0]!r}: holds no word; say what to look for")
        asked = [(video, sentence) for video in videos.paths for sentence in sentences]
        durations = np.array([videos.durations[video] for video, _ in asked])
        return Queries(
            [str(row) for row in range(len(asked))],
            [video for video, _ in asked],
            [sentence for _, sentence in asked],
            durations,
            np.stack([np.zeros(len(asked)), durations], axis=1),  # no moment is known
        )

    def _predict(self, videos: Videos, queries: Queries, needs: list[Need] | None) -> Ranked:
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
        return predict(self.model, data, needs, train.get("batch_size", 1))

    def _answers(self, videos: Videos, queries: Queries, ranked: Ranked) -> list[Answer]:
        moments_of: list[list[Moment]] = [[] for _ in queries.query_ids]
        for row, rank, numbers in zip(ranked.rows, ranked.ranks, ranked.moments, strict=True):
            moments_of[row].append(Moment(int(rank) + 1, *map(float, numbers)))
        return [
            Answer(
                videos.paths[video],
                videos.durations[video],
                sentence,
                moments,
                *self._new(sentence),
            )
            for video, sentence, moments in zip(
                queries.video_ids, queries.sentences, moments_of, strict=True
            )
        ]

    def _words_of(self, sentence: str) -> list[str]:
        return tokenize(sentence, self.settings["inputs"]["tokenizer"])

    def _new(self, sentence: str) -> tuple[list[str], list[str]]:
        words = dict.fromkeys(self._words_of(sentence))
        unknown = [word for word in words if word not in self._known]
        untrained = [word for word in words if word in self._known - self._trained]
        return unknown, untrained


def best_scores(ranked: np.ndarray, duration_s: float, points: int) -> np.ndarray:
    """(points,) the score of the best moment around each of so many instants, evenly apart over the
    video, the first half a step from its start; NaN where no moment is.

    ranked: (K, 3) start_s, end_s, score, best first; rows of NaN are absent.
    """
    at_s = (np.arange(points) + 0.5) * duration_s / points
    is_around = (ranked[:, :1] <= at_s) & (at_s < ranked[:, 1:2])  # (K, points)
    best = is_around.argmax(axis=0)
    return np.where(is_around.any(axis=0), ranked[best, 2], np.nan)


def encoded_s(folder: Path) -> float:
    """How many seconds of a video the `encode` that is at work in `folder` has behind it."""
    journals = (journal_of(path / RAW) for path in folder.glob(f"{PREFIX}*"))
    return max((last_end_s(path) for path in journals if path.exists()), default=0.0)


def _needs(top: int, apart: float) -> list[Need]:
    return [{"iou": "seconds", "above": apart, "depth": top}]


def load(cell: str | Path) -> Cell:
    """A trained cell by its folder or its name; `UserError` if a part of it is missing."""
    parts = find_parts(find_cell(cell))
    open_folder(project_of(parts.run.path))  # its model may be one of that project's `models/`
    load_named(parts.run.content["settings"].get("module", ""))
    return Cell(parts, choose_device(waits=False))
