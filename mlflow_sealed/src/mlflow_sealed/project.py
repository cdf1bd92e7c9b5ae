"""Read project.toml: the names, words and bounds of the project that the toolkit works for."""

import tomllib
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

FILE: Final = "project.toml"
"""The file, at the top of a project."""

Name = Annotated[str, Field(min_length=1)]


class ProjectError(Exception):
    """There is no project.toml, or it is wrong; the message names the key and what is expected."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Names(_Part):
    """What things are called in the registry, on a feed and in an engine.

    Attributes
    ----------
    package
        The private distribution, which is imported by the same name.
    record
        Its class of one row.
    """

    model: Name
    experiment: Name
    image: Name
    package: Name
    record: Name


class Tracking(_Part):
    """Where runs go when MLFLOW_TRACKING_URI is not set."""

    default: Name


class Data(_Part):
    """The training data: its file, its label column, and what it is called in a run."""

    file: Path
    label: Name
    name: Name


class Features(_Part):
    """What is known of features beforehand: more of a ``rising`` one never lowers the risk."""

    rising: tuple[str, ...] = ()


class Groups(_Part):
    """The groups of records that figures are shown for."""

    ages: tuple[float, ...] = ()
    most_missing: int = Field(default=0, ge=0)


class Bounds(_Part):
    """What figures have to be within for a model to be registered, from 0 to 1."""

    least_auc: float = Field(default=0.5, ge=0, le=1)
    most_auc: float = Field(default=1, ge=0, le=1)
    least_sensitivity: float = Field(default=0.8, gt=0, le=1)


class Words(_Part):
    """What a reader calls a record, the two classes, the features and the kinds of groups.

    Attributes
    ----------
    condition
        What positive records have, as in 'one in three have …'.
    positive, negative
        What follows 'those', or the word for records, where the two classes are told apart.
    features, groups
        Names that are not just the column's, or the kind's, with spaces.
    about_model, about_experiment
        What the registered model and the experiment are, in a sentence or two.
    """

    record: Name = "record"
    records: Name = "records"
    condition: Name = "the condition"
    positive: Name = "with the condition"
    negative: Name = "without the condition"
    features: dict[str, str] = {}
    groups: dict[str, str] = {}
    about_model: str = ""
    about_experiment: str = ""


class Card(_Part):
    """The folder of what only the project can say in the model card.

    `mlflow_sealed.training.show.card.PARTS` has the names of its files.
    """

    folder: Path


class Packages(_Part):
    """The folders of the distributions that the project publishes."""

    private: Path
    toolkit: Path | None = None

    @property
    def folders(self) -> tuple[Path, ...]:
        """All of them."""
        return (self.private, *((self.toolkit,) if self.toolkit else ()))


class Lock(_Part):
    """A file of pinned requirements with hashes.

    Attributes
    ----------
    sources
        What ``uv pip compile`` makes it from.
    constraints
        The name of the lock whose versions it is held to.
    editable
        Whether the project's own distributions are left out: they are installed from their sources.
    """

    file: Path
    sources: tuple[str, ...]
    constraints: str | None = None
    editable: bool = False


class Project(_Part):
    """A project: ``root`` is its folder, and every path in it is relative to that."""

    root: Path
    names: Names
    tracking: Tracking
    data: Data
    features: Features = Features()
    groups: Groups = Groups()
    bounds: Bounds = Bounds()
    words: Words = Words()
    card: Card | None = None
    packages: Packages
    locks: dict[str, Lock]

    def lock(self, name: str) -> Path:
        """Return the path of a lock.

        Raises
        ------
        ProjectError
            If the project has none of that name.
        """
        if name not in self.locks:
            raise ProjectError(
                f"{self.root / FILE} has the locks {sorted(self.locks)}, expected {name!r} too"
            )
        return self.root / self.locks[name].file

    @property
    def champion(self) -> str:
        """The address of the registered model that is served."""
        return f"models:/{self.names.model}@champion"


def read(folder: Path) -> Project:
    """Return the project of a folder.

    Raises
    ------
    ProjectError
        If the folder has no project.toml, or that is not one.
    """
    path = folder / FILE
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        return Project.model_validate({**content, "root": folder})
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"{path} cannot be read ({type(error).__name__})") from None
    except tomllib.TOMLDecodeError as error:
        raise ProjectError(f"{path} is not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ProjectError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def find(start: Path | None = None) -> Project:
    """Return the project that a folder is in, the current one where none is given.

    Raises
    ------
    ProjectError
        If neither the folder nor one above it has a project.toml.
    """
    folder = (start or Path.cwd()).resolve()
    for each in (folder, *folder.parents):
        if (each / FILE).is_file():
            return read(each)
    raise ProjectError(f"{folder} has no {FILE}, nor has a folder above it: run this in a project")
