"""What is measured of a training: on which rows, beside what, and that nothing leaks."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlflow_sealed.training.measure.cross_validation import out_of_fold
from mlflow_sealed.training.measure.dataset import DataError, Dataset
from mlflow_sealed.training.measure.evaluate import split, table
from mlflow_sealed.training.measure.figures import TITLES, figures
from mlflow_sealed.training.measure.options import Evaluating
from mlflow_sealed.training.measure.results import MODEL, Evaluation, Interval
from tests import measured
from tests.measured import SUBJECT, measure

QUICK = measured.OPTIONS.model_copy(update={"trees": 10})
ROWS = len(measured.data().labels)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return measured.data()


def options(**given: Any) -> Evaluating:
    return Evaluating(data=Path("none.csv"), **given)


def test_the_split_is_stratified_seeded_and_covers_every_row_once(data: Dataset) -> None:
    rows = split(data, options())
    assert len(rows.held_out) == round(ROWS * 0.2)
    together = np.sort(np.concatenate([rows.training, rows.held_out]))
    np.testing.assert_array_equal(together, np.arange(ROWS))
    assert data.labels[rows.held_out].mean() == pytest.approx(data.labels.mean(), abs=0.005)
    np.testing.assert_array_equal(split(data, options()).held_out, rows.held_out)
    assert not np.array_equal(split(data, options(seed=8)).held_out, rows.held_out)


def test_too_few_rows_of_a_label_are_an_error(data: Dataset) -> None:
    few = Dataset(data.records.head(20), np.array([1] * 3 + [0] * 17), "")
    with pytest.raises(DataError, match="at least 10 rows with the label 1, one a fold, got 3"):
        split(few, options())


def test_a_test_size_that_leaves_too_few_rows_is_an_error(data: Dataset) -> None:
    with pytest.raises(DataError, match="test_size 0.0001 leaves too few rows"):
        split(data, options(test_size=0.0001))


def test_held_out_rows_of_one_label_are_an_error(data: Dataset) -> None:
    rare = Dataset(data.records, np.array([1] * 10 + [0] * 758), "")
    with pytest.raises(DataError, match="leaves 4 held-out rows of one label: expected both"):
        split(rare, options(test_size=0.005))


@pytest.fixture(scope="module")
def evaluation(data: Dataset) -> Evaluation:
    return measure(data, QUICK)


def test_every_candidate_predicts_every_row_in_every_repeat(evaluation: Evaluation) -> None:
    names = SUBJECT.predictors.keys()
    assert evaluation.out_of_fold.keys() == names == evaluation.cross_validated.keys()
    for predicted in evaluation.out_of_fold.values():
        assert predicted.shape == (2, ROWS)
        assert ((predicted > 0) & (predicted < 1)).all()
        assert not np.array_equal(*predicted)
    for name in names:
        assert evaluation.cross_validated[name].keys() == TITLES.keys()


def test_the_number_of_jobs_changes_nothing(data: Dataset, evaluation: Evaluation) -> None:
    one = measure(data, QUICK, jobs=1)
    for name, predicted in evaluation.out_of_fold.items():
        np.testing.assert_array_equal(one.out_of_fold[name], predicted)
    assert one.cross_validated == evaluation.cross_validated
    assert one.held_out_figures == evaluation.held_out_figures
    assert one.threshold == evaluation.threshold


def test_the_held_out_labels_have_no_part_in_the_threshold(
    data: Dataset, evaluation: Evaluation
) -> None:
    labels = data.labels.copy()
    held_out = evaluation.split.held_out
    labels[held_out] = np.random.default_rng(1).permutation(labels[held_out])
    changed = replace(data, labels=labels)
    again = measure(changed, QUICK, rows=evaluation.split)
    assert again.threshold == evaluation.threshold
    assert again.held_out_figures != evaluation.held_out_figures


def test_the_contributions_of_a_row_add_up_to_its_margin(evaluation: Evaluation) -> None:
    assert evaluation.contributions.shape == (ROWS, len(SUBJECT.features) + 1)
    margins = evaluation.contributions.sum(axis=1)[evaluation.split.held_out]
    np.testing.assert_allclose(1 / (1 + np.exp(-margins)), evaluation.held_out, atol=1e-5)
    assert len(set(evaluation.contributions[:, -1])) == 1


def test_cross_validation_predicts_rows_that_the_models_have_not_seen(data: Dataset) -> None:
    """A label that nothing predicts: models that saw their rows would remember it."""
    shuffled = replace(data, labels=np.random.default_rng(0).permutation(data.labels))
    once = type(QUICK)(repeats=1, folds=5)
    unseen = out_of_fold(shuffled.records, shuffled.labels, once, predictors=SUBJECT.predictors)
    for predicted in unseen.values():
        auc = figures(shuffled.labels, predicted[0], 0.5)["auc"]
        assert auc == pytest.approx(0.5, abs=0.06)
    seen = [
        figures(
            shuffled.labels, predict(shuffled.records, shuffled.labels, shuffled.records, once), 0.5
        )["auc"]
        for predict in SUBJECT.predictors.values()
    ]
    assert max(seen) > 0.95


def test_the_table_has_a_line_for_every_figure(evaluation: Evaluation) -> None:
    del evaluation.held_out_figures["ppv"]
    lines = table(evaluation).split("\n")
    evaluation.held_out_figures["ppv"] = Interval(0, 0, 0)
    model, *others = SUBJECT.titles.values()
    assert lines[0] == (
        f"| | held out ({round(ROWS * 0.2)} rows) | {model.lower()}, cross-validated (2 x 3) | "
        f"{' | '.join(f'{other.lower()}, likewise' for other in others)} |"
    )
    assert len(lines) == 2 + len(TITLES)
    cells = lines[2].split(" | ")
    auc = evaluation.cross_validated[MODEL]["auc"]
    assert cells[2] == f"{auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f})"
    assert lines[2 + list(TITLES).index("ppv")].startswith("| PPV | not defined | ")
