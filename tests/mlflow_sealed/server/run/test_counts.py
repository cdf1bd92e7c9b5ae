"""The folder of the counts: where it may be, and when there is none."""

import tempfile
from pathlib import Path

import pytest

from mlflow_sealed.server.run import counts
from mlflow_sealed.server.run.counts import counts_folder
from mlflow_sealed.server.settings import StartError


@pytest.fixture
def _read_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No folder of Python's for temporary files can be written to."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))


def test_the_folder_is_removed_at_the_end() -> None:
    with counts_folder({}) as folder:
        (Path(folder) / "counter.db").touch()
    assert not Path(folder).exists()


@pytest.mark.usefixtures("_read_only")
def test_a_read_only_file_system_leaves_the_shared_memory() -> None:
    with counts_folder({}) as folder:
        assert Path(folder).parent == Path(counts.SHARED_MEMORY)
    assert not Path(folder).exists()


@pytest.mark.usefixtures("_read_only")
def test_no_place_at_all_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(counts, "SHARED_MEMORY", str(tmp_path / "absent"))
    with (
        pytest.raises(StartError, match=r"no folder .* written to \(No such file .*METRICS=0$"),
        counts_folder({}),
    ):
        pass


@pytest.mark.usefixtures("_read_only")
def test_where_nothing_is_counted_no_place_is_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(counts, "SHARED_MEMORY", str(tmp_path / "absent"))
    with counts_folder({"SCORING_METRICS": "0"}) as folder:
        assert folder == ""
