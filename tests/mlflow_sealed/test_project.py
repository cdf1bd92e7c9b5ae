"""project.toml: what it has to have, and one line on what is wrong with one."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from mlflow_sealed import project
from mlflow_sealed.project import ProjectError

LEAST = """
[names]
model = "example"
experiment = "example"
image = "example"
package = "private"
record = "Row"
[tracking]
default = "sqlite:///example.db"
[data]
file = "data.csv"
label = "label"
name = "example"
[packages]
private = "private"
[locks]
model = { file = "model.txt", sources = ["model.in"] }
"""


def write(folder: Path, text: str) -> Path:
    (folder / project.FILE).write_text(text, encoding="utf-8")
    return folder


def test_a_project_is_found_from_any_folder_in_it(tmp_path: Path) -> None:
    inner = write(tmp_path, LEAST) / "a" / "b"
    inner.mkdir(parents=True)
    assert project.find(inner) == project.read(tmp_path)
    assert project.find(inner).root == tmp_path


def test_what_a_project_may_leave_out_has_defaults(tmp_path: Path) -> None:
    found = project.read(write(tmp_path, LEAST))
    assert found.champion == "models:/example@champion"
    assert found.lock("model") == tmp_path / "model.txt"
    assert (found.words.record, found.words.records) == ("record", "records")
    assert found.packages.folders == (Path("private"),)


def test_a_folder_in_no_project_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"has no project\.toml, nor has a folder above it"):
        project.find(tmp_path)


def test_a_lock_that_a_project_has_not_is_named(tmp_path: Path) -> None:
    found = project.read(write(tmp_path, LEAST))
    with pytest.raises(ProjectError, match=r"has the locks \['model'\], expected 'server' too"):
        found.lock("server")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("[names]", "[names", "is not TOML"),
        ('model = "example"\n', "", "names.model: Field required"),
        ('model = "example"', 'model = ""', "names.model: String should have at least 1 character"),
        ("[tracking]", "[trackin]", "tracking: Field required"),
        ("[locks]", "[bounds]\nmost_auc = 2\n[locks]", "bounds.most_auc: .* less than or equal"),
        ('label = "label"', 'label = "label"\nlabels = 2', "data.labels: Extra inputs"),
        ('sources = ["model.in"]', "sources = 1", "locks.model.sources: "),
    ],
)
def test_what_is_wrong_is_one_line_with_the_key(
    tmp_path: Path, old: str, new: str, fault: str
) -> None:
    assert old in LEAST
    with pytest.raises(ProjectError, match=fault) as error:
        project.read(write(tmp_path, LEAST.replace(old, new, 1)))
    assert "\n" not in str(error.value)


def test_bytes_that_are_no_text_are_one_line(tmp_path: Path) -> None:
    (tmp_path / project.FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(ProjectError, match=r"cannot be read \(UnicodeDecodeError\)"):
        project.read(tmp_path)


def test_control_the_least_project_is_one() -> None:
    content: dict[str, Any] = tomllib.loads(LEAST)
    assert project.Project.model_validate({**content, "root": "."}).names.model == "example"
