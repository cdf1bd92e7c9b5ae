"""What was measured, and how ours compares: medians, ratios, targets."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.load import Sample
from benchmarks.servers import DATAFRAME, OURS, SLEEPING, UNMETERED, Server

ONE: Final = "1 connection"
SIXTEEN: Final = "16 connections"
MANY: Final = "10,000 rows"
CELLS: Final = (ONE, SIXTEEN, MANY)


@dataclass(frozen=True)
class Ratio:
    """The median over the rounds, and the extremes."""

    median: float
    least: float
    most: float


@dataclass(frozen=True)
class Verdict:
    """A target, and whether it is met."""

    target: str
    measured: str
    met: bool


@dataclass(frozen=True)
class Results:
    """Every sample of a run.

    Attributes
    ----------
    servers
        In the order in which they are shown.
    samples
        By the name of the server and the cell, one a round.
    """

    servers: Sequence[Server]
    samples: Mapping[str, Mapping[str, Sequence[Sample]]]

    def median(self, name: str, cell: str) -> Sample:
        """Return the medians over the rounds."""
        found = self.samples[name][cell]
        return Sample(
            rate=statistics.median(sample.rate for sample in found),
            p50_ms=statistics.median(sample.p50_ms for sample in found),
            p99_ms=statistics.median(sample.p99_ms for sample in found),
        )

    def rate_ratio(self, name: str, cell: str, *, of: str = OURS) -> Ratio:
        """Return our throughput over that of another server, round by round."""
        return _ratio(
            (sample.rate for sample in self.samples[of][cell]),
            (sample.rate for sample in self.samples[name][cell]),
        )

    def p99_ratio(self, name: str, cell: str) -> Ratio:
        """Return the p99 of another server over ours, round by round."""
        return _ratio(
            (sample.p99_ms for sample in self.samples[name][cell]),
            (sample.p99_ms for sample in self.samples[OURS][cell]),
        )

    def has(self, name: str) -> bool:
        """Return whether a server was measured."""
        return name in self.samples

    def best_peer(self, cell: str) -> Server:
        """Return the peer whose throughput comes closest to ours."""
        return min(self._peers(), key=lambda peer: self.rate_ratio(peer.name, cell).median)

    def closest_p99(self, cell: str) -> Server:
        """Return the peer whose p99 comes closest to ours."""
        return min(self._peers(), key=lambda peer: self.p99_ratio(peer.name, cell).median)

    def _peers(self) -> list[Server]:
        return [server for server in self.servers if server.is_peer]


def verdicts(results: Results) -> list[Verdict]:
    """Return the targets for which the servers were measured, ours and its peers."""
    if not results.has(OURS):
        return []
    found: list[Verdict] = []
    if any(server.is_peer for server in results.servers):
        found += [_best_peer(results, ONE, 2.5), _best_peer(results, SIXTEEN, 3)]
        if results.has(SLEEPING):
            found.append(_best_peer(results, ONE, 2.5, of=SLEEPING))
        found += [_p99(results), _best_peer(results, MANY, 2.5)]
    if results.has(DATAFRAME):
        found += [
            _rate(results, DATAFRAME, ONE, 10),
            _rate(results, DATAFRAME, SIXTEEN, 10),
            _rate(results, DATAFRAME, MANY, 3),
        ]
    if results.has(UNMETERED):
        found += [_rate(results, UNMETERED, cell, 0.9) for cell in (ONE, SIXTEEN)]
    return found


def _best_peer(results: Results, cell: str, least: float, *, of: str = OURS) -> Verdict:
    peer = results.best_peer(cell)
    ratio = results.rate_ratio(peer.name, cell, of=of).median
    title = "" if of == OURS else f" by {_title(results, of)}"
    target = f"{cell}: throughput at least {least:g} times the best peer's{title}"
    return Verdict(target, f"{ratio:.2f} ({peer.title})", ratio >= least)


def _p99(results: Results) -> Verdict:
    peer = results.closest_p99(SIXTEEN)
    ours, its = (results.median(name, SIXTEEN).p99_ms for name in (OURS, peer.name))
    measured = f"{ours:.1f} ms, {its:.1f} ms ({peer.title})"
    met = results.p99_ratio(peer.name, SIXTEEN).median > 1
    return Verdict(f"{SIXTEEN}: p99 below every peer's", measured, met)


def _rate(results: Results, name: str, cell: str, least: float) -> Verdict:
    ratio = results.rate_ratio(name, cell).median
    target = f"{cell}: throughput at least {least:g} times that of {_title(results, name)}"
    return Verdict(target, f"{ratio:.2f}", ratio >= least)


def _title(results: Results, name: str) -> str:
    return next(server.title for server in results.servers if server.name == name)


def _ratio(over: Iterable[float], under: Iterable[float]) -> Ratio:
    ratios = [one / other for one, other in zip(over, under, strict=True)]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))
