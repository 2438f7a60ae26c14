"""config/conventions.yaml."""

import re
from typing import Annotated, Literal

from annotated_types import Len, MinLen
from pydantic import AfterValidator, Field, TypeAdapter, model_validator

from tsgbench.config.sections.common import Name, Section, Text, Unique, left_out
from tsgbench.config.values import HEADLINE
from tsgbench.evaluation.needs import METRIC, PRECISION
from tsgbench.settings import NotNegative, Positive, Share, Size

RANKS = re.compile(r"Rank@[15]")
EXACT = ("annotated", "several")
QUANTISED = ("windows", "nearest_span")
Metrics = Annotated[list[Text], MinLen(1), Unique]
HITS = "Whether an IoU of exactly the threshold is a hit (`>=`)."
SUPPRESSION = "IoU above which a moment is dropped; {minus: d}: d below each threshold; null: none."


class Minus(Section):
    """Suppression anew for every threshold."""

    minus: Share = Field(description="Below the threshold.")


Nms = Share | Minus | None
Labels = Literal["annotated", "several", "windows", "nearest_span"]


class OnDataSet(Section):
    """What differs on a data set."""

    compare: Literal[">=", ">"] = left_out(HITS)
    nms: Nms = Field(None, description=SUPPRESSION)
    metrics: Metrics = left_out("What is computed.")
    positions: Size = left_out("Length of the resampled axis.")
    labels: Labels = left_out("As annotated, all of several, or quantised to the resampled axis.")
    score_annotators: bool = left_out(
        "Whether each annotator of a query is scored beside the systems: against the others, or"
        " against the annotated moment where labels are that."
    )


class Convention(OnDataSet):
    """How a prediction file is turned into numbers."""

    title: Text = Field(description="As tables call it.")
    about: Text = Field(description="What it does, in words.")
    source: Text = Field(description="Where it is taken from.")
    predictions: Literal["spans", "chunks"] = Field(
        description="chunks: DiDeMo's protocol, with `chunks`, `chunk_s` and `best`."
    )
    iou: Literal["seconds", "index"] = left_out("Of seconds, or of inclusive indices on that axis.")
    metrics: Metrics = Field(description="What is computed.")
    chunks: Size = left_out("How many a video has at most.")
    chunk_s: Positive = left_out("Seconds of a chunk.")
    lengths: dict[Name, Annotated[list[NotNegative], Len(2, 2)]] = left_out(
        "Ranges of seconds, [above, up to], of metrics such as `mAP,short`."
    )
    best: Size = left_out("Annotators that count.")
    datasets: dict[Name, OnDataSet] = left_out("Data set -> what differs there.")

    @model_validator(mode="after")
    def _is_complete(self) -> "Convention":
        is_chunked = self.predictions == "chunks"
        needed = (
            ("chunks", "chunk_s", "best") if is_chunked else ("labels", "iou", "compare", "nms")
        )
        for name in needed:
            if name not in self.model_fields_set:
                raise ValueError(f"key {name!r} is missing")
        patterns = [RANKS] if is_chunked else [METRIC, PRECISION]
        for part in [self, *(self.datasets or {}).values()]:
            for name in part.metrics or []:
                if name != "mIoU" and not any(known.fullmatch(name) for known in patterns):
                    spans = "R@n,IoU=0.m, dR@n,IoU=0.m, mAP, mAP,IoU=0.m"
                    used = "Rank@1, Rank@5" if is_chunked else spans
                    raise ValueError(f"metrics: {name!r} is not allowed; use {used} or mIoU")
            if part.score_annotators and (part.labels or self.labels) not in EXACT:
                raise ValueError("score_annotators: needs labels annotated or several")
        if not is_chunked:
            self._check_axis()
        return self

    def _check_axis(self) -> None:
        if self.iou == "index" and self.labels not in QUANTISED:
            raise ValueError("labels: iou index needs quantised ones; use windows or nearest_span")
        if self.labels in QUANTISED and self.positions is None:
            raise ValueError(f"positions: labels {self.labels} need the length of the axis")


def _has_headline(conventions: dict) -> dict:
    if HEADLINE not in conventions:
        raise ValueError(f"key {HEADLINE!r}, the headline of every table, is missing")
    return conventions


ADDED = TypeAdapter(dict[Name, Convention])  # to those of a file that has the headline
FILE = TypeAdapter(Annotated[dict[Name, Convention], AfterValidator(_has_headline)])
