"""The DOCKER_CONFIG folder that makes our plugin the builder, and keeps what the user's own has."""

import json
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mlflow_sealed import process
from mlflow_sealed.feed import credential
from mlflow_sealed.image.plugin import NAME

FOLDER: Final = Path(".cache/docker")
"""Where a project has it."""

_ORIGIN: Final = ".made-from"


def make(environ: Mapping[str, str], lock: Path, folder: Path) -> Path:
    """Make the folder anew from the user's own configuration and return its path.

    Parameters
    ----------
    environ
        Its DOCKER_CONFIG may name the user's own folder.
    lock
        The server's lock, which the image is made with.
    folder
        The folder to make.

    ``config.json`` is copied (it can hold registry logins, so only its owner can read it) and gets
    the builder; everything else is linked: contexts, certificates, the user's own plugins.

    Raises
    ------
    mlflow_sealed.process.ProcessError
        If the user's config.json cannot be read.
    """
    user = _user_config(environ)
    config = _read(user / "config.json")
    shutil.rmtree(folder, ignore_errors=True)
    plugins = folder / "cli-plugins"
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    plugins.mkdir()
    (folder / _ORIGIN).write_text(str(user), encoding="utf-8")
    config["aliases"] = {**config.get("aliases", {}), "builder": NAME}
    credential.write_secret(json.dumps(config, indent=2), folder / "config.json")
    _link_all(user, folder)
    _link_all(user / "cli-plugins", plugins)
    _install(plugins / f"docker-{NAME}", user, lock)
    return folder


def _user_config(environ: Mapping[str, str]) -> Path:
    """Return the user's own folder, also where DOCKER_CONFIG names ours already."""
    named = Path(environ.get("DOCKER_CONFIG") or Path.home() / ".docker").absolute()
    origin = named / _ORIGIN
    return Path(origin.read_text(encoding="utf-8")) if origin.is_file() else named


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError):
        # Not chained: a parser's error can quote the file, and a login with it.
        raise process.ProcessError(f"{path} is not readable as JSON: repair it") from None
    if not isinstance(found, dict):
        raise process.ProcessError(f"{path} is not a JSON object: repair it")
    return found


def _link_all(source: Path, folder: Path) -> None:
    for path in source.iterdir() if source.is_dir() else ():
        if not (folder / path.name).exists():
            (folder / path.name).symlink_to(path)


def _install(path: Path, user: Path, lock: Path) -> None:
    """Write the plugin: a script, for docker runs it by its name, in the folder of the build."""
    # -P: what lies in that folder is not ours to import.
    module = (sys.executable, "-P", "-m", "mlflow_sealed.image.plugin")
    command = shlex.join([*module, str(user), str(lock.absolute())])
    script = f'#!/bin/sh\nexec {command} "$@"\n'
    path.unlink(missing_ok=True)
    path.write_text(script, encoding="utf-8")
    path.chmod(0o755)
