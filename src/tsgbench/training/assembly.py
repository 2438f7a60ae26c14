"""A cell put together: its words, features and model, for all that trains, inspects or measures it.

Queries on videos that have no features (unavailable, or not to be decoded: the extraction lists
them) are left out, and kept by role in `lacking`.
"""

from functools import partial
from pathlib import Path
from typing import Any

import torch

from tsgbench.datasets.queries import Queries, part_by_video, read_splits, video_durations
from tsgbench.errors import UserError
from tsgbench.features.store import FeatureStore
from tsgbench.files.access import named
from tsgbench.jobs.records import Record
from tsgbench.models.base import Grounder, build
from tsgbench.text import load_word_table
from tsgbench.training.arrays import Shared
from tsgbench.training.data import GroundingData
from tsgbench.training.trainer import load_tensors


class Assembly:
    """Opens what a cell reads. Use as a context manager: data is loaded inside its block.

    settings: of the cell's training (specifications/cells.py). inputs: records `annotations`,
    `features` and `vocabulary`. shared: the folder of arrays that all cells read; without it, this
    one reads the features of its own queries into memory.
    """

    def __init__(
        self,
        settings: dict[str, Any],
        inputs: dict[str, Record],
        device: torch.device,
        *,
        shared: Path | None = None,
    ):
        self.settings, self.device = settings, device
        self.annotations = inputs["annotations"]
        tokenizer = settings["inputs"]["tokenizer"]
        self.words = load_word_table(inputs["vocabulary"].file(f"{tokenizer}.npz"))
        (path,) = inputs["features"].files(".h5").values()
        self.store = FeatureStore(path)
        self.lacking: dict[str, Queries] = {}
        self._shared = None
        if shared:
            durations = partial(video_durations, self.annotations)
            self._shared = Shared.of(shared, inputs["features"], durations)

    def __enter__(self) -> "Assembly":
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    def load(self, role: str, *, with_moments: bool = False) -> GroundingData:
        """The queries of a role (`train`, `select` or `test`) whose videos have features."""
        return self.read(self.queries(role), with_moments=with_moments)

    def queries(self, role: str) -> Queries:
        """Those of a role whose videos have features; `UserError` if none has."""
        splits = self.settings["splits"][role]
        queries, self.lacking[role] = part_by_video(
            read_splits(self.annotations, splits), self.store
        )
        if not len(queries):
            raise UserError(
                f"{self.store.path}: has no video of {' + '.join(splits)}; see the list of"
                " failed videos beside the clips, and get more of them"
            )
        return queries

    def read(
        self, queries: Queries, *, with_moments: bool = False, inputs: dict[str, Any] | None = None
    ) -> GroundingData:
        """Queries with their features and words. inputs: other ones than the cell's settings'."""
        return GroundingData(
            queries,
            self.store,
            self.words,
            self.settings["inputs"] if inputs is None else inputs,
            with_moments=with_moments,
            seed=self.settings["seed"],
            device=self.device,
            half=self.settings["train"].get("resident") == "fp16",
            shared=self._shared,
        )

    def build_model(self) -> Grounder:
        """The model before any training, its weights drawn from torch's generator."""
        return build(
            self.settings["model"],
            clip_dim=self.store.dim,
            words=self.words,
            settings=self.settings["model_settings"],
            module=self.settings["module"],
        ).to(self.device)

    def load_model(self, run: Record) -> Grounder:
        """The model as the training left it, in evaluation mode; run: the training's record."""
        path = run.file("checkpoint.pt")
        model = self.build_model()
        try:
            with named(path):
                model.load_state_dict(load_tensors(path, self.device))
        except UserError:
            raise
        except Exception as error:  # whatever a damaged archive makes of zipfile and torch
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(
                f"{path}: not a checkpoint of {self.settings['model']} with these settings"
                f" ({reason}); move it away and run snakemake again"
            ) from error
        return model.eval()
