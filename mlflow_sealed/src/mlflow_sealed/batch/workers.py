"""Score the parts of a plan in processes of this machine, and start another where one is killed.

The processes are forked from one that has imported what they need, and nothing else: it starts at
the beginning, while this process imports MLflow and asks the tracking server.
"""

import contextlib
import multiprocessing
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from multiprocessing import connection, forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final, NamedTuple

from mlflow_sealed.batch.progress import Progress
from mlflow_sealed.batch.storage import Place
from mlflow_sealed.server import cgroup_memory, settings

PRELOADED: Final = ("mlflow_sealed.batch.worker", "xgboost")
"""What is imported before the processes are forked; what is not installed is left out."""

ATTEMPTS: Final = 3
"""How often a part is begun whose process is killed."""

_MEMORY: Final = 2**29
"""How much memory a process may need, in bytes."""

_CONTEXT: Final = "forkserver"


class KilledError(RuntimeError):
    """The processes that score a part are killed again and again; the message says by what."""


class Worker(NamedTuple):
    """A process, and our end of what connects us."""

    process: BaseProcess
    connection: Any

    def ask(self, what: Any) -> Any:
        """Return the answer to a question.

        Raises
        ------
        Exception
            The process's own error.
        KilledError
            If it ends without an answer.
        """
        try:
            self.connection.send(what)
            answer = self.connection.recv()
        except (EOFError, OSError):
            raise KilledError(f"a worker was {self.ended()}: start again") from None
        return _checked(answer)

    def ended(self) -> str:
        """Return how the process ended."""
        self.process.join()
        code = self.process.exitcode or 0
        return f"killed (signal {-code})" if code < 0 else f"ended (status {code})"


def warm_up() -> None:
    """Let a process import what the workers need, while this one goes on."""
    context = multiprocessing.get_context(_CONTEXT)
    context.set_forkserver_preload(list(PRELOADED))
    forkserver.ensure_running()


def count(parts: int, *, most: int = 0) -> int:
    """Return how many workers there are to be.

    Parameters
    ----------
    most
        The greatest number; 0: one for each processor that this process may use, if the memory of
        the machine or container is enough for them.
    """
    fitting = max(1, cgroup_memory.limit_bytes() // _MEMORY)
    return max(1, min(parts, most or min(settings.cpus(), fitting)))


@contextlib.contextmanager
def started() -> Iterator["Workers"]:
    """Give workers for a ``with`` block; after it there are none."""
    found = Workers()
    try:
        yield found
    finally:
        found.end()


class Workers:
    """Processes that score parts."""

    def __init__(self) -> None:
        self._all: list[Worker] = []

    def start(self) -> Worker:
        """Start a process."""
        from mlflow_sealed.batch import worker  # noqa: PLC0415 # MLflow, which takes a second

        context = multiprocessing.get_context(_CONTEXT)
        ours, theirs = context.Pipe()
        process = context.Process(target=worker.run, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        self._all.append(Worker(process, ours))
        return self._all[-1]

    def score(
        self, left: Sequence[int], output: Place, model: Path, progress: Progress, *, most: int
    ) -> None:
        """Score parts, each of them once, in at most so many processes.

        Raises
        ------
        KilledError
            If the processes of a part are killed `ATTEMPTS` times.
        mlflow_sealed.batch.tally.TooManyRefusedError
            As soon as it is certain that too many rows are refused.
        mlflow_sealed.batch.plan.InputError, mlflow_sealed.batch.score.WriteError
            If a part cannot be read, or the output cannot be written.
        """
        from mlflow_sealed.batch import worker  # noqa: PLC0415 # see above

        waiting, attempts = deque(left), Counter[int]()
        free = [each for each in self._all if each.process.is_alive()]
        busy: dict[Any, tuple[Worker, int]] = {}
        while waiting or busy:
            while waiting and len(busy) < most:
                part, one = waiting.popleft(), free.pop() if free else self.start()
                with contextlib.suppress(OSError):  # it was killed: told below
                    one.connection.send(worker.Score(part, output.address, str(model)))
                busy[one.connection] = one, part
            for ready in connection.wait(list(busy)):
                one, part = busy[ready]
                try:
                    answer = _checked(one.connection.recv())
                except (EOFError, ConnectionError):
                    del busy[ready]
                    progress.forget(part)
                    waiting.append(part)
                    attempts[part] += 1
                    _check_attempts(attempts[part], part, one)
                    continue
                if isinstance(answer, worker.Done):
                    del busy[ready]
                    free.append(one)
                    progress.finished(part)
                else:
                    progress.add(part, answer.tally, answer.read)

    def end(self) -> None:
        """End all processes."""
        for each in self._all:
            each.connection.close()
            each.process.terminate()
        for each in self._all:
            each.process.join()


def _checked(answer: Any) -> Any:
    error = getattr(answer, "error", None)
    if isinstance(error, Exception):
        raise error
    return answer


def _check_attempts(attempts: int, part: int, worker: Worker) -> None:
    if attempts >= ATTEMPTS:
        raise KilledError(
            f"the worker of part {part} was {worker.ended()}, {attempts} times: is there enough "
            "memory? What is done stays: start again, with fewer workers"
        )
