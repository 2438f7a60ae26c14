"""The scripts that draw DVC's plots, from the copy that Snakemake installs: no network needed."""

from importlib.util import find_spec
from pathlib import Path

SCRIPTS = ("vega", "vega-lite", "vega-embed")
LICENSED = ("vega*", "d3-*")  # what the scripts are and contain


def read_scripts() -> str:
    """One script with all that a page of plots needs, and the licences.

    Without Snakemake's copy a comment: the page (.dvc/plots/page.html) then asks the network.
    """
    folder = _assets()
    scripts = [folder / name / f"{name}.js" for name in SCRIPTS]
    if not all(script.is_file() for script in scripts):
        return "// Snakemake's copy of Vega was not there when this was written\n"
    licences = [
        f"/*! {path.parent.name}\n{path.read_text(encoding='utf-8').replace('*/', '* /')}*/"
        for pattern in LICENSED
        for path in sorted(folder.glob(f"{pattern}/LICENSE"))
    ]
    return "\n".join([*licences, *(path.read_text(encoding="utf-8") for path in scripts)])


def _assets() -> Path:
    spec = find_spec("snakemake")  # without importing it
    folders = spec.submodule_search_locations if spec else None
    return Path(next(iter(folders or []), ".")) / "assets" / "data"
