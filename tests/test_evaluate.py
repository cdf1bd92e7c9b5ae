"""The figures: what they are measured on, and that they are the textbook's."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mypreprocessing import FEATURES
from tests.conftest import ROOT
from training import evaluate
from training.dataset import DataError, Dataset, read
from training.evaluate import Spread
from training.fit import fit, probabilities
from training.options import DATA, Options


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


def test_the_figures_are_the_textbooks() -> None:
    labels = np.array([0, 0, 1, 1])
    predicted = np.array([0.1, 0.6, 0.4, 0.9])
    assert evaluate.figures(labels, predicted, threshold=0.5) == pytest.approx(
        {
            "auc": 3 / 4,
            "average_precision": (1 + 2 / 3) / 2,
            "accuracy": 2 / 4,
            "brier": (0.1**2 + 0.6**2 + 0.6**2 + 0.1**2) / 4,
            "log_loss": -np.log([0.9, 0.4, 0.4, 0.9]).mean(),
        }
    )


def test_a_probability_at_the_threshold_counts_as_1() -> None:
    figures = evaluate.figures(np.array([0, 1]), np.array([0.3, 0.5]), threshold=0.5)
    assert figures["accuracy"] == 1


def test_cross_validation_predicts_rows_that_the_model_has_not_seen(data: Dataset) -> None:
    """A label that nothing predicts: models that saw their rows would remember it."""
    shuffled = replace(data, labels=np.random.default_rng(0).permutation(data.labels))
    options = Options(repeats=2, folds=5, depth=6, trees=50, min_child_weight=0)
    assert evaluate.cross_validate(shuffled, options)["auc"].mean == pytest.approx(0.5, abs=0.06)
    classifier = fit(shuffled.records, shuffled.labels, options)
    remembered = probabilities(classifier, shuffled.records)
    memory = evaluate.figures(shuffled.labels, remembered, 0.5)
    assert memory["auc"] > 0.95


def test_cross_validation_repeats_with_other_folds(data: Dataset) -> None:
    spread = evaluate.cross_validate(data, Options(repeats=2, folds=3, trees=10))
    assert spread.keys() == evaluate.TITLES.keys()
    assert spread["auc"].sd > 0
    again = evaluate.cross_validate(data, Options(repeats=2, folds=3, trees=10))
    assert again == spread


def test_a_feature_that_is_the_label_is_found(data: Dataset) -> None:
    leaking = Dataset(data.records.assign(glucose=100 + data.labels), data.labels, "")
    assert evaluate.cross_validate(leaking, Options(repeats=1, folds=2, trees=5))["auc"].mean > 0.99


def test_the_table_has_a_line_for_every_figure() -> None:
    held_out = dict.fromkeys(evaluate.TITLES, 0.12345)
    spread = dict.fromkeys(evaluate.TITLES, Spread(0.5, 0.25))
    lines = evaluate.table(held_out, spread, rows=9, options=Options(repeats=3, folds=4)).split(
        "\n"
    )
    assert lines[0] == "| | held out (9 rows) | cross-validated (3 x 4) |"
    assert lines[2] == "| AUC | 0.123 | 0.500 ± 0.250 |"
    assert len(lines) == 2 + len(evaluate.TITLES)


def test_the_columns_of_the_data_are_the_features(data: Dataset) -> None:
    assert list(data.records.columns) == list(FEATURES)
    assert isinstance(data.records, pd.DataFrame)
