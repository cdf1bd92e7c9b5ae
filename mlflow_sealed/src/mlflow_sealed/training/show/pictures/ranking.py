"""How well the model ranks records: ROC and precision-recall curves."""

from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlflow_sealed.training.measure import curves
from mlflow_sealed.training.measure.curves import Band
from mlflow_sealed.training.measure.results import MODEL, Evaluation
from mlflow_sealed.training.show import words
from mlflow_sealed.training.show.pictures import style


def roc(evaluation: Evaluation) -> Figure:
    """Draw the ROC curve with its interval, and the other candidates' curves."""
    named = evaluation.subject.project.words
    figure = style.figure(roc_title(evaluation), _note(evaluation))
    axes = figure.subplots()
    _draw(axes, evaluation, curves.roc, "auc", "AUC")
    axes.plot([0, 1], [0, 1], color=style.PALE, linewidth=1, zorder=1)
    axes.annotate("chance", (0.82, 0.78), color=style.GREY, fontsize=style.TEXT - 1)
    _mark(axes, evaluation)
    axes.set_xlabel(f"false alarms among those {named.negative}")
    axes.set_ylabel(f"found among those {named.positive}")
    _finish(axes, "lower right")
    return figure


def roc_title(evaluation: Evaluation) -> str:
    """Return what the AUC means."""
    named, area = evaluation.subject.project.words, evaluation.cross_validated[MODEL]["auc"].value
    return (
        f"Ranks a random {named.record} {named.positive} above one {named.negative} "
        f"{area:.0%} of the time"
    )


def precision_recall(evaluation: Evaluation) -> Figure:
    """Draw the precision-recall curve with its interval, and the other candidates' curves."""
    share, named = float(evaluation.data.labels.mean()), evaluation.subject.project.words
    figure = style.figure(precision_title(evaluation), _note(evaluation))
    axes = figure.subplots()
    _draw(axes, evaluation, curves.precision_recall, "average_precision", "average precision")
    axes.axhline(share, color=style.PALE, linewidth=1, zorder=1)
    axes.annotate(
        f"chance: {share:.0%}", (0.01, share - 0.05), color=style.GREY, fontsize=style.TEXT - 1
    )
    axes.set_xlabel(f"found among those {named.positive}")
    axes.set_ylabel(f"{named.positive} among the flagged")
    _finish(axes, "lower left")
    return figure


def precision_title(evaluation: Evaluation) -> str:
    """Return what the precision at the threshold means, or that nobody is flagged there."""
    share = f"{evaluation.data.labels.mean():.0%}"
    condition = evaluation.subject.project.words.condition
    precision = evaluation.cross_validated[MODEL].get("ppv")
    if precision is None:
        return f"Flags nobody at the threshold; {share} of all have {condition}"
    return f"{precision.value:.0%} of those it flags have {condition}, against {share} of all"


def _note(evaluation: Evaluation) -> str:
    return f"{words.measured_on(evaluation)} Band: {style.resampled(evaluation)}."


def _draw(
    axes: Axes,
    evaluation: Evaluation,
    curve: Callable[..., Band],
    figure: str,
    title: str,
) -> None:
    weights = curves.resamples(evaluation)
    for candidate, line in style.lines(evaluation).items():
        # Only the model's curve has an interval drawn: the others' would hide it.
        band = curve(evaluation, candidate, weights=weights if candidate == MODEL else weights[:1])
        value = evaluation.cross_validated[candidate][figure].value
        axes.plot(band.x, band.middle, **line.drawn(f"{title} {value:.3f}"))
        if candidate == MODEL:
            style.band(axes, band.x, band.low, band.high)


def _mark(axes: Axes, evaluation: Evaluation) -> None:
    """Mark where the chosen threshold lies on the ROC curve."""
    figures = evaluation.cross_validated[MODEL]
    if {"sensitivity", "specificity"} <= figures.keys():
        x, y = 1 - figures["specificity"].value, figures["sensitivity"].value
        axes.plot(x, y, "o", color=style.BLUE, markersize=9, markeredgecolor="white", zorder=5)
        axes.annotate(
            f"threshold {evaluation.threshold.value:.3g}:\nfinds {y:.0%},\n{x:.0%} false alarms",
            (x, y),
            xytext=(30, -84),
            textcoords="offset points",
            fontsize=style.TEXT - 1,
            arrowprops={"arrowstyle": "-", "color": style.GREY, "linewidth": 0.8, "shrinkB": 6},
        )


def _finish(axes: Axes, legend: style.Corner) -> None:
    """Show the whole square of shares, with the legend in a corner."""
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.01)
    style.percent(axes)
    style.plain(axes)
    style.legend(axes, legend)
