"""One style for all pictures: sizes, and colours that the colour-blind can tell apart."""

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

from mlflow_sealed.training.measure import curves
from mlflow_sealed.training.measure.results import MODEL, Evaluation, Floats

Corner = Literal["upper left", "upper right", "lower left", "lower right"]

# Of Okabe and Ito's palette, https://jfly.uni-koeln.de/color/
BLUE: Final = "#0072B2"
VERMILION: Final = "#D55E00"
ORANGE: Final = "#E69F00"
GREY: Final = "#6E6E6E"
PALE: Final = "#C8C8C8"
GREEN: Final = "#009E73"
PURPLE: Final = "#CC79A7"
_OTHERS: Final = (VERMILION, GREY, GREEN, PURPLE)
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
    linestyle: str | tuple[int, tuple[float, ...]]
    zorder: int = 3

    def drawn(self, figure: str = "") -> dict[str, Any]:
        """Return matplotlib's arguments for it, its label with a figure behind."""
        return {**asdict(self), "label": f"{self.label}: {figure}" if figure else self.label}


def lines(evaluation: Evaluation) -> dict[str, Line]:
    """Return how each candidate's curve is drawn: the model's first, and thicker."""
    titles = evaluation.subject.titles
    others = (name for name in titles if name != MODEL)
    return {
        MODEL: Line(titles[MODEL], BLUE, 2.6, "-", zorder=4),
        **{
            name: Line(titles[name], _OTHERS[index % len(_OTHERS)], 1.3, dashes(index))
            for index, name in enumerate(others)
        },
    }


def dashes(index: int) -> str | tuple[int, tuple[float, ...]]:
    """Return the dashes of a candidate: no two of them have the same.

    Examples
    --------
    >>> dashes(0), dashes(1), dashes(2)
    ('--', '-.', (0, (6, 2, 1, 2, 1, 2)))
    """
    return ("--", "-.")[index] if index < 2 else (0, (6, 2, *(1, 2) * index))  # noqa: PLR2004


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
    """Draw a line at the threshold, with its value at the top."""
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


def resampled(evaluation: Evaluation) -> str:
    """Return what the intervals of curves are, in a phrase."""
    records = evaluation.subject.project.words.records
    return f"{curves.LEVEL:.0%} of {curves.RESAMPLES} resamples of the {records}"
