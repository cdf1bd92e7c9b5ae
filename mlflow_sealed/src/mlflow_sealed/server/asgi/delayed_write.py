"""Writing a little later, once for all that came until then."""

import asyncio
from collections.abc import Callable
from typing import Final

LAG_S: Final = 0.02
"""How long after a response the log, and the other workers' pages, may still lack it, in seconds.

Writing together what came within it costs less than writing each response alone.
"""


class DelayedWrite:
    """Calls a function `LAG_S` after it is asked to.

    Parameters
    ----------
    write
        The function.
    """

    def __init__(self, write: Callable[[], None]) -> None:
        self._write = write
        self._is_scheduled = False

    def schedule(self) -> None:
        """Write within `LAG_S`. An event loop has to be running."""
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_later(LAG_S, self._run)

    def _run(self) -> None:
        self._is_scheduled = False
        self._write()
