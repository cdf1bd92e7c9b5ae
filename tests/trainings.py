"""Trainings in processes of their own, forked from one that has imported everything already."""

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path
from typing import Any, Final

from mlflow_sealed.training.show import pictures
from tests.environ import ROOT
from training import __main__ as command

LATE: Final = (
    *("git", "mlflow.store.tracking.sqlalchemy_store"),
    "mlflow.store.model_registry.sqlalchemy_store",
)
"""What a training imports when it needs it."""


@dataclass(frozen=True)
class At:
    """A signal that a training gets as it comes to a function or method, or leaves it."""

    module: str
    name: str
    when: str
    number: int

    def arrange(self) -> None:
        """Let this process have it."""
        *owners, name = self.name.split(".")
        owner = reduce(getattr, owners, importlib.import_module(self.module))
        real = getattr(owner, name)

        def stopped(*given: Any, **named: Any) -> Any:
            if self.when == "before":
                os.kill(os.getpid(), self.number)
            result = real(*given, **named)
            if self.when == "after":
                os.kill(os.getpid(), self.number)
            return result

        setattr(owner, name, stopped)


@dataclass(frozen=True)
class Trainings:
    """Runs them: the process that they are forked from."""

    process: subprocess.Popen[str]

    def run(
        self, folder: Path, *trainings: list[str], at: At | None = None
    ) -> list[tuple[int, str]]:
        """Run trainings in a folder with a tracking database, all at once.

        Returns
        -------
        list
            For each its exit status, minus the signal that it died of, and all that it has said.
        """
        said = [folder / f"output-{number}" for number in range(len(trainings))]
        jobs = [
            {"folder": str(folder), "output": str(output), "given": given}
            for output, given in zip(said, trainings, strict=True)
        ]
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps([jobs, at and asdict(at)]), file=self.process.stdin, flush=True)
        statuses = json.loads(self.process.stdout.readline())
        outputs = [output.read_text(encoding="utf-8") for output in said]
        return list(zip(statuses, outputs, strict=True))


@contextmanager
def trainings(environ: Mapping[str, str]) -> Iterator[Trainings]:
    """Have the process that they are forked from, with an environment, as long as a block."""
    with subprocess.Popen(
        [sys.executable, "-m", __name__],
        cwd=ROOT,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Trainings(process)
        process.communicate()


def _serve() -> None:
    for late in LATE:
        importlib.import_module(late)
    # The others are for other tests.
    pictures.PICTURES = {"roc": pictures.PICTURES["roc"]}  # type: ignore[misc]
    for line in sys.stdin:
        jobs, at = json.loads(line)
        pids = [_start(job, At(**at) if at else None) for job in jobs]
        statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        print(json.dumps(statuses), flush=True)


def _start(job: dict[str, Any], at: At | None) -> int:
    pid = os.fork()
    if pid:
        return pid
    said = os.open(job["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(said, stream.fileno())
    os.chdir(job["folder"])
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{job['folder']}/mlflow.db"
    if at:
        at.arrange()
    sys.exit(command.main(job["given"]))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # where a shell had it ignored
    _serve()
