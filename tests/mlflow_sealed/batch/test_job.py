"""The command: a table through the champion on this machine, and all that can be wrong."""

import contextlib
import json
import math
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pyarrow import csv as arrow_csv

import mypreprocessing
from mlflow_sealed import process
from mlflow_sealed.batch import plan, workers
from mlflow_sealed.batch.commands import main
from mlflow_sealed.batch.model import RegisteredModel
from mypreprocessing import FEATURES
from tests.conftest import PROJECT
from tests.environ import ROOT
from tests.mlflow_sealed.batch.conftest import MANY, PATIENTS, Registry, contents, locked
from tests.mlflow_sealed.server.running import serving
from tests.records import record


class Done(NamedTuple):
    """What a job has left behind."""

    output: Path
    told: str
    bar: str


def command(source: Path, output: Path, *options: str) -> list[str]:
    return ["--input", str(source), "--output", str(output), *options]


def lines(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    found = capsys.readouterr()
    return found.out, found.err


@pytest.fixture(scope="module")
def done(registry: Registry, patients: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A job as a user runs it: the entry point of MLproject, with the default model."""
    output = tmp_path_factory.mktemp("done") / "output"
    given = {"input": patients, "output": output}
    run = subprocess.run(
        [
            *("mlflow", "run", str(ROOT), "-e", "batch_score", "--env-manager", "local"),
            *("--experiment-name", PROJECT.names.experiment),
            *(part for name, value in given.items() for part in ("-P", f"{name}={value}")),
        ],
        env={**registry.environ, "JAVA_HOME": "/nowhere"},
        cwd=registry.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    bar = "".join(line for line in run.stderr.splitlines() if "rows" in line)
    return Done(output, run.stdout, bar)


def test_every_row_is_in_one_of_the_two_outputs(done: Done) -> None:
    scored = pq.read_table(done.output / plan.SCORED)
    refused = pq.read_table(done.output / plan.REFUSED)
    assert scored.num_rows == PATIENTS.rows * 0.99
    assert len(set(zip(*map(refused.column, ("file", "row")), strict=True))) == 240
    assert scored.column_names == ["id", *FEATURES, "pred", "probability", "model_version"]
    assert refused.column_names == ["file", "row", "field", "rule"]
    assert f"{scored.num_rows} rows scored, 240 refused, by models:/diabetes/1" in done.told


@pytest.mark.usefixtures("pyspark", "user")
def test_spark_writes_the_same_bytes(
    done: Done, patients: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "output"
    assert main(command(patients, output, "--engine", "spark", "--master", "local[1]")) == 0
    assert contents(output) == contents(done.output)
    told = lines(capsys)[0]
    assert "parts to score with models:/diabetes/1, in Spark (local[1])" in told
    assert re.search(r"^[\d.]+ s: .*model .*plan .*Spark .*scoring ", told, re.MULTILINE)


def test_the_output_says_which_engine_and_where_the_seconds_went(done: Done) -> None:
    assert re.search(
        r"1 of 1 parts to score with models:/diabetes/1, in 1 process$", done.told, re.MULTILINE
    )
    assert re.search(
        r"^[\d.]+ s: imports .*tracking .*model .*plan .*scoring ", done.told, re.MULTILINE
    )
    assert done.bar == ""


@pytest.mark.services
def test_the_answers_are_those_of_invocations(
    done: Done, champion: RegisteredModel, tmp_path: Path
) -> None:
    rows = pq.read_table(done.output / plan.SCORED).slice(0, 5000).to_pylist()
    asked = [{name: row[name] for name in FEATURES} for row in rows]
    assert sum(None in row.values() for row in asked) > 500
    with serving(champion.folder, tmp_path) as server:
        answers = server.predict({"inputs": asked})
    assert [each["pred"] for each in answers] == [row["pred"] for row in rows]
    assert [each["probability"] for each in answers] == pytest.approx(
        [row["probability"] for row in rows], rel=0, abs=1e-6
    )


def test_the_run_says_what_was_scored_and_nothing_of_a_patient(
    done: Done, registry: Registry, tmp_path: Path
) -> None:
    client = mlflow.MlflowClient(registry.uri)
    experiments = [each.experiment_id for each in client.search_experiments()]
    runs = client.search_runs(experiments, f"params.output = '{done.output}'")
    assert [run.info.status for run in runs] == ["FINISHED"]
    metrics, tags = runs[0].data.metrics, runs[0].data.tags
    assert metrics["rows"] == PATIENTS.rows
    assert (metrics["rows_scored"], metrics["rows_refused"]) == (23_760, 240)
    assert metrics["refused_share"] == 0.01
    assert 0 < metrics["seconds_scoring"] < metrics["seconds"]
    assert (tags["step"], tags["model.version"]) == ("batch scoring", "1")
    assert [each.path for each in client.list_artifacts(runs[0].info.run_id)] == ["refused.json"]
    file = client.download_artifacts(runs[0].info.run_id, "refused.json", str(tmp_path))
    reasons = json.loads(Path(file).read_text(encoding="utf-8"))
    assert sum(reasons.values()) >= 240
    assert {reason.partition(":")[0] for reason in reasons} == set(FEATURES)


@pytest.mark.usefixtures("user")
def test_a_finished_output_is_one_line(
    done: Done, patients: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(done.output)
    assert main(command(patients, done.output)) == 1
    _, told = lines(capsys)
    assert told == f"error: {done.output} exists, and is finished: choose another output\n"
    assert contents(done.output) == before


def test_a_command_that_was_killed_leaves_no_process_and_is_finished_without_a_row_twice(
    many: Path, expected: dict[str, bytes], user: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    output = user.folder / "killed"
    arguments = command(many, output, "--partitions", str(MANY.partitions), "--workers", "1")
    child = psutil.Popen(
        ["mlflow-sealed", "score", *arguments],
        env=user.environ,
        cwd=user.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not list(output.glob(f"{plan.PARTS}/part-*")) and child.poll() is None:
        time.sleep(0.005)
    below = child.children(recursive=True)
    child.kill()
    child.wait()
    assert len(below) > 1
    assert not psutil.wait_procs(below, timeout=30)[1]
    assert not (output / plan.DONE).exists()
    assert main(arguments) == 0
    left = int(lines(capsys)[0].partition(" of 16 parts to score")[0])
    assert 0 < left < MANY.partitions
    assert contents(output) == expected


def test_a_worker_that_was_killed_is_replaced(
    many: Path, expected: dict[str, bytes], user: Registry
) -> None:
    output = user.folder / "replaced"
    killed = threading.Thread(target=kill_a_worker, args=(output,))
    killed.start()
    status = main(command(many, output, "--partitions", str(MANY.partitions), "--workers", "2"))
    killed.join()
    assert status == 0
    assert contents(output) == expected


def kill_a_worker(output: Path) -> None:
    while not (found := list(output.glob(f"{plan.SCORED}/_*"))):
        time.sleep(0.002)
    own = [each.pid for each in multiprocessing.active_children() if each.pid]
    writing = [
        each
        for each in map(psutil.Process, own)
        if any(str(found[0].parent) in file.path for file in each.open_files())
    ]
    (writing or [psutil.Process(min(own))])[0].kill()


@pytest.mark.usefixtures("user")
def test_a_worker_that_is_always_killed_is_one_line(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = workers.Workers.start

    def kill_soon(self: workers.Workers) -> workers.Worker:
        made = started(self)
        if len(self._all) > 1:
            made.process.kill()
        return made

    monkeypatch.setattr(workers.Workers, "start", kill_soon)
    monkeypatch.setattr(workers.Worker, "ask", ask_and_kill)
    assert main(command(many, tmp_path / "output", "--workers", "1")) == 1
    told = lines(capsys)[1]
    assert told == (
        "error: the worker of part 0 was killed (signal 9), 3 times: is there enough memory? "
        "What is done stays: start again, with fewer workers\n"
    )


def ask_and_kill(self: workers.Worker, what: Any) -> Any:
    self.connection.send(what)
    answer = self.connection.recv()
    self.process.kill()
    self.process.join()
    return answer


@pytest.mark.usefixtures("user")
def test_a_full_disk_is_one_line_and_the_job_goes_on_when_there_is_room(
    many: Path,
    expected: dict[str, bytes],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        output = disk / "output"
        arguments = command(many, output, "--partitions", str(MANY.partitions))
        assert main(arguments) == 1
        told = lines(capsys)[1]
        assert told == (
            f"error: {output} cannot be written: No space left on device; what is done stays: mend "
            "that, and start again\n"
        )
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        assert main(arguments) == 0
        assert contents(output) == expected


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of two megabytes: the output of the table needs more."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.usefixtures("user")
def test_an_input_that_changes_meanwhile_is_one_line_and_another_output_finishes(
    many: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = shutil.copytree(many, tmp_path / "table")
    output = tmp_path / "output"
    last = source / "part-00015.parquet"
    changing = threading.Thread(target=touch_when_begun, args=(output, last))
    changing.start()
    status = main(command(source, output, "--workers", "1", "--partitions", "16"))
    changing.join()
    assert status == 1
    assert lines(capsys)[1] == (
        "error: part-00015.parquet: has changed since the job began, or is gone: start again with "
        "another output\n"
    )
    assert main(command(source, output)) == 1
    assert "choose another output, or remove this one" in lines(capsys)[1]
    assert main(command(source, tmp_path / "another")) == 0


def touch_when_begun(output: Path, file: Path) -> None:
    while not (output / plan.PLAN).exists():
        time.sleep(0.002)
    file.touch()


@pytest.mark.usefixtures("user")
def test_csv_of_a_thousand_rows_is_scored_without_java(
    patients: Path, done: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    monkeypatch.setenv("PATH", os.defpath)
    table = pq.read_table(patients).slice(0, 1000)
    arrow_csv.write_csv(table, tmp_path / "patients.csv")
    assert main(command(tmp_path / "patients.csv", tmp_path / "output")) == 0
    found = pq.read_table(tmp_path / "output" / plan.SCORED)
    expected = pq.read_table(done.output / plan.SCORED).slice(0, found.num_rows)
    assert 900 < found.num_rows < 1000
    assert found["probability"].to_pylist() == expected["probability"].to_pylist()


@pytest.mark.usefixtures("user")
def test_reasons_and_some_columns_are_written(patients: Path, done: Done, tmp_path: Path) -> None:
    source, output = tmp_path / "table", tmp_path / "output"
    (source / "site=north").mkdir(parents=True)
    table = pq.read_table(patients)
    pq.write_table(table.slice(0, 300), source / "site=north" / "a.parquet")
    pq.write_table(table.slice(0, 0), source / "site=north" / "b.parquet")
    arguments = command(source, output, "--columns", "id,site", "--explain", "true")
    assert main(arguments) == 0
    found = pq.read_table(output / plan.SCORED)
    assert found.column_names == ["id", "site", *plan.ADDED, *plan.EXPLAINED]
    rows = found.to_pylist()
    assert {row["site"] for row in rows} == {"north"}
    expected = {row["id"]: row for row in pq.read_table(done.output / plan.SCORED).to_pylist()}
    for row in rows:
        assert row["probability"] == expected[row["id"]]["probability"]
        assert list(row["contributions"]) == list(FEATURES)
        odds = row["base_value"] + sum(row["contributions"].values())
        assert 1 / (1 + math.exp(-odds)) == pytest.approx(row["probability"], abs=1e-5)


@pytest.mark.usefixtures("user")
def test_too_many_refused_rows_stop_the_job_which_may_go_on_with_a_greater_share(
    patients: Path, done: Done, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "output"
    assert main(command(patients, output, "--max-bad-share", "0.005")) == 1
    told = lines(capsys)[1].splitlines()[-1]
    assert told.startswith("error: ")
    assert "of 24000 rows are refused, more than max_bad_share 0.005 allows (" in told
    assert not (output / plan.DONE).exists()
    assert main(command(patients, output, "--max-bad-share", "0.01")) == 0
    assert contents(output) == contents(done.output)


@pytest.mark.usefixtures("user")
def test_an_output_of_another_job_is_one_line(
    patients: Path, many: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "output"
    output.mkdir()
    other = plan.make(str(many), plan.Model("models:/diabetes/7", "0" * 64, FEATURES, FEATURES))
    (output / plan.PLAN).write_bytes(plan.as_json(other.model_dump(mode="json")))
    assert main(command(patients, output)) == 1
    told = lines(capsys)[1]
    assert told.startswith(f"error: {output} exists, begun with models:/diabetes/7 on {many}")
    (output / plan.PLAN).write_text("{}", encoding="utf-8")
    assert main(command(patients, output)) == 1
    assert lines(capsys)[1] == f"error: {output}/_plan.json is no plan: remove {output}\n"
    (output / plan.PLAN).rename(output / "a.txt")
    assert main(command(patients, output)) == 1
    assert "exists, and is no output of this: choose another one" in lines(capsys)[1]


@pytest.mark.usefixtures("user")
def test_an_input_without_a_column_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(pa.Table.from_pylist([record()]).drop_columns(["bmi"]), tmp_path / "a.parquet")
    assert main(command(tmp_path / "a.parquet", tmp_path / "output")) == 1
    assert lines(capsys)[1] == f"error: {tmp_path}/a.parquet: columns missing: bmi\n"
    assert not (tmp_path / "output").exists()


@pytest.mark.usefixtures("user")
def test_an_input_that_is_not_there_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(tmp_path / "nowhere", tmp_path / "output")) == 1
    assert lines(capsys)[1] == f"error: {tmp_path}/nowhere does not exist\n"


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("runs:/0/model", "expected a registered one, models:/NAME@champion or"),
        ("models:/diabetes@nobody", "nobody"),
        ("models:/diabetes/77", "77"),
    ],
)
@pytest.mark.usefixtures("user")
def test_a_model_that_is_not_registered_is_one_line(
    model: str, told: str, patients: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(patients, tmp_path / "output", "--model", model)) == 1
    found = lines(capsys)[1]
    assert found.startswith("error: ")
    assert told in found
    assert found.count("\n") == 1


@pytest.mark.usefixtures("user")
def test_a_model_that_was_trained_beside_another_package_is_one_line(
    patients: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = shutil.copytree(Path(mypreprocessing.__file__).parent, tmp_path / "mypreprocessing")
    (other / "patient.py").write_text("", encoding="utf-8")
    monkeypatch.setattr(mypreprocessing, "__file__", str(other / "__init__.py"))
    # For Spark the model is loaded in this process.
    assert main(command(patients, tmp_path / "output", "--engine", "spark")) == 1
    told = lines(capsys)[1]
    assert told.startswith("error: models:/diabetes/1 cannot be used here: the model was trained")
    assert "files that differ: ['patient.py']" in told
    assert told.count("\n") == 1


@pytest.mark.usefixtures("user", "java_home")
def test_no_java_and_no_master_are_one_line(
    patients: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = command(patients, tmp_path / "output", "--engine", "spark")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert main(arguments) == 1
    told = lines(capsys)[1]
    assert told.startswith(f"error: the Java of JAVA_HOME ({tmp_path}) cannot be run: install")
    assert told.count("\n") == 1
    monkeypatch.delenv("JAVA_HOME")
    assert main([*arguments, "--master", f"spark://127.0.0.1:{process.free_port()}"]) == 1
    assert "cannot be reached: 127.0.0.1:" in lines(capsys)[1]


@pytest.mark.parametrize(
    ("module", "does"),
    [
        ("mlflow_sealed.batch.commands", False),
        ("training.__main__", False),
        ("mlflow_sealed.feed.publish", True),
    ],
)
def test_the_commands_need_no_tool_of_development(module: str, *, does: bool) -> None:
    """The training environment has none. What publishes shows that one would be seen."""
    told = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run(
        [sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True
    )
    known = metadata.packages_distributions()
    loaded = {
        canonicalize_name(each) for name in run.stdout.split() for each in known.get(name, [])
    }
    # pytest-cov measures the command, and rich is used by libraries where it is installed.
    tools = development() - locked("training") - {"pytest-cov", "rich"}
    assert bool(loaded & tools) == does


def development() -> set[str]:
    """The tools of development, and what the toolkit needs for any of its commands."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    dev = [each for each in groups["dependency-groups"]["dev"] if isinstance(each, str)]
    toolkit = metadata.requires("mlflow-sealed") or []
    return {canonicalize_name(Requirement(each).name) for each in (*dev, *toolkit)}
