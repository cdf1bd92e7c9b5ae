"""The manifest of a model: the SHA-256 of each of its files, made when it is saved."""

import hashlib
import json
from pathlib import Path
from typing import Final

MANIFEST: Final = "manifest.json"
"""The file of a model that has the SHA-256 of every other."""

ADDED: Final = frozenset({MANIFEST, "registered_model_meta"})
"""What is in a model's folder and not in its manifest: MLflow adds the latter to a download."""


class ManifestError(Exception):
    """A model's files are not those that were saved; the message names them."""


def write(model: Path) -> None:
    """Write the manifest of a model's folder: a container refuses to serve other files."""
    (model / MANIFEST).write_text(json.dumps(digests(model), indent=2), encoding="utf-8")


def check(model: Path) -> None:
    """Compare every file of a model with its manifest.

    Raises
    ------
    ManifestError
        If there is no manifest, or a file is missing, added or has other bytes; names the files.
    """
    try:
        expected = json.loads((model / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ManifestError(
            f"the model has no readable {MANIFEST}: log it with mlflow_sealed.flavor"
        ) from None
    found = digests(model)
    names = sorted(expected.keys() | found.keys())
    changed = [name for name in names if expected.get(name) != found.get(name)]
    if changed:
        raise ManifestError(
            f"the model's files are not those that were logged; files that differ: {changed}. "
            "Fetch the model, or build the image, from the registry again. If its files are "
            "changed there too, put them back, or delete that version and train again"
        )


def digests(model: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a model, by its path in the model's folder."""
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(model.rglob("*"))
        if path.is_file() and (name := path.relative_to(model).as_posix()) not in ADDED
    }


def digest(model: Path) -> str:
    """Return the SHA-256 of a model's manifest, which stands for all of its files."""
    return hashlib.sha256((model / MANIFEST).read_bytes()).hexdigest()
