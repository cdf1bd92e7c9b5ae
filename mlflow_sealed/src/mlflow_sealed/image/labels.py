"""The labels of an image: where it comes from, as far as its model knows."""

import json
from pathlib import Path
from typing import Any

import yaml


def labels(model: Path, base_name: str) -> dict[str, str]:
    """Return the image's labels: where it comes from, as far as the model knows."""
    logged = _yaml(model / "MLmodel")
    registered = _yaml(model / "registered_model_meta")
    training = json.loads((model / "artifacts/training.json").read_text(encoding="utf-8"))
    package = training["package"]
    name, version = registered.get("model_name"), registered.get("model_version")
    commit = (logged.get("metadata") or {}).get("git_commit")
    known = {
        "org.opencontainers.image.title": name,
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.revision": commit,
        "org.opencontainers.image.created": _rfc3339(logged["utc_time_created"]),
        "org.opencontainers.image.base.name": base_name,
        "mlflow.model.name": name,
        "mlflow.model.version": version,
        "mlflow.model.id": logged.get("model_id"),
        "mlflow.run.id": logged.get("run_id"),
        f"{package['name']}.version": package["version"],
    }
    return {key: str(value) for key, value in known.items() if value is not None}


def _rfc3339(text: str) -> str:
    return f"{text.replace(' ', 'T')}Z"


def _yaml(path: Path) -> dict[str, Any]:
    found = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
    return found if isinstance(found, dict) else {}
