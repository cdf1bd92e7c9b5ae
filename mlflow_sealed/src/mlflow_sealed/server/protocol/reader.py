"""From the bytes of a request to checked rows: MLflow's scoring protocol, for a typed model."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from mlflow.types.schema import ParamSchema
from pydantic import TypeAdapter
from pydantic_core import CoreSchema, SchemaValidator, ValidationError

from mlflow_sealed.server import pydantic_compat
from mlflow_sealed.server.protocol import core_schema, csv_table, errors, number_text, parquet
from mlflow_sealed.server.protocol.duplicate_keys import DuplicateKeys
from mlflow_sealed.server.protocol.errors import RequestError
from mlflow_sealed.server.protocol.json_body import FIELDS, LISTS, PARAMS, SPLIT, body_schema
from mlflow_sealed.server.protocol.media_types import CSV, JSON, PARQUET
from mlflow_sealed.server.protocol.table_rules import TableRules, too_many_rows

_EXPECTED: Final = f"expected exactly one of the fields {[*LISTS, SPLIT]}"
_EXTRA: Final = "extra_forbidden"
_FORMS: Final = frozenset({"csv", "parquet"})  # the first part of a location in a table


class ModelInput(NamedTuple):
    """What the model gets.

    Attributes
    ----------
    rows
        Each of the type that the model declares.
    params
        The parameters of the model with their defaults, None for a model without.
    """

    rows: list[Any]
    params: dict[str, Any] | None


class Reader:
    """Reads requests for a model whose rows are of one type.

    Parameters
    ----------
    row
        The type: T if the model's ``predict`` takes ``list[T]``.
    params
        The parameters that the model declares, if any.
    max_rows
        The most rows in a request.

    Attributes
    ----------
    columns
        The names of the fields of a row, None for rows that are not objects.
    rows_schema, params_schema
        What is accepted, as core schemas of pydantic.
    """

    def __init__(self, row: Any, params: ParamSchema | None = None, *, max_rows: int) -> None:
        plain = TypeAdapter(list[row])
        self.rows_schema: CoreSchema = number_text.accept_text(plain.core_schema)
        self.params_schema = core_schema.params_schema(params) if params else None
        self.max_rows = max_rows
        self.columns = core_schema.columns(row)
        self.row_name = getattr(row, "__name__", str(row))
        self._rules = TableRules(self.columns, max_rows)
        self._duplicate_keys = DuplicateKeys(self.rows_schema, self.columns)
        self._known = frozenset((*FIELDS, *core_schema.field_names(self.rows_schema))) | {
            param.name for param in (params.params if params else ())
        }
        self._params = SchemaValidator(self.params_schema) if self.params_schema else None
        self._body = self._body_validator(self.rows_schema)
        # Numbers only, which most bodies have, and which is faster.
        self._numbers = self._body_validator(
            number_text.numbers_only(plain.core_schema), fail_fast=True
        )
        self._rows = pydantic_compat.validator(self.rows_schema)
        self._cells = pydantic_compat.validator(
            number_text.accept_text(plain.core_schema, text_first=True)
        )
        self._read: Final = {JSON: self._json, CSV: self._csv, PARQUET: self._parquet}

    def read(self, media_type: str, body: bytes) -> ModelInput:
        """Return the rows and parameters of a body.

        Parameters
        ----------
        media_type
            The format, as `media_types.parse_media_type` returns it.
        body
            The body, whole.

        Raises
        ------
        RequestError
            If the body is not in this format (400), breaks a rule of the model's types (400), or
            has too many rows (413).
        """
        return self._read[media_type](body)

    def _json(self, body: bytes) -> ModelInput:
        body = body.removeprefix(b"\xef\xbb\xbf")
        try:
            content = self._numbers.validate_json(body)
        except ValidationError:  # a number is text, or the body is invalid
            try:
                content = self._body.validate_json(body)
            except ValidationError as error:
                raise self._error(error) from None
        params = content.pop(PARAMS, None)
        if len(content) != 1:
            raise RequestError(400, f"{_EXPECTED}, got {list(content)}")
        [(form, found)] = content.items()
        rows = self._split(found) if form == SPLIT else found
        self._duplicate_keys.check(body, len(rows), form)
        return self._with_params(rows, params)

    def _split(self, split: dict[str, Any]) -> list[Any]:
        columns = split["columns"]
        self._rules.check_columns(columns, f"{SPLIT}.columns")
        for position, values in enumerate(split["data"]):
            if len(values) != len(columns):
                raise RequestError(
                    400,
                    f"{SPLIT}.data.{position}: has {len(values)} values, expected one for each of "
                    f"the {len(columns)} columns",
                )
        rows = [dict(zip(columns, values, strict=True)) for values in split["data"]]
        return self._checked(self._rows, rows, SPLIT)

    def _csv(self, body: bytes) -> ModelInput:
        rows = csv_table.read(body, self._rules)
        return self._with_params(self._checked(self._cells, rows, "csv"), None)

    def _parquet(self, body: bytes) -> ModelInput:
        rows = parquet.read(body, self.columns or (), self._rules)
        return self._with_params(self._checked(self._rows, rows, "parquet"), None)

    def _checked(self, validator: Any, rows: Sequence[dict[str, Any]], form: str) -> list[Any]:
        try:
            checked: list[Any] = validator.validate_python(rows)
        except ValidationError as error:
            raise self._error(error, form) from None
        return checked

    def _with_params(self, rows: list[Any], params: dict[str, Any] | None) -> ModelInput:
        if self._params is None:
            if params:
                raise RequestError(400, f"{PARAMS}: this model takes none")
            return ModelInput(rows, None)
        if params is None:
            params = self._params.validate_python({})
        return ModelInput(rows, params)

    def _error(self, error: ValidationError, form: str = "") -> RequestError:
        """Return one error for all that is invalid, without a value of the request."""
        details = error.errors(include_url=False, include_input=False)
        if details[0]["type"] == "json_invalid":
            place = re.search(r"line \d+ column \d+$", details[0]["msg"])
            return RequestError(400, f"the body is not JSON{f': {place[0]}' if place else ''}")
        if any(detail["type"] == "too_long" and _is_row_list(detail["loc"]) for detail in details):
            return too_many_rows(self.max_rows)
        if not form and (wrong := _envelope(details)):
            return RequestError(400, wrong)
        start = (form,) if form else ()
        return errors.from_details(details, lambda location: self._place((*start, *location)))

    def _place(self, location: Iterable[int | str]) -> str:
        """Return where an error is, up to a name that the client made up."""
        known: list[str] = []
        for part in location:
            if isinstance(part, str) and part not in self._known and part not in _FORMS:
                break
            known.append(str(part))
        return ".".join(known) or "the body"

    def _body_validator(self, rows: CoreSchema, *, fail_fast: bool = False) -> SchemaValidator:
        schema = body_schema(rows, self.params_schema, max_rows=self.max_rows, fail_fast=fail_fast)
        return pydantic_compat.validator(schema)


def _envelope(details: Sequence[Any]) -> str | None:
    """Return what to say about a body that has other fields than the protocol's, or none."""
    if any(not detail["loc"] for detail in details):
        return f"the body must be an object; {_EXPECTED}"
    unknown = [detail["loc"] for detail in details if detail["type"] == _EXTRA]
    names = {location[0] for location in unknown if len(location) == 1}
    if not names:
        return None
    if names - {"index"} == {"columns", "data"}:
        return f"{_EXPECTED}, got columns and data: put them in {SPLIT}"
    are = "is" if len(names) == 1 else "are"
    return f"{_EXPECTED}, and {PARAMS}; got {len(names)} that {are} not known"


def _is_row_list(location: tuple[int | str, ...]) -> bool:
    return location in {*((name,) for name in LISTS), (SPLIT, "data")}
