"""Bad requests to the running server: a 400 that says what to fix, and the server goes on."""

import json
import math
from typing import Any

import pytest

from tests.conftest import Server
from tests.records import record

GOOD = {"inputs": [record()]}


def inputs(*rows: Any) -> str:
    return json.dumps({"inputs": list(rows)})


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in record().items() if key != name}


@pytest.fixture(autouse=True)
def goes_on_serving(served: Server) -> Any:
    """After whatever a test sends, a good request gets its answer."""
    yield
    answer = served.post(json.dumps(GOOD))
    assert answer.status_code == 200
    assert len(answer.json()["predictions"]) == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param(inputs(without("bmi")), ["bmi", "Field required"], id="missing field"),
        pytest.param(inputs(record(shoe=1)), ["shoe", "Extra inputs"], id="surplus field"),
        pytest.param(inputs(record(glucose="121")), ["glucose", "valid number"], id="string"),
        pytest.param(inputs(record(glucose="high")), ["glucose", "valid number"], id="text"),
        pytest.param(inputs(record(age=33.5)), ["age", "valid integer"], id="half a year"),
        pytest.param(inputs(record(age=None)), ["age", "valid integer"], id="null age"),
        pytest.param(inputs(record(diabetes_pedigree=None)), ["valid number"], id="null pedigree"),
        pytest.param(inputs(record(bmi=-1)), ["bmi", "greater than or equal to 0"], id="negative"),
        pytest.param(inputs(record(age=500)), ["age", "less than or equal to 120"], id="absurd"),
        pytest.param(inputs(record(age=5)), ["age", "greater than or equal to 21"], id="child"),
        pytest.param(inputs(record(bmi=float("nan"))), ["bmi", "finite number"], id="NaN"),
        pytest.param(inputs(record(bmi=float("inf"))), ["bmi", "finite number"], id="Infinity"),
        pytest.param(inputs(record(), without("age")), ["age", "Field required"], id="second row"),
        pytest.param(inputs(None), ["dictionary"], id="null row"),
        pytest.param(inputs([1, 2, 3]), ["dictionary"], id="row without names"),
        pytest.param(
            json.dumps({"inputs": record()}), ["Expected list, but got dict"], id="no list"
        ),
        pytest.param(json.dumps({"inputs": None}), ["Expected list"], id="null"),
        pytest.param(
            json.dumps({"dataframe_split": {"columns": ["age"], "data": [[33]]}}),
            ["'inputs' key"],
            id="dataframe_split",
        ),
        pytest.param(json.dumps([record()]), ["JSON dictionary", "inputs"], id="bare list"),
        pytest.param(json.dumps({}), ["inputs"], id="empty object"),
        pytest.param('{"inputs": [', ["valid JSON"], id="broken JSON"),
        pytest.param("", ["valid JSON"], id="no body"),
        pytest.param(b"\xff\xfe", ["valid JSON"], id="not UTF-8"),
    ],
)
def test_a_bad_request_gets_a_400_that_says_what_to_fix(
    served: Server, body: str | bytes, said: list[str]
) -> None:
    answer = served.post(body)
    assert answer.status_code == 400
    assert "predictions" not in answer.json()
    for words in said:
        assert words in answer.json()["message"]


@pytest.mark.parametrize("name", ["glucose", "blood_pressure", "skin_thickness", "insulin", "bmi"])
def test_a_null_and_a_zero_measurement_get_the_same_prediction(served: Server, name: str) -> None:
    null, zero, measured = (
        served.post(inputs(row)).json()["predictions"][0]["probability"]
        for row in (record(**{name: None}), record(**{name: 0}), record())
    )
    assert null == zero
    assert 0 < measured < 1


def test_an_empty_list_gets_an_empty_list(served: Server) -> None:
    answer = served.post(inputs())
    assert (answer.status_code, answer.json()) == (200, {"predictions": []})


def test_a_thousand_rows_get_a_thousand_predictions_in_their_order(served: Server) -> None:
    rows = [record(glucose=50 + i % 200, age=21 + i % 60) for i in range(1000)]
    many = served.post(inputs(*rows)).json()["predictions"]
    assert len(many) == 1000
    few = [served.post(inputs(row)).json()["predictions"][0] for row in rows[::100]]
    assert many[::100] == few
    assert len({prediction["probability"] for prediction in many}) > 50


def test_a_request_may_ask_for_an_explanation(served: Server) -> None:
    plain = served.post(json.dumps(GOOD)).json()["predictions"][0]
    answer = served.post(json.dumps({**GOOD, "params": {"explain": True}}))
    assert answer.status_code == 200
    [found] = answer.json()["predictions"]
    reasons = {name: found.pop(name) for name in ("base_value", "contributions")}
    assert found == plain
    assert set(found) == {"model", "pred", "probability"}
    assert list(reasons["contributions"]) == list(record())
    log_odds = math.log(found["probability"] / (1 - found["probability"]))
    total = sum(reasons["contributions"].values()) + reasons["base_value"]
    assert total == pytest.approx(log_odds, rel=0, abs=1e-5)


def test_another_content_type_gets_a_415(served: Server) -> None:
    assert served.post(json.dumps(GOOD), "text/plain").status_code == 415
