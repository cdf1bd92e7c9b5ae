"""The environment of every program that we start: nothing in it redirects an installation.

Of the variables that pip, uv, twine and hatch read, a program gets those listed here and no others,
so that one which a later version of theirs reads is dropped too. Run as a program, this module
prints the names of the variables to unset, for `setup/environment.sh`, which runs before the
toolkit is installed. It therefore imports the standard library alone.
"""

import os
import re
from collections.abc import Mapping
from typing import Final

TOOLS: Final = ("HATCH_", "PIP_", "TWINE_", "UV_")
"""What the names of the tools' own variables begin with."""

SOURCES: Final = {
    "PIP_CONFIG_FILE": "a pip.conf with the feed's credential, for `feed.credential` and pip",
    "PIP_EXTRA_INDEX_URL": "the feed with its credential; PipAuthenticate@1 sets it",
    "PIP_INDEX_URL": "what stands for the public index",
    "PIP_KEYRING_PROVIDER": "where pip looks for a password",
    "PIP_PROXY": "how pip reaches an index; may have a password",
    "TWINE_PASSWORD": "set by `feed.publish`",
    "TWINE_REPOSITORY_URL": "set by `feed.publish`: another one would get the package",
    "TWINE_USERNAME": "set by `feed.publish`",
    "UV_CREDENTIALS_DIR": "where uv keeps passwords",
    "UV_DEFAULT_INDEX": "set by `feed.credential`: what stands for the public index",
    "UV_FIND_LINKS": "set by `feed.credential`, for which the user's own does not count",
    "UV_INDEX": "set by `feed.credential`: uv reads no variable of pip's",
    "UV_KEYRING_PROVIDER": "where uv looks for a password",
}
"""Variables that say where packages come from, and with which login: every child may get them."""

HARMLESS: Final = {
    "PIP_CACHE_DIR": "where downloads are kept; their hashes are checked again",
    "PIP_CERT": "the CA bundle",
    "PIP_CLIENT_CERT": "the client's certificate",
    "PIP_DEFAULT_TIMEOUT": "how long pip waits",
    "PIP_DISABLE_PIP_VERSION_CHECK": "one question less to an index",
    "PIP_NO_CACHE_DIR": "downloads are not kept",
    "PIP_NO_COLOR": "how pip prints",
    "PIP_NO_INPUT": "pip asks the user nothing; MLflow sets it",
    "PIP_PROGRESS_BAR": "how pip prints",
    "PIP_RETRIES": "how often pip tries",
    "PIP_ROOT_USER_ACTION": "whether pip warns root",
    "PIP_TIMEOUT": "how long pip waits",
    "PIP_TRUSTED_HOST": "hosts without TLS; the hashes hold",
    "TWINE_CERT": "the CA bundle",
    "TWINE_NON_INTERACTIVE": "twine asks the user nothing",
    "UV_CACHE_DIR": "where downloads are kept",
    "UV_COMPILE_BYTECODE": "whether uv compiles what it has installed",
    "UV_COMPILE_BYTECODE_TIMEOUT": "how long that may take",
    "UV_CONCURRENT_BUILDS": "how much uv does at once",
    "UV_CONCURRENT_CACHE_READS": "likewise",
    "UV_CONCURRENT_DOWNLOADS": "likewise",
    "UV_CONCURRENT_INSTALLS": "likewise",
    "UV_HTTP_CONNECT_TIMEOUT": "how long uv waits",
    "UV_HTTP_RETRIES": "how often uv tries",
    "UV_HTTP_TIMEOUT": "how long uv waits",
    "UV_INSECURE_HOST": "hosts without TLS; the hashes hold",
    "UV_LINK_MODE": "whether files are copied from the cache or linked",
    "UV_LOCK_TIMEOUT": "how long uv waits for another uv",
    "UV_NATIVE_TLS": "the system's CA bundle",
    "UV_NO_CACHE": "downloads are not kept",
    "UV_NO_PROGRESS": "how uv prints",
    "UV_PYTHON_INSTALL_DIR": "where the user has Pythons of uv's; MLflow sets it",
    "UV_REQUEST_TIMEOUT": "how long uv waits",
    "UV_SYSTEM_CERTS": "the system's CA bundle",
}
"""Variables that change neither what is installed, nor from where, nor where to."""

SET: Final = {
    # uv.toml can name a target (`[pip] system`, `target`, `prefix`), a cool-down and indexes, and
    # switch the hashes off, in the user's folder and in /etc.
    "UV_NO_CONFIG": "1",
    # An interpreter has no hash in any lock.
    "UV_PYTHON_DOWNLOADS": "never",
    # MLflow's own `uv pip install` does not ask for hashes.
    "UV_REQUIRE_HASHES": "1",
}
"""Variables that every child gets, whatever the user has set."""

_NAMED_LOGIN: Final = re.compile(r"UV_INDEX_\w+_(USERNAME|PASSWORD)")
"""The login of an index that UV_INDEX gives a name to."""

_OTHER_SOURCES: Final = (
    *("PYPIRC_PATH", "NETRC", "SYSTEM_ACCESSTOKEN", "AZURE_DEVOPS_EXT_PAT"),
    *("ARTIFACTS_CREDENTIALPROVIDER_", "ARTIFACTS_KEYRING_", "VSS_NUGET_"),
)
"""What the names of other variables begin with that hold a login to a feed, or name its file."""

_STORES: Final = (
    *("AWS_", "AZURE_", "DATABRICKS_", "GCLOUD_", "GOOGLE_", "MLFLOW_S3_", "MLFLOW_TRACKING_"),
    *("MLFLOW_REGISTRY_URI", "MLFLOW_FLASK_SERVER_SECRET_KEY"),
)
"""What the names of variables begin with by which MLflow reaches a model."""

_LOGIN: Final = re.compile(r"://\S+@")
"""An address with a login in it. A path with an @ is taken for one too: no server needs that."""

_PYTHON: Final = ("PYTHONHOME", "PYTHONPATH", "PYTHONUSERBASE")
"""Variables that put other modules before those of an environment."""


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return a copy of `environ` for a program that may install.

    Examples
    --------
    >>> environment({"HOME": "/home/me", "UV_SYSTEM_PYTHON": "1", "PIP_TARGET": "/"})
    ... # doctest: +NORMALIZE_WHITESPACE
    {'HOME': '/home/me', 'UV_NO_CONFIG': '1', 'UV_PYTHON_DOWNLOADS': 'never',
     'UV_REQUIRE_HASHES': '1'}
    """
    return {name: value for name, value in environ.items() if not is_dropped(name)} | SET


def is_dropped(name: str) -> bool:
    """Return whether no program gets a variable of this name as the user has set it."""
    if name in SOURCES or name in HARMLESS or _NAMED_LOGIN.fullmatch(name):
        return False
    return name.startswith(TOOLS)


def without_feed(environ: Mapping[str, str]) -> dict[str, str]:
    """Return a copy of `environ` without what says where packages come from, or go to.

    It has no login to a feed. That of the tracking server, from which MLflow may have to get a
    model, stays.

    Examples
    --------
    >>> without_feed({"HOME": "/home/me", "UV_INDEX_URL": "https://me:s3cret@feed.example/simple/"})
    {'HOME': '/home/me'}
    """
    return {
        name: value
        for name, value in environ.items()
        if name in HARMLESS or not name.startswith((*TOOLS, *_OTHER_SOURCES))
    }


def of_a_server(environ: Mapping[str, str]) -> dict[str, str]:
    """Return a copy of `environ` for a server that has its model in a folder.

    It has no login to anything: neither a feed's, nor the tracking server's or that of a store, nor
    an address with a password in it, such as a proxy's. The server's own settings stay. Nothing
    puts modules of other places before those of its environment.

    Examples
    --------
    >>> of_a_server({"SCORING_API_KEYS": "k", "MLFLOW_TRACKING_PASSWORD": "p", "PYTHONPATH": "/x"})
    {'SCORING_API_KEYS': 'k'}
    """
    return {
        name: value
        for name, value in without_feed(environ).items()
        if name.startswith("SCORING_")
        or not (name.startswith(_STORES) or name in _PYTHON or _LOGIN.search(value))
    }


if __name__ == "__main__":
    for each in filter(is_dropped, os.environ):
        if each.isidentifier():  # no shell can unset, and no tool reads, another
            print(each)
