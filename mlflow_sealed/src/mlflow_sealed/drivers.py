"""Which package the driver of an address comes from: of a tracking database, or of artifacts.

MLflow requires none of them, and imports one when an address asks for it.
"""

import os
import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Final

DATABASES: Final = frozenset({"mssql", "mysql", "postgresql", "sqlite"})
"""The databases that MLflow can track runs in."""

_S3: Final = {"boto3": "boto3"}
_AZURE_LOGIN: Final = {"azure.identity": "azure-identity"}
_HADOOP: Final = {"pyarrow.fs": "pyarrow"}
ARTIFACTS: Final = {
    "abfss": {"azure.storage.filedatalake": "azure-storage-file-datalake", **_AZURE_LOGIN},
    "b2": _S3,
    "gs": {"google.cloud.storage": "google-cloud-storage"},
    "hdfs": _HADOOP,
    "r2": _S3,
    "s3": _S3,
    "sftp": {"paramiko": "paramiko", "pysftp": "pysftp"},
    "viewfs": _HADOOP,
    "wasbs": {"azure.storage.blob": "azure-storage-blob", **_AZURE_LOGIN},
}
"""What MLflow imports for artifacts at such an address, and the packages that have it."""

PACKAGES: Final = {
    "MySQLdb": "mysqlclient",
    "cymysql": "cymysql",
    "mariadb": "mariadb",
    "mssql_python": "mssql-python",
    "mysql.connector": "mysql-connector-python",
    "pg8000": "pg8000",
    "psycopg": "psycopg[binary]",  # alone, it wants the C library of the machine
    "psycopg2": "psycopg2-binary",
    "pymssql": "pymssql",
    "pymysql": "PyMySQL",
    "pyodbc": "pyodbc",
    "sqlalchemy": "mlflow",  # mlflow-skinny has no databases
    **{module: package for each in ARTIFACTS.values() for module, package in each.items()},
}
"""The package that has a module, where SQLAlchemy or MLflow imports that for an address."""

_AZURE_KEYS: Final = (
    *("AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_SAS_TOKEN"),
)
"""With one of these MLflow needs no login at Azure."""

_SERVERS: Final = frozenset({"", "file", "http", "https", "databricks", "databricks-uc", "uc"})
_PLUGINS: Final = ("mlflow.tracking_store", "mlflow.model_registry_store")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_LIBRARY: Final = re.compile("libhdfs|libjvm")
_WHAT_TO_DO: Final = (
    "install it (in a project: add it to the sources of the training's lock, see project.toml, and "
    "run mlflow-sealed feed lock)"
)


class DriverError(Exception):
    """An address cannot be used with what is installed; the message says what to install."""


def check(address: str, *, name: str) -> None:
    """Check that a tracking server's or registry's address can be used with what is installed.

    Nothing is connected to.

    Parameters
    ----------
    address
        The address, which may have a password in it: no message repeats more than its scheme.
    name
        The variable that has it, for the message.

    Raises
    ------
    DriverError
        If MLflow does not know such addresses, or the driver is not installed.

    Examples
    --------
    >>> check("sqlite:///mlflow.db", name="MLFLOW_TRACKING_URI")
    >>> check("postgres://me:secret@host/runs", name="MLFLOW_TRACKING_URI")
    Traceback (most recent call last):
    mlflow_sealed.drivers.DriverError: MLFLOW_TRACKING_URI begins with postgres:, expected http:, \
https:, mssql:, mysql:, postgresql: or sqlite:
    """
    scheme = scheme_of(address)
    if scheme.partition("+")[0] in DATABASES:
        _check_database(address, name)
    elif scheme not in _SERVERS and scheme not in _plugins():
        *most, last = (f"{each}:" for each in sorted({"http", "https", *DATABASES}))
        raise DriverError(f"{name} begins with {scheme}:, expected {', '.join(most)} or {last}")


def scheme_of(address: str) -> str:
    """Return what stands before the first colon of an address in lower case; nothing for a path.

    Examples
    --------
    >>> scheme_of("postgresql+psycopg2://host/runs"), scheme_of("mlruns"), scheme_of("databricks")
    ('postgresql+psycopg2', '', '')
    """
    found = _SCHEME.match(address)
    return found[1].lower() if found else ""


def check_artifacts(address: str) -> None:
    """Check that what is installed can read and write artifacts at an address.

    MLflow itself notices it when the first file is written, or says that there is no such file.

    Raises
    ------
    DriverError
        If it cannot.
    """
    scheme = scheme_of(address)
    lacking = [
        package
        for module, package in ARTIFACTS.get(scheme, {}).items()
        if not _is_installed(module)
        and not (module in _AZURE_LOGIN and any(map(os.environ.get, _AZURE_KEYS)))
    ]
    if lacking:
        raise DriverError(
            f"the artifacts are at an address of {scheme}:, which needs {' and '.join(lacking)}, "
            f"not installed here: {_WHAT_TO_DO}"
        )
    if ARTIFACTS.get(scheme) is _HADOOP:
        _check_hadoop()


def missing(error: BaseException) -> str | None:
    """Return what to say if an exception came of a missing driver, else None.

    Parameters
    ----------
    error
        The exception; those that it was raised from count too.
    """
    for each in _chain(error):
        if isinstance(each, ImportError) and (package := _package(each.name or "")):
            return f"this address needs {package}, not installed here: {_WHAT_TO_DO}"
        if isinstance(each, OSError) and _LIBRARY.search(str(each)):
            return (
                "addresses of hdfs: need Hadoop's libhdfs and Java: install both, and set "
                "HADOOP_HOME, JAVA_HOME and CLASSPATH"
            )
    return None


def _check_database(address: str, name: str) -> None:
    scheme = scheme_of(address)
    try:
        from sqlalchemy.engine import make_url  # noqa: PLC0415 # takes 0.2 s, and MLflow's parent lacks it
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError  # noqa: PLC0415 # likewise
    except ModuleNotFoundError as error:
        raise DriverError(f"{name} begins with {scheme}:, and {missing(error)}") from error
    try:
        make_url(address).get_dialect().import_dbapi()
    except NoSuchModuleError:
        raise DriverError(
            f"{name} begins with {address.partition(':')[0]}:, which SQLAlchemy does not know: "
            f"expected {scheme.partition('+')[0]}:"
        ) from None
    except (ArgumentError, ValueError):  # their messages repeat it
        raise DriverError(
            f"{name} is no address of a database, expected {scheme}://USER:PASSWORD@HOST/DATABASE"
        ) from None
    except ModuleNotFoundError as error:
        package = _package(error.name or "") or error.name
        raise DriverError(
            f"{name} begins with {scheme}:, which needs {package}, not installed here: "
            f"{_WHAT_TO_DO}"
        ) from error
    except ImportError as error:  # it is there, and a library that it needs is not
        reason = str(error).strip().splitlines()[0]
        raise DriverError(
            f"{name} begins with {scheme}:, whose driver cannot be loaded: {reason}"
        ) from error


def _check_hadoop() -> None:
    from pyarrow.fs import HadoopFileSystem  # noqa: PLC0415 # for such addresses only

    try:
        HadoopFileSystem("localhost")  # loads the library, and connects to nothing yet
    except OSError as error:
        if said := missing(error):
            raise DriverError(said) from error


def _package(name: str) -> str:
    """Return the package that has a module, or those that may have it; nothing for another one."""
    found = {
        package: None
        for module, package in PACKAGES.items()
        if f"{name}.".startswith(f"{module}.") or f"{module}.".startswith(f"{name}.")
    }
    return " or ".join(found)


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # nor is the package that it would be in
        return False


def _plugins() -> frozenset[str]:
    """Return the schemes that installed plugins of MLflow know."""
    return frozenset(each.name for group in _PLUGINS for each in entry_points(group=group))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
