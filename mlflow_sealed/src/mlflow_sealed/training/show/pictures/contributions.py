"""Why the model predicts what it does: SHAP values of all patients, and of the first features.

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
from mlflow_sealed.training.show.pictures import style
from mypreprocessing import FEATURES, preprocess

_MAP: Final = "cividis"  # made for the colour-blind, and dark to bright in print
_MISSING: Final = "#CC79A7"  # Okabe and Ito's, and nowhere in the map
_SWARM_BINS: Final = 120
_SWARM_HEIGHT: Final = 0.4
_DEPENDENCE: Final = 4
_FEW: Final = 3
_WRONG: Final = 1 / 25
_NOTE: Final = "SHAP values of the registered model in log-odds, added to the base value."


def order(evaluation: Evaluation) -> list[int]:
    """Return the columns of the features, the one that moves predictions most first."""
    sizes = np.abs(evaluation.contributions[:, :-1]).mean(axis=0)
    return [int(column) for column in np.argsort(-sizes, kind="stable")]


def beeswarm(evaluation: Evaluation) -> Figure:
    """Draw each patient's contributions, a line a feature, coloured by the feature's value."""
    columns = order(evaluation)
    first, *others = [style.feature_name(FEATURES[column]) for column in columns[:_FEW]]
    figure = style.figure(
        f"{style.capitalised(first)} moves the predicted risk most, then {' and '.join(others)}",
        f"{_NOTE} One dot a patient, {len(evaluation.data.labels)} in all.",
    )
    axes = figure.subplots()
    values = _values(evaluation)
    for line, column in enumerate(columns):
        _draw_swarm(axes, line, evaluation.contributions[:, column], values[:, column])
    names = [style.capitalised(style.feature_name(FEATURES[column])) for column in columns]
    axes.set_yticks(range(len(columns)), names)
    axes.invert_yaxis()
    axes.axvline(0, color=style.GREY, linewidth=1)
    axes.set_xlabel("lowers the risk   ←   contribution, log-odds   →   raises the risk")
    style.plain(axes)
    axes.tick_params(axis="y", length=0, labelsize=style.TEXT)
    _draw_scale(figure, axes)
    return figure


def dependence(evaluation: Evaluation) -> Figure:
    """Draw the contributions of the first features against their values."""
    columns = order(evaluation)[:_DEPENDENCE]
    figure = style.figure(
        dependence_title(evaluation),
        f"{_NOTE} One dot a patient; pink: not measured.",
        size=(9.0, 7.2),
    )
    values = _values(evaluation)
    panels = figure.subplots(2, 2, sharey=True).ravel()
    for axes, column in zip(panels, columns, strict=True):
        _draw_dependence(axes, column, evaluation.contributions[:, column], values[:, column])
    for axes in panels[::2]:
        axes.set_ylabel("contribution, log-odds")
    return figure


def dependence_title(evaluation: Evaluation) -> str:
    """Return from which values of the first features on the risk is raised."""
    values, found = _values(evaluation), []
    for column in order(evaluation)[:_FEW]:
        start = turning_point(values[:, column], evaluation.contributions[:, column])
        if start is not None:
            name = FEATURES[column]
            found.append(f"{style.feature_name(name)} from {start:g} {style.unit(name)}".strip())
    if not found:
        return "The first features raise the risk at no value in particular"
    return style.capitalised(f"the risk is raised by {', '.join(found)}")


def turning_point(values: Floats, contributions: Floats) -> float | None:
    """Return the value from which on a feature raises the risk, to 3 digits.

    That is the one that divides the measured patients into those whose risk the feature lowers and
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
    return preprocess(evaluation.data.records).astype(np.float64)


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
    """Return a height for each dot, so that dots of one value lie beside each other."""
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


def _draw_scale(figure: Figure, axes: Axes) -> None:
    """Draw what the colours mean."""
    scale = ScalarMappable(Normalize(0, 1), _colours())
    bar = figure.colorbar(scale, ax=axes, aspect=40, pad=0.02)
    bar.set_ticks([0, 1], labels=["low", "high"], fontsize=style.TEXT - 1)
    bar.set_label("the feature's value (pink: not measured)", fontsize=style.TEXT - 1)
    bar.outline.set_visible(False)


def _draw_dependence(axes: Axes, column: int, contributions: Floats, values: Floats) -> None:
    name = FEATURES[column]
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
    measured_in = f", {style.unit(name)}" if style.unit(name) else ""
    axes.set_xlabel(f"{style.feature_name(name)}{measured_in}")
    style.plain(axes)
