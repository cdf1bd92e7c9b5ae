"""What comes of acting on the predictions: the confusion matrix and the decision curve."""

import textwrap
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlflow_sealed.project import Words
from mlflow_sealed.training.measure import curves
from mlflow_sealed.training.measure.results import MODEL, Evaluation, Floats
from mlflow_sealed.training.show import words
from mlflow_sealed.training.show.pictures import style

_GRID: Final = np.linspace(0.01, 0.9, 90)
_LABEL_WIDTH: Final = 12


@dataclass(frozen=True)
class Confusion:
    """How many records of each kind are flagged; over several repeats the mean, rounded."""

    found: int
    missed: int
    alarms: int
    cleared: int


def count(labels: npt.NDArray[np.int64], probabilities: Floats, threshold: float) -> Confusion:
    """Count the records at a threshold.

    Parameters
    ----------
    labels
        Shape (n,).
    probabilities
        Shape (repeats, n).

    Examples
    --------
    >>> count(np.array([1, 1, 0]), np.array([[0.9, 0.2, 0.1]]), 0.5)
    Confusion(found=1, missed=1, alarms=0, cleared=1)
    """
    shares = curves.flagged(probabilities, np.array([threshold]))[:, 0]
    found, alarms = round(float(shares @ labels)), round(float(shares @ (1 - labels)))
    positive = int(labels.sum())
    return Confusion(found, positive - found, alarms, len(labels) - positive - alarms)


def confusion_title(evaluation: Evaluation) -> str:
    """Return how many the model finds at its threshold, and how many false alarms it gives."""
    counted, named = _out_of_fold(evaluation), evaluation.subject.project.words
    return (
        f"Finds {counted.found} of {counted.found + counted.missed} {named.positive}, with "
        f"{counted.alarms} false alarms among {counted.alarms + counted.cleared} {named.negative}"
    )


def confusion(evaluation: Evaluation) -> Figure:
    """Draw the confusion matrices at the threshold: out of fold, and of the held-out rows."""
    rows, threshold = evaluation.split.held_out, evaluation.threshold.value
    figure = style.figure(
        confusion_title(evaluation),
        f"{words.measured_on(evaluation)} Counts are the mean over the repeats. Held out: "
        f"{len(rows)} rows that the registered model has not seen. Threshold {threshold:.3g}.",
        size=(9.0, 5.4),
    )
    left, right = figure.subplots(1, 2)
    labels, named = evaluation.data.labels, evaluation.subject.project.words
    held_out = count(labels[rows], evaluation.held_out[np.newaxis], threshold)
    for axes, how, counted, records in (
        (left, "cross-validated", _out_of_fold(evaluation), len(labels)),
        (right, "held out", held_out, len(rows)),
    ):
        _draw_matrix(axes, counted, named)
        title = f"{how}, {records} {named.records}"
        axes.set_title(title, fontsize=style.TEXT, loc="left", color=style.GREY)
    return figure


def _out_of_fold(evaluation: Evaluation) -> Confusion:
    labels = evaluation.data.labels
    return count(labels, evaluation.out_of_fold[MODEL], evaluation.threshold.value)


def useful_range(evaluation: Evaluation, thresholds: Floats) -> tuple[float, float] | None:
    """Return the thresholds around the chosen one at which the model is worth more than none.

    None where treating everyone, or no one, is at least as good at the chosen threshold.
    """
    once = curves.resamples(evaluation)[:1]
    model, everyone = (
        curves.net_benefit(evaluation, candidate, thresholds, weights=once).middle
        for candidate in (MODEL, None)
    )
    better = model > np.maximum(everyone, 0)
    start = end = int(np.abs(thresholds - evaluation.threshold.value).argmin())
    if not better[start]:
        return None
    while start > 0 and better[start - 1]:
        start -= 1
    while end < len(better) - 1 and better[end + 1]:
        end += 1
    return float(thresholds[start]), float(thresholds[end])


def decision_title(evaluation: Evaluation) -> str:
    """Return where the model is worth more than treating everyone or no one."""
    found = useful_range(evaluation, _GRID)
    if found is None:
        return "At its threshold no better than treating everyone, or no one"
    return (
        "Worth more than treating everyone or no one, at every threshold from "
        f"{found[0]:.0%} to {found[1]:.0%}"
    )


def decision_curve(evaluation: Evaluation) -> Figure:
    """Draw the net benefit at each threshold, and that of treating everyone or no one."""
    named = evaluation.subject.project.words
    figure = style.figure(
        decision_title(evaluation),
        f"{words.measured_on(evaluation)} Net benefit: true alarms less false alarms times the "
        f"threshold's odds, per 100 {named.records}. Band: {style.resampled(evaluation)}.",
    )
    axes = figure.subplots()
    weights = curves.resamples(evaluation)
    for candidate, line in style.lines(evaluation).items():
        band = curves.net_benefit(
            evaluation, candidate, _GRID, weights=weights if candidate == MODEL else weights[:1]
        )
        axes.plot(band.x, 100 * band.middle, **line.drawn())
        if candidate == MODEL:
            style.band(axes, band.x, 100 * band.low, 100 * band.high)
    everyone = curves.net_benefit(evaluation, None, _GRID, weights=weights[:1])
    axes.plot(
        _GRID, 100 * everyone.middle, color=style.ORANGE, linewidth=1.6, label="Treat everyone"
    )
    axes.axhline(0, color="black", linewidth=1, label="Treat no one")
    style.mark_threshold(axes, evaluation.threshold.value)
    most = 100 * float(evaluation.data.labels.mean())
    axes.set_ylim(-0.12 * most, 1.1 * most)
    axes.set_xlim(0, _GRID[-1])
    axes.set_xlabel("threshold: the risk from which one would act")
    axes.set_ylabel(f"net benefit per 100 {named.records}")
    style.percent(axes, "x")
    style.plain(axes)
    style.legend(axes, "upper right")
    return figure


def _draw_matrix(axes: Axes, counted: Confusion, named: Words) -> None:
    cells = np.array([[counted.found, counted.missed], [counted.alarms, counted.cleared]])
    names = (("found", "missed"), ("false alarms", "cleared"))
    shares = cells / np.maximum(cells.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.25, aspect="equal")
    for row in range(2):
        for column in range(2):
            axes.text(
                column,
                row,
                f"{cells[row, column]}\n{names[row][column]}\n({shares[row, column]:.0%})",
                ha="center",
                va="center",
                fontsize=style.TEXT + 2,
                color="white" if shares[row, column] > 0.6 else "black",  # noqa: PLR2004 # dark
            )
    axes.set_xticks([0, 1], ["flagged", "not flagged"])
    axes.set_yticks(
        [0, 1], [textwrap.fill(name, _LABEL_WIDTH) for name in (named.positive, named.negative)]
    )
    style.plain(axes)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=style.TEXT)
