"""The manifest: which changes of a model's files it shows."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mlflow_sealed.flavor import manifest
from mlflow_sealed.flavor.manifest import MANIFEST, ManifestError


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder of files with their manifest."""
    (tmp_path / "code").mkdir()
    for name in ("MLmodel", "code/part.py"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    manifest.write(tmp_path)
    return tmp_path


def test_files_as_they_were_saved_pass(model: Path) -> None:
    manifest.check(model)
    assert set(manifest.digests(model)) == {"MLmodel", "code/part.py"}


def test_what_mlflow_adds_to_a_download_passes(model: Path) -> None:
    (model / "registered_model_meta").write_text("model_name: example", encoding="utf-8")
    manifest.check(model)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda folder: (folder / "MLmodel").write_text("other"), "MLmodel"),
        (lambda folder: (folder / "code/part.py").unlink(), "code/part.py"),
        (lambda folder: (folder / "code/more.py").touch(), "code/more.py"),
    ],
    ids=["changed", "missing", "added"],
)
def test_other_files_are_named(model: Path, change: Callable[[Path], None], name: str) -> None:
    change(model)
    with pytest.raises(ManifestError, match=rf"files that differ: \['{name}'\]"):
        manifest.check(model)


@pytest.mark.parametrize("text", [None, "{"], ids=["none", "broken"])
def test_a_model_without_a_manifest_is_refused(model: Path, text: str | None) -> None:
    (model / MANIFEST).unlink()
    if text:
        (model / MANIFEST).write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError, match=rf"no readable {MANIFEST}"):
        manifest.check(model)


def test_its_digest_stands_for_all_files(model: Path) -> None:
    before = manifest.digest(model)
    (model / "MLmodel").write_text("other", encoding="utf-8")
    manifest.write(model)
    assert manifest.digest(model) != before
