"""The DOCKER_CONFIG folder that makes our plugin the builder, and keeps what the user's own has."""

import hashlib
import json
import os
import shlex
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from mlflow_sealed import process
from mlflow_sealed.feed import credential
from mlflow_sealed.image.plugin import NAME

FOLDER: Final = Path(".cache/docker")
"""Where a project has it."""

_ORIGIN: Final = ".made-from"
"""The file that has the path of the user's own folder."""

_SEEN: Final = ".seen"
"""The file that has the digest of each setting of the user's own folder when ours was made."""

_PART: Final = ".part"

Settings = dict[tuple[str, ...], Any]


def make(environ: Mapping[str, str], lock: Path, folder: Path) -> Path:
    """Make the folder, or bring it up to date, and return its path.

    Parameters
    ----------
    environ
        Its DOCKER_CONFIG may name the user's own folder.
    lock
        The server's lock, which the image is made with.
    folder
        The folder to make.

    ``config.json`` has the user's own settings (registry logins among them, so only its owner can
    read it), what docker has written to ours since, and the builder. Everything else is linked:
    contexts, certificates, the user's own plugins.

    Docker may use the folder meanwhile, and another process may make it: each file is replaced in
    one step, the settings last, and nothing that docker has put there is removed.

    Raises
    ------
    mlflow_sealed.process.ProcessError
        If a config.json cannot be read, or the folder cannot be written.
    """
    user = _user_config(environ, folder)
    own = _read(user / "config.json")
    try:
        _make(user, own, lock, folder)
    except OSError as error:
        raise process.ProcessError(
            f"{folder} cannot be made ({error.strerror}): free some space, or make it writable"
        ) from error
    return folder


def _make(user: Path, own: Mapping[str, Any], lock: Path, folder: Path) -> None:
    plugins = folder / "cli-plugins"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    plugins.mkdir(exist_ok=True)
    before = _origin(folder) or user
    credential.write_secret(str(user), folder / _ORIGIN)
    _install(plugins / f"docker-{NAME}", user, lock)
    _link_all(user, folder, before=before)
    _link_all(user / "cli-plugins", plugins, before=before / "cli-plugins")
    settings = _flat(own)
    ours = _flat(_read(folder / "config.json"))
    config = _nested(_merged(settings, ours, _seen(folder / _SEEN)))
    config["aliases"] = {**config.get("aliases", {}), "builder": NAME}
    credential.write_secret(json.dumps(config, indent=2), folder / "config.json")
    digests = [[*key, _digest(value)] for key, value in settings.items()]
    credential.write_secret(json.dumps(digests), folder / _SEEN)


def _merged(own: Settings, ours: Settings, seen: Mapping[tuple[str, ...], str]) -> Settings:
    """Return the settings of both folders: one that the user's own has changed since counts first.

    Otherwise ours does, where a login or a logout of the shell that uses it is.
    """
    found = {}
    for key in {**own, **ours}:
        changed = key in own and _digest(own[key]) != seen.get(key)
        removed = key not in own and key in seen
        source = own if changed else {} if removed else ours
        if key in source:
            found[key] = source[key]
    return found


def _flat(config: Mapping[str, Any]) -> Settings:
    """Return each setting by its path: a login is one of the section ``auths``."""
    return {
        path: value
        for name, section in config.items()
        for path, value in (
            [((name, key), value) for key, value in section.items()]
            if isinstance(section, dict)
            else [((name,), section)]
        )
    }


def _nested(settings: Settings) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for (name, *key), value in settings.items():
        section = config.get(name, {})
        config[name] = {**section, key[0]: value} if key and isinstance(section, dict) else value
    return config


def _digest(value: Any) -> str:
    """Return what a setting is known by: a login that ends must not stay in another file."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _seen(path: Path) -> dict[tuple[str, ...], str]:
    try:
        return {tuple(key): digest for *key, digest in json.loads(path.read_text("utf-8"))}
    except (OSError, ValueError):  # the folder is new, or was made by an earlier version
        return {}


def _user_config(environ: Mapping[str, str], folder: Path) -> Path:
    """Return the user's own folder, also where DOCKER_CONFIG names ours already."""
    named = Path(environ.get("DOCKER_CONFIG") or Path.home() / ".docker").absolute()
    if named == folder.absolute():
        return _origin(folder) or Path.home() / ".docker"
    return _origin(named) or named


def _origin(folder: Path) -> Path | None:
    """Return the user's own folder that one of ours was made from; None of another."""
    origin = folder / _ORIGIN
    return Path(origin.read_text(encoding="utf-8")) if origin.is_file() else None


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError):
        # Not chained: a parser's error can quote the file, and a login with it.
        raise process.ProcessError(f"{path} is not readable as JSON: repair it") from None
    if not isinstance(found, dict):
        raise process.ProcessError(f"{path} is not a JSON object: repair it")
    return found


def _link_all(source: Path, folder: Path, *, before: Path) -> None:
    """Link what is in `source`; what docker itself has put in our folder stays as it is.

    Links into `before`, the source of the last time, go where `source` has no such file.
    """
    names = {path.name for path in source.iterdir()} if source.is_dir() else set()
    for link in folder.iterdir():
        if link.name in names or link.suffix == _PART:  # that is another process's
            continue
        with suppress(FileNotFoundError):
            if link.is_symlink() and link.readlink().parent == before:
                link.unlink()
    for name in names - {"config.json"}:
        link = folder / name
        if link.is_symlink() or not link.exists():
            part = _part(link)
            part.unlink(missing_ok=True)
            part.symlink_to(source / name)
            part.replace(link)


def _install(path: Path, user: Path, lock: Path) -> None:
    """Write the plugin: a script, for docker runs it by its name, in the folder of the build."""
    # -P: what lies in that folder is not ours to import.
    module = (sys.executable, "-P", "-m", "mlflow_sealed.image.plugin")
    command = shlex.join([*module, str(user), str(lock.absolute())])
    script = f'#!/bin/sh\nexec {command} "$@"\n'
    part = _part(path)
    part.write_text(script, encoding="utf-8")
    part.chmod(0o755)
    part.replace(path)


def _part(path: Path) -> Path:
    """Return where a file is written before it takes its place, by this process alone."""
    return path.with_name(f".{path.name}.{os.getpid()}{_PART}")
