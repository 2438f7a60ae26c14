#!/bin/sh
# Create the environment in the folder $1 from the pinned locks, with the Python in $PYTHON.
set -eu
folder="$1"
python="${PYTHON:-python3}"
here="$(dirname "$0")"

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    echo "tsgbench needs Python 3.11 or newer as '$python'; set PYTHON=/path/to/python3" >&2
    exit 1
}
# Debian ships `venv` without its pip unless python3-venv is installed
"$python" -m venv "$folder" 2>/dev/null || "$python" -m virtualenv "$folder" 2>/dev/null || {
    echo "cannot create an environment with '$python': apt install python3-venv" >&2
    exit 1
}
echo "installing the pinned environment into $folder (about 2 GB, a few minutes)"
# Every file by its SHA-256. No dependencies: the lock names them all, as the check below confirms
"$folder/bin/python" -m pip install --quiet --require-hashes --no-deps \
    --requirement "$here/requirements.lock"
# By its version alone: builds with and without CUDA differ, and one with CUDA brings its libraries
"$folder/bin/python" -m pip install --quiet ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} \
    --requirement "$here/torch.lock"
"$folder/bin/python" -m pip install --quiet --no-deps --no-build-isolation --editable "$here/.."
"$folder/bin/python" -m pip check >/dev/null || {
    "$folder/bin/python" -m pip check >&2 || true
    echo "the lock lacks what is named above: make lock" >&2
    exit 1
}
