"""The same requests to MLflow's own server and to ours: every difference is one that is meant."""

import gzip
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import mlflow
import pandas as pd
import pytest
import requests
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from mlflow.utils.proto_json_utils import dump_input_data

from tests.environ import ROOT
from tests.mlflow_sealed.server.running import CSV, JSON, PARQUET, Running
from tests.records import record

DOCUMENT: Final = ROOT / "docs" / "serving-differences.md"

ROWS: Final = [record(), record(glucose=None, age=50)]
FRAME: Final = pd.DataFrame(ROWS)
NAMES: Final = list(ROWS[0])
SPLIT: Final = {"columns": NAMES, "data": [list(row.values()) for row in ROWS]}
GOOD: Final = json.dumps({"inputs": ROWS})
NAN: Final = float("nan")
LIMIT: Final = GOOD.replace("121", f"1{'0' * 400}")

FORMATS: Final = "all of MLflow's formats are read, for a typed model too"
MEANT: Final = "a request whose meaning is not certain gets no prediction"
PROBE: Final = "a path of this server"
HEAD: Final = "probes may use HEAD"
MISSING: Final = "a client says so where it has no number"
LABEL: Final = "it says what the body is anyway"
PACKED: Final = "a client may pack what it sends"


class Case(NamedTuple):
    """A request, what both servers make of it and, where that differs, the reason."""

    request: str
    stock: int
    ours: int
    why: str = ""
    body: bytes | str | None = None
    content_type: str | None = None
    method: str = "POST"
    path: str = "/invocations"
    headers: Mapping[str, str] = MappingProxyType({})


def as_json(content: Any, *, charset: str = "") -> dict[str, Any]:
    return {"body": json.dumps(content), "content_type": JSON + charset}


def asking(**params: Any) -> dict[str, Any]:
    return {"inputs": ROWS, "params": params}


def good(content_type: str | None) -> dict[str, Any]:
    return {"body": GOOD, "content_type": content_type}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in record().items() if key != name}


def as_texts(row: Mapping[str, Any]) -> dict[str, str | None]:
    return {name: None if value is None else str(value) for name, value in row.items()}


def probe(path: str, method: str = "GET") -> dict[str, Any]:
    return {"path": path, "method": method}


CASES: Final = (
    # What is read.
    Case("`inputs`", 200, 200, **good(JSON)),
    Case("`instances`", 400, 200, FORMATS, **as_json({"instances": ROWS})),
    Case("`dataframe_split`", 400, 200, FORMATS, **as_json({"dataframe_split": SPLIT})),
    Case("`dataframe_records`", 400, 200, FORMATS, **as_json({"dataframe_records": ROWS})),
    Case("CSV", 400, 200, FORMATS, body=FRAME.to_csv(index=False), content_type=CSV),
    Case("Parquet", 200, 200, body=FRAME.to_parquet(), content_type=PARQUET),
    Case(
        "Parquet with DELTA_BINARY_PACKED in 64 bits",
        200,
        200,
        body=FRAME.to_parquet(use_dictionary=False, column_encoding={"age": "DELTA_BINARY_PACKED"}),
        content_type=PARQUET,
    ),
    Case("no rows", 200, 200, **as_json({"inputs": []})),
    Case(
        'numbers as text, `"121"`',
        400,
        200,
        "clients send them, as the original service's example does",
        **as_json({"inputs": [as_texts(row) for row in ROWS]}),
    ),
    Case(
        "`33.0` for a whole number",
        400,
        200,
        "JSON knows one kind of number",
        **as_json({"inputs": [record(age=33.0)]}),
    ),
    Case("`true` for a number", 400, 400, **as_json({"inputs": [record(pregnancies=True)]})),
    Case(
        "`33.0` as text for a whole number",
        400,
        200,
        "a number is written alike in every format",
        **as_json({"inputs": [record(age="33.0")]}),
    ),
    Case("`.5e2` as text", 400, 400, **as_json({"inputs": [record(glucose=".5e2")]})),
    Case("`2_5` as text", 400, 400, **as_json({"inputs": [record(glucose="2_5")]})),
    Case("`NA` as text", 400, 200, MISSING, **as_json({"inputs": [record(glucose="NA")]})),
    Case("NaN for a measurement", 400, 200, MISSING, **as_json({"inputs": [record(bmi=NAN)]})),
    Case("NaN for an age", 400, 400, **as_json({"inputs": [record(age=NAN)]})),
    Case(
        "`index` of null",
        400,
        200,
        FORMATS,
        **as_json({"dataframe_split": {**SPLIT, "index": None}}),
    ),
    Case("a byte order mark", 200, 200, body=b"\xef\xbb\xbf" + GOOD.encode(), content_type=JSON),
    # Content-Type.
    Case("charset=utf-8", 200, 200, **good(f"{JSON}; charset=utf-8")),
    Case("charset=UTF-8", 200, 200, **good(f"{JSON}; charset=UTF-8")),
    Case("charset=us-ascii", 415, 200, LABEL, **good(f"{JSON}; charset=us-ascii")),
    Case(
        "CSV with header=present",
        415,
        200,
        LABEL,
        body=FRAME.to_csv(index=False),
        content_type=f"{CSV}; header=present",
    ),
    Case(
        "CSV with header=absent",
        415,
        415,
        body=FRAME.to_csv(index=False, header=False),
        content_type=f"{CSV}; header=absent",
    ),
    Case("charset=latin-1", 415, 415, **good(f"{JSON}; charset=latin-1")),
    Case("another parameter", 415, 415, **good(f"{JSON}; format=pandas-split")),
    Case("`Application/JSON`", 415, 200, "media types have no case", **good("Application/JSON")),
    Case("text/plain", 415, 415, **good("text/plain")),
    Case("no Content-Type", 500, 415, "it is the client's mistake", **good(None)),
    # Content-Encoding.
    Case(
        "gzip",
        400,
        200,
        PACKED,
        body=gzip.compress(GOOD.encode()),
        content_type=JSON,
        headers={"Content-Encoding": "gzip"},
    ),
    Case(
        "gzip that is none",
        200,
        400,
        "the body is not what its head says",
        headers={"Content-Encoding": "gzip"},
        **good(JSON),
    ),
    Case(
        "another Content-Encoding",
        200,
        415,
        "the body may not be what it seems",
        headers={"Content-Encoding": "br"},
        **good(JSON),
    ),
    # What a body has to be.
    Case("no body", 400, 400, body="", content_type=JSON),
    Case("half a body", 400, 400, body=GOOD[:-1], content_type=JSON),
    Case("not UTF-8", 400, 400, body=b"\xff\xfe", content_type=JSON),
    Case("Parquet that is none", 400, 400, body=b"PAR1", content_type=PARQUET),
    Case("one object for a list", 400, 400, **as_json({"inputs": ROWS[0]})),
    Case("a bare list", 400, 400, **as_json(ROWS)),
    Case("no rows' key", 400, 400, **as_json({})),
    Case("two rows' keys", 200, 400, MEANT, **as_json({"inputs": ROWS, "instances": ROWS})),
    Case("a further key", 200, 400, MEANT, **as_json({"inputs": ROWS, "comment": ""})),
    Case("`inputs` twice", 200, 400, MEANT, body=f'{GOOD[:-1]}, "inputs": []}}', content_type=JSON),
    Case(
        "a field twice",
        200,
        400,
        MEANT,
        body=f'{{"inputs": [{json.dumps(record())[:-1]}, "age": 50}}]}}',
        content_type=JSON,
    ),
    Case("`params` of null", 200, 200, **as_json({"inputs": ROWS, "params": None})),
    Case("`params` of nothing", 200, 200, **as_json({"inputs": ROWS, "params": {}})),
    Case("`params` not declared", 200, 400, MEANT, **as_json(asking(a=1))),
    Case("`explain` of true", 200, 200, **as_json(asking(explain=True))),
    Case("`explain` of false", 200, 200, **as_json(asking(explain=False))),
    Case("`explain` of null", 200, 400, MEANT, **as_json(asking(explain=None))),
    Case("`explain` of text", 400, 400, **as_json(asking(explain="true"))),
    Case("`explain` of a number", 400, 400, **as_json(asking(explain=1))),
    # What a row has to be.
    Case("a field missing", 400, 400, **as_json({"inputs": [without("age")]})),
    Case("a measurement missing", 400, 400, **as_json({"inputs": [without("bmi")]})),
    Case("a field not known", 400, 400, **as_json({"inputs": [record(shoe=1)]})),
    Case("out of range", 400, 400, **as_json({"inputs": [record(glucose=601)]})),
    Case("Infinity", 400, 400, **as_json({"inputs": [record(glucose=float("inf"))]})),
    Case("a number beyond a double", 400, 400, body=LIMIT, content_type=JSON),
    # Methods, paths and heads.
    Case(
        "`Upgrade: h2c`",
        400,
        200,
        "Java's and other clients offer it with every request",
        headers={"Connection": "Upgrade", "Upgrade": "h2c"},
        **good(JSON),
    ),
    Case("a query", 200, 200, path="/invocations?a=1", **good(JSON)),
    Case("a slash at the end", 307, 404, "one path", path="/invocations/", **good(JSON)),
    Case("GET /invocations", 405, 405, method="GET"),
    Case("PUT /invocations", 405, 405, method="PUT", **good(JSON)),
    Case("GET /ping", 200, 200, **probe("/ping")),
    Case("HEAD /ping", 405, 200, HEAD, **probe("/ping", "HEAD")),
    Case("POST /ping", 405, 405, path="/ping"),
    Case("GET /health", 200, 200, **probe("/health")),
    Case("HEAD /health", 405, 200, HEAD, **probe("/health", "HEAD")),
    Case("GET /version", 200, 200, **probe("/version")),
    Case("GET /ready", 404, 200, PROBE, **probe("/ready")),
    Case("GET /metrics", 404, 200, PROBE, **probe("/metrics")),
    Case("GET /openapi.json", 200, 200, **probe("/openapi.json")),
    Case("GET /docs", 200, 200, **probe("/docs")),
    Case("GET /redoc", 200, 404, "one page, without a CDN: /docs", **probe("/redoc")),
    Case("another path", 404, 404, **probe("/nothing")),
)


def send(case: Case, to: Running) -> requests.Response:
    body = case.body.encode() if isinstance(case.body, str) else case.body
    kind = {"Content-Type": case.content_type} if case.content_type else {}
    headers = {**kind, **case.headers}
    url = f"{to.url}{case.path}"
    return requests.request(
        case.method, url, data=body, headers=headers, timeout=60, allow_redirects=False
    )


@pytest.mark.parametrize("case", CASES, ids=[case.request for case in CASES])
def test_both_servers_answer_as_the_table_says(case: Case, server: Running, stock: Running) -> None:
    theirs, ours = send(case, stock), send(case, server)
    assert (theirs.status_code, ours.status_code) == (case.stock, case.ours), ours.text
    if theirs.status_code == ours.status_code == 200 and case.path.startswith("/invocations"):
        assert ours.json() == theirs.json()
        assert ours.headers["content-type"] == theirs.headers["content-type"] == JSON
    if ours.status_code >= 400 and case.method != "HEAD":
        assert set(ours.json()) == {"error_code", "message", "request_id"}
        assert ours.headers["content-type"] == JSON


def test_errors_have_the_codes_of_mlflows(server: Running, stock: Running) -> None:
    [case] = [case for case in CASES if case.request == "out of range"]
    theirs, ours = send(case, stock).json(), send(case, server).json()
    assert theirs["error_code"] == "INVALID_PARAMETER_VALUE"
    assert ours["error_code"] == "BAD_REQUEST"
    assert "error_code" in theirs.keys() & ours.keys()
    assert "message" in theirs.keys() & ours.keys()


def test_ping_health_and_version_say_what_mlflows_say(server: Running, stock: Running) -> None:
    for path in ("/ping", "/health", "/version"):
        theirs, ours = stock.get(path), server.get(path)
        assert ours.content == theirs.content
        assert theirs.headers["content-type"] == JSON  # which it is not
        assert ours.headers["content-type"] == "text/plain; charset=utf-8"


def test_mlflows_own_client_works(server: Running) -> None:
    """It sends NaN where a DataFrame has no number."""
    client = ScoringServerClient("127.0.0.1", server.port)
    client.wait_server_ready(timeout=5)
    assert client.get_version() == mlflow.__version__
    frame = FRAME.astype({"glucose": "float64"})
    assert "NaN" in dump_input_data(frame)
    assert client.invoke(frame)["predictions"] == server.predict({"inputs": ROWS})
    records = frame.to_dict("records")
    assert server.predict({"dataframe_records": records}) == server.predict({"inputs": ROWS})
    with pytest.raises(Exception, match=r"dataframe_split.1.age: must be a number, not null"):
        client.invoke(frame.assign(age=[33, NAN]))


def test_each_difference_has_a_reason_and_stands_in_the_documentation() -> None:
    assert [case.request for case in CASES if (case.stock != case.ours) != bool(case.why)] == []
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    table = [line for line in lines if line.startswith("|")][2:]
    assert table == [
        f"| {case.request} | {case.stock} | {case.ours} | {case.why} |"
        for case in CASES
        if case.why
    ]
