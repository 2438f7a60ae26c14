"""Words that config files may use in the place of names, and how their values combine."""

from tsgbench.jobs.cells import DEFAULT
from tsgbench.jobs.layout import MAKERS
from tsgbench.settings import LAST

# As a study's features of a data set: every model reads those that its own entry names
OWN_FEATURES = "own"
LEARNED_VECTORS = "learned"  # as a study's word vectors of a data set
ALL = "all"  # as a system's ablations: every one of the model
PRINTED = "printed"  # as a system's ablations, or protocols: those that a printed row needs
# The convention (config/conventions.yaml) whose numbers stand in every table.
HEADLINE = "seconds"


def merge(base: dict, difference: dict) -> dict:
    """`base` with the values of `difference`; nested mappings merge, everything else replaces."""
    merged = dict(base)
    for key, value in difference.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def as_list(names: str | list[str]) -> list[str]:
    """A field that may be one name or a list of them."""
    return [names] if isinstance(names, str) else names


def maker_of(dataset: dict) -> str | None:
    """The phase that makes a data set's videos and annotations; None where they are downloaded."""
    return next((maker for maker in MAKERS if maker in dataset), None)


def protocols_of(dataset: dict) -> dict[str, dict]:
    """Every protocol of a data set's entry by name, the default one first."""
    return {DEFAULT: dataset["splits"], **dataset.get("protocols", {})}


def roles_of(protocol: dict) -> dict[str, list[str]]:
    """The splits that train, select and are tested; none selects where `select` is `last`."""
    roles = {role: as_list(protocol[role]) for role in ("train", "select", "test")}
    return roles | ({"select": []} if roles["select"] == [LAST] else {})
