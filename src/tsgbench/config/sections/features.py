"""config/features.yaml."""

from functools import cache
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Len, MinLen
from pydantic import Field, TypeAdapter, model_validator

from tsgbench.config import signatures
from tsgbench.config.sections.common import (
    Key,
    Name,
    Names,
    Section,
    Text,
    Unique,
    as_section,
    left_out,
)
from tsgbench.features.statistics import STATISTICS
from tsgbench.settings import Count, Positive, Share, Size, Tokenizer

NOT_IN_RECIPES = ("size", "clip_len")  # an extractor gets them from `frames` and `clip_len`
DType = Literal["float32", "float16"]
LOST = (
    "Share of the videos that may give no features; likewise of those that may not last as long as"
    " annotated."
)


class Frames(Section):
    """What is done to a frame."""

    resize: Annotated[list[Size], Len(2, 2)] = left_out("[height, width].")
    short_side: Size = left_out("Pixels of the shorter side.")
    crop: Size = left_out("Pixels of a central square.")

    @model_validator(mode="after")
    def _is_resized_once(self) -> "Frames":
        if (self.resize is None) == (self.short_side is None):
            raise ValueError("give resize, [height, width], or short_side, and not both")
        return self


class Clips(Section):
    """What an extractor makes of frames."""

    extractor: Name = Field(description="src/tsgbench/features/EXTRACTOR.py.")
    checkpoint: Name | None = Field(
        description="A source of weights; null: random ones from network.seed."
    )
    network: dict[Name, Any] = left_out("Arguments of the extractor.")
    precision: Literal["float32", "bfloat16"] = left_out("Of weights and activations.")
    frames: Frames = Field(description="What is done to a frame.")
    fps: Positive | None = Field(None, description="Frames per second; null: every frame.")
    until_s: Positive | None = Field(None, description="First seconds that count; null: all.")
    chunk_s: Positive | None = Field(
        None, description="Seconds of the clips that a row is the mean of; null: a row is a clip."
    )
    clip_len: Size = left_out("Frames of a clip.")
    stride: Size = left_out("Frames from one clip to the next.")
    taps: Annotated[list[Text], MinLen(1)] = Field(description="Activations that count.")
    pool: Literal["last_mean", "channel_stats"] = Field(
        description="How they become one vector per clip."
    )
    batch_clips: Size = left_out("Clips computed at once.")
    compile: bool = left_out("Through torch.compile, where that works.")
    dtype: DType = left_out("On disk.")
    max_failed_share: Share = left_out(LOST)


Statistic = Literal[STATISTICS]  # type: ignore[valid-type]  # the names stand elsewhere


class Pca(Section):
    """Principal components."""

    dim: Size = Field(description="How many are kept.")
    whiten_power: Annotated[float, Ge(0), Le(1)] = left_out(
        "Power of its deviation that each is divided by: 0 none, 1 whitened."
    )


class Reduce(Section):
    """Steps between clips and features, in this order; learned on training videos alone."""

    keep: Annotated[list[Statistic], MinLen(1), Unique] | None = Field(
        None, description="Statistics of channel_stats; null: all."
    )
    center: Literal["none", "video", "video_median"] = left_out(
        "What is subtracted within each video."
    )
    rectify: bool = left_out("Positive and negative parts apart.")
    standardize: bool = left_out("Zero mean and unit deviation.")
    pca: Pca | None = Field(None, description="Projection.")
    dtype: DType = left_out("On disk.")


class Windows(Section):
    """Windows of frames."""

    fps: Annotated[float, Gt(0)] = Field(description="Frames per second.")
    clip_len: Size = Field(description="Frames of a window.")
    stride: Size = Field(description="Frames from one window to the next.")


class Chunks(Section):
    """Parts of a fixed length."""

    chunk_s: Positive = Field(description="Seconds of a row.")


class Released(Section):
    """Features that others made, as they are."""

    source: Name | Names = Field(description="Sources of config/sources.yaml.")
    layout: Literal["hdf5", "npy", "npz", "captions"] = Field(
        description="One HDF5 file, a NumPy file per video, one archive of NumPy arrays or one per"
        " video, or a file of captions per video."
    )
    vectors: Name = left_out("Of captions: a source of word vectors.")
    tokenizer: Tokenizer = left_out("Of captions.")
    member: str | None = Field(None, description="The array in a video's group or archive.")
    key: Key = left_out("Pattern of an id; its group is the release's name for it.")
    name: Annotated[str, Field(pattern=r"\{key\}")] = left_out(
        "That name, {key}, with what stands before and behind it there."
    )
    transposed: bool = left_out("Arrays are (width, rows).")
    times: Literal["equal"] | Chunks | Windows = Field(
        description="What a row stands for: equal parts of the video, chunks or windows."
    )
    drop_zero_rows: bool = left_out("Rows of zeros at the end are time beyond the video.")
    dtype: DType = left_out("On disk.")
    max_failed_share: Share = left_out(LOST)

    @model_validator(mode="after")
    def _says_how_captions_become_numbers(self) -> "Released":
        for name in ("vectors", "tokenizer"):
            if (getattr(self, name) is None) == (self.layout == "captions"):
                raise ValueError(f"{name}: belongs to layout captions, and must stand there")
        return self


class Recipe(Section):
    """What models read."""

    title: Text = Field(description="As tables say it.")
    clips: Name = left_out("A name of `clips`, or of released features.")
    reduce: Reduce = left_out("What is made of the clips; {} changes nothing.")
    timeline: Windows = left_out("No pixels at all: a time axis, and zeros.")
    released: Released = left_out("In the place of clips and reduce.")

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> "Recipe":
        made = self.clips is not None and self.reduce is not None
        kinds = [made, self.timeline is not None, self.released is not None]
        if sum(kinds) != 1 or (self.clips is None) != (self.reduce is None):
            raise ValueError("give clips and reduce, or timeline, or released, and no two of them")
        return self


class File(Section):
    """Clips and features by name."""

    clips: dict[Name, Clips] = Field(description="What extractors make of frames.")
    features: dict[Name, Recipe] = Field(description="What models read, made of some clips.")


FILE = TypeAdapter(File)
SEED = signatures.Parameter("seed", Count, 0, "of random weights")


@cache
def network_type(extractor: str) -> type[Section]:
    """What `network` of clips with this extractor may hold."""
    signature = signatures.of_registered("features", extractor, extractor, strict=False)
    own = [item for item in signature.parameters if item.name not in (*NOT_IN_RECIPES, "seed")]
    return as_section(f"{extractor}_network", [*own, SEED], partial=True)
