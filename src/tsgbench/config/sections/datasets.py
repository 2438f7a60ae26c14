"""config/datasets.yaml."""

from functools import cache
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Len, MinLen, MultipleOf
from pydantic import AfterValidator, Field, TypeAdapter, create_model, model_validator

from tsgbench.config import signatures
from tsgbench.config.sections.common import Name, Names, Section, Text, Unique, as_section
from tsgbench.datasets.readers import POLICIES
from tsgbench.settings import Count

Splits = Name | Names
FileName = Annotated[str, Field(pattern="^[A-Za-z0-9_./-]+$")]
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

    seed: Count = Field(None, description="Of everything drawn.")
    videos: Videos = Field(None, description="How many per split.")
    size: Annotated[int, Ge(32), MultipleOf(4)] = Field(None, description="Pixels of a side.")
    fps: Annotated[int, Ge(4)] = Field(None, description="Frames per second.")
    duration_s: Seconds = Field(None, description="[shortest, longest] of a video.")
    event_s: Seconds = Field(None, description="[shortest, longest] of an event.")
    difficulty: Literal["standard", "hard"] = Field(
        None, description="hard: shared colours, more overlap, more noise."
    )


class Protocol(Section):
    """What trains, selects and is tested."""

    train: Splits = Field(description="One split, or several that are taken together.")
    select: Splits = Field(
        description="What chooses the checkpoint; `last`: nothing does, the last epoch is kept."
    )
    test: Splits = Field(description="What is scored.")
    score: Score = Field(
        None, description="Name -> splits of the test that are also scored on their own."
    )


class NamedProtocol(Protocol):
    """A further protocol."""

    about: Text = Field(description="What it is, as tables say it.")
    official: bool = Field(
        None, description="A published practice, which alone may select on what it tests."
    )


def _free(protocols: dict) -> dict:
    for name in ("default", "printed"):
        if name in protocols:
            raise ValueError(f"{name!r} means something else; give the protocol another name")
    return protocols


class DataSet(Section):
    """A data set."""

    title: Text = Field(description="As tables call it.")
    reader: Name = Field(description="The parser, src/tsgbench/datasets/READER.py.")
    files: dict[Name, Name] = Field(description="Role of the reader -> source of sources.yaml.")
    videos: Name = Field(None, description="The source that brings its videos.")
    generated: dict[Name, FileName] = Field(
        None,
        description="Role of the reader -> file in the folder that the demo's renderer writes.",
    )
    render: Render = Field(None, description="Settings of the renderer; a study may change them.")
    settings: dict[Name, Any] = Field(
        None, description="`policy` for bad rows, and the reader's own settings."
    )
    splits: Protocol = Field(description="The default protocol.")
    protocols: Annotated[dict[Name, NamedProtocol], MinLen(1), AfterValidator(_free)] = Field(
        None, description="Further protocols by name."
    )
    published: Name = Field(None, description="Key of this data set in published/*.yaml.")
    conventions: Annotated[list[Name], Unique] = Field(
        description="Ways of scoring that are printed beside the headline."
    )
    note: Text = Field(description="What its numbers must not be read without.")

    @model_validator(mode="after")
    def _needs_a_renderer(self) -> "DataSet":
        if (self.generated is None) != (self.render is None):
            raise ValueError("generated and render go together; give both or neither")
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
    policy = Literal[tuple(POLICIES)]
    return create_model(
        f"{reader}_settings",
        __base__=own,
        policy=(policy, Field(None, description="What is done to bad rows.")),
    )
