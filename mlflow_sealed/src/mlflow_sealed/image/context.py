"""The build that MLflow asks for: recognise it, and make the context of our own from it."""

import ast
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlflow_sealed.flavor import manifest

DOCKERFILE: Final = Path(__file__).with_name("Dockerfile")
LOCK: Final = "server.txt"
"""The server's lock, in the context."""

HEADER: Final = "# Build an image that can serve mlflow models."
"""The first line of every Dockerfile that MLflow writes."""

_BASE: Final = re.compile(r"^FROM (python:\d+\.\d+(?:\.\d+)?-slim)$", re.MULTILINE)
_COPY: Final = re.compile(r"^COPY (.+) /opt/ml/model$", re.MULTILINE)
_SERVES: Final = "C._serve('local')"
_TOOLKIT: Final = re.compile(r"^mlflow-sealed==.*(?:\n {4}--hash=.*)+\n", re.MULTILINE)
"""The entry of this distribution in a lock."""

_BOOLEAN: Final = frozenset(
    f"--{name}"
    for name in (
        *("check", "compress", "debug", "disable-content-trust", "force-rm", "help", "load"),
        *("no-cache", "pull", "push", "quiet", "rm", "squash", "stream"),
    )
)
"""The options of docker build that take no value."""


class BuildError(Exception):
    """The build cannot be made; the message says why and what to do."""


@dataclass(frozen=True)
class Build:
    """What ``docker build`` was asked for.

    Attributes
    ----------
    options
        All of its arguments but the Dockerfile and the folder, in their order.
    folder
        The folder that is the build's context.
    dockerfile
        The path of the Dockerfile.
    """

    options: tuple[str, ...]
    folder: Path
    dockerfile: Path


def parse(arguments: Sequence[str]) -> Build | None:
    """Return the build that the arguments of ``docker build`` ask for.

    None stands for one without a folder: from an address, from standard input, or none at all.

    Examples
    --------
    >>> parse(["-t", "example", "-f", "Dockerfile", "--platform", "linux/amd64", "."]).options
    ('-t', 'example', '--platform', 'linux/amd64')
    """
    options: list[str] = []
    folders: list[str] = []
    dockerfile = None
    left = iter(arguments)
    for argument in left:
        name, value, taken = _option(argument, left)
        if name in {"-f", "--file"}:
            dockerfile = value
        elif name:
            options += taken
        else:
            folders += taken
    if len(folders) != 1 or not Path(folders[0]).is_dir():
        return None
    folder = Path(folders[0])
    return Build(tuple(options), folder, Path(dockerfile) if dockerfile else folder / "Dockerfile")


def is_mlflows(build: Build) -> bool:
    """Return whether it is MLflow that asks for this build."""
    places = ("model_dir/MLmodel", "model_dir/*/MLmodel")
    return _text(build).startswith(HEADER) or any(any(build.folder.glob(place)) for place in places)


def base(build: Build) -> str:
    """Return the base image that MLflow's Dockerfile names.

    Raises
    ------
    BuildError
        If the Dockerfile is not the one that MLflow writes for a model with a Python version and
        ``--env-manager local``.
    """
    text = _text(build)
    found = _BASE.findall(text)
    sources = re.findall(r"^FROM .*$", text, re.MULTILINE | re.IGNORECASE)
    if not text.startswith(HEADER) or len(sources) != 1 or not found or _SERVES not in text:
        raise BuildError(
            f"this Dockerfile is not known (it has {sources}, expected one FROM "
            "python:<version>-slim as MLflow writes it): build with mlflow models build-docker "
            "-m models:/NAME@ALIAS --env-manager local and no other option but -n"
        )
    return str(found[0])


def model(build: Build) -> Path:
    """Return the folder of the model that MLflow downloaded for the build.

    Which one it is depends on the model's address: ``model_dir`` for ``models:/NAME@ALIAS``, a
    folder in it for ``runs:/…`` and for a folder. MLflow's Dockerfile names it.

    Raises
    ------
    BuildError
        If there is none.
    """
    parent = (build.folder / "model_dir").resolve()
    for source in _COPY.findall(_text(build)):
        folder: Path = (build.folder / source).resolve()
        if folder.is_relative_to(parent) and (folder / "MLmodel").is_file():
            return folder
    raise BuildError(
        "the build has no model: name one with mlflow models build-docker -m MODEL, such as "
        "models:/NAME@ALIAS"
    )


def make(build: Build, lock: Path, folder: Path) -> None:
    """Make our context in `folder`: the model, as it was logged, and the lock of the server.

    Raises
    ------
    BuildError
        If there is no model, or its files are not those that were logged.
    """
    # Loading a model in place leaves bytecode there, which would shadow model.py.
    bytecode = shutil.ignore_patterns("__pycache__")
    shutil.copytree(model(build), folder / "model_dir", ignore=bytecode)
    try:
        manifest.check(folder / "model_dir")
    except manifest.ManifestError as error:
        raise BuildError(str(error)) from error
    text = toolkit_first(lock.read_text(encoding="utf-8"))
    (folder / LOCK).write_text(text, encoding="utf-8")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)  # another user reads it in the container


def toolkit_first(lock: str) -> str:
    """Return a lock whose first entry is this distribution, which only the feed has.

    pip stops at the first package that it does not find. A feed that is down costs the retries of
    one package then, not those of a hundred.
    """
    entry = "".join(_TOOLKIT.findall(lock))
    return entry + _TOOLKIT.sub("", lock)


def imports(model: Path) -> list[str]:
    """Return the modules that a model's code imports at its top, but for the standard library's."""
    tree = ast.parse((model / "model.py").read_bytes())
    names = [
        alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names
    ]
    names += [node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)]
    tops = {name.partition(".")[0] for name in names}
    return sorted(tops - sys.stdlib_module_names - {""})


def _text(build: Build) -> str:
    """Return the text of the Dockerfile, or nothing if it cannot be read."""
    try:
        return build.dockerfile.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _option(argument: str, left: Iterator[str]) -> tuple[str, str, list[str]]:
    """Return an option's name, its value and the arguments that it takes, some from `left`.

    A plain argument has no name. Short options without a value can stand before another: ``-qt x``.
    """
    if not argument.startswith("-") or argument == "-":
        return "", "", [argument]
    if argument.startswith("--"):
        name, equals, value = argument.partition("=")
        alone = bool(equals) or name in _BOOLEAN
    else:
        letters = argument[1:].lstrip("qD")
        name, value = f"-{letters[:1]}", letters[1:].removeprefix("=")
        alone = not letters or bool(value)
    if alone:
        return name, value, [argument]
    value = next(left, "")
    return name, value, [argument, value]
