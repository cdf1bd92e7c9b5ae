"""A model with text, nested and optional fields, a rule of its own, and parameters."""

from typing import Any

import mlflow.models
from mlflow.pyfunc.model import PythonModel
from pydantic import BaseModel, Field, field_validator


class Sender(BaseModel):
    name: str = Field(max_length=40)
    age: int | None = Field(default=None, ge=0, le=150)


class Ticket(BaseModel):
    subject: str = Field(min_length=1, max_length=200, description="What it is about")
    kind: str = Field(pattern="^[a-z]+$")
    sender: Sender
    tags: list[str] = Field(default_factory=list, max_length=3)
    weight: float = Field(default=1.0, gt=-1, lt=1e6)

    @field_validator("subject")
    @classmethod
    def not_shouted(cls, subject: str) -> str:
        if subject.isupper():
            raise ValueError(f"do not shout {subject}")
        return subject


class Triage(BaseModel):
    queue: str
    score: float
    note: str | None = None


class TriageModel(PythonModel):
    def predict(  # type: ignore[override]
        self, model_input: list[Ticket], params: dict[str, Any] | None = None
    ) -> list[Triage]:
        known = params or {}
        for ticket in model_input:
            if ticket.subject == "raise":
                raise RuntimeError(f"cannot triage {ticket.sender.name}")
        return [
            Triage(
                queue=f"{known['prefix']}-{ticket.kind}",
                score=ticket.weight * known["factor"] + len(ticket.tags),
                note=ticket.sender.name if ticket.sender.age is None else None,
            )
            for ticket in model_input
        ]


mlflow.models.set_model(TriageModel())
