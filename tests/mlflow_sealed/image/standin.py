"""A stand-in for python:<version>-slim, for machines that reach no image registry.

It is a minimal Debian with this machine's Python, and it belongs to the tests only.
"""

import fcntl
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent.parent
TARBALL: Final = ROOT / ".cache" / f"python-{platform.python_version()}-slim.tar"
TARBALL_WITH_APT: Final = TARBALL.with_name(TARBALL.name.replace("-slim", "-slim-apt"))
NAME: Final = f"python:{sysconfig.get_python_version()}-slim"
"""The base image that MLflow names for a model that was trained with this Python."""

SUITE: Final = "bookworm"
LIBRARIES: Final = (
    *("libssl3", "libsqlite3-0", "libffi8", "zlib1g", "libbz2-1.0"),
    *("libreadline8", "liblzma5", "libgomp1", "libstdc++6"),
    "usr-is-merged",  # else a package that merges it comes, with all of Perl
)
CA_BUNDLE: Final = "/etc/ssl/certs/ca-certificates.crt"
LEFT_OUT: Final = shutil.ignore_patterns("__pycache__", "site-packages", "test", "*.a")
SETTINGS: Final = (
    "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
    "ENV LANG=C.UTF-8",
    f"ENV PIP_CERT={CA_BUNDLE}",
    f"ENV SSL_CERT_FILE={CA_BUNDLE}",
    'CMD ["python3"]',
)


def load(docker: str, *, apt: bool = False) -> None:
    """Make the stand-in known to the engine as `NAME`, from the cache where it is there.

    Parameters
    ----------
    apt
        With Debian's installer and where this machine takes packages from, which MLflow's own
        Dockerfile needs. Ours installs nothing of Debian's.
    """
    tarball = TARBALL_WITH_APT if apt else TARBALL
    tarball.parent.mkdir(exist_ok=True)
    with tarball.with_suffix(".lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two processes of the tests need it
        if not tarball.exists():
            _write(tarball, ("apt",) if apt else ())
    changes = [option for change in SETTINGS for option in ("--change", change)]
    _run(docker, "import", *changes, str(tarball), NAME)


def _write(tarball: Path, more: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _make(Path(folder) / "root", more)
        made = tarball.with_suffix(".part")
        _run("tar", "-C", f"{folder}/root", "-cf", str(made), ".")
        made.rename(tarball)


def _make(root: Path, more: tuple[str, ...]) -> None:
    root.mkdir(mode=0o755)
    if Path(sys.base_prefix) == Path("/usr"):
        _make_with_debians_python(root, more)
    else:
        _make_with_this_python(root, more)
    if more:
        for file in Path("/etc/apt/apt.conf.d").glob("*"):  # a proxy, for one
            shutil.copy(file, root / "etc/apt/apt.conf.d")
    _trust(root / CA_BUNDLE.lstrip("/"))


def _make_with_debians_python(root: Path, more: tuple[str, ...]) -> None:
    """Install this release's own Python: a copy of it would miss what it is linked to."""
    release = platform.freedesktop_os_release()["VERSION_CODENAME"]
    _debian(root, release, "python3", "python3-pip", "libgomp1", "libstdc++6", *more)
    for alias in ("python", "python3", f"python{sysconfig.get_python_version()}"):
        (root / "usr/local/bin" / alias).symlink_to("/usr/bin/python3")


def _make_with_this_python(root: Path, more: tuple[str, ...]) -> None:
    _debian(root, SUITE, *LIBRARIES, *more)
    python, local = Path(sys.base_prefix), root / "usr/local"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for folder in ("bin", "lib"):
        shutil.rmtree(local / folder)
        (local / folder).mkdir()
    shutil.copy2(python / "bin" / version, local / "bin")
    for library in python.glob("lib/libpython*.so*"):
        shutil.copy2(library, local / "lib", follow_symlinks=False)
    shutil.copytree(python / "lib" / version, local / "lib" / version, ignore=LEFT_OUT)
    (local / "lib" / version / "site-packages").mkdir()
    for alias in ("python", "python3"):
        (local / "bin" / alias).symlink_to(version)
    _run("chroot", str(root), "/sbin/ldconfig")
    _run("chroot", str(root), f"/usr/local/bin/{version}", "-m", "ensurepip", "--default-pip")


def _debian(root: Path, release: str, *packages: str) -> None:
    _run("mmdebstrap", "--variant=essential", f"--include={','.join(packages)}", release, str(root))


def _trust(bundle: Path) -> None:
    """Give the image the certificates that this machine trusts: a proxy may have its own."""
    bundle.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(os.environ.get("SSL_CERT_FILE", CA_BUNDLE), bundle)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stdout + done.stderr)[-2000:]
        raise RuntimeError(f"{' '.join(command[:3])} … ended with {done.returncode}: {said}")
