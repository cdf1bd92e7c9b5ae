"""make demo, in a copy of the repository that has never been used."""

import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import mlflow
import pytest
from packaging.utils import canonicalize_name

from mlflow_sealed.feed.credential import TEMPLATE
from tests.conftest import Feed, Trained
from tests.environ import ROOT, clean_environ, untraced
from tests.mlflow_sealed.documented_variables import redirecting
from tests.package import VERSION

QUICK = ("-P", "folds=2", "-P", "repeats=1")
"""Options of ``mlflow run``: the default model, without all of its cross-validation."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What git would give a newcomer, with the changes that are not committed yet."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).exists():
            (tmp_path / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / "clone" / name)
    return tmp_path / "clone"


def demo(checkout: Path, environ: dict[str, str], *options: str) -> tuple[int, str]:
    """Run the demo, and check that none of its processes is left."""
    mark = uuid.uuid4().hex
    done = subprocess.run(
        [sys.executable, "-m", "examples.demo", *options],
        cwd=checkout,
        env={**untraced(environ), "DEMO_MARK": mark},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not left_behind(mark)
    return done.returncode, done.stdout + done.stderr


def installed(envs: Path) -> list[set[str]]:
    """What each of MLflow's environments has, as NAME==VERSION."""
    found = []
    for folder in envs.glob("*/lib/*/site-packages"):
        metadata = (path.name.removesuffix(".dist-info") for path in folder.glob("*.dist-info"))
        pairs = (each.rpartition("-") for each in metadata)
        found.append({f"{canonicalize_name(name)}=={version}" for name, _, version in pairs})
    return found


def locked(lock: str) -> set[str]:
    """What a lock has, without what is for other machines."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9.-]+==\S+) \\$", text, re.MULTILINE))


def left_behind(mark: str) -> list[str]:
    """The running processes that have a mark in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text(encoding="utf-8"))
        except OSError:
            continue
    return found


def test_a_process_that_is_left_behind_would_be_seen() -> None:
    """The control of the check in every demo."""
    mark = uuid.uuid4().hex
    code = "import time; print(flush=True); time.sleep(60)"
    command = [sys.executable, "-c", code]
    environ = {**os.environ, "DEMO_MARK": mark}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert len(left_behind(mark)) == 1
        process.kill()


def test_the_demo_uses_the_feed_of_a_credential_and_without_one_a_feed_of_its_own(
    checkout: Path, trained: Trained, feed: Feed, tmp_path: Path
) -> None:
    """And it can be repeated: the second time finds what the first has left."""
    without = {**clean_environ(), "MLFLOW_ENV_ROOT": trained.environ["MLFLOW_ENV_ROOT"]}
    pip_conf = feed.local.write_pip_conf(ROOT / TEMPLATE, int(feed.index.url.split(":")[2][:-8]))
    status, output = demo(checkout, {**without, "PIP_CONFIG_FILE": str(pip_conf)}, *QUICK)
    pip_conf.unlink()
    assert status == 0, output
    log = (checkout / ".cache" / "demo.log").read_text(encoding="utf-8")
    assert f"on {feed.index.url}" in log
    assert "already there, the same bytes" in log
    assert feed.index.password not in output + log
    assert not (checkout / ".feed").exists()
    assert_predicted(output, checkout)

    # With an environment of its own, and all that could redirect it.
    hostile = {**without, "MLFLOW_ENV_ROOT": str(tmp_path / "envs"), **redirecting(tmp_path)}
    status, output = demo(checkout, hostile, *QUICK)
    assert status == 0, output
    training, serving = sorted(installed(tmp_path / "envs"), key=len, reverse=True)
    assert locked("training/requirements.txt") <= training
    assert locked("mlflow_model/requirements.txt") <= serving < training
    log = (checkout / ".cache" / "demo.log").read_text(encoding="utf-8")
    assert f"published mypreprocessing-{VERSION}" in log
    assert (checkout / ".feed" / "password").read_text(encoding="utf-8") not in output + log
    assert_predicted(output, checkout)
    assert (checkout / "mlflow.db").exists()


def test_a_bad_credential_ends_the_demo_with_one_line(checkout: Path) -> None:
    environ = {**clean_environ(), "PIP_EXTRA_INDEX_URL": "http://feed:s3cret@127.0.0.1:9/simple/"}
    status, output = demo(checkout, environ)
    assert status == 1
    assert output.strip().splitlines()[-1].startswith("error: http://127.0.0.1:9/simple/ cannot be")
    assert "Traceback" not in output
    assert "s3cret" not in output


def assert_predicted(output: str, checkout: Path) -> None:
    answers = re.findall(r'^\{"predictions": \[\n.*\n\]\}$', output, re.MULTILINE)
    assert len(answers) == 1
    (prediction,) = json.loads(answers[0])["predictions"]
    client = mlflow.MlflowClient(f"sqlite:///{checkout}/mlflow.db")
    version = client.get_model_version_by_alias("diabetes", "champion")
    threshold = client.get_run(str(version.run_id)).data.metrics["threshold"]
    assert prediction["pred"] == int(prediction["probability"] >= threshold)
    assert "What to do next" in output
    done = re.findall(r"^✓ (\d)/4  .* \d+ s$", output, re.MULTILINE)
    assert done == ["1", "2", "3", "4"]
    assert re.search(r"^ ?AUC .* \(\d\.\d+ to \d\.\d+\) .*$", output, re.MULTILINE)
    assert f"models:/diabetes/{version.version} is" in output
    # A terminal of 80 columns and 40 lines, with a line for the command and one for the prompt.
    assert max(map(len, output.splitlines())) <= 80
    assert len(output.splitlines()) <= 38
