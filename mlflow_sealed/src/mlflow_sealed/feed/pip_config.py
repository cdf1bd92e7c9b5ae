"""Read a pip.conf: the indexes that it names, and how they are reached."""

import configparser
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mlflow_sealed.feed.address import CredentialError

TEMPLATE: Final = "pip.conf.template"
"""The file at the top of a project that a pip.conf is made from."""

_SECTIONS: Final = ("install", "global")  # pip's own order: the command's section wins


@dataclass(frozen=True)
class PipConfig:
    """The options of a pip.conf that matter here; empty where it does not have them."""

    extra_index_url: tuple[str, ...] = field(default=(), repr=False)
    index_url: str = field(default="", repr=False)
    cert: str = ""
    proxy: str = field(default="", repr=False)
    trusted_host: tuple[str, ...] = ()
    keyring_provider: str = ""


class _Parser(configparser.RawConfigParser):
    def optionxform(self, optionstr: str) -> str:
        """Take ``extra_index_url`` for ``extra-index-url``, as pip does."""
        return optionstr.lower().replace("_", "-")

    def every(self, name: str) -> tuple[str, ...]:
        """Return the values of an option in all sections, those of ``global`` first."""
        values = [self.get(part, name, fallback="") for part in reversed(_SECTIONS)]
        return tuple(" ".join(values).split())

    def one(self, name: str) -> str:
        """Return the value of an option in the section that wins."""
        values = [self.get(part, name, fallback="") for part in _SECTIONS]
        return next((value.strip() for value in values if value.strip()), "")


def read(path: Path) -> PipConfig:
    """Return what a pip.conf says.

    Raises
    ------
    CredentialError
        If it cannot be read; the message names the file and quotes nothing of it.
    """
    parser = _Parser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror
    except (configparser.Error, UnicodeDecodeError):
        reason = f"not a pip configuration file; {TEMPLATE} shows one"
    else:
        return PipConfig(
            parser.every("extra-index-url"),
            parser.one("index-url"),
            parser.one("cert"),
            parser.one("proxy"),
            parser.every("trusted-host"),
            parser.one("keyring-provider"),
        )
    # Not chained: a parser's error quotes the line, and with it the credential.
    raise CredentialError(f"PIP_CONFIG_FILE ({path}): {reason}") from None
