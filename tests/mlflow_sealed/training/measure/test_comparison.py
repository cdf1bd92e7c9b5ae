"""The comparison with the champion: the test's formula, its margins, and the groups."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy import stats

from mlflow_sealed.training.measure.comparison import GROUP_MARGIN, MARGIN, compare
from mlflow_sealed.training.measure.cross_validation import folds
from mlflow_sealed.training.measure.dataset import Dataset
from mlflow_sealed.training.measure.evaluate import split
from mlflow_sealed.training.measure.options import Evaluating
from mlflow_sealed.training.measure.results import MODEL, Evaluation, Floats, Threshold
from tests.measured import SUBJECT

OPTIONS = Evaluating(data=Path("none.csv"), folds=5, repeats=3)
SIZES = {"first": 400, "second": 100, "few": 30}
"""The groups, in the order of the rows."""


@pytest.fixture(scope="module")
def data() -> Dataset:
    records = pd.DataFrame({"group": np.repeat([*SIZES], [*SIZES.values()])})
    labels = (np.random.default_rng(1).random(len(records)) < 0.35).astype(np.int64)
    return Dataset(records, labels, "")


def memberships(records: pd.DataFrame) -> Iterator[tuple[str, str, npt.NDArray[np.intp]]]:
    for name in SIZES:
        yield "kind", name, np.flatnonzero(records["group"] == name)


def predictions(data: Dataset, *, noise: float = 1.0, seed: int = 0) -> Floats:
    """Made-up probabilities: a logit of the label, with some noise, for each repeat."""
    rng = np.random.default_rng(seed)
    logits = 2.4 * data.labels - 1.7 + rng.normal(0, noise, (OPTIONS.repeats, len(data.labels)))
    return 1 / (1 + np.exp(-logits))


def evaluation(data: Dataset, predicted: Floats) -> Evaluation:
    return Evaluation(
        subject=replace(SUBJECT, memberships=memberships),
        data=data,
        split=split(data, OPTIONS),
        options=OPTIONS,
        threshold=Threshold(0.5, "fixed", ""),
        out_of_fold={MODEL: predicted},
        held_out=predicted[0],
        cross_validated={},
        held_out_figures={},
        groups=[],
        contributions=np.empty((0, 9)),
    )


def test_the_test_is_nadeau_and_bengios(data: Dataset) -> None:
    new, old = predictions(data), predictions(data, seed=1)
    found = compare(evaluation(data, new), old, champion="4", how="so")

    def losses(predicted: Floats, repeat: int, rows: np.ndarray) -> float:
        likely = np.where(
            data.labels[rows] == 1, predicted[repeat, rows], 1 - predicted[repeat, rows]
        )
        return float(-np.log(likely).mean())

    differences = [
        losses(new, repeat, rows) - losses(old, repeat, rows)
        for repeat, _, rows in folds(data.labels, OPTIONS)
    ]
    assert len(differences) == 15
    variance = np.var(differences, ddof=1) * (1 / 15 + 1 / 4)
    assert found.difference == pytest.approx(np.mean(differences))
    assert found.worst == pytest.approx(
        np.mean(differences) + stats.t(14).ppf(0.95) * np.sqrt(variance), rel=1e-3
    )
    assert found.p_value == pytest.approx(
        stats.t(14).cdf((np.mean(differences) - MARGIN) / np.sqrt(variance)), rel=1e-2
    )


def test_the_same_predictions_have_nothing_against_them(data: Dataset) -> None:
    same = predictions(data)
    found = compare(evaluation(data, same), same, champion="1", how="so")
    assert (found.difference, found.worst) == (0, 0)
    assert found.reasons == []


def test_a_clearly_better_model_has_nothing_against_it_and_the_champion_beside_it_has(
    data: Dataset,
) -> None:
    good, bad = predictions(data, noise=0.2), predictions(data, noise=2)
    assert compare(evaluation(data, good), bad, champion="1", how="so").reasons == []
    (reason, *_) = compare(evaluation(data, bad), good, champion="7", how="so").reasons
    assert reason.startswith("its log loss is +0.")
    assert "compared with version 7's" in reason


def test_predictions_that_are_no_numbers_speak_against_a_model(data: Dataset) -> None:
    nothing = np.full_like(predictions(data), np.nan)
    assert compare(evaluation(data, nothing), predictions(data), champion="1", how="so").reasons


def test_a_group_that_got_much_worse_counts_though_all_together_got_better(data: Dataset) -> None:
    old = predictions(data)
    new = np.clip(old + np.where(data.labels == 1, 0.05, -0.05), 0.02, 0.98)
    second = (data.records["group"] == "second").to_numpy()
    new[:, second] = 1 - new[:, second]
    found = compare(evaluation(data, new), old, champion="1", how="so")
    assert found.groups["kind: second"] > GROUP_MARGIN
    assert any("the group kind: second it is +" in reason for reason in found.reasons)


def test_small_groups_do_not_count(data: Dataset) -> None:
    found = compare(evaluation(data, predictions(data)), predictions(data), champion="1", how="so")
    assert found.groups.keys() == {"kind: first", "kind: second"}


def test_the_report_has_the_margins_and_the_reasons(data: Dataset) -> None:
    found = compare(evaluation(data, predictions(data)), predictions(data), champion="3", how="so")
    report = found.report()
    assert report["margin"] == MARGIN
    assert report["group_margin"] == GROUP_MARGIN
    assert report["reasons_against"] == found.reasons == []
    assert replace(found, worst=1.0).report()["reasons_against"]
