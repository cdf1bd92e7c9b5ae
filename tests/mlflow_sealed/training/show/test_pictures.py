"""The pictures: what their titles say is what was measured, and all of it can be read."""

import io
import itertools
import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from sklearn.metrics import confusion_matrix, roc_auc_score

from mlflow_sealed.training.measure.results import MODEL, Evaluation, Interval
from mlflow_sealed.training.show import words
from mlflow_sealed.training.show.pictures import PICTURES, style
from mlflow_sealed.training.show.pictures.contributions import order, turning_point
from mlflow_sealed.training.show.pictures.decisions import useful_range
from tests.measured import measured
from tests.mlflow_sealed.training.show.another import another

NAMES = list(PICTURES)


def drawn(name: str, evaluation: Evaluation) -> Figure:
    """A picture, laid out."""
    figure = PICTURES[name](evaluation)
    figure.draw_without_rendering()
    return figure


@cache
def usual(name: str) -> Figure:
    """A picture of `measured`, drawn once for all that only look at it."""
    return drawn(name, measured())


def title(name: str, evaluation: Evaluation) -> str:
    figure = usual(name) if evaluation is measured() else PICTURES[name](evaluation)
    return " ".join(figure.get_suptitle().split())


def boxes(figure: Figure) -> list[tuple[str, Bbox]]:
    """What is written on a picture, and where."""
    undrawn = [
        label
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
        for label in (tick.label1, tick.label2)
    ]
    return [
        (text.get_text(), text.get_window_extent())
        for text in figure.findobj(Text)
        if isinstance(text, Text) and text not in undrawn
        if text.get_visible() and text.get_text().strip()
    ]


def outside(figure: Figure) -> list[str]:
    width, height = figure.canvas.get_width_height()
    return [
        text
        for text, box in boxes(figure)
        if box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1
    ]


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    shrunk = [(text, box.padded(-1.5)) for text, box in boxes(figure)]
    return [
        (one, other)
        for (one, first), (other, second) in itertools.combinations(shrunk, 2)
        if first.overlaps(second)
    ]


def with_figure(evaluation: Evaluation, name: str, value: float) -> Evaluation:
    figures = {**evaluation.cross_validated[MODEL], name: Interval(value, value, value)}
    return replace(evaluation, cross_validated={**evaluation.cross_validated, MODEL: figures})


@pytest.mark.parametrize("name", NAMES)
def test_nothing_written_on_a_picture_is_cut_or_hidden_by_other_words(name: str) -> None:
    figure = usual(name)
    assert outside(figure) == []
    assert overlapping(figure) == []


def test_words_that_are_cut_or_hidden_would_be_found() -> None:
    figure = drawn("roc", measured())
    figure.text(0.99, 0.5, "beyond the edge")
    figure.text(0.02, 0.97, "on the title")
    figure.draw_without_rendering()
    assert outside(figure) == ["beyond the edge"]
    assert [other for _, other in overlapping(figure)] == ["on the title"]


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_legible_at_the_width_at_which_mlflow_shows_it(name: str) -> None:
    figure = usual(name)
    shown_px = 800
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    least_pt = min(float(text.get_fontsize()) for text in texts if text.get_text())
    assert least_pt / 72 * shown_px / figure.get_figwidth() > 10


@pytest.mark.parametrize("name", ["roc", "shap_beeswarm"])
def test_the_same_evaluation_gives_the_same_bytes(name: str) -> None:
    first, second = io.BytesIO(), io.BytesIO()
    for file in (first, second):
        PICTURES[name](measured()).savefig(file, metadata={"Software": None})
    assert first.getvalue() == second.getvalue()
    assert len(first.getvalue()) < 250_000


def test_the_roc_title_is_the_mean_auc_of_the_repeats() -> None:
    labels, repeats = measured().data.labels, measured().out_of_fold[MODEL]
    auc = np.mean([roc_auc_score(labels, each) for each in repeats])
    expected = (
        f"Ranks a random patient with diabetes above one without diabetes {auc:.0%} of the time"
    )
    assert title("roc", measured()) == expected
    assert "12% of the time" in title("roc", with_figure(measured(), "auc", 0.12))


def test_the_precision_title_compares_with_the_share_of_all() -> None:
    changed = with_figure(measured(), "ppv", 0.77)
    expected = "77% of those it flags have diabetes, against 35% of all"
    assert title("precision_recall", changed) == expected


def test_the_confusion_title_counts_what_scikit_learn_counts() -> None:
    evaluation = measured()
    flagged = evaluation.out_of_fold[MODEL] >= evaluation.threshold.value
    matrices = [confusion_matrix(evaluation.data.labels, each) for each in flagged]
    (_, alarms), (_, found) = np.mean(matrices, axis=0)
    expected = (
        f"Finds {round(found)} of 268 with diabetes, with {round(alarms)} false alarms "
        "among 500 without diabetes"
    )
    assert title("confusion", evaluation) == expected


def test_the_decision_title_is_where_the_model_is_worth_more_than_everyone_and_no_one() -> None:
    evaluation = measured()
    grid = np.linspace(0.01, 0.9, 90)
    found = useful_range(evaluation, grid)
    assert found is not None
    low, high = found
    assert f"from {low:.0%} to {high:.0%}" in title("decision_curve", evaluation)
    assert low < evaluation.threshold.value < high
    labels = evaluation.data.labels
    for threshold, expected in ((low, True), (high, True), (low - 0.01, False)):
        flagged = evaluation.out_of_fold[MODEL] >= threshold
        odds = threshold / (1 - threshold)
        worth = float(np.mean(flagged * (labels - (1 - labels) * odds)))
        everyone = float(np.mean(labels - (1 - labels) * odds))
        assert (worth > max(0.0, everyone)) == expected


def test_a_model_that_knows_nothing_is_said_to_be_no_better_than_treating_everyone() -> None:
    labels = measured().data.labels
    useless = np.full((1, len(labels)), labels.mean())
    evaluation = replace(measured(), out_of_fold=dict.fromkeys(measured().subject.titles, useless))
    expected = "At its threshold no better than treating everyone, or no one"
    assert title("decision_curve", evaluation) == expected


def test_the_shap_titles_name_what_moves_the_model_most() -> None:
    evaluation = measured()
    assert title("shap_beeswarm", evaluation).startswith("Glucose moves the predicted risk most")
    sizes = np.abs(evaluation.contributions[:, :-1]).mean(axis=0)
    assert [sizes[column] for column in order(evaluation)] == sorted(sizes, reverse=True)
    glucose = evaluation.data.records["glucose"].to_numpy(dtype=float)
    start = turning_point(np.where(glucose == 0, np.nan, glucose), evaluation.contributions[:, 1])
    assert start is not None
    assert f"glucose from {start:g} mg/dl" in title("shap_dependence", evaluation)
    assert 100 < start < 140


def test_a_feature_without_a_direction_has_no_turning_point() -> None:
    values = np.arange(20.0)
    assert turning_point(values, np.where(values % 2, 1.0, -1.0)) is None
    assert turning_point(values, np.ones(20)) is None


def test_the_group_title_counts_the_small_groups_and_leaves_them_out() -> None:
    evaluation = measured()
    telling = [group for group in evaluation.groups if not group.small]
    assert 0 < len(telling) < len(evaluation.groups)
    worst = min(telling, key=lambda group: group.figures["auc"].value)
    shown = title("groups", evaluation)
    assert f"AUC from {worst.figures['auc'].value:.2f} ({words.group_name(worst)})" in shown
    assert f"{len(evaluation.groups) - len(telling)} small groups cannot tell" in shown
    none = replace(evaluation, groups=[replace(group, small=True) for group in telling])
    assert title("groups", none) == "No group is large enough to tell"


def test_curves_are_told_apart_without_colours() -> None:
    for evaluation in (measured(), another(others=9)):
        lines = style.lines(evaluation)
        assert len({line.linestyle for line in lines.values()}) == len(lines)
        assert lines.keys() == evaluation.subject.titles.keys()
        model, *others = lines.values()
        assert all(model.linewidth > other.linewidth for other in others)


MANY = (5, 6, ("length", "sales_channel"))
SHAPES = {
    "one feature alone": (1, 0, ()),
    "two features": (2, 1, ("length",)),
    "three features": (3, 2, ("length",)),
    "many others": MANY,
}


@pytest.mark.parametrize("shape", list(SHAPES))
@pytest.mark.parametrize("name", NAMES)
def test_a_model_of_another_kind_is_drawn_in_its_own_words(name: str, shape: str) -> None:
    features, others, kinds = SHAPES[shape]
    figure = drawn(name, another(features, others, kinds))
    assert outside(figure) == []
    assert overlapping(figure) == []
    written = " ".join(text for text, _ in boxes(figure)).lower()
    assert not {"patient", "diabetes", "not measured"} & {
        one for one in ("patient", "diabetes", "not measured") if one in written
    }


def test_the_words_of_a_model_of_another_kind_are_the_subjects() -> None:
    one = another(*MANY)
    auc = one.cross_validated[MODEL]["auc"].value
    assert (
        title("roc", one)
        == f"Ranks a random contract cancelled above one kept {auc:.0%} of the time"
    )
    assert " of those it flags have an early end, against " in title("precision_recall", one)
    assert title("shap_beeswarm", another()) == "Only monthly price moves the predicted risk"
    assert "monthly price from " in title("shap_dependence", another())
    assert " EUR" in title("shap_dependence", another())
    headings = [text for text, _ in boxes(drawn("groups", one))]
    assert {"Length", "Sales channel"} <= set(headings)
    labels = [text for text, _ in boxes(drawn("roc", one)) if text.startswith("Rule ")]
    assert len(labels) == 6


CANDIDATE_PICTURES = ("roc", "precision_recall", "calibration", "confusion", "decision_curve")
SHAP = ("shap_beeswarm", "shap_dependence")


def odd() -> dict[str, tuple[Evaluation, tuple[str, ...]]]:
    """Evaluations at the edge of what a training allows, and the pictures that show it."""
    evaluation = measured()
    records, figures = evaluation.data.records, evaluation.cross_validated
    nobody = {name: one for name, one in figures[MODEL].items() if name != "ppv"}
    constant = replace(evaluation.data, records=records.assign(bmi=30.0, insulin=0.0))
    same = dict.fromkeys(evaluation.subject.titles, np.full((1, len(records)), 0.35))
    absent = replace(evaluation.groups[0], figures={}, small=True)
    return {
        "a constant and a never measured feature": (replace(evaluation, data=constant), SHAP),
        "no contribution at all": (
            replace(evaluation, contributions=np.zeros_like(evaluation.contributions)),
            SHAP,
        ),
        "nobody flagged": (
            replace(
                evaluation,
                threshold=replace(evaluation.threshold, value=0.999),
                cross_validated={**figures, MODEL: nobody},
            ),
            CANDIDATE_PICTURES,
        ),
        "a constant prediction": (replace(evaluation, out_of_fold=same), CANDIDATE_PICTURES),
        "a group without a figure": (replace(evaluation, groups=[absent]), ("groups",)),
        "no group": (replace(evaluation, groups=[]), ("groups",)),
    }


@pytest.mark.parametrize("case", list(odd()))
def test_an_odd_training_has_its_pictures_too(case: str) -> None:
    evaluation, names = odd()[case]
    for name in names:
        figure = drawn(name, evaluation)
        assert figure.get_suptitle(), name
        assert outside(figure) == [], name


def test_drawing_starts_no_pyplot_and_needs_no_shap() -> None:
    code = (
        "import sys, mlflow_sealed.training.show.pictures; "
        "print({'matplotlib.pyplot', 'shap'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "set()\n"
