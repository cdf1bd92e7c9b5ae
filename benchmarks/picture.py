"""The results as a picture: throughput with single rows."""

from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.results import ONE, SIXTEEN, Results
from benchmarks.servers import OURS, SLEEPING, UNMETERED

# Of Okabe and Ito's palette, told apart by those who do not see colours too.
_OURS: Final = "#0072B2"
_PEER: Final = "#BBBBBB"


def draw(results: Results, path: Path) -> None:
    """Draw the throughput of every server with 1 and with 16 connections, as a PNG file."""
    figure = Figure(figsize=(10, 4.2), dpi=150, layout="constrained")
    figure.suptitle(headline(results), fontsize=13, fontweight="bold")
    both = figure.subplots(1, 2, sharex=True, sharey=True)
    most = max(_draw(axes, results, cell) for axes, cell in zip(both, (ONE, SIXTEEN), strict=True))
    both[0].set_xlim(right=1.2 * most)  # room for the figures
    both[0].invert_yaxis()  # ours on top
    figure.savefig(path, metadata={"Software": None})


def headline(results: Results) -> str:
    """Return the finding in a line."""
    one, sixteen = (
        results.rate_ratio(results.best_peer(cell).name, cell).median for cell in (ONE, SIXTEEN)
    )
    return (
        f"{one:.1f} times the best peer's predictions a second with 1 connection, "
        f"{sixteen:.1f} times with 16"
    )


def _draw(axes: Axes, results: Results, cell: str) -> float:
    """Draw one cell and return the greatest throughput in it."""
    shown = [server for server in results.servers if server.name not in {UNMETERED, SLEEPING}]
    rates = [results.median(server.name, cell).rate for server in shown]
    colours = [_OURS if server.name == OURS else _PEER for server in shown]
    bars = axes.barh([server.title for server in shown], rates, color=colours)
    axes.bar_label(bars, labels=[f"{rate:,.0f}" for rate in rates], padding=4)
    axes.set_title(cell, fontsize=11)
    axes.set_xlabel("requests a second, one row each")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return max(rates)
