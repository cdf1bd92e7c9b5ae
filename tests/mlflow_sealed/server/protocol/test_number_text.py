"""What the document says of numbers as text is what is accepted."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import ValidationError

from mlflow_sealed.server import pydantic_compat
from mlflow_sealed.server.protocol.number_spelling import MISSING
from mlflow_sealed.server.protocol.number_text import JsonSchema
from mlflow_sealed.server.protocol.reader import Reader
from tests.mlflow_sealed.batch.reading import FEATURES, Reading, reading

SCHEMA = Reader(Reading, max_rows=9).rows_schema
VALIDATOR = pydantic_compat.validator(SCHEMA)


def patterns() -> dict[str, str]:
    """Return the one pattern of text that each field has in the document."""
    described = JsonSchema().generate(SCHEMA)["$defs"]["Reading"]["properties"]
    found: dict[str, Any] = {
        name: [way["pattern"] for way in field["anyOf"] if way["type"] == "string"]
        for name, field in described.items()
    }
    return {name: pattern for name, [pattern] in found.items()}


def is_accepted(field: str, text: str) -> bool:
    try:
        VALIDATOR.validate_python([reading(**{field: text})])
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("field", FEATURES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_text_that_the_document_describes_is_accepted(field: str, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(patterns()[field], fullmatch=True))
    assert is_accepted(field, text)


@pytest.mark.parametrize("field", FEATURES)
@settings(max_examples=60, deadline=None)
@given(number=st.one_of(st.integers(-5, 700), st.decimals(-5, 700, places=2)))
def test_a_plain_decimal_is_accepted_if_the_document_describes_it(field: str, number: Any) -> None:
    text = str(number).replace("-0.00", "0.00")  # which is 0, and in no pattern
    assert bool(re.search(patterns()[field], text)) == is_accepted(field, text)


@pytest.mark.parametrize("text", MISSING, ids=repr)
def test_a_missing_number_is_described_where_it_is_accepted(text: str) -> None:
    described = {name for name, pattern in patterns().items() if re.search(pattern, text)}
    assert described == {"level", "size"}
    assert {name for name in FEATURES if is_accepted(name, text)} == described


def test_the_document_has_each_way_once() -> None:
    described = JsonSchema().generate(SCHEMA)["$defs"]["Reading"]["properties"]["months"]
    assert [way["type"] for way in described["anyOf"]] == ["integer", "string"]
