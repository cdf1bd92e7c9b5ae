"""The counts of rows: they add up, and too many refused rows are an error."""

import contextlib

import pytest

from mlflow_sealed.batch.tally import Tally, TooManyRefusedError, check_share


def test_tallies_add_up() -> None:
    both = Tally(scored=2, reasons={"a": 1}) + Tally(refused=3, reasons={"a": 2, "b": 1})
    assert both == Tally(scored=2, refused=3, reasons={"a": 3, "b": 1})
    assert both.rows == 5


def test_a_summary_has_the_five_most_frequent_reasons() -> None:
    found = Tally(refused=28, reasons={name: number for number, name in enumerate("abcdefg", 1)})
    assert found.summary() == "g: 7; f: 6; e: 5; d: 4; c: 3; 2 more reasons"
    assert Tally(scored=1).summary() == "none refused"


@pytest.mark.parametrize(
    ("refused", "rows", "stops"), [(29, 100, False), (30, 100, True), (0, 0, False)]
)
def test_the_bound_on_refused_rows_is_a_share_that_may_be_reached(
    refused: int, rows: int, *, stops: bool
) -> None:
    found = Tally(scored=rows - refused, refused=refused, reasons={"age: too young": refused})
    told = pytest.raises(
        TooManyRefusedError, match=r"30 of 100 rows are refused.*\(age: too young: 30\)"
    )
    with told if stops else contextlib.nullcontext():
        check_share(found, rows, 0.29)
