"""The environment that the commands of the tests get, and where the repository is."""

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent

_MEASURED: Final = "COVERAGE_PROCESS_CONFIG"  # set by pytest-cov, read by every Python that starts


def clean_environ() -> dict[str, str]:
    """Return this process's environment without a feed credential or an MLflow setting."""
    ours = ("MLFLOW_", "UV_INDEX", "PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE", "PYPIRC_PATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "MLFLOW_DISABLE_TELEMETRY": "true"}


def untraced(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment whose Pythons are not measured for coverage, which slows them down."""
    return {name: value for name, value in environ.items() if not name.startswith("COVERAGE_")}


def measured_forks(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment whose Pythons are measured in what they fork too.

    The processes of the tests are not: at its end, each fork would save all that they have
    measured until then, which takes minutes.
    """
    changed = dict(environ)
    if config := changed.get(_MEASURED):
        read = json.loads(base64.b64decode(config))
        read["patch"] = ["subprocess", "fork", "_exit"]
        changed[_MEASURED] = base64.b64encode(json.dumps(read).encode()).decode()
    return changed
