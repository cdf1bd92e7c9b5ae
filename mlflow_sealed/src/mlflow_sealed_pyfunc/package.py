"""The private package that a model was trained with, and the check that it is the one at hand."""

import hashlib
import importlib.metadata
from pathlib import Path
from types import ModuleType

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12


class PackageRecord(TypedDict):
    """What a model remembers of the private package that it was trained with."""

    name: str
    version: str
    files: dict[str, str]


class PreprocessingMismatchError(RuntimeError):
    """The installed private package is not the one that the model was trained with."""


def installed_package(module: ModuleType) -> PackageRecord:
    """Return the name and version of an imported package, and the SHA-256 of each of its files.

    Parameters
    ----------
    module
        The package, whose distribution has the same name.
    """
    folder, name = Path(str(module.__file__)).parent, module.__name__
    return {
        "name": name,
        "version": importlib.metadata.version(name),
        "files": {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts
        },
    }


def check_package(trained: PackageRecord, installed: PackageRecord) -> None:
    """Compare the private package at hand with the one that a model was trained with.

    Raises
    ------
    PreprocessingMismatchError
        If the version, or any file, is another one; names both versions and the files.
    """
    if trained == installed:
        return
    names = sorted(trained["files"].keys() | installed["files"].keys())
    changed = [name for name in names if trained["files"].get(name) != installed["files"].get(name)]
    raise PreprocessingMismatchError(
        f"the model was trained with {trained['name']} {trained['version']}, installed is "
        f"{installed['version']}; files that differ: {changed}. Install the version in the "
        "model's requirements.txt from the feed, or train again"
    )
