"""No answer and no line of the log has a patient's value, a path or a stack trace."""

import gzip
import io
import json
import re
import socket
import uuid
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlflow_sealed.server.protocol.number_spelling import EXPECTED
from tests.mlflow_sealed.server.running import CSV, JSON, PARQUET, Running, serving, until
from tests.mlflow_sealed.server.served.test_other_models import PARAMS, saved, ticket
from tests.records import record

NUMBER: Final = 487.1625
NAME: Final = "Zebedee-Quillfeather"
PLANTED: Final = ("487.1625", "4871625", NAME, NAME.lower())

TRACES: Final = re.compile(r"Traceback|File \"|/(site-packages|mlflow_model|tmp|home)/|\.py\b")

HEADER: Final = ",".join(record())
LINE: Final = ",".join(map(str, record().values()))


class Planted(NamedTuple):
    """A bad request that has the value somewhere."""

    body: bytes | str
    content_type: str = JSON
    path: str = "/invocations"
    headers: dict[str, str] = {}  # noqa: RUF012 # is not changed


def inputs(**changes: Any) -> Planted:
    return Planted(json.dumps({"inputs": [record(**changes)]}))


def parquet(**columns: Any) -> Planted:
    file = io.BytesIO()
    rows = {name: [value] for name, value in record().items()} | {
        name: [value] for name, value in columns.items()
    }
    pq.write_table(pa.table(rows), file)
    return Planted(file.getvalue(), PARQUET)


def broken_parquet() -> Planted:
    whole = parquet(glucose=NAME)
    assert isinstance(whole.body, bytes)
    return whole._replace(body=whole.body.replace(b"glucose", b"gluc\xff\xff\xff"))


GOOD: Final = json.dumps({"inputs": [record()]})
BAD: Final = {
    "a value out of range": inputs(bmi=NUMBER),
    "a value for a whole number": inputs(age=NUMBER),
    "a text that is no number": inputs(glucose=NAME),
    "a text that is out of range": inputs(bmi=str(NUMBER)),
    "a text for an object": Planted(json.dumps({"inputs": [NAME]})),
    "a number for a list": Planted(json.dumps({"inputs": NUMBER})),
    "a bare text": Planted(json.dumps(NAME)),
    "an object for a number": inputs(glucose={NAME: NUMBER}),
    "a field's name": inputs(**{NAME: NUMBER}),
    "a field's name, a number": inputs(**{str(NUMBER): 1}),
    "a key of the body": Planted(json.dumps({"inputs": [record()], NAME: NUMBER})),
    "the only key": Planted(json.dumps({NAME: [record()]})),
    "a key twice": Planted(f'{{"inputs": [{{"{NAME}": 1, "{NAME}": {NUMBER}}}]}}'),
    "a parameter": Planted(json.dumps({"inputs": [record()], "params": {NAME: NUMBER}})),
    "parameters that are none": Planted(json.dumps({"inputs": [record()], "params": NAME})),
    "JSON that is broken off": Planted(f'{{"inputs": [{{"glucose": {NUMBER}, "{NAME}'),
    "text that is no JSON": Planted(NAME),
    "bad UTF-8": Planted(json.dumps({"inputs": [NAME]}).encode() + b"\xff"),
    "a column of a split": Planted(
        json.dumps({"dataframe_split": {"columns": [NAME], "data": [[NUMBER]]}})
    ),
    "a value of a split": Planted(
        json.dumps(
            {"dataframe_split": {"columns": list(record()), "data": [[NUMBER, NAME, *[None] * 6]]}}
        )
    ),
    "a split that is short": Planted(
        json.dumps({"dataframe_split": {"columns": list(record()), "data": [[NAME, NUMBER]]}})
    ),
    "a record": Planted(json.dumps({"dataframe_records": [record(bmi=NUMBER, glucose=NAME)]})),
    "a cell of CSV": Planted(f"{HEADER}\n{LINE.replace('121', NAME)}", CSV),
    "a number of CSV": Planted(f"{HEADER}\n{LINE.replace('34.3', str(NUMBER))}", CSV),
    "a name of CSV": Planted(f"{NAME},{HEADER}\n{NUMBER},{LINE}", CSV),
    "CSV without a header": Planted(f"{NUMBER},{NAME}\n", CSV),
    "CSV that is short": Planted(f"{HEADER}\n{NAME},{NUMBER}", CSV),
    "CSV with an open quote": Planted(f'{HEADER}\n"{NAME},{NUMBER}', CSV),
    "a cell of semicolons": Planted(f"{HEADER};{NAME}\n{LINE};{NUMBER}".replace(",", ";"), CSV),
    "a cell of row names": Planted(f"{HEADER}\n{NAME},{LINE}", CSV),
    "a packed text": Planted(
        gzip.compress(json.dumps({"inputs": [NAME]}).encode()),
        headers={"Content-Encoding": "gzip"},
    ),
    "a packing": Planted(GOOD, headers={"Content-Encoding": NAME}),
    "a text for an array": Planted(json.dumps([NAME, NUMBER])),
    "columns of MLflow 1": Planted(json.dumps({"columns": [NAME], "data": [[NUMBER]]})),
    "a cell of Parquet": parquet(glucose=NAME),
    "a number of Parquet": parquet(bmi=NUMBER),
    "a column of Parquet": parquet(**{NAME: NUMBER}),
    "bytes of Parquet": parquet(glucose=NAME.encode()),
    "a nested column of Parquet": parquet(glucose={NAME: NUMBER}),
    "a zone of Parquet": parquet(glucose=pa.scalar(1, pa.timestamp("s", NAME))),
    "Parquet that is broken": broken_parquet(),
    "Parquet that is none": Planted(NAME, PARQUET),
    "a Content-Type": Planted(GOOD, f"text/{NAME}"),
    "a charset": Planted(GOOD, f"{JSON}; charset={NAME}"),
    "a path": Planted(GOOD, path=f"/patients/{NAME}/{NUMBER}"),
    "a path near the right one": Planted(GOOD, path=f"/invocations/{NAME}"),
    "a query": Planted("{}", path=f"/invocations?name={NAME}&glucose={NUMBER}"),
    "a header": Planted("{}", headers={"X-Patient": NAME, NAME: str(NUMBER)}),
    "a request id": Planted("{}", headers={"X-Request-Id": NAME}),
    "a request id of digits": Planted("{}", headers={"X-Request-Id": "4871625" * 4}),
    "an API key": Planted("{}", headers={"X-API-Key": NAME, "Authorization": f"Bearer {NAME}"}),
}


def send(case: Planted, to: Running) -> str:
    """Send it, and return all that comes back: status, headers, body."""
    answer = to.post(case.body, case.content_type, path=case.path, headers=case.headers)
    assert 400 <= answer.status_code < 500
    return f"{answer.reason}\n{answer.headers}\n{answer.text}"


def shown(text: str) -> list[str]:
    return [value for value in PLANTED if value in text or value.lower() in text.lower()]


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_no_answer_and_no_line_of_the_log_has_the_value(server: Running, case: Planted) -> None:
    answer = send(case, server)
    assert shown(answer) == []
    said = server.said()
    assert shown(said) == []
    assert not TRACES.search(answer + said)


def test_mlflows_own_server_shows_it(stock: Running) -> None:
    """The control: the same requests and the same look-out find the value, and stack traces."""
    answers = {}
    for name, case in BAD.items():
        answers[name] = stock.post(
            case.body, case.content_type, path=case.path, headers=case.headers
        ).text
    found = {name for name, text in answers.items() if shown(text)}
    assert len(found) > 10
    assert {"a value out of range", "a field's name", "JSON that is broken off"} <= found
    assert any(TRACES.search(text) for text in answers.values())
    assert shown(stock.said())


@pytest.mark.parametrize(
    "sent",
    [
        f"{NAME} / HTTP/1.1\r\n\r\n",
        f"GET /{NAME} {NUMBER}\r\n\r\n",
        f"POST /invocations HTTP/1.1\r\nContent-Length: {NUMBER}\r\n\r\n",
        f"POST /invocations HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{NAME}\r\n",
        f"GET / HTTP/1.1\r\n{NAME}\0: {NUMBER}\r\n\r\n",
        f"POST /invocations HTTP/1.1\r\nContent-Length: 99\r\n\r\n{NAME}",
    ],
    ids=["method", "version", "length", "chunk", "header", "half a body"],
)
def test_what_is_no_request_is_not_shown_either(server: Running, sent: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(sent.encode())
        client.shutdown(socket.SHUT_WR)
        answer = client.recv(2**16).decode()
    assert shown(answer) == []
    said = server.said()
    assert shown(said) == []
    assert not TRACES.search(answer + said)


@pytest.fixture(scope="module")
def triage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A model that puts values into the texts of its exceptions."""
    folder = tmp_path_factory.mktemp("telling")
    model = saved(folder / "model", "triage", ([ticket()], PARAMS))
    with serving(model, folder) as running:
        yield running


@pytest.mark.parametrize(
    ("row", "status", "said"),
    [
        pytest.param(
            ticket(subject="raise", sender={"name": NAME}),
            500,
            "the model failed with RuntimeError",
            id="predict raises",
        ),
        pytest.param(
            ticket(subject=NAME.upper()),
            400,
            "inputs.0.subject: is not valid (value_error)",
            id="a validator raises",
        ),
        pytest.param(
            ticket(sender={"name": "A", NAME: NUMBER, "age": NAME}),
            400,
            f"inputs.0.sender.age: must be a whole number from 0 to 150 ({EXPECTED})",
            id="a value of an object",
        ),
        pytest.param(ticket(kind=NAME), 400, "inputs.0.kind: must match ^[a-z]+$", id="a pattern"),
    ],
)
def test_an_exception_of_the_models_own_is_not_shown(
    triage: Running, row: Any, status: int, said: str
) -> None:
    """Large requests too, which another process answers. What a model prints is the model's own."""
    for rows in ([row], [row, *[ticket()] * 200]):
        answer = triage.post(json.dumps({"inputs": rows}))
        assert answer.status_code == status
        assert answer.json()["message"] == said
    logged = triage.said()
    assert shown(logged) == []
    assert not TRACES.search(logged)


def test_the_log_is_one_line_of_json_a_request(server: Running) -> None:
    before = len(server.said().splitlines())
    sent = str(uuid.uuid4())
    answer = server.post(GOOD, headers={"X-Request-Id": sent})
    rejected = server.post("{}")
    server.post(GOOD, path="/nothing")
    until(lambda: len(server.said().splitlines()) == before + 3)  # written after the answers
    lines = [json.loads(line) for line in server.said().splitlines()[before:]]
    assert [set(line) for line in lines] == [{"time", "id", "route", "status", "rows", "ms"}] * 3
    assert [(line["route"], line["status"], line["rows"]) for line in lines] == [
        ("/invocations", 200, 1),
        ("/invocations", 400, 0),
        ("other", 404, 0),
    ]
    assert answer.headers["x-request-id"] == lines[0]["id"] == sent
    assert rejected.json()["request_id"] == lines[1]["id"] == rejected.headers["x-request-id"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", lines[0]["time"])
    assert 0 < lines[0]["ms"] < 60_000


@pytest.mark.parametrize("rows", [3, 200], ids=["in the event loop", "in the subprocess"])
def test_all_faults_are_told_up_to_a_bound(server: Running, rows: int) -> None:
    bad = dict.fromkeys(record(), -1)
    answer = server.post(json.dumps({"inputs": [bad] * rows}))
    assert answer.status_code == 400
    *faults, more = answer.json()["message"].split("; ")
    assert len(faults) == 20
    assert faults[:2] == [
        "inputs.0.pregnancies: must be at least 0",
        "inputs.0.glucose: must be at least 0",
    ]
    assert faults[19] == "inputs.2.skin_thickness: must be at least 0"
    assert more == f"and {8 * rows - 20} more"
    until(lambda: answer.json()["request_id"] == server.lines()[-1]["id"])


def test_as_many_faults_as_the_bound_are_told_without_more(server: Running) -> None:
    rows = [dict.fromkeys(record(), -1)] * 2 + [record(glucose=-1, bmi="x", age=None)]
    answer = server.post(json.dumps({"inputs": [*rows, {**record(), "glucose": -1}]}))
    assert answer.json()["message"].count("; ") == 19
    assert "more" not in answer.json()["message"]
