"""A record of no project in particular, which has every kind of rule that a table may have."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field


class Reading(BaseModel):
    """What an instrument says."""

    model_config = ConfigDict(
        allow_inf_nan=False, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    repeats: int = Field(ge=0, le=25)
    level: float | None = Field(ge=0, le=600)
    size: float | None = Field(ge=0, le=100)
    share: float = Field(ge=0, le=5)
    months: int = Field(ge=21, le=120)


FEATURES: Final = tuple(Reading.model_fields)


def reading(**changes: object) -> dict[str, Any]:
    """Return a good row, with some fields changed or added."""
    return {
        "repeats": 0,
        "level": 121,
        "size": 34.3,
        "share": 0.203,
        "months": 33,
        **changes,
    }
