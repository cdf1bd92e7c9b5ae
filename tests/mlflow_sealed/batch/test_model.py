"""Registered models that cannot score a table: one line says why."""

from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from mlflow_sealed.batch import score
from mlflow_sealed.batch.model import ModelError, fetch
from tests.conftest import CHAMPION


class Renamed(BaseModel, allow_inf_nan=False):
    colour: int = Field(validation_alias="hue")


class Undecided:
    """A pyfunc that answers requests only."""


@pytest.mark.parametrize("uri", ["runs:/0/model", "models:/level", "models:/level@", "level/3"])
def test_an_address_of_another_kind_is_an_error(uri: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="expected a registered one, models:/NAME@champion or"):
        fetch(uri, tmp_path)


@pytest.mark.usefixtures("user")
def test_a_record_that_has_no_columns_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score, "row_type", lambda _: Renamed)
    with pytest.raises(ModelError, match=r"/1 cannot score a table: colour: expected a field"):
        fetch(CHAMPION, tmp_path)


@pytest.mark.usefixtures("user")
def test_a_model_that_scores_no_tables_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlflow.pyfunc.PyFuncModel.unwrap_python_model", lambda _: Undecided())
    with pytest.raises(ModelError, match="/1 cannot score a table: it has no method decide"):
        fetch(CHAMPION, tmp_path)
