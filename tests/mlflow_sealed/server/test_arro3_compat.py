"""What arro3 does with a broken file is what arro3_compat says."""

import pytest
from arro3.io import read_parquet

from mlflow_sealed.server import arro3_compat


def broken() -> BaseException:
    with pytest.raises(BaseException, match="Corrupt footer|too small") as caught:
        read_parquet(b"PAR1")
    return caught.value


def test_a_panic_is_no_exception_and_is_told_by_its_name() -> None:
    panic = broken()
    assert not isinstance(panic, Exception)
    assert arro3_compat.is_panic(panic)
    assert not arro3_compat.is_panic(KeyboardInterrupt())


def test_a_panic_is_printed_unless_it_is_silenced(capfd: pytest.CaptureFixture[str]) -> None:
    broken()
    out, err = capfd.readouterr()
    assert not out
    assert "panicked at" in err
    with arro3_compat.silent():
        broken()
    assert capfd.readouterr() == ("", "")
    broken()
    assert "panicked at" in capfd.readouterr().err
