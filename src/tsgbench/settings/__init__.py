"""Settings of a training and its inputs: names, types, bounds, choices and defaults, once.

The constructors of models state theirs in the same terms. What checks them before the first job
(`config/`) reads them from here and from there; what trains imports this module and nothing of the
checks, so that a reworded message or a new check trains nothing again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt, MultipleOf

from tsgbench.errors import UserError
from tsgbench.settings.choices import wrong_choice

Count = Annotated[int, Ge(0)]
Size = Annotated[int, Ge(1)]
EvenSize = Annotated[int, Ge(2), MultipleOf(2)]
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Ge(0), Le(1)]
Tokenizer = Literal["nltk_punct", "nltk_drop_punct", "strip_punct"]
DropoutRate = Annotated[float, Ge(0), Lt(1)]

LAST = "last"  # as `select`, or in the place of a selecting split: the last epoch's weights
SCORED = ["R@1,IoU=0.3", "R@1,IoU=0.5", "R@1,IoU=0.7", "mIoU"]  # on the selection split
Select = Literal["R@1,IoU=0.3", "R@1,IoU=0.5", "R@1,IoU=0.7", "mIoU", "last"]

Conflicts = Sequence[tuple[Mapping[str, object], str]]


@dataclass(frozen=True)
class TrainSettings:
    """How a model is trained: the section `train`.

    epochs: passes over the training queries; 0: nothing to train (baselines).
    batch_size: queries per step.
    optimizer: `adam` adds decay to the gradient, `adamw` applies it to the weights, `bert_adam` is
    adamw without bias correction.
    lr: learning rate, before schedule and warm-up.
    eps: added to the denominator of an update.
    weight_decay: of weights; biases and normalisations are never decayed.
    clip_norm: norm that gradients are cut to; 0: no clipping.
    schedule: `linear` falls to zero over the epochs, `inverse_sqrt` with the root of the updates.
    warmup: updates over which the rate grows from zero.
    patience: epochs without a better `select` that end a training; 0: never.
    select: metric on the selection split that chooses the epoch; `last`: the last epoch.
    precision: of the forward pass in training; bf16: autocast.
    resident: of the features that are kept on a GPU; fp16 takes half the memory.
    """

    epochs: Count = 0
    batch_size: Size = 16
    optimizer: Literal["adam", "adamw", "bert_adam"] = "adam"
    lr: Positive = 1e-4
    eps: Positive = 1e-8
    weight_decay: NotNegative = 0.0
    clip_norm: NotNegative = 0.0
    schedule: Literal["constant", "linear", "inverse_sqrt"] = "constant"
    warmup: Count = 0
    patience: Count = 0
    select: Select = "mIoU"
    precision: Literal["fp32", "bf16"] = "fp32"
    resident: Literal["fp32", "fp16"] = "fp32"

    def __post_init__(self) -> None:
        if wrong := wrong_choice(TrainSettings, vars(self)):
            raise UserError(f"train.{wrong}")

    @property
    def chooses(self) -> bool:
        """Whether a selection split, if there is one, decides which epoch is kept."""
        return self.select != LAST


@dataclass(frozen=True)
class InputSettings:
    """What a model is given: the section `inputs`, as `loading.GroundingData` reads it.

    tokenizer: how sentences become words (docs/data.md).
    oov: a word without a vector is one trainable vector (`unk`) or left out (`drop`).
    max_words: words of a sentence that count, from its start.
    max_clips: clips that a video is brought to, or at most has.
    resample: how it is brought to them (`src/tsgbench/features/resample.py` compares the rules).
    resample_when: of `round_mean`: every video, or only a `longer` one.
    offset: of `stride_pick`: where sampling starts in training.
    chunk_s: of `chunks`: seconds of a place.
    video: `zero`: of every clip; `mismatched`: another video's.
    query: `shuffled`: the words of another query.
    supervision: `weak`: training batches carry no moments.
    features: a name of config/features.yaml, which counts where a study says `own`.
    """

    tokenizer: Tokenizer
    oov: Literal["unk", "drop"]
    max_words: Size
    max_clips: Size
    resample: Literal["linspace_mean", "round_mean", "stride_pick", "even_pick", "chunks"]
    resample_when: Literal["always", "longer"] | None = None
    offset: Literal["first", "random"] = "first"
    chunk_s: Positive | None = None
    video: Literal["real", "zero", "mismatched"] = "real"
    query: Literal["real", "shuffled"] = "real"
    supervision: Literal["full", "weak"] = "full"
    features: str | None = None


def misfit_of_model(settings: Mapping, conflicts: Conflicts = ()) -> str | None:
    """Which of a model's settings do not fit together and what to do, or None if all do.

    settings: defaults included. conflicts: the model's `CONFLICTS`.
    """
    for together, remedy in conflicts:
        if all(settings.get(name) == value for name, value in together.items()):
            return remedy
    width, heads = settings.get("width"), settings.get("heads")
    if width and heads and width % heads:
        return f"width: {width} must be a multiple of heads, {heads}"
    windows, limit = settings.get("windows"), settings.get("max_clips")
    if windows and limit and max(windows) > limit:
        return f"windows: {list(windows)} must be sizes between 1 and max_clips, {limit}"
    return None


def misfit_of_inputs(inputs: Mapping, model: Mapping) -> str | None:
    """The same of a section `inputs`, also with the model that reads it (its settings)."""
    rule = inputs["resample"]
    if rule == "round_mean" and inputs.get("resample_when") is None:
        return "inputs.resample_when: resample round_mean needs it; set it to always or longer"
    if rule == "chunks" and inputs.get("chunk_s") is None:
        return (
            "inputs.chunk_s: resample chunks needs the seconds of a chunk; DiDeMo's have 5, so set"
            " it to 5"
        )
    if inputs.get("offset") == "random" and rule != "stride_pick":
        return f"inputs.offset: random needs resample stride_pick, not {rule}; set it to first"
    has_tables = model.get("pe", "learned") == "learned"  # sines know no limit
    for name in ("max_clips", "max_words"):
        if has_tables and model.get(name, inputs[name]) < inputs[name]:
            return (
                f"model.{name}: {model[name]} is less than inputs.{name}, {inputs[name]}; give"
                f" inputs and model the same {name}"
            )
    if model.get("span") == "windows" and rule != "linspace_mean":
        return (
            f"model.span: windows are those of resample linspace_mean, not {rule}; resample so, or"
            " set span to grid"
        )
    return None
