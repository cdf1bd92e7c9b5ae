"""What is measured of a training: on which rows, beside what, and that nothing leaks."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from mlflow_sealed.training.measure import evaluate
from mlflow_sealed.training.measure.cross_validation import PREDICT, out_of_fold
from mlflow_sealed.training.measure.figures import figures
from mlflow_sealed.training.measure.results import (
    ARTICLE,
    CANDIDATES,
    LOGISTIC_REGRESSION,
    MODEL,
    Evaluation,
    Interval,
)

from mypreprocessing import FEATURES, MEASUREMENTS
from tests.conftest import ROOT
from training.dataset import DataError, Dataset, read
from training.fit import fit
from training.options import DATA, Options

QUICK = Options(trees=10, repeats=2, folds=3)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return read(ROOT / DATA)


def test_the_split_is_stratified_seeded_and_covers_every_row_once(data: Dataset) -> None:
    rows = evaluate.split(data, Options())
    assert len(rows.held_out) == 154
    together = np.sort(np.concatenate([rows.training, rows.held_out]))
    np.testing.assert_array_equal(together, np.arange(768))
    assert data.labels[rows.held_out].mean() == pytest.approx(data.labels.mean(), abs=0.005)
    np.testing.assert_array_equal(evaluate.split(data, Options()).held_out, rows.held_out)
    assert not np.array_equal(evaluate.split(data, Options(seed=8)).held_out, rows.held_out)


def test_too_few_rows_of_a_label_are_an_error(data: Dataset) -> None:
    few = Dataset(data.records.head(20), np.array([1] * 3 + [0] * 17), "")
    with pytest.raises(DataError, match="at least 10 rows with the label 1, one a fold, got 3"):
        evaluate.split(few, Options())


def test_a_test_size_that_leaves_too_few_rows_is_an_error(data: Dataset) -> None:
    with pytest.raises(DataError, match="test_size 0.0001 leaves too few rows"):
        evaluate.split(data, Options(test_size=0.0001))


def test_held_out_rows_of_one_label_are_an_error(data: Dataset) -> None:
    rare = Dataset(data.records, np.array([1] * 10 + [0] * 758), "")
    with pytest.raises(DataError, match="leaves 4 held-out rows of one label: expected both"):
        evaluate.split(rare, Options(test_size=0.005))


@pytest.fixture(scope="module")
def evaluation(data: Dataset) -> Evaluation:
    return measure(data, QUICK)


def measure(data: Dataset, options: Options, jobs: int = -1) -> Evaluation:
    rows = evaluate.split(data, options)
    classifier = fit(data.records.iloc[rows.training], data.labels[rows.training], options)
    return evaluate.evaluate(data, rows, classifier, options, jobs=jobs)


def test_every_candidate_predicts_every_row_in_every_repeat(evaluation: Evaluation) -> None:
    assert evaluation.out_of_fold.keys() == CANDIDATES.keys() == evaluation.cross_validated.keys()
    for predicted in evaluation.out_of_fold.values():
        assert predicted.shape == (2, 768)
        assert ((predicted > 0) & (predicted < 1)).all()
        assert not np.array_equal(*predicted)
    for name in CANDIDATES:
        assert evaluation.cross_validated[name].keys() == evaluate.TITLES.keys()


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
    classifier = fit(
        data.records.iloc[evaluation.split.training], labels[evaluation.split.training], QUICK
    )
    again = evaluate.evaluate(changed, evaluation.split, classifier, QUICK)
    assert again.threshold == evaluation.threshold
    assert again.held_out_figures != evaluation.held_out_figures


def test_the_contributions_of_a_row_add_up_to_its_margin(
    data: Dataset, evaluation: Evaluation
) -> None:
    assert evaluation.contributions.shape == (768, len(FEATURES) + 1)
    margins = evaluation.contributions.sum(axis=1)[evaluation.split.held_out]
    np.testing.assert_allclose(1 / (1 + np.exp(-margins)), evaluation.held_out, atol=1e-5)
    assert len(set(evaluation.contributions[:, -1])) == 1
    assert len(data.labels) == 768


def test_cross_validation_predicts_rows_that_the_models_have_not_seen(data: Dataset) -> None:
    """A label that nothing predicts: models that saw their rows would remember it."""
    shuffled = replace(data, labels=np.random.default_rng(0).permutation(data.labels))
    options = Options(repeats=1, folds=5)
    unseen = out_of_fold(shuffled.records, shuffled.labels, options)
    for predicted in unseen.values():
        auc = figures(shuffled.labels, predicted[0], 0.5)["auc"]
        assert auc == pytest.approx(0.5, abs=0.06)
    seen = PREDICT[ARTICLE](shuffled.records, shuffled.labels, shuffled.records, options)
    assert figures(shuffled.labels, seen, 0.5)["auc"] > 0.95


def test_the_articles_model_takes_a_zero_as_it_is_and_ours_as_missing(data: Dataset) -> None:
    nulls = data.records.replace({name: {0: 1e-6} for name in MEASUREMENTS})
    for name, told_apart in ((MODEL, True), (LOGISTIC_REGRESSION, True), (ARTICLE, False)):
        zero, tiny = (
            PREDICT[name](records, data.labels, records.head(99), QUICK)
            for records in (data.records, nulls)
        )
        assert np.array_equal(zero, tiny) != told_apart


def test_the_table_has_a_line_for_every_figure(evaluation: Evaluation) -> None:
    del evaluation.held_out_figures["ppv"]
    lines = evaluate.table(evaluation).split("\n")
    evaluation.held_out_figures["ppv"] = Interval(0, 0, 0)
    assert lines[0] == (
        "| | held out (154 rows) | this model, cross-validated (2 x 3) "
        "| logistic regression, likewise | the article's model, likewise |"
    )
    assert len(lines) == 2 + len(evaluate.TITLES)
    cells = lines[2].split(" | ")
    auc = evaluation.cross_validated[MODEL]["auc"]
    assert cells[2] == f"{auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f})"
    assert lines[2 + list(evaluate.TITLES).index("ppv")].startswith("| PPV | not defined | ")


def test_the_columns_of_the_data_are_the_features(data: Dataset) -> None:
    assert list(data.records.columns) == list(FEATURES)
    assert isinstance(data.records, pd.DataFrame)
