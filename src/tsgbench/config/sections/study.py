"""A study: config/demo.yaml and its like."""

from functools import cache
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, Len, MinLen
from pydantic import Discriminator, Field, Tag, create_model, model_validator

from tsgbench.config.sections.common import (
    Name,
    Names,
    Section,
    Text,
    Unique,
    left_out,
    optional,
    required,
)
from tsgbench.config.sections.datasets import Proportion, Protocol
from tsgbench.config.sections.models import override_type
from tsgbench.datasets.readers import POLICIES
from tsgbench.datasets.table import COLUMNS
from tsgbench.jobs.layout import PHASES
from tsgbench.settings import Count, Size

METRIC = r"^(d?R@[1-9]\d*,IoU=0\.\d{1,2}|Rank@[15]|mAP(,IoU=0\.\d{1,2}|,[a-z]+)?|mIoU)$"
PROTOCOLS = (
    "Names of config/datasets.yaml; default: a data set's `splits`; printed: those by which its"
    " paper got its numbers, of a baseline every paper's."
)
OwnColumn = Literal[tuple(COLUMNS)]  # type: ignore[valid-type]  # the names stand elsewhere
OnlyThese = Annotated[list[Text], MinLen(1), Unique]


class LearnVectors(Section):
    """Word vectors learned from the training sentences."""

    dim: Annotated[int, Ge(2)] = left_out("Numbers per word. Default: 100.")
    window: Size = left_out("Words either side that count as near. Default: 4.")
    seed: Count = left_out("Of the decomposition. Default: 0.")


class OwnShares(Section):
    """Of the videos of a data set of one's own; the rest trains."""

    val: Proportion = left_out("What selects the checkpoint. Without: the last epoch is kept.")
    test: Proportion = Field(description="What is scored.")

    @model_validator(mode="after")
    def _leave_some(self) -> "OwnShares":
        if (self.val or 0) + self.test >= 1:
            raise ValueError("val and test leave nothing to train on; their sum must be below 1")
        return self


class OwnData(Section):
    """A data set of one's own, from its files (docs/add_a_dataset.md)."""

    title: Text = left_out("As tables call it. Default: its name.")
    annotations: Text | Annotated[dict[Name, Text], MinLen(1)] = Field(
        description="CSV or JSON lines of (video, sentence, start, end[, split]); or split -> file."
    )
    videos: Text = left_out("Folder of the videos; without, the column `duration` is needed.")
    columns: dict[OwnColumn, Text] = left_out(  # type: ignore[valid-type]  # see there
        "What is looked for -> the file's name for it, where that is none of the usual ones."
    )
    delimiter: Annotated[str, Len(1, 1)] = left_out("Between cells. Default: as in the header.")
    encoding: Text = left_out("Of the text. Default: utf-8, or what its byte order mark says.")
    shares: OwnShares = left_out("Of the videos, in the place of a column or files for the splits.")
    split_seed: Count = left_out("Which videos the shares take. Default: 0.")
    splits: Protocol = left_out("What trains, selects and is tested. Default: train, val, test.")
    policy: Literal[tuple(POLICIES)] = left_out(  # type: ignore[valid-type]  # names stand there
        "What is done to bad rows. Default: clip."
    )
    conventions: Annotated[list[Name], Unique] = left_out(
        "Ways of scoring that are printed beside the headline."
    )
    note: Text = left_out("What its numbers must not be read without.")


class DataSet(Section):
    """A data set of the study."""

    features: Name = Field(
        description="A name of config/features.yaml, or `own`: what each model's entry names."
    )
    vectors: Name = Field(description="A source of config/sources.yaml, or `learned`.")
    learn_vectors: LearnVectors = left_out("With vectors: learned.")
    own: OwnData = left_out("Its files, where it is none of config/datasets.yaml but one's own.")
    render: dict[Name, Any] = left_out("Differences from its render settings.")
    join: dict[Name, Any] = left_out("Differences from its join settings.")


Seed = Annotated[int, Ge(0), Le(2**63 - 1)]  # more is none to PyTorch


class _System(Section):
    """A model with the ablations, protocols, data sets and seeds that are run of it."""

    model: Name = Field(description="A file of config/models.")
    ablations: Literal["all", "printed"] | Names = left_out(
        "Of the model; printed: those that a printed table or figure needs. Default: full.",
    )
    protocols: Names = left_out(f"{PROTOCOLS} Default: default; of an on_demand system, printed.")
    seeds: Annotated[list[Seed], MinLen(1), Unique] = Field(description="One training each.")
    datasets: OnlyThese = left_out("Only these of the study's data sets.")
    on_demand: bool = left_out(
        "Trained only for a printed table or figure that is asked for, and in no table"
        " of the study's own.",
    )
    run: bool = left_out("false: only listed in tables, as not run, beside its printed numbers.")
    inputs: dict[Name, Any] = left_out("Of a variant: differences in its inputs.")
    model_settings: dict[Name, Any] = left_out(
        "Of a variant: differences in the arguments of its constructor."
    )
    train: dict[Name, Any] = left_out("Of a variant: differences in its training.")


_AS = "Name of a variant of the model: of its row and of its cells' folders."
# `as` is a word of Python's
System = create_model(
    "System", __base__=_System, __doc__=_System.__doc__, **{"as": optional(Name, _AS)}
)


class Adopted(Section):
    """A system that is not run here: a file of predictions that another program wrote."""

    predictions: Text = Field(
        description="The file, from the project's folder on; formats: docs/scoring.md."
    )
    title: Text = Field(description="As tables call it; its cells' folders are called after it.")
    source: Text = Field(description="Where the file is from, as the table's note says it.")
    datasets: OnlyThese = left_out("Only these of the study's data sets.")
    protocols: Names = left_out(
        f"What the file answers: test splits of these. {PROTOCOLS} Default: default."
    )
    max_missing: Annotated[float, Ge(0), Le(1)] = left_out(
        "Share of the queries that the file may lack. Default: 0.05."
    )


def _is_adopted(system: Any) -> str:
    return "adopted" if isinstance(system, dict) and "predictions" in system else "run"


AnySystem = Annotated[
    Annotated[System, Tag("run")]  # type: ignore[valid-type]  # made at run time
    | Annotated[Adopted, Tag("adopted")],
    Discriminator(_is_adopted),
]


class Table(Section):
    """A table of the study's own."""

    metrics: Annotated[list[Annotated[str, Field(pattern=METRIC)]], MinLen(1)] = Field(
        description="Columns, such as `R@1,IoU=0.7`."
    )
    datasets: OnlyThese = left_out("Only these of the study's data sets.")
    models: OnlyThese = left_out("Only systems of these models.")
    ablations: OnlyThese = left_out("Only these of the study's systems.")
    protocols: Names = left_out(
        f"Rows by these; the first is that of the blocks. {PROTOCOLS} Default: default.",
    )
    convention: Name = left_out("A name of config/conventions.yaml. Default: seconds.")
    against: Annotated[str, Field(pattern=r"^[a-z0-9_]+/[a-z0-9_]+(@[a-z0-9_]+)?$")] = left_out(
        "model/ablation or model/ablation@protocol: the row that the others are tested"
        " against, by paired permutation tests.",
    )
    by_part: bool = left_out(
        "Whether the parts of a test split get rows of their own. Default: true."
    )
    notes: list[str] = left_out("Stand below it.")


class Resources(Section):
    """What Snakemake reserves for one job of a phase."""

    threads: Size = left_out("CPU threads.")
    mem_mb: Annotated[int, Ge(100)] = left_out("Memory in MB.")
    runtime: Size = left_out("Minutes.")
    gpu: Count = left_out("GPUs.")
    gpu_model: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.]+$")] = left_out(
        "Which, as the cluster calls them (`scontrol show node`). Default: any."
    )
    slots_per_gpu: Literal["auto"] | Size = left_out(
        "How many such jobs share a GPU, where several fit; auto: as many as their measured memory"
        " lets. Default: 1."
    )
    shards: Size = left_out(
        "Of extract: jobs that share a data set's videos, on as many GPUs or nodes. The result is"
        " the same to the bit. Default: 1."
    )
    together: bool = left_out(
        "Of extract: whether one job decodes each video once for all extractions of a data set that"
        " are due, with all their networks in memory. The results are the same to the bit. Default:"
        " true."
    )


TableName = Annotated[str, Field(pattern="^([a-z0-9_]+/)?[a-z0-9_]+$")]
Phase = Literal[PHASES]  # type: ignore[valid-type]  # the names stand elsewhere


@cache
def study_type(*models: tuple[str, str]) -> type[Section]:
    """The whole file. models: name and module of those that `overrides` may change."""
    overrides = create_model(
        "overrides",
        __base__=Section,
        __doc__="Per model: differences from config/models/*.yaml for this study.",
        **{name: optional(override_type(name, module), f"Of {name}.") for name, module in models},
    )
    return create_model(
        "study",
        __base__=Section,
        __doc__="A study: data sets, systems, ablations and seeds.",
        study=(
            Name,
            Field(description="Short name: folder of its results, MLflow experiment and tag."),
        ),
        extends=optional(
            Name, "Study (config/NAME.yaml) of which this file states the differences."
        ),
        title=(str, Field(description="Stands in the caption of every table.")),
        demo=optional(bool, "Whether tables must say that these are demo numbers."),
        mirror=optional(
            str | None,
            "Folder or base URL tried before the upstream URLs; TSGBENCH_MIRROR overrides.",
        ),
        datasets=(
            Annotated[dict[Name, DataSet], MinLen(1)],
            Field(description="Names of config/datasets.yaml, with what is read of each."),
        ),
        systems=required(
            Annotated[list[AnySystem], MinLen(1)],
            "What is run, or taken from others, in the order of the tables' rows.",
        ),
        overrides=optional(overrides, "Per model, what this study changes of its entry."),
        tables=(
            Annotated[dict[TableName, Table], MinLen(1)],
            Field(
                description="Tables of the study's own: results/STUDY/NAME.tex, of the demo"
                " results/NAME.tex."
            ),
        ),
        inspect=optional(
            dict[str, Annotated[list[str], Unique]],
            "Data set -> ids of queries that qualitative figures show first.",
        ),
        findings=optional(bool, "Whether to write findings.md beside the tables."),
        resources=optional(dict[Phase, Resources], "Phase -> what Snakemake reserves for a job."),
    )
