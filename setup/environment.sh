#!/usr/bin/env bash
# Make .venv from the locks; every make target runs in it.
set -euo pipefail
cd "$(dirname "$0")/.."

# Use the machine's Python, not that of the .venv which is about to be replaced.
export PATH="${PATH#"$PWD/.venv/bin:"}"
python=$(setup/python.sh)
echo "making .venv with $("$python" --version), once" >&2
"$python" -m venv --clear --without-pip .venv
# Installing pip into .venv takes longer than all the rest, so use Python's own pip if it has one.
if "$python" -c 'import pip' 2>/dev/null; then
  pip=("$python" -m pip --python .venv/bin/python)
else
  "$python" -c 'import ensurepip' 2>/dev/null || setup/packages.sh venv "$python"
  .venv/bin/python -m ensurepip >/dev/null
  pip=(.venv/bin/python -m pip)
fi
# The index that stands for the public one may be named in a variable or a file that uv does not read.
public() { PYTHONPATH="$PWD/mlflow_sealed/src" "$python" -P -m mlflow_sealed.feed.public "$@"; }
public "${pip[@]}" install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
uv=(.venv/bin/uv pip)
public "${uv[@]}" sync --quiet --python .venv/bin/python --require-hashes requirements-dev.txt
"${uv[@]}" install --quiet --python .venv/bin/python --no-deps --no-build-isolation \
  --editable mypreprocessing --editable mlflow_sealed
