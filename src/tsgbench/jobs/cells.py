"""What a cell is called: one training of a model, on a data set, under an ablation, from a seed.

Names are paths, so that a cell's folder, its jobs and its rows in records are called alike:
`seqpan/shapes/full/seed0`. Without its seed, `seqpan/shapes/full`, a name stands for a system on a
data set: the cells whose mean a table prints.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self

from tsgbench.errors import UserError

FULL = "full"  # the ablation that is none: a model as its paper has it
DEFAULT = "default"  # the protocol that a data set's `splits` state


class CellId(NamedTuple):
    """A cell. ablation: what `join_ablation` makes of the ablation and its protocol."""

    model: str
    dataset: str
    ablation: str
    seed: int

    def __str__(self) -> str:
        return f"{self.prefix}/seed{self.seed}"

    @property
    def prefix(self) -> str:
        """`model/dataset/ablation`, which its seeds share."""
        return f"{self.model}/{self.dataset}/{self.ablation}"

    @property
    def wildcards(self) -> dict[str, str]:
        """What rules and paths call its parts."""
        return {name: str(value) for name, value in self._asdict().items()}

    @classmethod
    def of(cls, wildcards: Mapping[str, str]) -> Self:
        """The cell of these wildcards."""
        model, dataset, ablation = (wildcards[name] for name in ("model", "dataset", "ablation"))
        return cls(model, dataset, ablation, int(wildcards["seed"]))

    @classmethod
    def parse(cls, name: str) -> Self:
        """The cell called `model/dataset/ablation/seed0`; `UserError` if nothing is called so."""
        *parts, seed = name.split("/")
        number = seed.removeprefix("seed")
        is_seed = f"seed{number}" == seed and number.isdecimal()
        if len(parts) != 3 or not all(parts) or not is_seed:
            raise UserError(f"{name!r} is no cell; cells are called model/dataset/ablation/seed0")
        model, dataset, ablation = parts
        return cls(model, dataset, ablation, int(number))


def cell_names(prefix: str, seeds: Iterable[int]) -> list[str]:
    """The names of a system's cells on a data set. prefix: `model/dataset/ablation`."""
    return [f"{prefix}/seed{seed}" for seed in seeds]


def is_trained(settings: Mapping[str, Any]) -> bool:
    """Whether a cell of these settings learns by epochs, as baselines and adopted predictions do
    not."""
    return bool(settings.get("train", {}).get("epochs"))


def join_ablation(ablation: str, protocol: str) -> str:
    """What a cell's name says of both: `full` by the default protocol, else `full@val_1`."""
    return ablation if protocol == DEFAULT else f"{ablation}@{protocol}"


def split_ablation(name: str) -> tuple[str, str]:
    """The ablation and the protocol that this part of a cell's name stands for."""
    ablation, _, protocol = name.partition("@")
    return ablation, protocol or DEFAULT


def cell_prefix(system: dict, dataset: str) -> str:
    """`model/dataset/ablation` of the cells of a figure's system, whose `protocols` say by which
    one of each data set; by the default one without them."""
    protocol = system.get("protocols", {}).get(dataset, DEFAULT)
    return f"{system['model']}/{dataset}/{join_ablation(system['ablation'], protocol)}"
