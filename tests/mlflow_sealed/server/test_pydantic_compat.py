"""What the server uses of pydantic's insides is there, and needed."""

from typing import Annotated

import pytest
from pydantic import BaseModel, Field, TypeAdapter
from pydantic_core import SchemaValidator, ValidationError

from mlflow_sealed.server import pydantic_compat
from mlflow_sealed.server.protocol import core_schema, number_text


class Inner(BaseModel):
    depth: float


class Row(BaseModel):
    width: Annotated[int, Field(ge=0, le=600)]
    inner: Annotated[Inner, Field(validation_alias="within")]


class Optional(BaseModel):
    width: int = 3


STRICT = number_text.numbers_only(TypeAdapter(list[Row]).core_schema)
TEXT = b'[{"width": "3", "within": {"depth": 1}}]'


def test_a_schema_that_was_changed_is_followed_to_the_letter() -> None:
    with pytest.raises(ValidationError, match="int_type"):
        pydantic_compat.validator(STRICT).validate_json(TEXT)


def test_control_pydantic_alone_takes_the_validator_that_the_class_has() -> None:
    assert SchemaValidator(STRICT).validate_json(TEXT)[0].width == 3


def test_the_structure_of_core_schemas_is_the_one_that_is_walked() -> None:
    rows, definitions = core_schema.split_definitions(TypeAdapter(list[Row]).core_schema)
    assert definitions == []
    assert core_schema.requires_all(rows)
    assert not core_schema.requires_all(TypeAdapter(list[Optional]).core_schema)
    assert set(core_schema.field_names(rows)) == {"width", "inner", "within", "depth"}
    assert core_schema.columns(Row) == ("width", "within")


def test_a_type_that_is_used_twice_is_a_definition() -> None:
    class Pair(BaseModel):
        one: Row
        other: Row

    rows, definitions = core_schema.split_definitions(TypeAdapter(list[Pair]).core_schema)
    assert rows["type"] == "list"
    assert len(definitions) > 0
