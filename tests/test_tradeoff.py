"""Other thresholds: the table, and the counts behind the slider."""

import numpy as np
import pytest
from mlflow_sealed.training.measure.results import MODEL
from mlflow_sealed.training.show import threshold_slider as tradeoff

from tests.measured import measured


def test_the_chosen_threshold_has_the_figures_of_the_evaluation() -> None:
    table = tradeoff.table(measured())
    (chosen,) = table[table["chosen"]].to_dict("records")
    figures = measured().cross_validated[MODEL]
    assert chosen["threshold"] == measured().threshold.value
    for name in ("sensitivity", "specificity"):
        assert chosen[name] == pytest.approx(figures[name].value)
    for name in ("ppv", "npv"):  # ratios of means here, means of ratios there
        assert chosen[name] == pytest.approx(figures[name].value, abs=0.005)


def test_a_higher_threshold_finds_fewer_and_alarms_fewer() -> None:
    table = tradeoff.table(measured())
    assert (np.diff(table["threshold"]) > 0).all()
    assert (np.diff(table["sensitivity"]) <= 0).all()
    assert (np.diff(table["specificity"]) >= 0).all()
    steps = {round(0.05 * step, 2) for step in range(1, 20)}
    assert set(table["threshold"].round(3)) == steps | {round(measured().threshold.value, 3)}


def test_the_slider_has_counts_at_each_per_cent_and_no_patient() -> None:
    data = tradeoff.slider(measured())
    flagged = measured().out_of_fold[MODEL] >= 0.3
    labels = measured().data.labels
    assert data["found"][29] == round(float(flagged[:, labels == 1].sum(axis=1).mean()))  # type: ignore[index]
    assert data["alarms"][29] == round(float(flagged[:, labels == 0].sum(axis=1).mean()))  # type: ignore[index]
    assert {name: len(one) for name, one in data.items() if isinstance(one, list)} == {
        "found": 99,
        "alarms": 99,
    }
