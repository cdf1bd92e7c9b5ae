"""Which Java is found, and what is said where there is none that will do."""

import os
import shutil
from pathlib import Path

import pytest

from mlflow_sealed.batch import java
from mlflow_sealed.batch.java import JavaError

pytestmark = pytest.mark.services

SAYS = """#!/bin/sh
echo '    java.home = /opt/java' >&2
echo '    java.specification.version = {version}' >&2
"""


def make(folder: Path, text: str, mode: int = 0o755) -> Path:
    """A home of Java with a program that says what a Java says."""
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(text, encoding="utf-8")
    program.chmod(mode)
    return folder


def test_the_java_of_this_machine_says_where_it_is(java_home: Path) -> None:
    assert (java_home / "bin" / "java").exists()
    assert java.home({"JAVA_HOME": str(java_home)}).samefile(java_home)
    assert java.home({"PATH": str(java_home / "bin")}).samefile(java_home)


def test_no_java_is_one_line_that_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(JavaError, match="^there is no Java.*: install Java 17") as caught:
        java.home({"PATH": str(tmp_path)})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("version", ["1.8", "11", "25"])
def test_another_version_is_one_line_that_says_which(version: str, tmp_path: Path) -> None:
    home = make(tmp_path, SAYS.format(version=version))
    told = rf"^the Java of JAVA_HOME \({home}\) is {version}, Spark needs 17 or 21: install Java 17"
    with pytest.raises(JavaError, match=told):
        java.home({"JAVA_HOME": str(home), "PATH": os.defpath})


def test_java_home_goes_before_path(tmp_path: Path) -> None:
    old, new = (tmp_path / name for name in ("old", "new"))
    make(old, SAYS.format(version="11"))
    make(new, SAYS.format(version="17"))
    environ = {"JAVA_HOME": str(new), "PATH": f"{old / 'bin'}:{os.defpath}"}
    assert java.home(environ) == Path("/opt/java")


def test_a_java_home_without_java_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(JavaError, match=r"JAVA_HOME \(.*\) cannot be run: install Java 17"):
        java.home({"JAVA_HOME": str(tmp_path), "PATH": os.defpath})


def test_a_program_that_is_no_java_is_one_line(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    shutil.copy("/bin/true", program)
    with pytest.raises(JavaError, match="is unknown, Spark needs 17 or 21"):
        java.home({"JAVA_HOME": str(tmp_path), "PATH": os.defpath})
