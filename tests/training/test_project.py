"""project.toml and the code of the training: what stands in both is the same."""

import re

from tests.conftest import PROJECT
from tests.environ import ROOT
from training.preprocessing import FEATURES, Patient
from training.subject import SUBJECT


def test_the_package_and_its_record_are_those_of_project_toml() -> None:
    assert Patient.__module__.partition(".")[0] == PROJECT.names.package
    assert Patient.__name__ == PROJECT.names.record
    assert SUBJECT.record is Patient


def test_one_module_imports_the_private_package() -> None:
    importing = re.compile(rf"^\s*(from|import) {PROJECT.names.package}\b", re.MULTILINE)
    found = [
        path.name
        for path in (ROOT / "training").glob("*.py")
        if importing.search(path.read_text(encoding="utf-8"))
    ]
    assert found == ["preprocessing.py"]


def test_what_project_toml_says_of_features_is_said_of_features_there_are() -> None:
    assert {*PROJECT.features.rising, *PROJECT.words.features} <= {*FEATURES}
    assert PROJECT.data.label not in FEATURES
