"""Why the model predicts what it does: SHAP values of all records, and of the first features.

Drawn here and not by the package `shap`: the values are XGBoost's own, and what is left are two
scatter plots, against numba and LLVM in an environment that every training makes and imports.
"""

from typing import Final

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure

from mlflow_sealed.training.measure.results import Evaluation, Floats
from mlflow_sealed.training.show import words
from mlflow_sealed.training.show.pictures import style
from mlflow_sealed.training.subject import Subject

_MAP: Final = "cividis"  # made for the colour-blind, and dark to bright in print
_MISSING: Final = style.PURPLE  # nowhere in the map
_SWARM_BINS: Final = 120
_SWARM_HEIGHT: Final = 0.4
_DEPENDENCE: Final = 4
_FEW: Final = 3
_WRONG: Final = 1 / 25
_PINK: Final = "pink: not measured"
_NOTE: Final = "SHAP values of the registered model in log-odds, added to the base value."


def order(evaluation: Evaluation) -> list[int]:
    """Return the columns of the features, the one that moves predictions most first."""
    sizes = np.abs(evaluation.contributions[:, :-1]).mean(axis=0)
    return [int(column) for column in np.argsort(-sizes, kind="stable")]


def beeswarm(evaluation: Evaluation) -> Figure:
    """Draw each record's contributions, a line a feature, coloured by the feature's value."""
    columns, names = order(evaluation), words.feature_names(evaluation.subject)
    record = evaluation.subject.project.words.record
    figure = style.figure(
        beeswarm_title(evaluation),
        f"{_NOTE} One dot per {record}, {len(evaluation.data.labels)} in all.",
    )
    axes = figure.subplots()
    values = _values(evaluation)
    for line, column in enumerate(columns):
        _draw_swarm(axes, line, evaluation.contributions[:, column], values[:, column])
    axes.set_yticks(range(len(columns)), [words.capitalised(names[one]) for one in columns])
    axes.invert_yaxis()
    axes.axvline(0, color=style.GREY, linewidth=1)
    axes.set_xlabel("lowers the risk   ←   contribution, log-odds   →   raises the risk")
    style.plain(axes)
    axes.tick_params(axis="y", length=0, labelsize=style.TEXT)
    _draw_scale(figure, axes, pink=_PINK if evaluation.subject.nullable else "")
    return figure


def beeswarm_title(evaluation: Evaluation) -> str:
    """Return the names of the features that move predictions most."""
    names = words.feature_names(evaluation.subject)
    first, *others = [names[column] for column in order(evaluation)[:_FEW]]
    if not others:
        return f"Only {first} moves the predicted risk"
    return f"{words.capitalised(first)} moves the predicted risk most, then {' and '.join(others)}"


def dependence(evaluation: Evaluation) -> Figure:
    """Draw the contributions of the first features against their values."""
    subject, columns = evaluation.subject, order(evaluation)[:_DEPENDENCE]
    pink = f"; {_PINK}" if subject.nullable else ""
    figure = style.figure(
        dependence_title(evaluation),
        f"{_NOTE} One dot per {subject.project.words.record}{pink}.",
        size=(9.0, 7.2),
    )
    values = _values(evaluation)
    across = min(2, len(columns))
    panels = figure.subplots(-(-len(columns) // across), across, sharey=True, squeeze=False).ravel()
    for axes, column in zip(panels, columns, strict=False):
        _draw_dependence(axes, evaluation.contributions[:, column], values[:, column])
        axes.set_xlabel(_with_unit(subject, column))
    for axes in panels[::across]:
        axes.set_ylabel("contribution, log-odds")
    for axes in panels[len(columns) :]:
        axes.remove()
    return figure


def dependence_title(evaluation: Evaluation) -> str:
    """Return from which values of the first features on the risk is raised."""
    subject, values, found = evaluation.subject, _values(evaluation), []
    for column in order(evaluation)[:_FEW]:
        start = turning_point(values[:, column], evaluation.contributions[:, column])
        if start is not None:
            name = subject.features[column]
            measured_in = words.unit(subject, name)
            found.append(
                f"{words.feature_name(subject, name)} from {start:g} {measured_in}".strip()
            )
    if not found:
        return "The first features raise the risk at no value in particular"
    return words.capitalised(f"the risk is raised by {', '.join(found)}")


def turning_point(values: Floats, contributions: Floats) -> float | None:
    """Return the value from which on a feature raises the risk, to 3 digits.

    That is the one that divides the measured records into those whose risk the feature lowers and
    those whose risk it raises, with the fewest on the wrong side; None where the feature has no
    such direction: with more than one in twenty-five there.

    Examples
    --------
    >>> turning_point(np.array([90.0, 100.0, 120.0, np.nan]), np.array([-1.0, -0.2, 0.4, 0.1]))
    120.0
    """
    measured = ~np.isnan(values)
    raised = contributions[measured] > 0
    if raised.all() or not raised.any():
        return None
    starts = np.unique(values[measured])
    wrong = ((values[measured] >= starts[:, np.newaxis]) != raised).mean(axis=1)
    best = int(wrong.argmin())
    return float(f"{starts[best]:.3g}") if wrong[best] <= _WRONG else None


def _values(evaluation: Evaluation) -> Floats:
    """Return the features' values, NaN where they were not measured, shape (n, features)."""
    return evaluation.subject.preprocess(evaluation.data.records).astype(np.float64)


def _draw_swarm(axes: Axes, line: int, contributions: Floats, values: Floats) -> None:
    y = line + _swarm(contributions)
    missing = np.isnan(values)
    axes.scatter(contributions[missing], y[missing], s=9, color=_MISSING, linewidths=0)
    axes.scatter(
        contributions[~missing],
        y[~missing],
        s=9,
        c=_ranks(values[~missing]),
        cmap=_colours(),
        vmin=0,
        vmax=1,
        linewidths=0,
    )


def _swarm(contributions: Floats) -> Floats:
    """Return a height for each dot, so that dots of one value do not cover each other."""
    edges = np.linspace(contributions.min(), contributions.max(), _SWARM_BINS)
    place = np.searchsorted(edges, contributions)
    heights = np.zeros(len(contributions))
    for bin_ in np.unique(place):
        inside = np.flatnonzero(place == bin_)
        step = np.arange(len(inside))
        heights[inside] = (step + 1) // 2 * np.where(step % 2, 1, -1)
    return heights * _SWARM_HEIGHT / max(1.0, float(np.abs(heights).max()))


def _ranks(values: Floats) -> Floats:
    """Return where each value lies between the 5th and the 95th percentile, from 0 to 1."""
    if not len(values):
        return values
    low, high = np.quantile(values, [0.05, 0.95])
    ranks: Floats = np.clip((values - low) / max(float(high - low), 1e-9), 0, 1)
    return ranks


def _colours() -> Colormap:
    return colormaps[_MAP]


def _draw_scale(figure: Figure, axes: Axes, *, pink: str) -> None:
    """Draw what the colours mean."""
    scale = ScalarMappable(Normalize(0, 1), _colours())
    bar = figure.colorbar(scale, ax=axes, aspect=40, pad=0.02)
    bar.set_ticks([0, 1], labels=["low", "high"], fontsize=style.TEXT - 1)
    explained = f" ({pink})" if pink else ""
    bar.set_label(f"the feature's value{explained}", fontsize=style.TEXT - 1)
    bar.outline.set_visible(False)


def _with_unit(subject: Subject, column: int) -> str:
    """Return the name of a feature with its unit, if it has one."""
    name = subject.features[column]
    measured_in = words.unit(subject, name)
    return f"{words.feature_name(subject, name)}{f', {measured_in}' if measured_in else ''}"


def _draw_dependence(axes: Axes, contributions: Floats, values: Floats) -> None:
    missing = np.isnan(values)
    axes.axhline(0, color=style.GREY, linewidth=1)
    axes.scatter(
        values[~missing],
        contributions[~missing],
        s=13,
        color=style.BLUE,
        alpha=0.45,
        linewidths=0,
    )
    if missing.any():
        measured = values[~missing]
        low, high = (measured.min(), measured.max()) if len(measured) else (0.0, 1.0)
        spread = np.linspace(-0.03, 0.03, int(missing.sum()))
        x = low + (high - low) * (-0.1 + spread)
        axes.scatter(x, contributions[missing], s=13, color=_MISSING, alpha=0.6, linewidths=0)
    style.plain(axes)
