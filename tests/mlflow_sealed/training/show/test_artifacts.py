"""The files of a run: all that the other pages name, and nothing is written to MLflow."""

import re
from pathlib import Path

import pytest

from mlflow_sealed.training import show
from mlflow_sealed.training.show import artifacts, pictures
from tests.mlflow_sealed.training.show.another import PROVENANCE, another


@pytest.fixture(scope="module")
def files() -> dict[str, bytes | str]:
    return artifacts.render(another(3, others=1, kinds=("length",)), PROVENANCE)


def test_each_picture_is_a_png_and_the_rest_is_text(files: dict[str, bytes | str]) -> None:
    drawn = {f"pictures/{name}.png" for name in pictures.PICTURES}
    assert files.keys() == drawn | {"card.md", "card.html", "thresholds.html"}
    for name, content in files.items():
        if isinstance(content, bytes):
            assert content.startswith(b"\x89PNG"), name
            assert b"matplotlib" not in content.lower()
        else:
            assert name not in drawn
            assert content.strip()


def test_the_pages_need_nothing_else(files: dict[str, bytes | str]) -> None:
    for name in ("card.html", "thresholds.html"):
        page = str(files[name])
        assert "default-src 'none'" in page
        assert not re.search(r"(src|href)=\"(?!data:)", page), name


def test_of_another_model_nothing_is_said_in_the_words_of_ours(
    files: dict[str, bytes | str],
) -> None:
    texts = " ".join(content for content in files.values() if isinstance(content, str)).lower()
    for word in ("patient", "diabetes", "pima", "clinical", "glucose", "mypreprocessing"):
        assert word not in texts
    for word in ("contracts", "cancelled", "kept", "an early end", "rule 0"):
        assert word in texts


def test_showing_writes_nothing_to_mlflow() -> None:
    """What logs is one module, `mlflow_sealed.training.log`."""
    sources = list(Path(str(show.__file__)).parent.rglob("*.py"))
    assert len(sources) > 10
    writes = (
        r"\blog_(?:artifact|text|dict|table|figure|metric|param)|\bset_tag|\bstart_run|\bupdate_"
    )
    found = [path for path in sources if re.search(writes, path.read_text(encoding="utf-8"))]
    assert found == []
