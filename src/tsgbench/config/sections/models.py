"""config/models/*.yaml, and what a study's `overrides` may change of a model.

The settings are those of the signatures: `settings.InputSettings`, the constructor of the model and
`settings.TrainSettings`.
"""

from functools import cache
from typing import Annotated, Any, Literal

from annotated_types import MaxLen
from pydantic import AfterValidator, Field, create_model

from tsgbench.config import signatures
from tsgbench.config.sections.common import (
    Name,
    Names,
    Section,
    Text,
    as_section,
    by_name,
    optional,
    required,
)
from tsgbench.settings import InputSettings, TrainSettings

Module = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$")]
ABOUT = "What differs, as tables and listings say it."
ONLY_ON = "Of an ablation: the only data sets where it means anything."


def signature_of(name: str, module: str) -> signatures.Signature:
    """The settings of a model, defined in `models/{module}.py`."""
    return signatures.of_registered("models", module, name)


@cache
def parts_of(name: str, module: str, *, partial: bool) -> dict[str, type[Section]]:
    """The sections `inputs`, `model` and `train` of a model. partial: of a difference."""
    kinds = {
        "inputs": signatures.of_dataclass(InputSettings),
        "model": signature_of(name, module),
        "train": signatures.of_dataclass(TrainSettings),
    }
    owner = {"model": f"{name}_"}
    return {
        part: as_section(
            f"{owner.get(part, '')}{part}{'_difference' if partial else ''}",
            described.parameters,
            partial=partial,
        )
        for part, described in kinds.items()
    }


def _difference(name: str, label: str, parts: dict[str, type], **fields: Any) -> type[Section]:
    helps = {
        "inputs": "What it is given.",
        "model": "Arguments of its constructor.",
        "train": "How it is trained.",
    }
    optional_parts = {part: optional(kind, helps[part]) for part, kind in parts.items()}
    return create_model(f"{name}_{label}", __base__=Section, **fields, **optional_parts)


def _has_full(ablations: dict) -> dict:
    if "full" not in ablations:
        raise ValueError("key 'full' is missing; add the model as it is")
    return ablations


@cache
def entry_type(name: str, module: str) -> type[Section]:
    """A file of config/models: the defaults with their sources, and differences by name."""
    whole, parts = (parts_of(name, module, partial=partial) for partial in (False, True))
    about = optional(Text, ABOUT)
    settings = create_model(
        f"{name}_settings",
        __base__=Section,
        inputs=required(whole["inputs"], "What it is given."),
        model=optional(whole["model"], "Arguments of its constructor."),
        train=optional(whole["train"], "How it is trained."),
    )
    plain = _difference(name, "difference", parts, about=about)
    ablation = _difference(name, "ablation", parts, about=about, datasets=optional(Names, ONLY_ON))
    by_data_set = optional(by_name(plain), "Data set -> what differs there.")
    preset = _difference(name, "preset", parts, about=about, datasets=by_data_set)
    return create_model(
        f"{name}_entry",
        __base__=Section,
        __doc__=f"config/models/{name}.yaml",
        model=required(Literal[name], "The name of this file."),
        module=optional(
            Module, "src/tsgbench/models/MODULE.py, where it is not named like the model."
        ),
        title=required(Text, "As tables call it."),
        about=optional(Text, "What a baseline does, as tables say it."),
        paper=optional(Name, "published/PAPER.yaml holds the numbers that it is to reproduce."),
        settings=required(settings, "The defaults."),
        datasets=by_data_set,
        presets=optional(by_name(preset), "Further settings that a study may choose by name."),
        ablations=required(
            Annotated[by_name(ablation), AfterValidator(_has_full)],
            "By name, what each changes; `full` changes nothing.",
        ),
    )


@cache
def override_type(name: str, module: str) -> type[Section]:
    """What a study changes of a model."""
    parts = parts_of(name, module, partial=True)
    plain = _difference(name, "override_on_data_set", parts)
    note = Annotated[str, MaxLen(80)]
    said = "Stands with every table and figure that shows the model: what its numbers must not be"
    return _difference(
        name,
        "override",
        parts,
        preset=optional(Name, "One of the model's presets."),
        note=optional(note, f"{said} read without."),
        datasets=optional(by_name(plain), "Further differences for single data sets."),
    )
