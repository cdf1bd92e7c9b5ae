"""OpenAPI documents of models that no test serves: they are there for what their types have."""

import datetime as dt
import decimal
import enum
import json
import uuid
from typing import Annotated, Any, Final, Literal, NotRequired

from pydantic import AnyUrl, BaseModel, ConfigDict, Field, RootModel, TypeAdapter
from typing_extensions import TypedDict

from mlflow_sealed.server import openapi
from mlflow_sealed.server.protocol.reader import Reader


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    ONE = 1
    TWO = 2


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    barks: bool


class Node(BaseModel):
    value: float
    children: list["Node"] = []


class Wide(BaseModel):
    """Whatever pydantic can describe, for requests and responses alike."""

    model_config = ConfigDict(json_schema_extra={"note": "a keyword of the model's own"})

    pair: tuple[int, str]
    many: tuple[int, ...]
    colour: Colour
    level: Level
    choice: Literal["a", None]  # noqa: PYI061 # `| None` makes another schema
    mixed: Literal["a", 1, None]  # noqa: PYI061 # likewise
    flag: Literal[True] = True
    price: decimal.Decimal = Field(ge=0, json_schema_extra={"unit": "EUR"})
    day: dt.date
    at: dt.datetime
    wait: dt.timedelta
    ident: uuid.UUID
    raw: bytes
    anything: Any
    bag: dict[str, Any]
    keyed: dict[Literal["a", "b"], int]
    tags: set[str]
    animal: Annotated[Cat | Dog, Field(discriminator="kind")]
    either: Cat | Dog
    node: Node
    other: Node | None = None
    union: int | str | list[int]
    text: str = Field(pattern=r"^[a-z]{2}\d$")
    part: float = Field(gt=0, lt=1)
    steps: int = Field(multiple_of=5)
    url: AnyUrl
    slash: str = Field(alias="a/b (c).d")
    keyword: str = Field(alias="class")


class InvocationRequest(BaseModel):
    """A model's type may have the name of one of the document's own."""

    inputs: int


class Series(RootModel[list[float]]):
    """A row that is a list has no fields."""


class Empty(BaseModel):
    """Nor has this one."""


class Dictionary(TypedDict):
    a: int
    b: NotRequired[str]


TYPES: Final[dict[str, tuple[Any, Any]]] = {
    "wide": (Wide, list[Wide]),
    "same names": (InvocationRequest, list[InvocationRequest]),
    "same type": (Cat, list[Cat]),
    "dictionaries": (Dictionary, Any),
    "no list of fields": (Series, list[Series]),
    "no fields": (Empty, list[Empty]),
    "numbers": (float, list[float]),
    "lists": (list[float], list[dict[str, float]]),
}
"""The types of a row, and of what ``predict`` returns."""


def document(name: str, *, authenticated: bool = False) -> dict[str, Any]:
    """Return the document of a model with these `TYPES`, for a server with or without API keys."""
    row, result = TYPES[name]
    written = openapi.document(
        Reader(row, max_rows=10),
        TypeAdapter(result),
        identity={"model": name, "version": ""},
        example=None,
        authenticated=authenticated,
    )
    made: dict[str, Any] = json.loads(written)
    return made
