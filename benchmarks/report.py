"""The results as Markdown."""

from collections.abc import Mapping
from typing import Final

from benchmarks.results import CELLS, MANY, ONE, SIXTEEN, Ratio, Results, verdicts
from benchmarks.servers import OURS, Server
from benchmarks.table import markdown

_TITLES: Final = {
    ONE: "One row a request, 1 connection",
    SIXTEEN: "One row a request, 16 connections",
    MANY: "10,000 rows in one request, one request after the other",
}
_BESIDE: Final = ("uvicorn", "uvloop", "httptools", "pydantic", "numpy", "pandas", "xgboost-cpu")


def report(results: Results, versions: Mapping[str, Mapping[str, str]], made: str) -> str:
    """Return the whole page.

    Parameters
    ----------
    versions
        Of what is installed in each server's environment, by the server's name.
    made
        When, where and how the results were made: a paragraph.
    """
    return "\n\n".join(
        [
            "# Our server beside its peers",
            made,
            "![Throughput with single rows](serving.png)",
            tables(results),
            "## What is compared",
            "\n".join(f"- **{server.title}**: {server.about}." for server in results.servers),
            "## Versions",
            markdown(
                ["", "installed"],
                [[one.title, _versions(one, versions[one.name])] for one in results.servers],
            ),
        ]
    )


def tables(results: Results) -> str:
    """Return the targets and whether they are met, and a table for each kind of load."""
    found = verdicts(results)
    parts = [f"## {_TITLES[cell]}\n\n{_table(results, cell)}" for cell in CELLS]
    if found:
        rows = [[one.target, one.measured, "met" if one.met else "**missed**"] for one in found]
        parts.insert(0, f"## Targets\n\n{markdown(['target', 'measured', ''], rows)}")
    return "\n\n".join(parts)


def _table(results: Results, cell: str) -> str:
    rate = "rows/s" if cell == MANY else "requests/s"
    # A few large requests have no p99 to speak of.
    quantiles = ["p50, ms"] if cell == MANY else ["p50, ms", "p99, ms"]
    header = ["", rate, *quantiles, "ours / its"]
    return markdown(header, [_row(results, cell, server) for server in results.servers])


def _row(results: Results, cell: str, server: Server) -> list[str]:
    median = results.median(server.name, cell)
    quantiles = [median.p50_ms] if cell == MANY else [median.p50_ms, median.p99_ms]
    compared = results.has(OURS) and server.name != OURS
    ratio = _ratio(results.rate_ratio(server.name, cell)) if compared else ""
    return [
        server.title,
        f"{median.rate:,.0f}",
        *(f"{one:.2f}" if one < 10 else f"{one:.0f}" for one in quantiles),  # noqa: PLR2004
        ratio,
    ]


def _ratio(ratio: Ratio) -> str:
    return f"{ratio.median:.2f} ({ratio.least:.2f} to {ratio.most:.2f})"


def _versions(server: Server, installed: Mapping[str, str]) -> str:
    names = [*server.framework, *(name for name in _BESIDE if name in installed)]
    return ", ".join(f"{name} {installed[name]}" for name in names)
