"""Count rows: how many are scored, how many refused, and why. One file for each part that is done.

The executors write these files, so this module imports installed distributions only.
"""

from collections.abc import Collection
from typing import Final

from pydantic import BaseModel, ConfigDict

from mlflow_sealed.batch import plan, storage
from mlflow_sealed.batch.storage import Place

_SHOWN: Final = 5


class TooManyRefusedError(RuntimeError):
    """More rows are refused than the job allows; the message says how many, and why."""


class Tally(BaseModel):
    """The counts of a part, or of several together.

    Attributes
    ----------
    reasons
        How often each rule was broken, by field and rule.
    """

    model_config = ConfigDict(frozen=True)

    scored: int = 0
    refused: int = 0
    reasons: dict[str, int] = {}

    def __add__(self, other: "Tally") -> "Tally":
        """Return the sum of both."""
        names = sorted(self.reasons.keys() | other.reasons.keys())
        reasons = {name: self.reasons.get(name, 0) + other.reasons.get(name, 0) for name in names}
        scored, refused = self.scored + other.scored, self.refused + other.refused
        return Tally(scored=scored, refused=refused, reasons=reasons)

    @property
    def rows(self) -> int:
        """How many rows there are in all."""
        return self.scored + self.refused

    def summary(self) -> str:
        """Return the most frequent reasons.

        Examples
        --------
        >>> Tally(refused=3, reasons={"age: too low": 1, "size: too high": 2}).summary()
        'size: too high: 2; age: too low: 1'
        """
        most = sorted(self.reasons.items(), key=lambda each: -each[1])
        shown = [f"{reason}: {count}" for reason, count in most[:_SHOWN]]
        more = [f"{len(most) - _SHOWN} more reasons"] if len(most) > _SHOWN else []
        return "; ".join([*shown, *more]) or "none refused"


def place(output: Place, part: int) -> Place:
    """Return the place of a part's tally; it exists once the part is done."""
    return output.at(f"{plan.PARTS}/{plan.name(part)}.json")


def done(output: Place, *, but: Collection[int] = ()) -> dict[int, Tally]:
    """Return the tallies of the parts that are done, without those that are known."""
    found = storage.files(output.at(plan.PARTS), (".json",))
    numbered = ((plan.number(info.base_name), info.path) for info in found)
    return {
        number: Tally.model_validate_json(output.of(path).read())
        for number, path in numbered
        if number not in but
    }


def total(output: Place) -> Tally:
    """Return the sum over all parts that are done."""
    return sum(done(output).values(), Tally())


def check_share(tally: Tally, rows: int, most: float) -> None:
    """Check that no more than a share of the rows is refused.

    Parameters
    ----------
    rows
        How many there are in all, also those that are not counted yet: then it is certain that the
        share is too great.
    most
        The greatest share, from 0 to 1.

    Raises
    ------
    TooManyRefusedError
        If more are refused.
    """
    if rows and tally.refused / rows > most:
        raise TooManyRefusedError(
            f"{tally.refused} of {rows} rows are refused, more than max_bad_share {most:g} allows "
            f"({tally.summary()}): correct the input, or start again with a greater share"
        )
