"""Reading the training data: what it is, and what is refused with its line."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from mlflow_sealed.training.measure.dataset import DataError
from mypreprocessing import FEATURES, MEASUREMENTS
from tests.environ import ROOT
from training import dataset
from training.options import DATA

HEADER = (
    "pregnancies,glucose,blood_pressure,skin_thickness,insulin,bmi,diabetes_pedigree,age,diabetes"
)
ROW = "6,148,72,35,0,33.6,0.627,50,1"
OTHER = "1,85,66,29,,26.6,0.351,31,0"


def csv(folder: Path, *lines: str) -> Path:
    path = folder / "data.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_the_pima_data_is_the_one_that_its_readme_describes() -> None:
    data = dataset.read(ROOT / DATA)
    assert data.records.shape == (768, 8)
    assert list(data.records.columns) == list(FEATURES)
    assert data.labels.sum() == 268
    assert data.sha256 == "c2e22ef40dba75987df000a8c2d936d8db725510f96a81855fe7b9bc810438ce"
    zeros = (data.records[list(MEASUREMENTS)] == 0).sum()
    assert zeros.to_dict() == {
        "glucose": 5,
        "blood_pressure": 35,
        "skin_thickness": 227,
        "insulin": 374,
        "bmi": 11,
    }


def test_the_first_patient_is_not_lost(tmp_path: Path) -> None:
    data = dataset.read(csv(tmp_path, HEADER, ROW, OTHER))
    assert data.records.iloc[0].tolist() == [6, 148, 72, 35, 0, 33.6, 0.627, 50]
    assert data.labels.tolist() == [1, 0]
    assert data.labels.dtype == np.int64


def test_the_columns_are_taken_by_name_in_any_order(tmp_path: Path) -> None:
    straight = dataset.read(csv(tmp_path, HEADER, ROW))
    reverse = [",".join(reversed(line.split(","))) for line in (HEADER, ROW)]
    reversed_ = dataset.read(csv(tmp_path, *reverse))
    assert reversed_.records[list(FEATURES)].equals(straight.records[list(FEATURES)])
    assert reversed_.labels.tolist() == [1]


def test_an_empty_measurement_is_null(tmp_path: Path) -> None:
    assert dataset.read(csv(tmp_path, HEADER, ROW, OTHER)).records["insulin"].isna().tolist() == [
        False,
        True,
    ]


def test_a_byte_order_mark_and_blank_lines_do_no_harm(tmp_path: Path) -> None:
    assert len(dataset.read(csv(tmp_path, "\ufeff" + HEADER, ROW, "", OTHER)).labels) == 2


def test_the_hash_is_the_files(tmp_path: Path) -> None:
    path = csv(tmp_path, HEADER, ROW)
    assert dataset.read(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        pytest.param(
            [HEADER.replace("bmi,", "")],
            r"line 1: columns missing: \['bmi'\]; expected",
            id="missing",
        ),
        pytest.param([HEADER + ",bmi"], r"line 1: columns twice: \['bmi'\]; expected", id="twice"),
        pytest.param([HEADER + ",weight"], "line 1: columns surplus: 1; expected", id="surplus"),
        pytest.param([ROW, OTHER], r"line 1: columns missing: \['preg.*surplus: 9", id="no header"),
        pytest.param([], r"line 1: columns missing: \['pregnancies'", id="empty"),
        pytest.param(
            [HEADER], "line 2: expected rows under the header, got none", id="only a header"
        ),
        pytest.param([HEADER, ROW[:-1] + "2"], "line 2, diabetes: expected 0 or 1", id="label 2"),
        pytest.param([HEADER, ROW[:-1]], "line 2, diabetes: expected 0 or 1", id="no label"),
        pytest.param([HEADER, ROW, "777" + ROW[1:]], "line 3, pregnancies: Input", id="range"),
        pytest.param([HEADER, ROW.replace("148", "7x7")], "line 2, glucose: Input", id="text"),
        pytest.param([HEADER, ROW.replace("33.6", "nan")], "line 2, bmi: Input", id="nan"),
        pytest.param([HEADER, ROW.replace(",50,", ",,")], "line 2, age: Input", id="no age"),
        pytest.param([HEADER, ROW[:-2]], "line 2: expected 9 cells, got 8", id="short"),
        pytest.param([HEADER, ROW, ROW + ",777"], "line 3: expected 9 cells, got 10", id="long"),
        pytest.param([HEADER, ROW, '"' + ROW], "line 3: unexpected end of data", id="quote"),
        pytest.param([HEADER, '"6"7,' + ROW], "line 2: ',' expected after", id="after a quote"),
        pytest.param([HEADER, ROW.replace("148", "7_7")], "line 2, glucose: exp", id="underscore"),
        pytest.param(["", HEADER, ROW], r"line 1: columns missing", id="blank first line"),
    ],
)
def test_bad_data_is_one_line_that_names_the_file_and_shows_no_value(
    tmp_path: Path, lines: list[str], message: str
) -> None:
    with pytest.raises(DataError, match=rf"data.csv: {message}") as error:
        dataset.read(csv(tmp_path, *lines))
    said = str(error.value)
    assert "\n" not in said
    assert "777" not in said
    assert "7x7" not in said
    assert "33.6" not in said
    assert error.value.__suppress_context__


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.csv: cannot be read \(No such file or directory\)"):
        dataset.read(tmp_path / "none.csv")


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="data.csv: expected a CSV file in UTF-8, got other bytes"):
        dataset.read(tmp_path / "data.csv")
