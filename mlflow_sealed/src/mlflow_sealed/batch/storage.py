"""Read and write files that the driver and the executors share: whole, or not at all.

Executors import this module, so it imports installed distributions only.
"""

import contextlib
import fnmatch
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from pyarrow import fs

from mlflow_sealed import drivers

FORMS: Final = {
    "abfs": "abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH",
    "abfss": "abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH",
    "file": "file:///PATH",
    "gcs": "gcs://BUCKET/PATH",
    "gs": "gs://BUCKET/PATH",
    "hdfs": "hdfs://HOST:PORT/PATH",
    "s3": "s3://BUCKET/PATH",
    "viewfs": "viewfs://NAME/PATH",
}
"""The addresses that pyarrow knows, by their kind."""

INSTEAD: Final = {"adl": "abfss", "s3a": "s3", "s3n": "s3", "wasb": "abfss", "wasbs": "abfss"}
"""The kind that pyarrow has for what others call otherwise."""

_MOST_USED: Final = "a path, s3://, gs://, abfss:// or hdfs://"
_UNFINISHED: Final = ".part"


class StorageError(OSError):
    """A place cannot be read or written; the message says which."""


class Place(NamedTuple):
    """A path in a file system.

    Attributes
    ----------
    system
        A file system of pyarrow's: the local one (and what is mounted), HDFS, Azure, S3.
    path
        The path in that system.
    address
        What `locate` takes, from any working folder.
    """

    system: Any
    path: str
    address: str

    def at(self, name: str) -> "Place":
        """Return the place of a name below this one."""
        return Place(self.system, f"{self.path}/{name}", f"{self.address}/{name}")

    def of(self, path: str) -> "Place":
        """Return the place of another path in the same system."""
        return self._replace(path=path)

    def exists(self) -> bool:
        """Return whether there is a file or a folder."""
        return bool(self.system.get_file_info(self.path).type != fs.FileType.NotFound)

    def read(self) -> bytes:
        """Return the content of a file."""
        with self.system.open_input_stream(self.path) as stream:
            return bytes(stream.read())

    def write(self, content: bytes) -> None:
        """Write a file as a whole."""
        with self.replaced() as part, self.system.open_output_stream(part) as stream:
            stream.write(content)

    def make_folder(self) -> None:
        """Make a folder, and those above it."""
        self.system.create_dir(self.path, recursive=True)

    @contextlib.contextmanager
    def replaced(self) -> Iterator[str]:
        """Give a temporary path, which is moved to this place when the ``with`` block ends.

        Another writer at the same time, such as another attempt of a task, has another path; the
        last of them stays. After an exception nothing is left.
        """
        folder, _, name = self.path.rpartition("/")
        part = f"{folder}/_{name}.{uuid.uuid4().hex}{_UNFINISHED}"
        try:
            yield part
            self.system.move(part, self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                self.system.delete_file(part)
            raise


def sweep(folder: Place) -> None:
    """Remove from a folder what killed writers have left; no one may be writing there."""
    for info in folder.system.get_file_info(fs.FileSelector(folder.path)):
        if info.base_name.endswith(_UNFINISHED):
            folder.system.delete_file(info.path)


def locate(address: str) -> Place:
    """Return the place that an address stands for: a path, or a URI that pyarrow knows.

    Raises
    ------
    StorageError
        If it is a URI of an unknown kind or not valid, its driver is missing, or its host cannot
        be found.

    Examples
    --------
    >>> locate("/data/table").path
    '/data/table'
    """
    if "://" not in address:
        path = str(Path(address).resolve())
        return Place(fs.LocalFileSystem(), path, path)
    try:
        system, path = fs.FileSystem.from_uri(address)
    except (OSError, ValueError) as error:
        raise StorageError(_refusal(address.partition("://")[0], error)) from None
    return Place(system, path.rstrip("/"), address.rstrip("/"))


def _refusal(kind: str, error: Exception) -> str:
    """Return why an address cannot be used; what pyarrow says repeats it, with a password in it."""
    if kind not in FORMS:
        expected = FORMS[INSTEAD[kind]] if kind in INSTEAD else _MOST_USED
        return f"cannot use addresses of {kind}://, expected {expected}"
    if lacking := drivers.missing(error):
        return lacking
    if isinstance(error, ValueError):
        return f"an address of {kind}:// is not valid, expected {FORMS[kind]}"
    return f"cannot reach the host of an address of {kind}://: is it right, and the network up?"


def files(place: Place, endings: tuple[str, ...]) -> list[Any]:
    """Return the files with one of these endings: the one at a place, or all below it, sorted.

    Like Spark, it leaves out files and folders whose names begin with ``_`` or a dot.

    Raises
    ------
    StorageError
        If nothing exists at the place.
    """
    info = place.system.get_file_info(place.path)
    if info.type == fs.FileType.NotFound:
        raise StorageError(f"{place.path} does not exist")
    if info.type == fs.FileType.File:
        return [info]
    return _sorted(each for each in below(place) if each.path.endswith(endings))


def below(place: Place) -> list[Any]:
    """Return all files below a folder, but for those that `files` leaves out, sorted."""
    found = place.system.get_file_info(fs.FileSelector(place.path, recursive=True))
    return _sorted(each for each in found if _counts(each, place))


def divided(place: Place) -> tuple[Place, str]:
    """Return the folder above the first name with a wildcard, and the pattern below it.

    A place that exists is one without wildcards, whatever its name. In a URI, ``?`` is none.

    Examples
    --------
    >>> folder, pattern = divided(locate("/data/site=*/2026-??/*.parquet"))
    >>> folder.path, pattern
    ('/data', 'site=*/2026-??/*.parquet')
    """
    wildcards = "*[" if "://" in place.address else "*[?"
    names = place.path.split("/")
    first = next((at for at, name in enumerate(names) if set(name) & set(wildcards)), None)
    if first is None or place.exists():
        return place, ""
    pattern = "/".join(names[first:])
    address = place.address.removesuffix(f"/{pattern}")
    return Place(place.system, "/".join(names[:first]) or "/", address or "/"), pattern


def matches(path: str, pattern: str) -> bool:
    """Return whether a path below a folder, or a folder in it, matches a pattern, name by name.

    ``**`` stands for any number of names.

    Examples
    --------
    >>> matches("site=north/a.csv", "site=*"), matches("a/b/c.csv", "**/*.csv")
    (True, True)
    >>> matches("a/b.csv", "*.csv")
    False
    """
    return _match(path.split("/"), pattern.split("/"))


def _match(names: list[str], patterns: list[str]) -> bool:
    if not patterns:
        return True
    if patterns[0] == "**":
        return any(_match(names[skipped:], patterns[1:]) for skipped in range(len(names)))
    return (
        bool(names)
        and fnmatch.fnmatchcase(names[0], patterns[0])
        and _match(names[1:], patterns[1:])
    )


def _sorted(infos: Iterator[Any]) -> list[Any]:
    return sorted(infos, key=lambda each: str(each.path))


def _counts(info: Any, place: Place) -> bool:
    names = info.path.removeprefix(place.path).strip("/").split("/")
    hidden = any(name.startswith(("_", ".")) for name in names)
    return bool(info.type == fs.FileType.File and not hidden)
