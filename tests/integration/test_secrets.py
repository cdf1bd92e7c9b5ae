"""The feed's password is nowhere in what a run writes."""

import base64
import json
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

import mlflow
import pytest

from tests.conftest import Feed, Server, Trained


def forms(feed: Feed) -> list[str]:
    """The password as it could be written down."""
    password = feed.index.password
    pair = f"{feed.index.username}:{password}".encode()
    return [
        password,
        quote(password, safe=""),
        base64.b64encode(pair).decode(),
        base64.b64encode(password.encode()).decode().rstrip("="),
    ]


def holders(folder: Path, feed: Feed) -> list[Path]:
    """The files under `folder` that have the password in them, in whatever form."""
    patterns = [part for form in forms(feed) for part in ("-e", form)]
    done = subprocess.run(
        [
            "grep",
            "--recursive",
            "--files-with-matches",
            "--text",
            "--fixed-strings",
            *patterns,
            ".",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    return [folder / line for line in done.stdout.splitlines()]


def test_nothing_that_a_run_writes_has_the_password(
    trained: Trained, served: Server, feed: Feed
) -> None:
    written = [path for path in trained.folder.rglob("*") if path.is_file()]
    names = {path.name for path in written}
    assert {"mlflow.db", "MLmodel", "requirements.txt", "conda.yaml", "held_out.json"} <= names
    assert holders(trained.folder, feed) == []
    assert holders(served.log.parent, feed) == []
    assert not any(form in trained.output for form in forms(feed))


def test_nothing_in_the_run_or_the_registry_has_the_password(trained: Trained, feed: Feed) -> None:
    shown = json.dumps(
        [
            trained.run.to_dictionary(),
            dict(trained.version),
            trained.client.get_registered_model("diabetes").description,
        ],
        default=str,
    )
    assert "mypreprocessing.version" in shown
    assert not any(form in shown for form in forms(feed))


def test_the_feed_itself_has_the_password_only_where_it_is_kept(feed: Feed) -> None:
    found = holders(feed.local.home, feed)
    assert [path.name for path in found] == ["password"]


@pytest.mark.parametrize("number", range(4), ids=["plain", "quoted", "pair in base64", "base64"])
@pytest.mark.parametrize("name", ["MLmodel", "requirements.txt", "conda.yaml"])
def test_a_planted_copy_in_a_file_is_found(
    trained: Trained, feed: Feed, tmp_path: Path, name: str, number: int
) -> None:
    """The control, for the files of a model."""
    original = min((trained.folder / "mlruns").rglob(name))
    planted = Path(shutil.copy(original, tmp_path))
    assert holders(tmp_path, feed) == []
    with planted.open("a", encoding="utf-8") as file:
        file.write(f"# {forms(feed)[number]}\n")
    assert holders(tmp_path, feed) == [planted]


def test_a_planted_copy_in_the_tracking_database_is_found(
    trained: Trained, feed: Feed, tmp_path: Path
) -> None:
    """The control, for tags and parameters."""
    shutil.copy(trained.folder / "mlflow.db", tmp_path)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    assert holders(tmp_path, feed) == []
    client.set_tag(trained.run.info.run_id, "index", feed.index.authenticated_url)
    assert tmp_path / "mlflow.db" in holders(tmp_path, feed)
