"""The benchmark's own reckoning: what wrk says, ratios, targets, tables, the check of answers."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from benchmarks import load, picture, serving
from benchmarks.load import Sample
from benchmarks.report import report, tables
from benchmarks.results import CELLS, MANY, ONE, SIXTEEN, Results, verdicts
from benchmarks.servers import DATAFRAME, OURS, SLEEPING, UNMETERED, Row, Server, every
from mlflow_sealed.process import ProcessError
from tests import services

ROWS: list[Row] = [{"glucose": 121.0, "age": 33}, {"glucose": None, "age": 34}]
PROBABILITY = 0.25


class Handler(BaseHTTPRequestHandler):
    """Answers every row of MLflow's protocol with the same probability."""

    protocol_version = "HTTP/1.1"
    status: ClassVar[int] = 200
    bodies: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.bodies.append(body)
        found = [{"probability": PROBABILITY} for _ in json.loads(body)["inputs"]]
        answer = json.dumps({"predictions": found}).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def answering(status: int = 200) -> Iterator[tuple[int, list[bytes]]]:
    """A server's port, and the bodies that it gets."""
    bodies: list[bytes] = []
    handler = type("Answering", (Handler,), {"status": status, "bodies": bodies})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1], bodies
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def _wrk() -> None:
    services.need("wrk")


def named(name: str) -> Server:
    return next(server for server in every() if server.name == name)


def measured(rates: Mapping[str, Sequence[float]], p99_ms: float = 5.0) -> Results:
    """Results with the same rates in every cell."""
    samples = {
        name: {cell: [Sample(rate, 1.0, p99_ms) for rate in found] for cell in CELLS}
        for name, found in rates.items()
    }
    return Results([server for server in every() if server.name in rates], samples)


def test_what_wrk_counted_is_read_below_its_own_report() -> None:
    line = '{"requests": 1200, "errors": 0, "duration_us": 2000000, "p50_us": 812, "p99_us": 3100}'
    assert load.parse(f"Running 2s test\n  1 threads\n{line}\n") == Sample(600.0, 0.812, 3.1)


@pytest.mark.parametrize(
    ("counted", "message"),
    [
        ("Running 2s test\n", "wrk has not printed what post.lua counts"),
        ('{"requests": 9, "errors": 2}', "of 9 requests 2 were not answered with success"),
        ('{"requests": 0, "errors": 0}', "of 0 requests 0 were not answered with success"),
    ],
    ids=["no line", "errors", "no answer"],
)
def test_a_load_that_says_nothing_is_an_error(counted: str, message: str) -> None:
    with pytest.raises(ProcessError, match=message):
        load.parse(counted)


@pytest.mark.services
@pytest.mark.usefixtures("_wrk")
def test_wrk_posts_every_row_of_the_file(tmp_path: Path) -> None:
    bodies = tmp_path / "bodies.jsonl"
    ours = named(OURS)
    bodies.write_bytes(b"\n".join(ours.request([row])[1] for row in ROWS))
    with answering() as (port, got):
        url = f"http://127.0.0.1:{port}{ours.path}"
        sample = load.single_rows(url, bodies, connections=2, seconds=1)
    assert set(got) == set(bodies.read_bytes().splitlines())
    assert 0 < sample.rate <= len(got)
    assert 0 < sample.p50_ms <= sample.p99_ms


@pytest.mark.services
@pytest.mark.usefixtures("_wrk")
def test_wrk_that_meets_errors_voids_the_comparison(tmp_path: Path) -> None:
    bodies = tmp_path / "bodies.jsonl"
    bodies.write_bytes(named(OURS).request(ROWS[:1])[1])
    with (
        answering(status=503) as (port, _),
        pytest.raises(ProcessError, match="the comparison is void"),
    ):
        load.single_rows(f"http://127.0.0.1:{port}/", bodies, connections=1, seconds=1)


def test_without_wrk_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert serving.main(["--only", "ours"]) == 1
    assert capsys.readouterr().err == "error: wrk is not installed: apt-get install wrk\n"


def test_an_unknown_server_is_named_beside_the_known_ones(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # wrk is not looked for
    assert serving.main(["--only", "ours,flask"]) == 1
    assert "--only has flask, expected some of ours, ours-unmetered, ours-sleeping, mlflow" in (
        capsys.readouterr().err
    )


@pytest.mark.services
def test_large_requests_are_counted_by_their_rows() -> None:
    path, body = named(OURS).request(ROWS)
    with answering() as (port, got):
        sample = load.large_requests(port, path, body, rows=2, seconds=0)
    assert got == [body] * 3
    assert sample.rate == pytest.approx(2 / sample.p50_ms * 1e3, rel=0.9)


@pytest.mark.services
def test_a_server_with_the_right_answers_passes() -> None:
    with answering() as (port, got):
        serving.check(named(OURS), port, ROWS, [PROBABILITY] * 2)
    assert [len(json.loads(body)["inputs"]) for body in got] == [1, 1, 2]


@pytest.mark.services
@pytest.mark.parametrize(
    ("rows", "expected"),
    [(ROWS, [PROBABILITY, PROBABILITY + 2e-6]), (ROWS[:1], [PROBABILITY - 2e-6])],
    ids=["one of two", "the only one"],
)
def test_another_probability_voids_the_comparison(rows: list[Row], expected: list[float]) -> None:
    with (
        answering() as (port, _),
        pytest.raises(ProcessError, match="ours does not answer with the booster's probabilities"),
    ):
        serving.check(named(OURS), port, rows, expected)


@pytest.mark.services
def test_a_refused_row_voids_the_comparison() -> None:
    with (
        answering(status=400) as (port, _),
        pytest.raises(ProcessError, match="/invocations answered with status 400"),
    ):
        serving.check(named(OURS), port, ROWS, [PROBABILITY] * 2)


@pytest.mark.parametrize("server", every(), ids=lambda server: server.name)
def test_a_request_is_one_line_that_has_every_value(server: Server) -> None:
    for rows in (ROWS[:1], ROWS):
        _, body = server.request(rows)
        assert b"\n" not in body
        assert all(str(row["age"]).encode() in body for row in rows)


def test_an_answer_without_predictions_is_an_error() -> None:
    with pytest.raises(ProcessError, match="LitServe: the answer has no predictions"):
        named("litserve").probabilities(b'{"error": 1}')


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    # A slow second round is slow for both: the ratio of the medians would be 1.
    results = measured({OURS: [100, 20, 60], "litserve": [50, 10, 60]})
    ratio = results.rate_ratio("litserve", ONE)
    assert (ratio.median, ratio.least, ratio.most) == (2, 1, 2)


def test_targets_are_held_to_the_closest_peer() -> None:
    rates = {OURS: [300.0], UNMETERED: [400.0], DATAFRAME: [25.0], "bentoml": [130.0]}
    rates[SLEEPING] = [325.0]
    found = {verdict.target: verdict for verdict in verdicts(measured(rates))}
    assert {target: verdict.met for target, verdict in found.items()} == {
        f"{ONE}: throughput at least 2.5 times the best peer's": False,
        f"{SIXTEEN}: throughput at least 3 times the best peer's": False,
        f"{ONE}: throughput at least 2.5 times the best peer's by ours, no busy polling": True,
        f"{MANY}: throughput at least 2.5 times the best peer's": False,
        f"{SIXTEEN}: p99 below every peer's": False,
        f"{ONE}: throughput at least 10 times that of MLflow, DataFrame": True,
        f"{SIXTEEN}: throughput at least 10 times that of MLflow, DataFrame": True,
        f"{MANY}: throughput at least 3 times that of MLflow, DataFrame": True,
        f"{ONE}: throughput at least 0.9 times that of ours, metrics off": False,
        f"{SIXTEEN}: throughput at least 0.9 times that of ours, metrics off": False,
    }
    assert found[f"{ONE}: throughput at least 2.5 times the best peer's"].measured == (
        "2.31 (BentoML)"
    )


def test_what_was_not_measured_has_no_target() -> None:
    assert verdicts(measured({"bentoml": [1.0]})) == []
    assert verdicts(measured({OURS: [1.0]})) == []


def test_the_tables_have_rates_quantiles_and_ratios() -> None:
    text = tables(measured({OURS: [2500.0], "bentoml": [1000.0]}))
    assert "| ours | 2,500 | 1.00 | 5.00 | |" in text
    assert "| BentoML | 1,000 | 1.00 | 5.00 | 2.50 (2.50 to 2.50) |" in text
    assert "| BentoML | 1,000 | 1.00 | 2.50 (2.50 to 2.50) |" in text  # 10,000 rows: no p99
    assert "| 2.50 (BentoML) | met |" in text


def test_the_page_names_no_place_of_this_machine(tmp_path: Path) -> None:
    results = measured({server.name: [100.0] for server in every()})
    installed = dict.fromkeys([name for one in every() for name in one.framework], "1.0")
    options = serving.parse(["--rounds", "2"])
    page = report(results, {one.name: installed for one in every()}, serving.made(options))
    assert "--rounds 2 --seconds 1" in page
    for place in (str(Path.home()), os.uname().nodename, str(load.SCRIPT.parent)):
        assert place not in page
    picture.draw(results, tmp_path / "serving.png")
    assert (tmp_path / "serving.png").read_bytes().startswith(b"\x89PNG")


def test_the_picture_says_the_finding() -> None:
    results = measured({OURS: [300.0], "litserve": [100.0], "bentoml": [50.0]})
    assert picture.headline(results) == (
        "3.0 times the best peer's predictions a second with 1 connection, 3.0 times with 16"
    )


def test_every_server_has_a_lock() -> None:
    assert all(lock.exists() for server in every() for lock in server.locks)
