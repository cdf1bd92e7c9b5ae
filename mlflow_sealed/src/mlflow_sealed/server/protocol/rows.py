"""From the bytes of a request to checked rows: MLflow's scoring protocol, for a typed model."""

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from mlflow.types.schema import ParamSchema
from pydantic import TypeAdapter
from pydantic_core import CoreSchema, SchemaValidator, ValidationError, core_schema

from mlflow_sealed.server.protocol import fields, parquet, refusals, schemas
from mlflow_sealed.server.protocol.refusals import Refusal

JSON: Final = "application/json"
CSV: Final = "text/csv"
PARQUET: Final = "application/vnd.apache.parquet"

LISTS: Final = ("inputs", "instances", "dataframe_records")
"""The fields of a JSON body whose value is a list of rows."""

SPLIT: Final = "dataframe_split"
PARAMS: Final = "params"


class Rows(NamedTuple):
    """What a request asks about.

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
        The type: T where the model's ``predict`` takes ``list[T]``.
    params
        The parameters that the model declares, if any.
    max_rows
        The most rows in a request.

    Attributes
    ----------
    columns
        The names of the fields of a row, None for rows that are no objects.
    rows_schema, params_schema
        What is accepted, as pydantic's core has it.
    """

    def __init__(self, row: Any, params: ParamSchema | None = None, *, max_rows: int) -> None:
        plain = TypeAdapter(list[row])
        self.rows_schema: CoreSchema = fields.accept_text(plain.core_schema)
        self.params_schema = schemas.params_schema(params) if params else None
        self._params = SchemaValidator(self.params_schema) if self.params_schema else None
        self.max_rows = max_rows
        self.columns = schemas.columns(row)
        self.row_name = getattr(row, "__name__", str(row))
        self._all_required = schemas.requires_all(schemas.apart(self.rows_schema)[0])
        self._known = frozenset(
            (*LISTS, SPLIT, PARAMS, "columns", "data", "index", *schemas.names(self.rows_schema))
        ) | {param.name for param in (params.params if params else ())}
        self._row_lists = {*((name,) for name in LISTS), (SPLIT, "data")}
        # The one that the type has already would be taken otherwise, without our widening.
        self._body = SchemaValidator(self._body_schema(self.rows_schema), _use_prebuilt=False)
        numbers = self._body_schema(fields.refuse_text(plain.core_schema), fail_fast=True)
        self._numbers = SchemaValidator(numbers, _use_prebuilt=False)
        self._rows = SchemaValidator(self.rows_schema, _use_prebuilt=False)
        self._texts = plain.validator
        self._read: Final = {
            JSON: self._from_json,
            CSV: self._from_csv,
            PARQUET: self._from_parquet,
        }

    def read(self, kind: str, body: bytes) -> Rows:
        """Return the rows of a body.

        Parameters
        ----------
        kind
            What `media_type` made of the request's Content-Type.
        body
            The body, whole.

        Raises
        ------
        Refusal
            If the body is not what it says (400), breaks a rule of the model's types (400), or has
            too many rows (413).
        """
        return self._read[kind](body)

    def _from_json(self, body: bytes) -> Rows:
        body = body.removeprefix(b"\xef\xbb\xbf")
        try:
            content = self._numbers.validate_json(body)
        except ValidationError:  # there is text among the numbers, or a fault
            try:
                content = self._body.validate_json(body)
            except ValidationError as error:
                raise self._refusal(error) from None
        params = content.pop(PARAMS, None)
        if len(content) != 1:
            raise Refusal(400, f"expected exactly one of {[*LISTS, SPLIT]}, got {list(content)}")
        [(form, found)] = content.items()
        rows = self._from_split(found) if form == SPLIT else found
        self._check_keys(body, len(rows), form)
        return self._with_params(rows, params)

    def _from_split(self, split: dict[str, Any]) -> list[Any]:
        columns = split["columns"]
        self._check_columns(columns, f"{SPLIT}.columns")
        for position, values in enumerate(split["data"]):
            if len(values) != len(columns):
                raise Refusal(
                    400,
                    f"{SPLIT}.data.{position}: has {len(values)} values, expected one for each of "
                    f"the {len(columns)} columns",
                )
        rows = [dict(zip(columns, values, strict=True)) for values in split["data"]]
        return self._checked(self._rows, rows, SPLIT)

    def _from_csv(self, body: bytes) -> Rows:
        try:
            lines = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
            columns = next(lines, [])
            if not columns:
                raise Refusal(400, "the body has no line: CSV starts with the columns' names")
            self._check_columns(columns, "csv")
            rows = []
            for cells in lines:
                if not cells:
                    continue
                if len(cells) != len(columns):
                    raise Refusal(
                        400,
                        f"csv line {lines.line_num}: has {len(cells)} cells, expected "
                        f"{len(columns)}",
                    )
                rows.append({name: cell or None for name, cell in zip(columns, cells, strict=True)})
                self._check_count(len(rows))
        except UnicodeDecodeError:
            raise Refusal(400, "the body is not UTF-8") from None
        except csv.Error:
            raise Refusal(
                400, f"the body is not CSV: line {lines.line_num} cannot be read"
            ) from None
        return self._with_params(self._checked(self._texts, rows, "csv"), None)

    def _from_parquet(self, body: bytes) -> Rows:
        rows = parquet.read(body, self.columns or (), self._check_table)
        return self._with_params(self._checked(self._rows, rows, "parquet"), None)

    def _checked(self, validator: Any, rows: list[dict[str, Any]], form: str) -> list[Any]:
        try:
            checked: list[Any] = validator.validate_python(rows)
        except ValidationError as error:
            raise self._refusal(error, form) from None
        return checked

    def _with_params(self, rows: list[Any], params: dict[str, Any] | None) -> Rows:
        if self._params is None:
            if params:
                raise Refusal(400, f"{PARAMS}: this model takes none")
            return Rows(rows, None)
        if params is None:
            params = self._params.validate_python({})
        return Rows(rows, params)

    def _check_count(self, count: int) -> None:
        if count > self.max_rows:
            raise self._too_many()

    def _too_many(self) -> Refusal:
        return Refusal(
            413,
            f"the request has more than {self.max_rows} rows: send several requests, or let the "
            "server take more with SCORING_MAX_ROWS",
        )

    def _check_table(self, columns: Sequence[str], count: int) -> None:
        self._check_columns(columns, "parquet")
        self._check_count(count)

    def _check_columns(self, columns: Sequence[str], where: str) -> None:
        """Refuse columns that are not the fields, before a row of them is looked at."""
        if self.columns is None:
            raise Refusal(400, "the rows of this model have no columns: send them as inputs")
        twice = [name for name in self.columns if columns.count(name) > 1]
        unknown = sum(name not in self.columns for name in columns)
        faults = [f"twice {twice}"] if twice else []
        faults += [f"{unknown} that are not known"] if unknown else []
        if faults:  # the names of unknown ones could be a patient's values
            raise Refusal(
                400, f"{where}: columns {', '.join(faults)}; expected {list(self.columns)}"
            )

    def _check_keys(self, body: bytes, rows: int, form: str) -> None:
        """Refuse an object that has a key twice: nobody can know which of them was meant."""
        # A key each for every field is what checked rows have. Without a further colon none is
        # there twice; with one, it could be within a text, or belong to an object within a row.
        keys = 1 + rows * len(self.columns or ())
        if self._all_required and form in LISTS and body.count(b":") == keys:
            return
        try:
            json.loads(body, object_pairs_hook=_no_key_twice)
        except RecursionError:
            raise Refusal(400, "the body is nested too deeply") from None

    def _refusal(self, error: ValidationError, form: str = "") -> Refusal:
        """Return all that is wrong, up to a bound, without a value of the request."""
        details = error.errors(include_url=False, include_input=False)
        if details[0]["type"] == "json_invalid":
            place = re.search(r"line \d+ column \d+$", details[0]["msg"])
            return Refusal(400, f"the body is not JSON{f': {place[0]}' if place else ''}")
        for detail in details:
            if detail["type"] == "too_long" and detail["loc"] in self._row_lists:
                return self._too_many()
        start = (form,) if form else ()
        return refusals.of(details, lambda location: self._place((*start, *location)))

    def _place(self, location: Iterable[int | str]) -> str:
        """Return where a fault is; a name that the model does not know is the client's own."""
        known: list[str] = []
        for part in location:
            if isinstance(part, str) and part not in self._known and part not in {"csv", "parquet"}:
                break
            known.append(str(part))
        return ".".join(known) or "the body"

    def _body_schema(self, rows_schema: CoreSchema, *, fail_fast: bool = False) -> CoreSchema:
        alone, definitions = schemas.apart(rows_schema)
        rows: Any = {**alone, "max_length": self.max_rows, "fail_fast": fail_fast}
        names = core_schema.str_schema(strict=True)
        anything = core_schema.list_schema(core_schema.any_schema())
        split = {
            "columns": core_schema.list_schema(names),
            "data": core_schema.list_schema(anything, max_length=self.max_rows),
        }
        split_fields = {
            **{name: core_schema.typed_dict_field(schema) for name, schema in split.items()},
            "index": core_schema.typed_dict_field(anything, required=False),
        }
        forms: dict[str, CoreSchema] = {
            **dict.fromkeys(LISTS, rows),
            SPLIT: core_schema.typed_dict_schema(split_fields, extra_behavior="forbid"),
            PARAMS: core_schema.nullable_schema(self.params_schema or core_schema.dict_schema()),
        }
        optional = {
            name: core_schema.typed_dict_field(schema, required=False)
            for name, schema in forms.items()
        }
        body = core_schema.typed_dict_schema(optional, extra_behavior="forbid")
        return core_schema.definitions_schema(body, definitions)


@lru_cache(maxsize=256)
def media_type(header: bytes | None) -> str:
    """Return which of the formats a Content-Type names.

    Raises
    ------
    Refusal
        If it names none, a charset other than UTF-8 or another parameter (415). The message does
        not repeat what was sent.

    Examples
    --------
    >>> media_type(b'Application/JSON; charset="UTF-8"')
    'application/json'
    """
    kind, *parameters = (header or b"").decode("latin-1").lower().split(";")
    kinds = (JSON, CSV, PARQUET)
    if kind.strip() not in kinds:
        raise Refusal(415, f"expected a Content-Type that is one of {list(kinds)}")
    for parameter in parameters:
        name, _, value = parameter.strip().partition("=")
        if name.strip() != "charset" or value.strip(' "') not in {"utf-8", "utf8"}:
            raise Refusal(415, "expected a Content-Type with no parameter but charset=utf-8")
    return kind.strip()


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refusal(400, "an object of the body has a key twice")
    return found
