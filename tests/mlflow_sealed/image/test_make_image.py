"""``make image``: the image is tested before it counts, and what was made is recorded."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion

from mlflow_sealed import process
from mlflow_sealed.feed import credential
from mlflow_sealed.image import check, commands, docker
from tests.conftest import PROJECT, Trained
from tests.environ import ROOT
from tests.mlflow_sealed.image.conftest import Built, run
from tests.package import VERSION

COMMAND = [sys.executable, "-m", "mlflow_sealed.cli", "image", "build"]


@pytest.fixture(scope="module")
def made(built: Built, build_environ: dict[str, str]) -> str:
    """What ``make image`` said; the layers of the image are there already."""
    del built
    done = run(COMMAND, _environ(build_environ), cwd=ROOT)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def other_predictions(trained: Trained) -> Iterator[None]:
    """The champion's run, for a while with predictions that its model does not make."""
    path = _held_out(trained)
    kept = path.read_bytes()
    found = json.loads(kept)
    found["probabilities"][3] += 2e-6
    path.write_text(json.dumps(found), encoding="utf-8")
    yield
    path.write_bytes(kept)


def test_the_image_is_tested_on_every_held_out_row(made: str, held_out: dict[str, Any]) -> None:
    rows = len(held_out["inputs"])
    assert f"diabetes:latest: {rows} held-out rows are predicted as recorded, to 1e-06" in made


def test_the_digest_is_a_tag_of_the_run(made: str, trained: Trained) -> None:
    digest = docker.ask("inspect", "--format", "{{.Id}}", "diabetes").decode().strip()
    assert digest in made
    assert trained.run.data.tags["image.digest"] == digest
    assert trained.run.data.tags["image.name"] == "diabetes:latest"


def test_the_bill_of_materials_is_valid_and_has_what_the_lock_has(
    made: str, trained: Trained, tmp_path: Path
) -> None:
    del made
    # Its import takes seconds, which no other test has to wait for.
    from cyclonedx.validation.json import JsonStrictValidator  # noqa: PLC0415

    text = _sbom(trained, tmp_path)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    found = json.loads(text)
    names = {component["name"]: component["version"] for component in found["components"]}
    assert names["mypreprocessing"] == VERSION
    assert names["xgboost-cpu"] == "3.2.0"
    assert "pip" not in names
    locked = "".join(PROJECT.lock(name).read_text(encoding="utf-8") for name in ("model", "server"))
    for name in names.keys() - {"python"}:
        assert f"\n{name}=={names[name]} " in f"\n{locked}"
    edges = {edge["ref"]: edge.get("dependsOn", []) for edge in found["dependencies"]}
    assert any(ref.startswith("pydantic==") for ref in edges[f"mypreprocessing=={VERSION}"])


@pytest.mark.usefixtures("made", "other_predictions")
def test_a_difference_removes_the_tag_and_fails(build_environ: dict[str, str]) -> None:
    docker.ask("tag", "diabetes:latest", "kept:latest")
    done = run(COMMAND, _environ(build_environ), cwd=ROOT)
    left = docker.ask("images", "--quiet", "diabetes:latest").strip()
    docker.ask("tag", "kept:latest", "diabetes:latest")  # other tests use it
    assert done.returncode == 1
    removed, line = done.stdout.splitlines()[-2:]
    assert removed == "the tag diabetes:latest is removed"
    assert line.startswith("error: 1 of 154 held-out rows are predicted otherwise than recorded")
    assert not left


@pytest.mark.usefixtures("made")
def test_a_wrong_password_ends_it_with_a_line_before_the_build(
    build_environ: dict[str, str], planted: credential.Index
) -> None:
    wrong = credential.Index(planted.url, planted.username, "wr0ng").authenticated_url
    done = run(COMMAND, {**_environ(build_environ), "PIP_EXTRA_INDEX_URL": wrong}, cwd=ROOT)
    assert done.returncode == 1
    assert done.stdout.startswith(f"error: {planted.url} refuses the user name or password")
    assert len(done.stdout.splitlines()) == 1
    assert docker.ask("images", "--quiet", "diabetes:latest").strip()


def test_a_temporary_folder_that_is_too_small_is_told_before_the_build() -> None:
    commands.need_room(1 << 20)
    needed = r"has \d+ MiB free, and the build needs \d+: free some, or set TMPDIR"
    with pytest.raises(process.ProcessError, match=needed):
        commands.need_room(1 << 60)


@pytest.mark.parametrize("answered", [[0.1], [0.1, 0.2 + 2e-6], [0.1, float("nan")]])
def test_answers_that_differ_are_told_apart(answered: list[float]) -> None:
    with pytest.raises(check.CheckError, match="predict"):
        check.compare(answered, [0.1, 0.2])


def test_answers_within_the_tolerance_are_the_same() -> None:
    check.compare([0.1, 0.2 + 9e-7], [0.1, 0.2])


def _environ(build_environ: dict[str, str]) -> dict[str, str]:
    return {**build_environ, "PYTHONPATH": str(ROOT)}


def _held_out(trained: Trained) -> Path:
    artifacts = trained.run.info.artifact_uri
    assert artifacts
    return Path(artifacts.removeprefix("file://")) / "held_out.json"


def _sbom(trained: Trained, folder: Path) -> str:
    uri = f"runs:/{trained.run.info.run_id}/image/sbom.cdx.json"
    return trained.download(uri, folder).read_text(encoding="utf-8")
