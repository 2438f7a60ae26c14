"""What verbs know by name: the catalogue, with the data of one's own that the study brings."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from tsgbench.config import (
    Catalogue,
    default_study,
    extend_study,
    load_study,
    read_yaml,
    studies_here,
)
from tsgbench.config.wording import hint_at
from tsgbench.errors import UserError


@dataclass(frozen=True)
class Known:
    """catalogue: shipped entries, the folder's, those of packages, and the study's data sets.
    study: its name and where it came from; None where a folder has no study that is meant."""

    catalogue: Catalogue
    study: tuple[str, str] | None = None

    def need_dataset(self, name: str) -> None:
        """`UserError` that says where it was looked for, unless `--dataset` is known."""
        if name in self.catalogue.datasets:
            return
        places = "config/datasets.yaml"
        if self.study:
            places += f" or of study {self.study[0]!r} ({self.study[1]})"
        others = list(_studies_with(name))
        near = " or ".join(f"--study {file}" for file in others)
        hint = f"add {near}, which has it" if others else hint_at(name, self.catalogue.datasets)
        raise UserError(f"--dataset: {name!r} is no data set of {places}; {hint}")


def read_known(said: str | None) -> Known:
    """said: `--study`, a file or a name; None: the folder's default study, if there is one."""
    if said is None:
        try:
            default_study()
        except UserError:
            return Known(Catalogue.load())
    from tsgbench.planning.study import Study  # late: the plan takes time that --help does not need

    config, source = load_study(said)
    study = Study(config, source=source)
    return Known(study.catalogue, (study.name, source))


def _studies_with(dataset: str) -> Iterator[str]:
    """The files of studies of this folder that have a data set of one's own of this name."""
    for file in (file for files in studies_here().values() for file in files):
        with suppress(UserError):  # of another study, which is not asked for
            datasets = extend_study(read_yaml(file), file).get("datasets")
            chosen = datasets.get(dataset) if isinstance(datasets, dict) else None
            if isinstance(chosen, dict) and "own" in chosen:
                yield file
