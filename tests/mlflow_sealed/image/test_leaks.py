"""The feed's password is nowhere after a build; and where it is planted, it is found."""

import base64
import os
import secrets
import shutil
import sqlite3
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mlflow_sealed.image import docker
from tests.conftest import CHAMPION, Trained
from tests.mlflow_sealed.image import standin
from tests.mlflow_sealed.image.conftest import Built
from tests.mlflow_sealed.image.secrets_search import Watch, forms, found, found_below, layers

pytestmark = pytest.mark.no_cover  # what is tested runs in containers

NAIVE = f"""FROM {standin.NAME}
ARG TOKEN
ENV INDEX=https://feed:$TOKEN@feed.example/simple/
RUN echo "$TOKEN" > /root/pip.conf
RUN cat /root/pip.conf && rm /root/pip.conf
"""


_READ = "find /opt/model /opt/serve -type f -print -exec cat {} +"


@dataclass(frozen=True)
class Naive:
    """What the usual mistakes leave behind: an argument, a variable, a file that is removed."""

    token: str = field(repr=False)
    output: bytes
    watch: Watch


@pytest.fixture(scope="module")
def naive(tmp_path_factory: pytest.TempPathFactory, engine: Path) -> Naive:
    del engine
    token = f"c0ntrol/+@:%{secrets.token_urlsafe(24)}=="
    folder = tmp_path_factory.mktemp("naive")
    (folder / "Dockerfile").write_text(NAIVE, encoding="utf-8")
    builder = docker.find_builder(os.environ)
    options = ("-t", "naive", "--progress=plain", "--network", "none", str(folder))
    argument = ("--build-arg", f"TOKEN={token}")
    with Watch(folder) as watch:
        done = subprocess.run(
            builder.command([], (*argument, *options)),
            env={**os.environ, "DOCKER_BUILDKIT": "1"},
            capture_output=True,
            check=True,
        )
    return Naive(token, done.stdout + done.stderr, watch)


def test_every_form_of_a_secret_is_found() -> None:
    assert found(b"..a/b+c=d..", "a/b+c=d") == ["plain"]
    assert found(b"https://me:a%2Fb%2Bc%3Dd@feed/", "a/b+c=d") == ["URL-encoded"]


@pytest.mark.parametrize("before", ["", "m", "me", "me:", "user:"])
def test_a_secret_is_found_in_a_basic_authentication_header(before: str, token: str) -> None:
    header = base64.b64encode(f"{before}{token}".encode())
    assert found(header, token)
    assert found(base64.urlsafe_b64encode(f"{before}{token}".encode()), token)
    assert not found(base64.b64encode(b"something else of the same length..........."), token)


def test_no_layer_has_the_password(built: Built) -> None:
    saved = docker.ask("save", "diabetes")
    assert [names for layer in layers(saved) if (names := found(layer, *built.tokens))] == []


def test_control_a_layer_keeps_a_file_that_was_removed(naive: Naive) -> None:
    assert any(found(layer, naive.token) for layer in layers(docker.ask("save", "naive")))


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("history", "--no-trunc"), id="history"),
        pytest.param(("inspect",), id="inspect"),
    ],
)
def test_what_docker_shows_has_no_password(built: Built, command: tuple[str, ...]) -> None:
    assert found(docker.ask(*command, "diabetes"), *built.tokens) == []


@pytest.mark.parametrize("command", [("history", "--no-trunc"), ("inspect",)])
def test_control_docker_shows_arguments_and_variables(
    naive: Naive, command: tuple[str, ...]
) -> None:
    assert found(docker.ask(*command, "naive"), naive.token)


def test_the_build_log_has_no_password(built: Built) -> None:
    assert "--require-hashes" in built.output, "this is not the log of a plain progress"
    assert found(built.output.encode(), *built.tokens) == []


def test_control_a_build_log_shows_what_a_step_prints(naive: Naive) -> None:
    assert found(naive.output, naive.token)


def test_the_process_list_never_has_the_password(built: Built) -> None:
    seen = built.watch.seen
    assert any(b"id=pip_conf" in command for command in seen), "the build was not seen"
    assert [command for command in seen if found(command, *built.tokens)] == []


def test_control_the_process_list_shows_build_arguments(naive: Naive) -> None:
    assert [command for command in naive.watch.seen if found(command, naive.token)]


def test_the_credential_is_a_file_of_its_owner_and_gone_afterwards(built: Built) -> None:
    assert built.watch.modes == {(0o600, 0o700)}
    assert list(built.temporary.glob("mlflow-model-*")) == []


def test_the_temporary_folder_has_no_password(built: Built) -> None:
    assert found_below(built.temporary, *built.tokens) == {}


def test_control_a_file_in_the_temporary_folder_is_found(tmp_path: Path, token: str) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "pip.conf").write_text(f"x{token}x", encoding="utf-8")
    assert len(found_below(tmp_path, token)) == 1


def test_the_engine_keeps_no_password(built: Built, engine: Path) -> None:
    assert _kept(engine, built.tokens) == []


def test_control_the_engine_keeps_what_was_built_carelessly(naive: Naive, engine: Path) -> None:
    assert _kept(engine, (naive.token,))


def test_the_model_has_no_password(built: Built, trained: Trained, tmp_path: Path) -> None:
    model = trained.download(CHAMPION, tmp_path)
    assert found_below(model, *built.tokens) == {}


def test_control_a_requirements_file_with_the_index_is_found(
    built: Built, trained: Trained, tmp_path: Path
) -> None:
    model = trained.download(CHAMPION, tmp_path)
    with (model / "requirements.txt").open("a", encoding="utf-8") as file:
        file.write(f"--extra-index-url https://feed:{built.tokens[1]}@feed.example/simple/\n")
    assert len(found_below(model, *built.tokens)) == 1


def test_the_tracking_database_and_the_artifacts_have_no_password(
    built: Built, trained: Trained
) -> None:
    assert (trained.folder / "mlflow.db").is_file()
    assert found_below(trained.folder, *built.tokens) == {}


def test_control_a_tag_with_the_index_is_found(
    built: Built, trained: Trained, tmp_path: Path
) -> None:
    shutil.copy2(trained.folder / "mlflow.db", tmp_path)
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        url = f"https://feed:{built.tokens[0]}@feed.example/"
        database.execute("UPDATE tags SET value = ? WHERE key = 'mlflow.source.name'", (url,))
    assert found_below(tmp_path, *built.tokens)


def test_the_held_out_rows_are_not_in_the_image(built: Built, held_out: dict[str, Any]) -> None:
    del built
    pedigrees = [str(row["diabetes_pedigree"]).encode() for row in held_out["inputs"]]
    rare = [pedigree for pedigree in pedigrees if len(pedigree) >= len("0.123")]
    model = docker.ask(
        "run", "--rm", "--network", "none", "--entrypoint", "sh", "diabetes", "-c", _READ
    )
    assert b"diabetes_pedigree" in model, "the model's own example was not read"
    assert len([pedigree for pedigree in rare if pedigree in model]) < len(rare) / 10
    assert b"held_out" not in model


def _kept(engine: Path, tokens: tuple[str, ...]) -> list[str]:
    """Return the files of the engine that have one of the secrets, plain or URL-encoded."""
    patterns = [form.decode() for token in tokens for form in forms(token).values()]
    done = subprocess.run(
        ["grep", "-rlF", *(part for text in patterns for part in ("-e", text)), str(engine)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.splitlines()
