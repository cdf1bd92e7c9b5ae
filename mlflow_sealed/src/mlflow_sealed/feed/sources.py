"""Where a credential may come from: variables, and the pip.conf that one of them names."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlflow_sealed.feed import pip_config
from mlflow_sealed.feed.address import Address, CredentialError
from mlflow_sealed.feed.connection import Connection


@dataclass(frozen=True)
class Sources:
    """What the variables give, before a login is looked up.

    Attributes
    ----------
    extra
        The extra indexes, in search order.
    default
        What stands for the public index, or None.
    keyring
        The provider that pip or uv was told to use, empty if nothing was said.
    file
        The pip.conf that was read, or None.
    """

    extra: tuple[Address, ...]
    default: Address | None
    connection: Connection
    keyring: str
    file: Path | None

    @property
    def addresses(self) -> tuple[Address, ...]:
        """All indexes, the extra ones first."""
        return (*self.extra, self.default) if self.default else self.extra


def given(environ: Mapping[str, str]) -> Sources:
    """Return what the environment gives.

    A variable goes before the file; of ``extra-index-url`` both count.

    Raises
    ------
    CredentialError
        If the file that ``PIP_CONFIG_FILE`` names cannot be read, or is a template not filled in.
    """
    file = _file(environ)
    config = pip_config.read(file) if file else pip_config.PipConfig()
    named = f"PIP_CONFIG_FILE ({file})"
    extra = [Address(url, "PIP_EXTRA_INDEX_URL") for url in _words(environ, "PIP_EXTRA_INDEX_URL")]
    extra += [Address(url, named) for url in config.extra_index_url]
    found = Sources(
        tuple(dict.fromkeys(extra)),
        _default(environ, Address(config.index_url, named)),
        Connection(
            environ.get("PIP_CERT") or config.cert or None,
            environ.get("PIP_PROXY") or config.proxy or None,
            _words(environ, "PIP_TRUSTED_HOST") or config.trusted_host,
        ),
        environ.get("PIP_KEYRING_PROVIDER")
        or config.keyring_provider
        or environ.get("UV_KEYRING_PROVIDER", ""),
        file,
    )
    for each in found.addresses:
        if "${" in each.url:
            raise CredentialError(
                f"{each.source}: a placeholder of {pip_config.TEMPLATE} is not filled in"
            )
    return found


def _default(environ: Mapping[str, str], configured: Address) -> Address | None:
    """Return what pip takes for the public index, else what uv does."""
    for address in (
        Address(environ.get("PIP_INDEX_URL", "").strip(), "PIP_INDEX_URL"),
        configured,
        Address(environ.get("UV_DEFAULT_INDEX", "").strip(), "UV_DEFAULT_INDEX"),
    ):
        if address.url:
            return address
    return None


def _words(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(environ.get(name, "").split())


def _file(environ: Mapping[str, str]) -> Path | None:
    path = environ.get("PIP_CONFIG_FILE", "")
    return Path(path) if path not in {"", os.devnull} else None
