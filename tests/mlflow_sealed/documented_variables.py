"""The variables that pip 26, uv 0.13 and twine 7 document, each set to something that matters.

pip's are its options; uv's are those of https://docs.astral.sh/uv/reference/environment/ that an
installation, a lock or an upload reads; twine's are those of its `--help`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mlflow_sealed import surroundings

_SWITCHES: Final = """
    BREAK_SYSTEM_PACKAGES COMPILE_BYTECODE FROZEN ISOLATED LOCKED MANAGED_PYTHON NATIVE_TLS
    NO_BINARY NO_BUILD NO_BUILD_ISOLATION NO_CACHE NO_CONFIG NO_DEFAULT_GROUPS NO_DEV
    NO_EDITABLE NO_ENV_FILE NO_INDEX NO_INSTALLER_METADATA NO_INSTALL_LOCAL NO_INSTALL_PROJECT
    NO_INSTALL_WORKSPACE NO_MANAGED_PYTHON NO_PROGRESS NO_PROJECT NO_SOURCES NO_SYNC
    NO_SYSTEM_CONFIG NO_VERIFY_HASHES OFFLINE PREVIEW PUBLISH_NO_ATTESTATIONS
    REQUIRE_BUILD_HASHES REQUIRE_HASHES SYSTEM_CERTS SYSTEM_PYTHON VENV_CLEAR VENV_RELOCATABLE
    VENV_SEED
"""

_PIP_SWITCHES: Final = """
    BREAK_SYSTEM_PACKAGES DISABLE_PIP_VERSION_CHECK DRY_RUN FORCE_REINSTALL IGNORE_INSTALLED
    IGNORE_REQUIRES_PYTHON NO_BUILD_ISOLATION NO_CACHE_DIR NO_CLEAN NO_COLOR NO_COMPILE NO_DEPS
    NO_INDEX NO_INPUT PRE PREFER_BINARY REQUIRE_HASHES REQUIRE_VIRTUALENV UPGRADE USER
"""

_UV: Final = {
    "UV_BUILD_CONSTRAINT": "{folder}/one.txt",
    "UV_CACHE_DIR": "{folder}/cache",
    "UV_CONCURRENT_BUILDS": "1",
    "UV_CONCURRENT_DOWNLOADS": "1",
    "UV_CONCURRENT_INSTALLS": "1",
    "UV_CONFIG_FILE": "{folder}/uv.toml",
    "UV_CONSTRAINT": "{folder}/one.txt",
    "UV_CREDENTIALS_DIR": "{folder}",
    "UV_CUSTOM_COMPILE_COMMAND": "another",
    "UV_DEFAULT_INDEX": "http://127.0.0.1:9/default",
    "UV_ENV_FILE": "{folder}/one.txt",
    "UV_EXCLUDE": "{folder}/one.txt",
    "UV_EXCLUDE_NEWER": "2020-01-01",
    "UV_EXTRA_INDEX_URL": "http://127.0.0.1:9/extra",
    "UV_FIND_LINKS": "{folder}",
    "UV_FORK_STRATEGY": "fewest",
    "UV_HTTP_CONNECT_TIMEOUT": "9",
    "UV_HTTP_RETRIES": "1",
    "UV_HTTP_TIMEOUT": "9",
    "UV_INDEX": "http://127.0.0.1:9/index",
    "UV_INDEX_STRATEGY": "unsafe-best-match",
    "UV_INDEX_URL": "http://127.0.0.1:9/url",
    "UV_INSECURE_HOST": "127.0.0.1",
    "UV_KEYRING_PROVIDER": "subprocess",
    "UV_LINK_MODE": "copy",
    "UV_LOCK_TIMEOUT": "9",
    "UV_NO_BINARY_PACKAGE": "six",
    "UV_NO_BUILD_PACKAGE": "six",
    "UV_NO_GROUP": "dev",
    "UV_OVERRIDE": "{folder}/one.txt",
    "UV_PRERELEASE": "allow",
    "UV_PREVIEW_FEATURES": "target-workspace-discovery",
    "UV_PROJECT": "{folder}",
    "UV_PROJECT_ENVIRONMENT": "{folder}/other",
    "UV_PUBLISH_CHECK_URL": "http://127.0.0.1:9/simple",
    "UV_PUBLISH_INDEX": "other",
    "UV_PUBLISH_PASSWORD": "secret",
    "UV_PUBLISH_TOKEN": "secret",
    "UV_PUBLISH_URL": "http://127.0.0.1:9/upload",
    "UV_PUBLISH_USERNAME": "me",
    "UV_PYTHON": "{folder}/other",
    "UV_PYTHON_BIN_DIR": "{folder}",
    "UV_PYTHON_CACHE_DIR": "{folder}",
    "UV_PYTHON_DOWNLOADS": "automatic",
    "UV_PYTHON_DOWNLOADS_JSON_URL": "http://127.0.0.1:9/json",
    "UV_PYTHON_INSTALL_DIR": "{folder}/pythons",
    "UV_PYTHON_INSTALL_MIRROR": "http://127.0.0.1:9/mirror",
    "UV_PYTHON_PREFERENCE": "only-managed",
    "UV_PYTHON_SEARCH_PATH": "{folder}/other/bin",
    "UV_REQUEST_TIMEOUT": "9",
    "UV_RESOLUTION": "lowest",
    "UV_TOOL_BIN_DIR": "{folder}",
    "UV_TOOL_DIR": "{folder}",
    "UV_TORCH_BACKEND": "cpu",
    "UV_WORKING_DIR": "{folder}",
    **{f"UV_{name}": "1" for name in _SWITCHES.split()},
}

_TWINE: Final = {
    "TWINE_CERT": "{folder}/one.txt",
    "TWINE_NON_INTERACTIVE": "1",
    "TWINE_PASSWORD": "secret",
    "TWINE_REPOSITORY": "other",
    "TWINE_REPOSITORY_URL": "http://127.0.0.1:9/upload",
    "TWINE_USERNAME": "me",
}

_PIP: Final = {
    "PIP_ABI": "cp39",
    "PIP_CACHE_DIR": "{folder}",
    "PIP_CERT": "{folder}/one.txt",
    "PIP_CLIENT_CERT": "{folder}/one.txt",
    "PIP_CONFIG_FILE": "{folder}/pip.conf",
    "PIP_CONSTRAINT": "{folder}/one.txt",
    "PIP_DEFAULT_TIMEOUT": "9",
    "PIP_DEST": "{folder}/dest",
    "PIP_EDITABLE": "{folder}",
    "PIP_EXISTS_ACTION": "w",
    "PIP_EXTRA_INDEX_URL": "http://127.0.0.1:9/extra",
    "PIP_FIND_LINKS": "{folder}",
    "PIP_IMPLEMENTATION": "pp",
    "PIP_INDEX_URL": "http://127.0.0.1:9/url",
    "PIP_KEYRING_PROVIDER": "subprocess",
    "PIP_LOG": "{folder}/log",
    "PIP_NO_BINARY": ":all:",
    "PIP_ONLY_BINARY": ":all:",
    "PIP_PLATFORM": "win32",
    "PIP_PREFIX": "{folder}/prefix",
    "PIP_PROGRESS_BAR": "off",
    "PIP_PROXY": "http://127.0.0.1:9",
    "PIP_PYTHON": "{folder}/other",
    "PIP_PYTHON_VERSION": "3.9",
    "PIP_REPORT": "{folder}/report",
    "PIP_REQUIREMENT": "{folder}/one.txt",
    "PIP_RETRIES": "1",
    "PIP_ROOT": "{folder}/root",
    "PIP_ROOT_USER_ACTION": "ignore",
    "PIP_SRC": "{folder}/src",
    "PIP_TARGET": "{folder}/target",
    "PIP_TIMEOUT": "9",
    "PIP_TRUSTED_HOST": "127.0.0.1",
    "PIP_UPGRADE_STRATEGY": "eager",
    "PIP_USE_FEATURE": "fast-deps",
    **{f"PIP_{name}": "1" for name in _PIP_SWITCHES.split()},
}

_DOCUMENTED: Final = {**_PIP, **_TWINE, **_UV}


def documented(folder: Path, *, kept: bool) -> dict[str, str]:
    """Return those that a child gets, or those that it never gets as the user has set them.

    Parameters
    ----------
    folder
        Has what their values name; `write` makes that.
    """
    return {
        name: value.format(folder=folder)
        for name, value in _DOCUMENTED.items()
        if surroundings.is_dropped(name) is not kept
    }


def names(tool: str) -> set[str]:
    """Return the names of one tool's, such as ``UV_``."""
    return {name for name in _DOCUMENTED if name.startswith(tool)}


def write(folder: Path) -> None:
    """Write the files that the values name."""
    (folder / "one.txt").write_text("six==1.10.0\n", encoding="utf-8")
    (folder / "pip.conf").write_text("[global]\n", encoding="utf-8")
    (folder / "uv.toml").write_text(
        'exclude-newer = "2020-01-01"\n[pip]\nsystem = true\nverify-hashes = false\n',
        encoding="utf-8",
    )


def redirecting(folder: Path) -> Mapping[str, str]:
    """Return all that a child never gets, and a home with configuration files that redirect too."""
    write(folder)
    (folder / "home/uv").mkdir(parents=True, exist_ok=True)
    (folder / "uv.toml").replace(folder / "home/uv/uv.toml")
    write(folder)
    return {**documented(folder, kept=False), "XDG_CONFIG_HOME": str(folder / "home")}
