"""Whether predicted risks are right: observed against predicted, and how often each occurs."""

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import Container
from matplotlib.figure import Figure

from mlflow_sealed.training.measure import curves
from mlflow_sealed.training.measure.results import MODEL, Evaluation
from mlflow_sealed.training.show import words
from mlflow_sealed.training.show.pictures import style


def calibration(evaluation: Evaluation) -> Figure:
    """Draw the calibration curve with intervals, and the distribution of predictions below."""
    weights = curves.resamples(evaluation)
    found = curves.reliability(evaluation, MODEL, weights=weights)
    figure = style.figure(
        _title(100 * found.error),
        f"{words.measured_on(evaluation)} Each point: a tenth of the predictions, with "
        f"{style.resampled(evaluation)}.",
        size=(9.0, 7.2),
    )
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    _draw_curves(upper, evaluation, found)
    _draw_distribution(lower, evaluation)
    return figure


def errors(evaluation: Evaluation) -> dict[str, float]:
    """Return how far each candidate's predicted risks are off on average, in percentage points."""
    once = curves.resamples(evaluation)[:1]
    return {
        name: 100 * curves.reliability(evaluation, name, weights=once).error
        for name in evaluation.subject.titles
    }


def calibration_title(evaluation: Evaluation) -> str:
    """Return how far the predicted risks are off."""
    return _title(errors(evaluation)[MODEL])


def _title(error: float) -> str:
    return f"Predicted and observed risk differ by {error:.1f} percentage points on average"


def _draw_curves(axes: Axes, evaluation: Evaluation, found: curves.Reliability) -> None:
    right = axes.plot([0, 1], [0, 1], color=style.PALE, linewidth=1, label="As predicted")
    band, (model, *others) = found.observed, style.lines(evaluation).items()
    handles: list[Artist | Container] = [
        axes.errorbar(
            band.x,
            band.middle,
            yerr=(band.middle - band.low, band.high - band.middle),
            elinewidth=1.3,
            capsize=3,
            marker="o",
            **model[1].drawn(_off(found)),
        )
    ]
    once = curves.resamples(evaluation)[:1]
    for candidate, line in others:
        other = curves.reliability(evaluation, candidate, weights=once)
        handles += axes.plot(other.predicted, other.observed.middle, **line.drawn(_off(other)))
    axes.set_ylabel(f"observed: {evaluation.subject.project.words.positive}")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    style.percent(axes)
    style.plain(axes)
    style.legend(axes, "upper left", [*handles, *right])


def _off(found: curves.Reliability) -> str:
    return f"off by {100 * found.error:.1f}"


def _draw_distribution(axes: Axes, evaluation: Evaluation) -> None:
    """Draw how many records get which risk, the positive ones apart."""
    probabilities, labels = evaluation.out_of_fold[MODEL], evaluation.data.labels
    named = evaluation.subject.project.words
    bins = [edge / 25 for edge in range(26)]
    kinds = ((0, style.BLUE, named.negative), (1, style.ORANGE, named.positive))
    for label, colour, name in kinds:
        predicted = probabilities[:, labels == label].ravel()
        share = [1 / len(probabilities)] * len(predicted)
        axes.hist(predicted, bins, weights=share, color=colour, alpha=0.65, label=name)
    style.mark_threshold(axes, evaluation.threshold.value)
    axes.set_xlabel("predicted risk")
    axes.set_ylabel(named.records)
    style.percent(axes, "x")
    style.plain(axes)
    style.legend(axes, "upper right")
