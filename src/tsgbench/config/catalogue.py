"""Everything a study can name, read from `config/` and `published/`, shipped and of one's own."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tsgbench.config.layers import files_of, join_pieces, modules_of, read_pieces
from tsgbench.config.reading import need_project, read_bytes
from tsgbench.config.references import need_known
from tsgbench.config.remembered import is_remembered, key_of, remember
from tsgbench.config.values import HEADLINE, merge
from tsgbench.evaluation.needs import Need, needs_of_all
from tsgbench.files import sha256_file
from tsgbench.outside import open_folder, source_of

NOT_OPTIONS = ("title", "about", "source", "datasets")


@dataclass(frozen=True)
class Catalogue:
    """Everything a study can name, by name, as read from `config/` and `published/`."""

    models: dict[str, dict]
    datasets: dict[str, dict]
    clips: dict[str, dict]
    features: dict[str, dict]
    sources: dict[str, dict]
    published: dict[str, dict]
    conventions: dict[str, dict]
    outside: dict[str, str] = field(default_factory=dict)  # module -> SHA-256 of its file

    @classmethod
    @cache
    def load(cls, root: Path = Path()) -> "Catalogue":
        """Read and check all catalogue files below `root`: every section, every name that stands
        for something elsewhere, and every model on every data set with every preset and ablation.

        The check is left out for files that passed before.
        """
        need_project(root)
        open_folder(root)
        read = {path: read_bytes(path) for _, path in files_of(root)}
        key = key_of(*(part for path, data in read.items() for part in (str(path).encode(), data)))
        pieces = read_pieces(root, read, is_measured=is_remembered(key))
        joined = join_pieces(pieces)
        # Signatures are settings: what lies outside the package is an input of the check, too
        outside = {name: sha256_file(source_of(name)) for name in modules_of(joined)}
        key = key_of(key.encode(), repr(outside).encode()) if outside else key
        if not is_remembered(key):
            # Late: with what it imports it costs more than a hit
            from tsgbench.config import checks

            checks.check_catalogue(joined, pieces)
            remember(key)
        return cls(
            models=joined["models"],
            datasets=joined["datasets"],
            clips=joined["features"]["clips"],
            features=joined["features"]["features"],
            sources=joined["sources"],
            published=joined["published"],
            conventions=joined["conventions"],
            outside=outside,
        )

    def needs_of(self, dataset: str) -> list[Need]:
        """What a prediction file must hold for every convention of the data set."""
        return needs_of_all(self.conventions_of(dataset).values())

    def conventions_of(self, dataset: str) -> dict[str, dict]:
        """Options of the headline and of every convention that the data set names, in that order.

        Only what decides the numbers, with the data set's own differences applied: a new title, or
        a change that concerns another data set, evaluates nothing again.
        """
        where = f"config/datasets.yaml: {dataset}.conventions"
        chosen = {}
        for name in [HEADLINE, *self.datasets[dataset].get("conventions", [])]:
            need_known(name, self.conventions, where, "convention")
            options = merge(
                self.conventions[name], self.conventions[name].get("datasets", {}).get(dataset, {})
            )
            chosen[name] = {key: options[key] for key in options if key not in NOT_OPTIONS}
        return chosen
