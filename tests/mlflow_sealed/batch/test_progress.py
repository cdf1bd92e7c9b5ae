"""How far a job is, and that it stops as soon as it is certain to be refused."""

import base64
import sys
from io import StringIO

import pyarrow as pa
import pytest

from mlflow_sealed.batch.plan import Plan, Slice
from mlflow_sealed.batch.progress import Progress
from mlflow_sealed.batch.tally import Tally, TooManyRefusedError


def job(form: str = "parquet") -> Plan:
    return Plan.model_validate(
        {
            "input": "/d",
            "folder": "/d",
            "format": form,
            "columns": (),
            "files": (),
            "types": base64.b64encode(pa.schema([]).serialize()).decode(),
            "model": "models:/m/1",
            "model_sha256": "",
            "features": (),
            "kept": (),
            "explain": False,
            "parts": [[Slice(0, 0, 0, 100)], [Slice(0, 1, 100, 100)]],
        }
    )


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("form", "of"), [("parquet", "200"), ("csv", "120")])
def test_who_looks_sees_rows_refused_rows_and_the_time_left(
    form: str, of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    progress = Progress(job(form), {}, 0.5)
    progress.add(0, Tally(scored=50, refused=10), 100)
    progress.finished(0)
    told = str(progress._bar)  # noqa: SLF001 # what is shown
    progress.close()
    assert f"60.0/{of} [" in told
    assert "rows/s, refused=10]" in told


def test_nothing_is_shown_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", shown := StringIO())
    progress = Progress(job(), {0: Tally(scored=5)}, 0.5)
    progress.add(1, Tally(scored=5), 5)
    progress.close()
    assert shown.getvalue() == ""


def test_rows_of_a_part_that_is_begun_again_count_once() -> None:
    progress = Progress(job(), {0: Tally(refused=60)}, 0.5)
    progress.add(1, Tally(refused=40), 40)
    progress.forget(1)
    progress.add(1, Tally(refused=40), 40)
    with pytest.raises(TooManyRefusedError, match="101 of 200 rows are refused"):
        progress.add(1, Tally(refused=1), 1)
    assert progress.parts == {0, 1}
