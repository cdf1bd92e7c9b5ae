"""One style for all pictures: sizes, colours that the colour-blind can tell apart, words."""

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import Container
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import PercentFormatter

from mlflow_sealed.training.measure.results import (
    ARTICLE,
    CANDIDATES,
    LOGISTIC_REGRESSION,
    MODEL,
    Evaluation,
    Floats,
    Group,
)
from mypreprocessing import Patient

Corner = Literal["upper left", "upper right", "lower left", "lower right"]

# Of Okabe and Ito's palette, https://jfly.uni-koeln.de/color/
BLUE: Final = "#0072B2"
VERMILION: Final = "#D55E00"
ORANGE: Final = "#E69F00"
GREY: Final = "#6E6E6E"
PALE: Final = "#C8C8C8"
_BAND_ALPHA: Final = 0.2

SIZE: Final = (9.0, 6.2)
"""In inches; with `DPI` a little more than the 900 pixels at which MLflow's page shows it."""

DPI: Final = 120
TEXT: Final = 12
NOTE: Final = 10.5
_TITLE: Final = 15.5
_TITLE_WIDTH: Final = 68
_NOTE_WIDTH: Final = 112


@dataclass(frozen=True)
class Line:
    """How the curve of a candidate is drawn; told apart by its dashes as well."""

    label: str
    color: str
    linewidth: float
    linestyle: str
    zorder: int = 3

    def drawn(self, figure: str = "") -> dict[str, Any]:
        """Return matplotlib's arguments for it, its label with a figure behind."""
        return {**asdict(self), "label": f"{self.label}: {figure}" if figure else self.label}


LINES: Final = {
    MODEL: Line(CANDIDATES[MODEL], BLUE, 2.6, "-", zorder=4),
    LOGISTIC_REGRESSION: Line(CANDIDATES[LOGISTIC_REGRESSION], VERMILION, 1.3, "--"),
    ARTICLE: Line(CANDIDATES[ARTICLE], GREY, 1.3, "-."),
}

_NAMES: Final = {"bmi": "BMI", "diabetes_pedigree": "diabetes pedigree"}
_UNITLESS: Final = ("1", "count")


def figure(title: str, note: str, *, size: tuple[float, float] = SIZE) -> Figure:
    """Return an empty figure with its finding above, and how it was measured below."""
    made = Figure(figsize=size, dpi=DPI, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
    made.suptitle(
        balanced(title, _TITLE_WIDTH), x=0.012, ha="left", fontsize=_TITLE, fontweight="bold"
    )
    below = textwrap.fill(note, _NOTE_WIDTH)
    made.supxlabel(below, x=0.012, ha="left", fontsize=NOTE, color=GREY)
    return made


def balanced(text: str, width: int) -> str:
    r"""Break a text into as few lines as possible, of about one length.

    Examples
    --------
    >>> balanced("one two three four", 14)
    'one two\nthree four'
    """
    lines = len(textwrap.wrap(text, width))
    narrower = (one for one in range(width) if len(textwrap.wrap(text, one + 1)) == lines)
    return textwrap.fill(text, next(narrower, width) + 1)


def plain(axes: Axes) -> Axes:
    """Give axes the common look: no box, no ticks that say nothing, a faint grid behind."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=TEXT - 1, color=PALE)
    axes.grid(color="#E8E8E8", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.title.set_fontsize(TEXT)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_fontsize(TEXT)
    return axes


def percent(axes: Axes, which: str = "both") -> None:
    """Write an axis of shares, or both, in per cent."""
    for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        if which in {name, "both"}:
            axis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))


def band(axes: Axes, x: Floats, low: Floats, high: Floats) -> None:
    """Draw the interval of the model's curve."""
    axes.fill_between(x, low, high, color=BLUE, alpha=_BAND_ALPHA, linewidth=0)


def legend(axes: Axes, place: Corner, handles: Sequence[Artist | Container] | None = None) -> None:
    """Draw the legend without a box, of these handles if they are given, in their order."""
    shown = axes.get_legend_handles_labels()[0] if handles is None else handles
    labels = [str(one.get_label()) for one in shown]
    axes.legend(shown, labels, loc=place, fontsize=TEXT, frameon=False)


def mark_threshold(axes: Axes, threshold: float) -> None:
    """Draw a line at the threshold, with its value beside it at the top."""
    left = threshold > 0.35  # noqa: PLR2004 # keeps the right half free for legends
    axes.axvline(threshold, color=GREY, linewidth=1.2, linestyle=":")
    axes.annotate(
        f"threshold {threshold:.3g}",
        (threshold, 1),
        xycoords=("data", "axes fraction"),
        xytext=(-5 if left else 5, -4),
        textcoords="offset points",
        ha="right" if left else "left",
        va="top",
        fontsize=TEXT - 1,
    )


def measured_on(evaluation: Evaluation) -> str:
    """Return how the out-of-fold predictions were made, in a sentence."""
    options = evaluation.options
    return (
        f"{len(evaluation.data.labels)} patients, each predicted by models trained without her "
        f"({options.repeats} x {options.folds} cross-validation)."
    )


def feature_name(name: str) -> str:
    """Return a feature's name as a reader has it.

    Examples
    --------
    >>> feature_name("blood_pressure"), feature_name("bmi")
    ('blood pressure', 'BMI')
    """
    return _NAMES.get(name, name.replace("_", " "))


def group_name(group: Group) -> str:
    """Return which patients a group has.

    Examples
    --------
    >>> group_name(Group("age", "21 to 30", 9, 3, True, {}))
    'age 21 to 30'
    >>> group_name(Group("missing", "2 missing", 9, 3, True, {}))
    '2 missing'
    """
    return f"age {group.name}" if group.kind == "age" else group.name


def unit(name: str) -> str:
    """Return a feature's unit, or nothing where it has none.

    Examples
    --------
    >>> unit("glucose"), unit("pregnancies")
    ('mg/dl', '')
    """
    extra = Patient.model_fields[name].json_schema_extra
    found = str(extra["unit"]) if isinstance(extra, dict) else ""
    return "" if found in _UNITLESS else found


def capitalised(text: str) -> str:
    """Return a text with its first letter a capital, the others as they are."""
    return text[:1].upper() + text[1:]
