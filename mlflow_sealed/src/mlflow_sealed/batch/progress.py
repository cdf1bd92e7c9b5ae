"""How far a job is: a bar for who looks, and an end as soon as too many rows are refused."""

import sys
from collections.abc import Mapping

from tqdm import tqdm

from mlflow_sealed.batch import tally
from mlflow_sealed.batch.plan import Plan
from mlflow_sealed.batch.tally import Tally


class Progress:
    """Counts rows while they are scored, and shows them where standard error is a terminal.

    Parameters
    ----------
    done
        The parts that an earlier run has scored.
    most
        The greatest share of the rows that may be refused, from 0 to 1.
    """

    def __init__(self, job: Plan, done: Mapping[int, Tally], most: float) -> None:
        self._job, self._most = job, most
        self._sizes = [sum(each.size for each in part) for part in job.parts]
        self._parts = dict(done)
        self._read = {part: self._sizes[part] for part in done}
        self._total = sum(done.values(), Tally())
        self._before = self._total.rows
        self._bar = tqdm(
            total=job.rows,
            initial=self._before,
            unit=" rows",
            unit_scale=True,
            disable=None,  # where nobody looks
            dynamic_ncols=True,
            leave=False,
        )

    @property
    def parts(self) -> set[int]:
        """The parts of which there are counts."""
        return set(self._parts)

    def add(self, part: int, counted: Tally, read: int) -> None:
        """Count a chunk of a part; ``read`` is how much of it that was, in rows or bytes of CSV.

        Raises
        ------
        mlflow_sealed.batch.tally.TooManyRefusedError
            As soon as it is certain that too many rows are refused.
        """
        self._parts[part] = self._parts.get(part, Tally()) + counted
        self._read[part] = self._read.get(part, 0) + read
        self._total += counted
        tally.check_share(self._total, self._job.rows or sys.maxsize, self._most)
        self._show()

    def finished(self, part: int, counted: Tally | None = None) -> None:
        """Note that a part is done; ``counted`` are its rows if none of them were counted yet."""
        if counted is not None:
            self.add(part, counted, 0)
        self._read[part] = self._sizes[part]
        self._show()

    def forget(self, part: int) -> None:
        """Take back the rows of a part that is scored again from its beginning."""
        self._parts.pop(part, None)
        self._read.pop(part, None)
        self._total = sum(self._parts.values(), Tally())

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()

    def _show(self) -> None:
        if self._bar.disable:
            return
        read, size = sum(self._read.values()), sum(self._sizes)
        if self._job.rows is None and read:  # as many rows as the bytes so far let expect
            self._bar.total = round(self._total.rows * max(1.0, size / read))
        self._bar.set_postfix(refused=self._total.refused, refresh=False)
        self._bar.update(self._total.rows - self._bar.n)
