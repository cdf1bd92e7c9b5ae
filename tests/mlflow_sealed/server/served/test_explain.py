"""One prediction explained, on the project's own server and on MLflow's: asked for with params."""

import json
import math
import re
from typing import Any, Final

import mlflow.pyfunc
import pytest

from mypreprocessing import FEATURES
from tests.environ import ROOT
from tests.mlflow_sealed.server.running import CSV, JSON, PARQUET, Running
from tests.mlflow_sealed.server.served.test_formats import ROWS, as_csv, frame
from tests.records import record

ASKED: Final = {"params": {"explain": True}}
DOCUMENTATION: Final = ROOT / "docs" / "serving.md"
KEYS: Final = ["model", "pred", "probability"]


@pytest.fixture(params=["server", "stock"])
def either(request: pytest.FixtureRequest) -> Running:
    found: Running = request.getfixturevalue(request.param)
    return found


def test_an_explained_prediction_adds_up_to_the_log_odds(either: Running) -> None:
    explained = either.predict({"inputs": ROWS, **ASKED})
    assert len(explained) == len(ROWS)
    for each in explained:
        assert list(each) == [*KEYS, "base_value", "contributions"]
        assert list(each["contributions"]) == list(FEATURES)
        log_odds = math.log(each["probability"] / (1 - each["probability"]))
        found = sum(each["contributions"].values()) + each["base_value"]
        assert found == pytest.approx(log_odds, rel=0, abs=1e-5)
    assert len({each["base_value"] for each in explained}) == 1


def test_it_is_the_same_prediction(either: Running) -> None:
    explained = either.predict({"inputs": ROWS, **ASKED})
    assert [{key: each[key] for key in KEYS} for each in explained] == either.predict(
        {"inputs": ROWS}
    )


def test_both_servers_and_python_explain_alike(
    server: Running, stock: Running, model_folder: Any
) -> None:
    content = {"inputs": ROWS, **ASKED}
    explained = server.predict(content)
    assert stock.predict(content) == explained
    python = mlflow.pyfunc.load_model(str(model_folder)).predict(ROWS, **ASKED)
    assert python == explained


def test_a_row_alone_is_explained_as_among_others(server: Running) -> None:
    """One row is answered in the event loop, many by the subprocess."""
    explained = server.predict({"inputs": ROWS, **ASKED})
    assert [server.predict({"inputs": [row], **ASKED})[0] for row in ROWS[:20]] == explained[:20]


@pytest.mark.parametrize(
    "params",
    [{}, {"params": None}, {"params": {}}, {"params": {"explain": False}}],
    ids=["no params", "null", "nothing", "false"],
)
def test_unasked_an_answer_has_the_bytes_that_it_always_had(
    either: Running, params: dict[str, Any]
) -> None:
    answer = either.post(json.dumps({"inputs": [record()], **params}))
    [found] = answer.json()["predictions"]
    assert list(found) == KEYS
    known = f'"model": "diabetes", "pred": {found["pred"]}, "probability": {found["probability"]!r}'
    expected = f'{{"predictions": [{{{known}}}]}}'
    assert answer.text.replace(" ", "") == expected.replace(" ", "")


@pytest.mark.parametrize("kind", [CSV, PARQUET])
def test_a_table_has_no_place_to_ask(server: Running, kind: str) -> None:
    body = as_csv() if kind == CSV else frame().to_parquet()
    found = server.post(body, kind).json()["predictions"]
    assert found == server.predict({"inputs": ROWS})


@pytest.mark.parametrize("form", ["instances", "dataframe_records"])
def test_every_form_of_rows_in_json_can_be_explained(server: Running, form: str) -> None:
    expected = server.predict({"inputs": ROWS[:3], **ASKED})
    assert server.predict({form: ROWS[:3], **ASKED}) == expected


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"explain": "yes"}, "params.explain: must be true or false"),
        ({"explain": 1}, "params.explain: must be true or false"),
        ({"explain": None}, "params.explain: must be true or false"),
        ({"explain": [True]}, "params.explain: must be true or false"),
        ({"explain": True, "why": 1}, "params: has a field that is not known"),
        (True, "params: must be an object"),
    ],
    ids=["text", "number", "null", "list", "another", "no object"],
)
def test_what_is_no_parameter_gets_a_400_that_says_so(
    server: Running, params: Any, said: str
) -> None:
    answer = server.post(json.dumps({"inputs": [record()], "params": params}))
    assert (answer.status_code, answer.json()["message"]) == (400, said)


def test_a_thousand_rows_are_explained_by_the_subprocess(server: Running) -> None:
    explained = server.predict({"inputs": ROWS * 5, **ASKED})
    assert len(explained) == 1000
    assert explained[:200] == explained[-200:]


def test_the_document_has_the_explanation_and_the_parameter(server: Running) -> None:
    schemas = server.get("/openapi.json").json()["components"]["schemas"]
    rows = schemas["InvocationResponse"]["properties"]["predictions"]["items"]
    assert rows["$ref"].rpartition("/")[2] == "Prediction"
    explained = schemas["Prediction"]
    assert explained["required"] == KEYS
    assert list(explained["properties"]) == [*KEYS, "base_value", "contributions"]
    for name in ("base_value", "contributions"):
        assert explained["properties"][name]["unit"] == "log-odds"
        assert explained["properties"][name]["description"]
    names = explained["properties"]["contributions"]["propertyNames"]["enum"]
    assert names == list(FEATURES)
    for request in schemas["InvocationRequest"]["oneOf"]:
        params = request["properties"]["params"]
        assert params["type"] == ["object", "null"]
        assert params["properties"]["explain"] == {
            "default": False,
            "title": "Explain",
            "type": "boolean",
        }


def test_the_documents_example_of_an_explanation_adds_up(server: Running) -> None:
    schemas = server.get("/openapi.json").json()["components"]["schemas"]
    fields = schemas["Prediction"]["properties"]
    names = ("probability", "base_value", "contributions")
    shown = {name: fields[name]["examples"][0] for name in names}
    log_odds = math.log(shown["probability"] / (1 - shown["probability"]))
    found = sum(shown["contributions"].values()) + shown["base_value"]
    assert found == pytest.approx(log_odds, rel=0, abs=0.01)


def test_the_example_in_the_documentation_is_a_request_whose_answer_adds_up(
    server: Running,
) -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    sent, shown = re.findall(
        r"/invocations -d '(\{.*?)'|```json\n(\{\"pred.*?)```", text, re.DOTALL
    )
    content = json.loads(sent[0])
    assert content == {"inputs": [record()], **ASKED}
    [answered], [documented] = server.predict(content), json.loads(shown[1])["predictions"]
    assert list(documented) == list(answered)
    assert list(documented["contributions"]) == list(FEATURES)
    log_odds = math.log(documented["probability"] / (1 - documented["probability"]))
    found = sum(documented["contributions"].values()) + documented["base_value"]
    assert found == pytest.approx(log_odds, rel=0, abs=1e-5)


def test_the_documents_example_request_can_be_explained_by_one_word(server: Running) -> None:
    content = server.get("/openapi.json").json()["paths"]["/invocations"]["post"]["requestBody"]
    example = json.dumps(content["content"][JSON]["example"])
    answer = server.post(example.replace("false", "true"))
    assert answer.json()["predictions"] == server.predict({"inputs": [record()], **ASKED})
