"""Show the steps of a job, a line each, while what its tools print goes to a log."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

WIDTH: Final = 80
"""The most columns that a step's line has."""

_SHOWN: Final = 40
"""How many lines of a failed step's output are shown."""


class Steps:
    """The steps of a job: on a terminal a spinner turns in each, and when it is done it has a line.

    Where a step fails, the end of what its tools have printed is shown.

    Parameters
    ----------
    count
        How many steps there are.
    log
        The file for the output of the tools; an older one is replaced. None: it is shown.
    console
        Where the steps are shown.
    """

    def __init__(self, count: int, log: Path | None, console: Console) -> None:
        self._count = count
        self._begun = 0
        self._log = log
        self._console = console
        if log is not None:
            log.parent.mkdir(exist_ok=True)
            log.write_bytes(b"")

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Show a step for the length of a ``with`` block."""
        self._begun += 1
        title, began = f"{self._begun}/{self._count}  {title}", time.monotonic()
        if self._log is None:
            self.say(f"\n== {title}")
            yield
        else:
            with self._logged(title, self._log):
                yield
        took = f"{time.monotonic() - began:.0f} s"
        space = min(self._console.width, WIDTH) - len("✓ ") - len(took)
        self._console.out(f"✓ {title:<{space}}{took}", style="green", highlight=False)

    def say(self, line: str) -> None:
        """Put a line where the output of the tools goes."""
        if self._log is None:
            self._console.out(line, highlight=False)
        else:
            with self._log.open("a", encoding="utf-8") as log:
                print(line, file=log)

    def output(self) -> str:
        """Return what the tools have printed so far, or nothing where that was shown."""
        return _text(self._log) if self._log else ""

    @contextlib.contextmanager
    def _logged(self, title: str, log: Path) -> Iterator[None]:
        self.say(f"\n== {title}")
        begin = len(_text(log))
        try:
            with self._spinner(title):
                yield
        except Exception:
            for line in _text(log)[begin:].splitlines()[-_SHOWN:]:
                self._console.out(line, highlight=False)
            raise

    @contextlib.contextmanager
    def _spinner(self, title: str) -> Iterator[None]:
        columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
        disable = not self._console.is_terminal  # a file would get blank lines
        with Progress(*columns, console=self._console, transient=True, disable=disable) as progress:
            progress.add_task(title, total=None)
            yield


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")
