"""The record of one patient: which fields it has, in which units and which range."""

from types import NoneType
from typing import Any, Final, final, get_args

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema


def _field(description: str, *, unit: str, ge: float, le: float, example: float) -> dict[str, Any]:
    return {
        "description": description,
        "ge": ge,
        "le": le,
        "examples": [example],
        "json_schema_extra": {"unit": unit},
    }


def _measurement(description: str, *, unit: str, le: float, example: float) -> dict[str, Any]:
    described = f"{description}; null or 0: not measured"
    return {"default": None, **_field(described, unit=unit, ge=0, le=le, example=example)}


def _drop_defaults(schema: Any) -> None:
    while schema["type"] != "model-fields":
        schema = schema["schema"]
    for field in schema["fields"].values():
        if field["schema"]["type"] == "default":
            field["schema"] = field["schema"]["schema"]


@final
class Patient(BaseModel):
    """One record, as a client sends it and as the training data has it.

    Every field is required. The five measurements (`MEASUREMENTS`) may be ``None``, and 0 says the
    same: not measured. Unknown fields, NaN, infinities and values out of range are refused.
    The fields and their units are those of the Pima data (Smith et al. 1988); the upper bounds lie
    well above anything seen there and only catch slips of the pen.

    Raises
    ------
    pydantic.ValidationError
        Its text names the field and the rule, never the value. Two things are the caller's: ask
        for details with ``errors(include_input=False)`` or ``json(include_input=False)``, and set
        ``hide_input_in_errors`` on a model or adapter that holds patients, because pydantic goes by
        the outermost type.

    Examples
    --------
    >>> patient = Patient(
    ...     pregnancies=0, glucose=121, blood_pressure=66, skin_thickness=30,
    ...     insulin=None, bmi=34.3, diabetes_pedigree=0.203, age=33,
    ... )
    >>> patient.insulin is None
    True
    """

    model_config = ConfigDict(
        allow_inf_nan=False,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        json_schema_extra={"description": "One patient record; every field is required."},
    )

    pregnancies: int = Field(**_field("Times pregnant", unit="count", ge=0, le=25, example=0))
    glucose: float | None = Field(
        **_measurement(
            "Plasma glucose 2 h into an oral glucose tolerance test",
            unit="mg/dl",
            le=600,
            example=121,
        )
    )
    blood_pressure: float | None = Field(
        **_measurement("Diastolic blood pressure", unit="mm Hg", le=250, example=66)
    )
    skin_thickness: float | None = Field(
        **_measurement("Triceps skin fold thickness", unit="mm", le=150, example=30)
    )
    insulin: float | None = Field(
        **_measurement("2 h serum insulin", unit="mu U/ml", le=2000, example=165)
    )
    bmi: float | None = Field(**_measurement("Body mass index", unit="kg/m2", le=100, example=34.3))
    diabetes_pedigree: float = Field(
        **_field(
            "Diabetes pedigree function: diabetes among relatives, weighted by kinship",
            unit="1",
            ge=0,
            le=5,
            example=0.203,
        )
    )
    age: int = Field(
        **_field("Age; the data has women of at least 21", unit="years", ge=21, le=120, example=33)
    )

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse the change without showing the value, which pydantic's own refusal does."""
        raise TypeError(f"a Patient cannot be changed: make another one with another {name}")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Make every field required, whatever its default.

        MLflow's type hints accept a nullable field only where it has a default, but a record that
        lacks a field must be refused: the default is there for MLflow to see and is never used.
        """
        schema = handler(source)
        _drop_defaults(schema)
        return schema


FEATURES: Final[tuple[str, ...]] = tuple(Patient.model_fields)
"""The names of the features, in the order of the columns that `preprocess` makes."""

MEASUREMENTS: Final[tuple[str, ...]] = tuple(
    name for name, field in Patient.model_fields.items() if NoneType in get_args(field.annotation)
)
"""The features that may not have been measured: ``None`` or 0."""
