#!/bin/sh
# Create the environment in the folder $1 from the pinned lock, with the Python in $PYTHON.
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
if [ -n "${TORCH_INDEX:-}" ]; then
    version="$(sed -n 's/^torch==\([0-9.]*\).*/\1/p' "$here/requirements.lock")"
    "$folder/bin/python" -m pip install --quiet --index-url "$TORCH_INDEX" "torch==$version"
fi
echo "installing the pinned environment into $folder (about 2 GB, a few minutes)"
"$folder/bin/python" -m pip install --quiet --requirement "$here/requirements.lock"
"$folder/bin/python" -m pip install --quiet --no-deps --no-build-isolation --editable "$here/.."
