"""For whom the model is how good: the figures of each group."""

from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlflow_sealed.training.measure import curves
from mlflow_sealed.training.measure.results import MODEL, Evaluation, Group, Interval
from mlflow_sealed.training.show import words
from mlflow_sealed.training.show.pictures import style

_LEAST_LINES: Final = 2
_SHOWN: Final = {"auc": "AUC", "sensitivity": "sensitivity", "specificity": "specificity"}


def groups(evaluation: Evaluation) -> Figure:
    """Draw the figures of each group with their intervals, and those of all records."""
    shown, records = evaluation.groups, evaluation.subject.project.words.records
    kinds = dict.fromkeys(group.kind for group in shown)
    figure = style.figure(
        groups_title(evaluation),
        f"{words.measured_on(evaluation)} Bars: {curves.LEVEL:.0%} intervals. Dotted: all "
        f"{records}. Hollow and grey: a small group, too few {records} to conclude anything.",
        size=(9.0, 2.6 + 0.42 * max(len(shown) + len(kinds), _LEAST_LINES)),
    )
    panels = figure.subplots(1, len(_SHOWN), sharey=True)
    for axes, (name, title) in zip(panels, _SHOWN.items(), strict=True):
        _draw(axes, evaluation, name, title)
    places = _places(shown)
    panels[0].set_yticks([*places.values()], [_label(group) for group in shown])
    for kind in kinds:
        top = min(places[index] for index, one in enumerate(shown) if one.kind == kind)
        panels[0].annotate(
            words.capitalised(words.kind_name(evaluation.subject, kind)),
            (0, top - 0.75),
            xycoords=("axes fraction", "data"),
            xytext=(-8, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=style.TEXT,
            fontweight="bold",
        )
    panels[0].set_ylim(max(places.values(), default=0) + 0.6, -0.6)
    return figure


def groups_title(evaluation: Evaluation) -> str:
    """Return between which groups the AUC differs most, and how many are too small to tell."""
    telling = [one for one in evaluation.groups if not one.small and "auc" in one.figures]
    small = sum(one.small for one in evaluation.groups)
    left_out = f"; {small} small {'group' if small == 1 else 'groups'} cannot tell" if small else ""
    if not telling:
        return "No group is large enough to tell"
    worst, best = (
        choose(telling, key=lambda group: group.figures["auc"].value) for choose in (min, max)
    )
    return f"AUC from {_found(worst)} to {_found(best)}{left_out}"


def _found(group: Group) -> str:
    name = words.group_name(group).replace(" ", "\N{NO-BREAK SPACE}")
    return f"{group.figures['auc'].value:.2f} ({name})"


def _places(shown: list[Group]) -> dict[int, float]:
    """Return the height of each group's line, with room for the heading of each kind."""
    kinds = [group.kind for group in shown]
    return {index: index + len(set(kinds[: index + 1])) * 1.0 for index in range(len(shown))}


def _label(group: Group) -> str:
    few = ", small" if group.small else ""
    return f"{group.name} ({group.positive} of {group.rows}{few})"


def _draw(axes: Axes, evaluation: Evaluation, name: str, title: str) -> None:
    overall = evaluation.cross_validated[MODEL].get(name)
    if overall is not None:
        axes.axvline(overall.value, color=style.BLUE, linewidth=1.2, linestyle=":")
    places = _places(evaluation.groups)
    for small, colour, inside in ((False, style.BLUE, style.BLUE), (True, style.GREY, "white")):
        found = [
            (places[index], group.figures[name])
            for index, group in enumerate(evaluation.groups)
            if group.small == small and name in group.figures
        ]
        if found:
            axes.errorbar(
                [one.value for _, one in found],
                [place for place, _ in found],
                xerr=_lengths([one for _, one in found]),
                fmt="o",
                markersize=8,
                color=colour,
                markerfacecolor=inside,
                linewidth=1.8,
            )
    _say_absent(axes, evaluation.groups, name)
    axes.set_xlim(min(0.5, axes.get_xlim()[0]), 1.02)
    axes.set_xlabel(title)
    style.percent(axes, "x")
    style.plain(axes)
    axes.tick_params(axis="y", length=0)


def _lengths(found: list[Interval]) -> tuple[list[float], list[float]]:
    """Return the lengths of the intervals to both sides, as matplotlib takes them."""
    return (
        [max(0.0, one.value - one.low) for one in found],
        [max(0.0, one.high - one.value) for one in found],
    )


def _say_absent(axes: Axes, shown: list[Group], name: str) -> None:
    for index, place in _places(shown).items():
        if name not in shown[index].figures:
            axes.annotate(
                "too few",
                (0.5, place),
                xycoords=("axes fraction", "data"),
                ha="center",
                va="center",
                color=style.GREY,
                fontsize=style.TEXT - 1,
            )
