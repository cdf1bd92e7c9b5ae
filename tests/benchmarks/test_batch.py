"""The benchmark of batch scoring: what it measures, and what it makes of it."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks import batch, batch_peers, memory
from benchmarks.batch_report import Job, Peer, Results, draw, headline, report, tables, verdicts
from benchmarks.memory import DRIVER, JVM, WORKER
from benchmarks.project import NAME
from examples.generate import Table, write
from mlflow_model import save
from mlflow_sealed.process import ProcessError
from tests.environ import ROOT
from training.dataset import read
from training.fit import fit
from training.options import DATA, Options

TREE = """
import subprocess, sys
held = bytearray(64 << 20)
subprocess.run([sys.executable, "-c", "import time; held = bytearray(128 << 20); time.sleep(1)"])
"""


def measured(seconds: dict[tuple[int, int], float], worker_mib: float = 400) -> Results:
    """Jobs that scored for so many seconds, beside a booster of a million rows a second."""
    peak = {JVM: 700.0, DRIVER: 300.0, WORKER: worker_mib}
    jobs = [
        Job("local", rows, cores, 2 * took, took, peak, 2 * worker_mib)
        for (rows, cores), took in seconds.items()
    ]
    peers = Peer("pyfunc", 20_000, 1.0), Peer("bare booster", 1_000_000, 1.0)
    return Results(jobs, *peers, Peer("script", 500_000, 1.0))


def run(tmp_path: Path, code: str, cores: int = 1) -> memory.Measured:
    command = [sys.executable, "-c", code]
    log = tmp_path / "log"
    return memory.measure(command, env=os.environ, cwd=tmp_path, log=log, cores=cores)


def test_the_memory_of_a_process_and_of_those_below_it_is_told_apart(tmp_path: Path) -> None:
    found = run(tmp_path, TREE)
    assert 64 < found.peak_mib[DRIVER] < 128 < found.peak_mib[WORKER] < 256
    assert found.seconds > 1


def test_a_command_has_the_cores_that_it_is_told(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    run(tmp_path, "import os; print(len(os.sched_getaffinity(0)))", cores=1)
    assert (tmp_path / "log").read_text() == "1\n"
    assert os.sched_getaffinity(0) == before


def test_a_command_that_fails_is_told_with_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match=r"failed: no room \(see .*log\)"):
        run(tmp_path, "import sys; sys.exit('no room')")


@pytest.mark.parametrize("peer", ["pyfunc", "booster", "script"])
def test_a_peer_scores_every_row_of_the_table(peer: str, tmp_path: Path) -> None:
    data = read(ROOT / DATA)
    trees = fit(data.records, data.labels, Options(trees=3))
    save.save_model(tmp_path / "model", booster=trees.get_booster(), threshold=0.5, model_name=NAME)
    write(Table(rows=500, partitions=2), tmp_path / "table")
    rows, seconds = getattr(batch_peers, peer)(tmp_path / "model", tmp_path / "table")
    assert rows == 500
    assert seconds > 0


def test_a_core_s_share_is_of_the_bare_boosters_rate() -> None:
    results = measured({(10_000_000, 2): 12.5})
    assert results.share(results.largest) == 0.4
    assert results.share_of_all(results.largest) == 0.2


@pytest.mark.parametrize(
    ("seconds", "worker_mib", "met"),
    [
        (12.5, 400, [True, True, True, True]),
        (20.0, 400, [False, False, True, True]),
        (12.5, 2500, [True, True, False, False]),
    ],
    ids=["all", "slow", "large"],
)
def test_the_targets_are_held_to_the_largest_job_and_to_every_process(
    seconds: float, worker_mib: float, met: list[bool]
) -> None:
    results = measured({(1_000_000, 1): 90.0, (10_000_000, 2): seconds}, worker_mib)
    assert [one.met for one in verdicts(results)] == met


def test_the_tables_have_every_job_and_every_peer() -> None:
    text = tables(measured({(1_000_000, 1): 10.0, (3_000_000, 1): 14.0}))
    assert (
        "| local | 1,000,000 | 1 | 20.0 | 10.0 | 100,000 | 0.10 (0.05 of the whole command) "
        "| 700 | 300 | 400 | 800 |"
    ) in text
    assert "| pyfunc | 20,000 | 20,000 | 0.02 |" in text


def test_the_page_and_the_picture_name_no_place_of_this_machine(tmp_path: Path) -> None:
    results = measured({(1_000_000, 1): 10.0, (10_000_000, 2): 25.0})
    page = report(results, batch.made([10**6], [1, 2], ["local"]))
    assert "--rows 1000000 --cores 1 2" in page
    for place in (str(Path.home()), os.uname().nodename, str(ROOT)):
        assert place not in page
    draw(results, tmp_path / "batch.png")
    assert (tmp_path / "batch.png").read_bytes().startswith(b"\x89PNG")


def test_the_picture_says_the_finding() -> None:
    assert headline(measured({(10_000_000, 2): 12.5})) == (
        "10 million rows in 25 s on 2 cores, scoring at 0.40 of the bare booster's rate a core"
    )
