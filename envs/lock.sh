#!/bin/sh
# Renew requirements.lock and torch.lock: what pyproject.toml asks for, with SHA-256 of every file;
# and validators.lock. Versions that still fit stay; with --upgrade all are the newest. Needs uv
# (pip install uv).
set -eu
here="$(dirname "$0")"
command -v uv >/dev/null || {
    echo "needs uv, which resolves for all systems at once: pip install uv" >&2
    exit 1
}
new="$(mktemp)"
trap 'rm -f "$new"' EXIT
cat "$here/requirements.lock" "$here/torch.lock" >"$new"
# Further than the package itself: what profiles/slurm runs by
echo snakemake-executor-plugin-slurm | uv pip compile --quiet "$here/../pyproject.toml" - \
    --all-extras --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
    --output-file "$new" "$@" >/dev/null
# torch stands apart, and the CUDA libraries that it brings are of its own choice
sed -n 's/^\(torch==[^ ]*\).*/\1/p' "$new" >"$here/torch.lock"
awk '/^[a-z]/ { keep = !/^(cuda-|nvidia-|torch==|triton==)/ } keep' "$new" >"$here/requirements.lock"
# What checks bundles asks for an older rich than ours, and so has an environment of its own
printf 'roc-validator\nrocrate<0.15\n' | uv pip compile --quiet - --universal --python-version 3.11 \
    --generate-hashes --no-header --no-annotate --output-file "$here/validators.lock" "$@" >/dev/null
