#!/usr/bin/env bash
# Make .venv, in which every make target runs, from the locks.
set -euo pipefail
cd "$(dirname "$0")/.."

# The machine's Python, not that of the .venv that this one replaces.
export PATH="${PATH#"$PWD/.venv/bin:"}"
python=$(setup/python.sh)
echo "making .venv with $("$python" --version), once" >&2
"$python" -m venv --clear --without-pip .venv
# Making a pip for .venv takes longer than all the rest, so the one at hand is used if there is one.
if "$python" -c 'import pip' 2>/dev/null; then
  pip=("$python" -m pip --python .venv/bin/python)
else
  "$python" -c 'import ensurepip' 2>/dev/null || setup/packages.sh venv "$python"
  .venv/bin/python -m ensurepip >/dev/null
  pip=(.venv/bin/python -m pip)
fi
"${pip[@]}" install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
uv=(.venv/bin/uv pip)
"${uv[@]}" sync --quiet --python .venv/bin/python --require-hashes requirements-dev.txt
"${uv[@]}" install --quiet --python .venv/bin/python --no-deps --no-build-isolation \
  --editable mypreprocessing --editable mlflow_sealed
