"""A model with choices, for which MLflow has no type, and another name for a field."""

import enum
from typing import Literal

import mlflow.models
from mlflow.pyfunc.model import PythonModel
from pydantic import BaseModel, Field


class Channel(enum.StrEnum):
    MAIL = "mail"
    PHONE = "phone"


class Call(BaseModel):
    kind: Literal["question", "fault"]
    channel: Channel = Channel.MAIL
    urgent: bool = Field(default=False, alias="is-urgent")


class Answer(BaseModel):
    reply: Literal["yes", "no"]
    channel: Channel


class ChoiceModel(PythonModel):
    def predict(self, model_input: list[Call]) -> list[Answer]:  # type: ignore[override]
        return [
            Answer(reply="yes" if call.urgent else "no", channel=call.channel)
            for call in model_input
        ]


mlflow.models.set_model(ChoiceModel())
