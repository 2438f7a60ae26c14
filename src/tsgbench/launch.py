"""`snakemake` as the environment installs it: Snakemake itself, with targets where they are meant.

Snakemake's `--configfile` takes every word that follows it, so that

    snakemake --cores 8 --configfile config/blind.yaml results/table1.tex

would read the table as a second config file and fail. Here, words after the first are targets when
they lie in a folder that the pipeline makes, or do not name a YAML or JSON file. Everything else is
passed on as it stands.
"""

import sys

CONFIG_OPTIONS = ("--configfile", "--configfiles")
CONFIG_SUFFIXES = (".yaml", ".yml", ".json")
MADE = ("results/", "data/")


def targets_first(arguments: list[str]) -> list[str]:
    """Move targets that stand behind `--configfile FILE...` to the front."""
    kept: list[str] = []
    targets: list[str] = []
    files_seen = None  # files so far of the --configfile we are in, None outside
    for place, word in enumerate(arguments):
        if word == "--":
            return targets + kept + arguments[place:]
        if word.startswith("-"):
            files_seen = 0 if word in CONFIG_OPTIONS else None
        elif files_seen is not None:
            files_seen += 1
            is_config = word.endswith(CONFIG_SUFFIXES) and not word.startswith(MADE)
            if files_seen > 1 and not is_config:
                targets.append(word)
                continue
        kept.append(word)
    return targets + kept


def main() -> None:
    """Entry point of the `snakemake` command."""
    from snakemake.cli import main as snakemake

    snakemake(targets_first(sys.argv[1:]))
