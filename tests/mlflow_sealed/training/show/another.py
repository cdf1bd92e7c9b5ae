"""An evaluation of a model of another kind: contracts that are cancelled."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, Field

from mlflow_sealed.project import Project
from mlflow_sealed.training.measure.figures import bootstrap, over_repeats
from mlflow_sealed.training.measure.results import MODEL, Evaluation, Group, Threshold
from mlflow_sealed.training.show.card import Provenance
from mlflow_sealed.training.subject import Subject
from tests.measured import measured

NAMES = ("monthly_price", "visits", "months", "late_payments", "complaints")
THRESHOLD = 0.4
PROVENANCE = Provenance(
    run_id="ab" * 16,
    trained="2031-10-17",
    commit="not known",
    data_sha256="cd" * 32,
    package_version="4.5.6",
    installed_from="index",
    wheel_sha256="fe" * 32,
    requirements={"numpy": "9.8.7"},
)


class Contract(BaseModel):
    """A record whose features are not all its fields."""

    monthly_price: float = Field(json_schema_extra={"unit": "EUR"})
    visits: int = Field(json_schema_extra={"unit": "count"})
    months: int


def project(**parts: object) -> Project:
    return Project.model_validate(
        {
            "root": Path("nowhere"),
            "names": {
                "model": "churn",
                "experiment": "churn",
                "image": "churn",
                "package": "contracts",
                "record": "Contract",
            },
            "tracking": {"default": "sqlite:///mlflow.db"},
            "data": {"file": "contracts.csv", "label": "cancelled", "name": "contracts"},
            "packages": {"private": "contracts"},
            "locks": {},
            "words": {
                "record": "contract",
                "records": "contracts",
                "condition": "an early end",
                "positive": "cancelled",
                "negative": "kept",
            },
            **parts,
        }
    )


def nothing(_: pd.DataFrame) -> Iterator[tuple[str, str, npt.NDArray[np.intp]]]:
    return iter(())


@cache
def another(features: int = 1, others: int = 0, kinds: tuple[str, ...] = ()) -> Evaluation:
    """An evaluation with so many features and candidates beside the model; nobody changes it."""
    random, rows = np.random.default_rng(5), 160
    names = NAMES[:features]
    records = pd.DataFrame({name: random.normal(10, 2, rows) for name in names})
    contributions = np.column_stack([*((records[n] - 10) / (2 + i) for i, n in enumerate(names))])
    labels = (random.random(rows) < 1 / (1 + np.exp(-contributions.sum(axis=1)))).astype(np.int64)
    titles = {MODEL: "This model", **{f"other_{i}": f"Rule {i}" for i in range(others)}}
    out_of_fold = {
        name: 1 / (1 + np.exp(-contributions.sum(axis=1) - random.normal(0, 0.5, (2, rows))))
        for name in titles
    }
    figures = bootstrap(labels, out_of_fold[MODEL], THRESHOLD, seed=1)
    quick, held_out = measured(), np.arange(120, rows)
    subject = Subject(
        project=project(),
        record=Contract,
        features=names,
        nullable=(),
        preprocess=lambda frame: frame.to_numpy(np.float32),
        predictors={},
        titles=titles,
        memberships=nothing,
    )
    return Evaluation(
        subject=subject,
        data=replace(quick.data, records=records, labels=labels, sha256=PROVENANCE.data_sha256),
        split=replace(quick.split, training=np.arange(120), held_out=held_out),
        options=quick.options,
        threshold=Threshold(THRESHOLD, "fixed", "It was given."),
        out_of_fold=out_of_fold,
        held_out=out_of_fold[MODEL][0, held_out],
        cross_validated={
            name: over_repeats(labels, each, THRESHOLD) for name, each in out_of_fold.items()
        },
        held_out_figures=bootstrap(
            labels[held_out], out_of_fold[MODEL][:1, held_out], THRESHOLD, seed=1
        ),
        groups=[
            Group(kind, name, rows, int(labels.sum()), small=False, figures=figures)
            for kind in kinds
            for name in ("low", "high")
        ],
        contributions=np.column_stack([contributions, np.zeros(rows)]),
    )
