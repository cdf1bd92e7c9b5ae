"""Find the Java that Spark runs on."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

SUPPORTED: Final = (17, 21)
"""The versions that Spark 4 and its Hadoop run on, https://spark.apache.org/docs/4.2.0/."""

HOW: Final = "install Java 17 (Debian: openjdk-17-jre-headless) and let JAVA_HOME name it"


class JavaError(RuntimeError):
    """There is no Java that Spark runs on; the message says what to install."""


def home(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the home of the Java that JAVA_HOME names or, if it is not set, is on PATH.

    Raises
    ------
    JavaError
        If there is none, or it is of a version that is not `SUPPORTED`.
    """
    java, where = _command(environ)
    try:
        done = subprocess.run(
            [java, "-XshowSettings:properties", "-version"],
            env=dict(environ),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError):
        raise JavaError(f"{where} cannot be run: {HOW}") from None
    found = dict(re.findall(r"^ +(java\.[\w.]+) = (.+)$", done.stderr, re.MULTILINE))
    _check(found.get("java.specification.version", ""), where)
    return Path(found["java.home"])


def _command(environ: Mapping[str, str]) -> tuple[str, str]:
    if folder := environ.get("JAVA_HOME"):
        return str(Path(folder) / "bin" / "java"), f"the Java of JAVA_HOME ({folder})"
    java = shutil.which("java", path=environ.get("PATH", os.defpath))
    if java is None:
        raise JavaError(f"there is no Java, in JAVA_HOME or on PATH: {HOW}")
    return java, f"the Java on PATH ({java})"


def _check(version: str, where: str) -> None:
    if version not in map(str, SUPPORTED):
        expected = " or ".join(map(str, SUPPORTED))
        raise JavaError(f"{where} is {version or 'unknown'}, Spark needs {expected}: {HOW}")
