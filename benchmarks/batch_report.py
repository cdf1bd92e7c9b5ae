"""The results of batch scoring: targets, tables, the page and the picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.memory import DRIVER, JVM, WORKER
from benchmarks.results import Verdict
from benchmarks.table import markdown

LOCAL: Final = "local"
SPARK: Final = "spark"
ENGINES: Final = (LOCAL, SPARK)

LEAST_SHARE: Final = 0.4
LEAST_OF_SCRIPT: Final = 0.6
MOST_MIB: Final = 1024
MOST_TREE_MIB: Final = 2048
"""The targets: of the bare booster's rows a second a core, of the script's rate, of any process's
memory, and of that of all processes."""

_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
_PEER: Final = "#BBBBBB"


@dataclass(frozen=True)
class Peer:
    """What scores in one process, on one core."""

    title: str
    rows: int
    seconds: float

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds

    def __add__(self, other: "Peer") -> "Peer":
        """Return both measurements of one peer together."""
        return Peer(self.title, self.rows + other.rows, self.seconds + other.seconds)


@dataclass(frozen=True)
class Job:
    """One run of the command.

    Attributes
    ----------
    engine
        One of `ENGINES`.
    seconds
        Of the whole command.
    scoring_seconds
        Of them, those from when the engine is there.
    peak_mib
        The greatest memory that a process of each kind had.
    tree_mib
        The greatest memory that all had together.
    """

    engine: str
    rows: int
    cores: int
    seconds: float
    scoring_seconds: float
    peak_mib: dict[str, float]
    tree_mib: float

    @property
    def rate(self) -> float:
        """Rows a second a core, while it scores."""
        return self.rows / self.scoring_seconds / self.cores


@dataclass(frozen=True)
class Results:
    """All that was measured."""

    jobs: Sequence[Job]
    pyfunc: Peer
    booster: Peer
    script: Peer

    def share(self, job: Job) -> float:
        """Return a job's rows a second a core, while it scores, over the bare booster's."""
        return job.rate / self.booster.rate

    def share_of_all(self, job: Job) -> float:
        """Return the same for the whole command."""
        return job.rows / job.seconds / job.cores / self.booster.rate

    @property
    def largest(self) -> Job:
        """The job with the most rows on the most cores, without Spark if there is one."""
        return max(self.jobs, key=lambda job: (job.rows, job.cores, job.engine == LOCAL))


def verdicts(results: Results) -> list[Verdict]:
    """Return the targets, and whether they are met."""
    job = results.largest
    here = [each for each in results.jobs if each.engine == LOCAL] or results.jobs
    share, most = results.share(job), max(max(each.peak_mib.values()) for each in here)
    whole = max(each.tree_mib for each in here)
    said = f"{job.rows:,} rows on {job.cores} cores"
    of_script = job.rows / job.seconds / results.script.rate
    return [
        Verdict(
            f"{said}, scoring: at least {LEAST_SHARE:g} of the bare booster's rows/s a core",
            f"{share:.2f}",
            share >= LEAST_SHARE,
        ),
        Verdict(
            f"{said}, whole command: at least {LEAST_OF_SCRIPT:g} of a script's rows/s",
            f"{of_script:.2f}",
            of_script >= LEAST_OF_SCRIPT,
        ),
        Verdict(
            f"every process below {MOST_MIB:,} MiB, whatever the rows",
            f"{most:,.0f} MiB",
            most < MOST_MIB,
        ),
        Verdict(
            f"all processes together below {MOST_TREE_MIB:,} MiB",
            f"{whole:,.0f} MiB",
            whole < MOST_TREE_MIB,
        ),
    ]


def tables(results: Results) -> str:
    """Return the targets, how cost grows, and what stands beside it, in Markdown."""
    targets = [[one.target, one.measured, _met(one)] for one in verdicts(results)]
    return "\n\n".join(
        [
            f"## Targets\n\n{markdown(['target', 'measured', ''], targets)}",
            f"## How cost grows\n\n{_growth(results)}",
            f"## Next to others\n\n{_beside(results)}",
        ]
    )


def report(results: Results, made: str) -> str:
    """Return the whole page; ``made`` says when, where and how."""
    picture = "![Seconds by rows, and rows a second a core](batch.png)"
    return "\n\n".join(["# Batch scoring", made, picture, tables(results)])


def draw(results: Results, path: Path) -> None:
    """Draw how cost grows, and the rates beside one another, as a PNG file."""
    figure = Figure(figsize=(10, 4.2), dpi=150, layout="constrained")
    figure.suptitle(headline(results), fontsize=13, fontweight="bold")
    left, right = figure.subplots(1, 2)
    _draw_growth(left, results)
    _draw_rates(right, results)
    figure.savefig(path, metadata={"Software": None})


def headline(results: Results) -> str:
    """Return the finding in a line."""
    job = results.largest
    return (
        f"{job.rows / 1e6:g} million rows in {job.seconds:.0f} s on {job.cores} cores, scoring at "
        f"{results.share(job):.2f} of the bare booster's rate a core"
    )


def _growth(results: Results) -> str:
    header = [
        "engine",
        "rows",
        "cores",
        "command, s",
        "scoring, s",
        "rows/s/core",
        "of the bare booster's",
    ]
    kinds = (JVM, DRIVER, WORKER)
    rows = [
        [
            job.engine,
            f"{job.rows:,}",
            str(job.cores),
            f"{job.seconds:.1f}",
            f"{job.scoring_seconds:.1f}",
            f"{job.rate:,.0f}",
            f"{results.share(job):.2f} ({results.share_of_all(job):.2f} of the whole command)",
            *(f"{job.peak_mib.get(kind, 0):,.0f}" for kind in kinds),
            f"{job.tree_mib:,.0f}",
        ]
        for job in results.jobs
    ]
    return markdown([*header, *(f"{kind}, MiB" for kind in kinds), "together, MiB"], rows)


def _beside(results: Results) -> str:
    rows = [
        [
            each.title,
            f"{each.rows:,}",
            f"{each.rate:,.0f}",
            f"{each.rate / results.booster.rate:.2f}",
        ]
        for each in (results.booster, results.script, results.pyfunc)
    ]
    return markdown(["", "rows", "rows/s", "of the bare booster's"], rows)


def _met(verdict: Verdict) -> str:
    return "met" if verdict.met else "**missed**"


def _draw_growth(axes: Axes, results: Results) -> None:
    kinds = sorted({(job.engine, job.cores) for job in results.jobs})
    for (engine, cores), colour in zip(kinds, _COLOURS, strict=False):
        chosen = [job for job in results.jobs if (job.engine, job.cores) == (engine, cores)]
        jobs = sorted(chosen, key=lambda job: job.rows)
        rows = [job.rows / 1e6 for job in jobs]
        label = f"{engine}, {cores} core{'s' * (cores > 1)}"
        whole, scoring = [job.seconds for job in jobs], [job.scoring_seconds for job in jobs]
        axes.plot(rows, whole, "o-", color=colour, label=label)
        axes.plot(rows, scoring, "o--", color=colour, label=f"{label}, scoring alone")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0, top=1.3 * max(job.seconds for job in results.jobs))  # for the legend
    axes.set_xlabel("million rows")
    axes.set_ylabel("seconds")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_rates(axes: Axes, results: Results) -> None:
    job = results.largest
    bars = {
        results.booster.title: results.booster.rate,
        f"{job.engine}, {job.cores} cores": job.rate,
        results.pyfunc.title: results.pyfunc.rate,
    }
    drawn = axes.barh(list(bars), list(bars.values()), color=[_PEER, _COLOURS[0], _PEER])
    axes.bar_label(drawn, labels=[f"{rate:,.0f}" for rate in bars.values()], padding=4)
    axes.set_xlim(right=1.25 * max(bars.values()))
    axes.invert_yaxis()
    axes.set_xlabel("rows a second a core")
    axes.ticklabel_format(axis="x", style="plain")
    axes.locator_params(axis="x", nbins=4)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
