"""Other thresholds: the table, and the counts behind the slider."""

import numpy as np
import pytest

from mlflow_sealed.training.measure.results import MODEL
from mlflow_sealed.training.show import threshold_slider
from tests.measured import measured
from tests.mlflow_sealed.training.show.another import another


def test_the_chosen_threshold_has_the_figures_of_the_evaluation() -> None:
    table = threshold_slider.table(measured())
    (chosen,) = table[table["chosen"]].to_dict("records")
    figures = measured().cross_validated[MODEL]
    assert chosen["threshold"] == measured().threshold.value
    for name in ("sensitivity", "specificity"):
        assert chosen[name] == pytest.approx(figures[name].value)
    for name in ("ppv", "npv"):  # ratios of means here, means of ratios there
        assert chosen[name] == pytest.approx(figures[name].value, abs=0.005)


def test_a_higher_threshold_finds_fewer_and_alarms_fewer() -> None:
    table = threshold_slider.table(measured())
    assert (np.diff(table["threshold"]) > 0).all()
    assert (np.diff(table["sensitivity"]) <= 0).all()
    assert (np.diff(table["specificity"]) >= 0).all()
    steps = {round(0.05 * step, 2) for step in range(1, 20)}
    assert set(table["threshold"].round(3)) == steps | {round(measured().threshold.value, 3)}


def test_the_slider_has_counts_at_each_per_cent_and_no_record() -> None:
    data = threshold_slider.counted(measured())
    flagged = measured().out_of_fold[MODEL] >= 0.3
    labels = measured().data.labels
    assert data["found"][29] == round(float(flagged[:, labels == 1].sum(axis=1).mean()))  # type: ignore[index]
    assert data["alarms"][29] == round(float(flagged[:, labels == 0].sum(axis=1).mean()))  # type: ignore[index]
    assert {name: len(one) for name, one in data.items() if isinstance(one, list)} == {
        "found": 99,
        "alarms": 99,
    }


def test_the_page_is_in_the_words_of_the_subject() -> None:
    page = threshold_slider.page(another())
    for words in (
        "Flag contracts from",
        "<th>cancelled</th>",
        "<th>kept</th>",
        "net benefit per 100 contracts",
        "Of 160 contracts, each predicted by models trained without it.",
    ):
        assert words in page
    assert "patient" not in page
