#!/bin/sh
# One DVC stage: one phase of the workflow. Snakemake inside decides job by job what is out of date,
# by the identity each result carries; so a stage that has nothing to do costs seconds.
set -eu
# An activated environment wins; `make env` puts one into .venv
PATH="$PATH:$(pwd)/.venv/bin"
exec snakemake --cores "${CORES:-all}" -- "$1"
