#!/usr/bin/env bash
# Make .venv from the locks; every make target runs in it.
set -euo pipefail
cd "$(dirname "$0")/.."

# Use the machine's Python, not that of the .venv which is about to be replaced.
export PATH="${PATH#"$PWD/.venv/bin:"}"
python=$(setup/python.sh)
# What would install elsewhere, other bytes or from another index, however pip and uv were set up.
redirecting=$("$python" -I mlflow_sealed/src/mlflow_sealed/surroundings.py)
for name in $redirecting UV_FIND_LINKS; do unset "$name"; done
export UV_NO_CONFIG=1 UV_PYTHON_DOWNLOADS=never
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
# Downloaded and unpacked, not installed: a pip.conf may say where to install (target, prefix, root).
public "${pip[@]}" download --quiet --disable-pip-version-check --require-hashes --no-deps \
  --only-binary :all: --dest .venv/bootstrap -r requirements-uv.txt
"$python" -m zipfile --extract .venv/bootstrap/uv-*.whl .venv/bootstrap
chmod +x .venv/bootstrap/uv-*.data/scripts/uv
uv=(.venv/bootstrap/uv-*.data/scripts/uv pip)
public "${uv[@]}" sync --quiet --python .venv/bin/python --require-hashes requirements-dev.txt
"${uv[@]}" install --quiet --python .venv/bin/python --no-deps --no-build-isolation \
  --editable mypreprocessing --editable mlflow_sealed
rm -r .venv/bootstrap
