"""config/datasets.yaml."""

from functools import cache
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Len, Lt, MinLen, MultipleOf
from pydantic import AfterValidator, Field, TypeAdapter, create_model, model_validator

from tsgbench.config import signatures
from tsgbench.config.sections.common import (
    Name,
    Names,
    Section,
    Text,
    Unique,
    as_section,
    left_out,
    optional,
)
from tsgbench.datasets.readers import POLICIES
from tsgbench.jobs.layout import MAKERS
from tsgbench.settings import Count, Size

Splits = Name | Names
FileName = Annotated[str, Field(pattern="^[A-Za-z0-9_./-]+$")]
Proportion = Annotated[float, Gt(0), Lt(1)]
Score = Annotated[dict[Name, Splits], MinLen(1)]


def _rising(ends: list[float]) -> list[float]:
    if ends[0] > ends[1]:
        raise ValueError(f"{ends} must be [shortest, longest]")
    return ends


Seconds = Annotated[list[Annotated[float, Gt(0)]], Len(2, 2), AfterValidator(_rising)]


class Videos(Section):
    """Of each split, how many are rendered."""

    train: Count = 0
    val: Count = 0
    test: Count = 0


class Render(Section):
    """Settings of the demo's renderer (docs/shapes.md)."""

    seed: Count = left_out("Of everything drawn.")
    videos: Videos = left_out("How many per split.")
    size: Annotated[int, Ge(32), MultipleOf(4)] = left_out("Pixels of a side.")
    fps: Annotated[int, Ge(4)] = left_out("Frames per second.")
    duration_s: Seconds = left_out("[shortest, longest] of a video.")
    event_s: Seconds = left_out("[shortest, longest] of an event.")
    difficulty: Literal["standard", "hard"] = left_out(
        "hard: shared colours, more overlap, more noise."
    )


class Shares(Section):
    """Of the sources of the clips; the rest trains."""

    val: Proportion
    test: Proportion


class Uses(Section):
    """How often each source is used, with other neighbours each time."""

    train: Size
    val: Size
    test: Size


class Join(Section):
    """Settings of the joining of clips (docs/joined.md)."""

    seed: Count = left_out("Of everything drawn.")
    shares: Shares = left_out("Of the clips' sources, per split.")
    uses: Uses = left_out("Of each source, per split.")
    clips: Annotated[list[Annotated[int, Ge(2)]], Len(2, 2), AfterValidator(_rising)] = left_out(
        "[fewest, most] per joined video."
    )
    segment_s: Annotated[list[Annotated[float, Ge(3)]], Len(2, 2), AfterValidator(_rising)] = (
        left_out("[shortest, longest] of a clip's part.")
    )
    sentences: Size = left_out("Per segment.")
    size: Annotated[list[Annotated[int, Ge(16), MultipleOf(2)]], Len(2, 2)] = left_out(
        "[height, width] in pixels."
    )
    fps: Size = left_out("Frames per second.")
    difficulty: Literal["standard", "hard"] = left_out(
        "hard: clips of one category beside each other, cross-fades."
    )
    max_lost_share: Annotated[float, Ge(0), Lt(1)] = left_out(
        "Of the clips, what may be missing or damaged."
    )


class Protocol(Section):
    """What trains, selects and is tested."""

    train: Splits = Field(description="One split, or several that are taken together.")
    select: Splits = Field(
        description="What chooses the checkpoint; `last`: nothing does, the last epoch is kept."
    )
    test: Splits = Field(description="What is scored.")
    score: Score = left_out("Name -> splits of the test that are also scored on their own.")


class NamedProtocol(Protocol):
    """A further protocol."""

    about: Text = Field(description="What it is, as tables say it.")
    official: bool = left_out("A published practice, which alone may select on what it tests.")


def _free(protocols: dict) -> dict:
    for name in ("default", "printed"):
        if name in protocols:
            raise ValueError(f"{name!r} means something else; give the protocol another name")
    return protocols


class DataSet(Section):
    """A data set."""

    title: Text = Field(description="As tables call it.")
    reader: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$")] = Field(
        description="The parser, src/tsgbench/datasets/READER.py."
    )
    files: dict[Name, Name] = Field(
        description="Role of the reader or maker -> source of sources.yaml."
    )
    videos: Name = left_out("The source that brings its videos.")
    generated: dict[Name, FileName] = left_out(
        "Role of the reader -> file in the folder of what makes the data set.",
    )
    render: Render = left_out("Settings of the renderer; a study may change them.")
    join: Join = left_out("Settings of the joining of clips; a study may change them.")
    settings: dict[Name, Any] = left_out("`policy` for bad rows, and the reader's own settings.")
    splits: Protocol = Field(description="The default protocol.")
    protocols: Annotated[dict[Name, NamedProtocol], MinLen(1), AfterValidator(_free)] = left_out(
        "Further protocols by name."
    )
    published: Name = left_out("Key of this data set in published/*.yaml.")
    conventions: Annotated[list[Name], Unique] = Field(
        description="Ways of scoring that are printed beside the headline."
    )
    note: Text = Field(description="What its numbers must not be read without.")

    @model_validator(mode="after")
    def _has_one_maker(self) -> "DataSet":
        makers = [maker for maker in MAKERS if getattr(self, maker, None) is not None]
        if len(makers) != (self.generated is not None):
            raise ValueError("generated and one of render, join go together; give both")
        if self.join is not None and self.videos is None:
            raise ValueError("join needs key 'videos': the source of its clips")
        return self


FILE = TypeAdapter(Annotated[dict[Name, DataSet], MinLen(1)])


@cache
def reader_type(reader: str) -> type[Section]:
    """What `settings` of a data set with this reader may hold."""
    own = as_section(
        f"{reader}_settings",
        signatures.of_function("datasets", reader, "read").parameters,
        partial=True,
    )
    policy = Literal[tuple(POLICIES)]  # type: ignore[valid-type]  # the names stand elsewhere
    return create_model(
        f"{reader}_settings",
        __base__=own,
        policy=optional(policy, "What is done to bad rows."),
    )
