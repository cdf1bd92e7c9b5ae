"""The processes of the tests: each runs whole folders, and single files."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import scheduling
from tests.environ import ROOT

MANY = """
import pytest

@pytest.mark.parametrize("number", range(20))
def test_it(number):
    pass
"""


def test_a_folder_with_a_conftest_and_any_other_file_are_run_by_one_process_each(
    tmp_path: Path,
) -> None:
    files = ["pipeline/test_a.py", "pipeline/test_b.py", "a_plain/test_c.py", "a_plain/test_d.py"]
    for file in files:
        (tmp_path / "tests" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tests" / file).write_text(MANY, encoding="utf-8")
    (tmp_path / "tests" / "pipeline" / "conftest.py").touch()
    # A folder for temporary files of its own: pytest clears away those of earlier runs.
    options = ["-v", "-n", "2", "--no-loadscope-reorder", "--rootdir=.", "--basetemp=base", "-p"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "tests.scheduling", "tests"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    ran = re.findall(r"\[(gw\d)\] .*PASSED tests/(.*)::", done.stdout)
    assert len(ran) == 80, done.stdout + done.stderr
    processes = {file: {process for process, each in ran if each == file} for file in files}
    assert processes["pipeline/test_a.py"] == processes["pipeline/test_b.py"]
    assert all(len(each) == 1 for each in processes.values())
    assert len({process for process, _ in ran}) == 2
    (pipeline,) = processes["pipeline/test_a.py"]
    first = next(file for process, file in ran if process == pipeline)
    assert first == "pipeline/test_a.py"  # of LONGEST_FIRST, although a_plain comes before it


@pytest.mark.parametrize(("alone", "folder"), scheduling.SHARED.items(), ids=scheduling.SHARED)
def test_tests_that_share_what_another_folder_has_made_are_run_by_its_process(
    alone: str, folder: str
) -> None:
    file = alone if alone.endswith(".py") else f"{alone}/test_file.py"
    assert (ROOT / alone).exists()
    shared = [scheduling.scope(ROOT, f"{one}::test_it") for one in (file, f"{folder}/test_file.py")]
    assert shared == [folder, folder]


def test_the_longest_are_whole_folders() -> None:
    for folder in scheduling.LONGEST_FIRST:
        assert (ROOT / folder / "conftest.py").exists(), folder
