#!/usr/bin/env bash
# Print which Python to make .venv with: BASE_PYTHON, or the first on PATH that fits.
# 3.11 and 3.13 come first, because the tests run on them.
set -euo pipefail

fits() {
  "$1" -c 'import sys, venv; raise SystemExit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null
}

candidates=(python3.11 python3.13 python3.12 python3.14 python3)
if [ -n "${BASE_PYTHON:-}" ]; then candidates=("$BASE_PYTHON"); fi
for python in "${candidates[@]}"; do
  if fits "$python"; then
    echo "$python"
    exit
  fi
done

got=
for python in "${candidates[@]}"; do
  if version=$("$python" --version 2>/dev/null); then got+="$python is ${version#Python }, "; fi
done
echo "error: ${got:-no ${candidates[-1]} on PATH, }expected Python 3.11, 3.12, 3.13 or 3.14:" \
  "apt-get install python3 python3-venv (Debian 12 and 13, Ubuntu 24.04)," \
  "apt-get install python3.11 python3.11-venv (Ubuntu 22.04)," \
  "dnf install python3.13 (Fedora)," \
  "uv python install 3.13 (anywhere), or name yours with BASE_PYTHON=…" >&2
exit 1
