"""The serving image, side by side with what MLflow's own Dockerfile makes of the same model.

MLflow's Dockerfile is taken as MLflow writes it, with one addition: the steps that install get the
credential mounted, for without it they cannot install the private package at all. Both images are
built in the same engine, from the same base, with nothing cached. Each figure of a start is the
median of several.

    python -m benchmarks.image

It trains in a tracking database of its own. Where no engine answers, root gets the tests' own.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import requests

from benchmarks import machine
from benchmarks.project import PROJECT, ROOT
from benchmarks.table import markdown
from mlflow_sealed import process
from mlflow_sealed.feed import credential
from mlflow_sealed.feed.access import FAILURES, credential_or_local
from mlflow_sealed.image import docker, docker_config
from mlflow_sealed.image.commands import build_command
from tests.mlflow_sealed.image import engine, standin

MIB: Final = 1 << 20
SECRET: Final = "RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf,required=true "  # noqa: S105
TARGETS: Final = {"layers": 0.4, "start": 0.6, "memory": 0.6, "rebuild": 0.5}
"""The largest share of MLflow's figure that ours may be."""


@dataclass(frozen=True)
class Figures:
    """What was measured of one image."""

    layers_mib: float
    build_s: float
    rebuild_s: float
    start_s: float
    memory_mib: float


@dataclass(frozen=True)
class Kind:
    """One of the two images: how it is built, and how it is started."""

    name: str
    build: Callable[[], None]
    options: tuple[str, ...]
    port: int


@process.command(*FAILURES)
def main() -> int:
    """Measure both, print the table, and return 1 if ours misses one of the targets."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--starts", type=int, default=5, help="starts to take the median of")
    options = parser.parse_args()
    with _engine(), credential_or_local(ROOT) as found, tempfile.TemporaryDirectory() as folder:
        ours, theirs = _side_by_side(found, Path(folder), options.starts)
    print(f"{machine.describe()}\n\n{table(ours, theirs)}")
    return int(any(share > TARGETS[name] for name, share in shares(ours, theirs).items()))


def shares(ours: Figures, theirs: Figures) -> dict[str, float]:
    """Return our figures as shares of theirs, for those that have a target."""
    return {
        "layers": ours.layers_mib / theirs.layers_mib,
        "rebuild": ours.rebuild_s / theirs.rebuild_s,
        "start": ours.start_s / theirs.start_s,
        "memory": ours.memory_mib / theirs.memory_mib,
    }


def table(ours: Figures, theirs: Figures) -> str:
    """Return the comparison as a Markdown table.

    Examples
    --------
    >>> print(table(Figures(1, 2, 3, 4, 5), Figures(2, 4, 30, 16, 10)).splitlines()[2])
    | layers over the base, MiB | 1 | 2 | 0.50 (at most 0.4) |
    """
    rows = [
        ("layers over the base, MiB", "layers_mib", "layers", "{:.0f}"),
        ("first build, s", "build_s", "", "{:.1f}"),
        ("build after a retrained model, s", "rebuild_s", "rebuild", "{:.1f}"),
        ("start to the first 200 on /ping, s", "start_s", "start", "{:.2f}"),
        ("memory of one worker at rest, MiB", "memory_mib", "memory", "{:.0f}"),
    ]
    cells = []
    for title, field, target, shown in rows:
        mine, other = getattr(ours, field), getattr(theirs, field)
        limit = f" (at most {TARGETS[target]:g})" if target else ""
        ratio = f"{mine / other:.2f}{limit}"
        cells.append([title, shown.format(mine), shown.format(other), ratio])
    return markdown(["", "ours", "MLflow's Dockerfile", "ours / MLflow's"], cells)


def _side_by_side(
    found: credential.Credential, folder: Path, starts: int
) -> tuple[Figures, Figures]:
    environ = {
        **credential.environment(found, os.environ),
        "DOCKER_CONFIG": str(
            docker_config.make(os.environ, PROJECT.lock("server"), folder / "docker")
        ),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
    }
    _train(environ, folder, trees=150)
    ours = Kind("ours", lambda: _build_ours(environ), ("--env", "HOST=127.0.0.1"), 8080)
    context = folder / "stock"
    _generate(context, environ)
    theirs = Kind("stock", lambda: _build_stock(context, found, folder, environ), (), 8080)
    docker.ask("builder", "prune", "--all", "--force")
    built = {kind.name: _timed(kind.build) for kind in (ours, theirs)}
    _train(environ, folder, trees=151)
    shutil.rmtree(context)
    _generate(context, environ)
    again = {kind.name: _timed(kind.build) for kind in (ours, theirs)}
    start = _starts((ours, theirs), starts)
    first, second = (
        Figures(
            _layers_mib(kind.name),
            built[kind.name],
            again[kind.name],
            statistics.median(seconds for seconds, _ in start[kind.name]),
            statistics.median(mib for _, mib in start[kind.name]),
        )
        for kind in (ours, theirs)
    )
    return first, second


def _build_ours(environ: Mapping[str, str]) -> None:
    names = PROJECT.names.model_copy(update={"image": "ours"})
    _quietly(build_command(PROJECT.model_copy(update={"names": names})), environ)


def _build_stock(
    context: Path, found: credential.Credential, folder: Path, environ: Mapping[str, str]
) -> None:
    """Build MLflow's own Dockerfile, the credential mounted; MLflow itself has to be loaded too."""
    # As MLflow's command does: it fetches the model and writes the Dockerfile each time.
    _generate(folder / "again", environ)
    shutil.rmtree(folder / "again")
    pip_conf = folder / "pip.conf"
    credential.write_install_conf(found, pip_conf)
    builder = docker.find_builder(os.environ)
    options = ("--tag", "stock", "--network", "host", "--secret", f"id=pip_conf,src={pip_conf}")
    _quietly(builder.command([], [*options, str(context)]), {**os.environ, "DOCKER_BUILDKIT": "1"})


def _generate(folder: Path, environ: Mapping[str, str]) -> None:
    model = ("-m", PROJECT.champion, "--env-manager", "local", "-d", str(folder))
    _quietly(["mlflow", "models", "generate-dockerfile", *model], environ)
    path = folder / "Dockerfile"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("RUN python -c", f"{SECRET}python -c"), encoding="utf-8")


def _train(environ: Mapping[str, str], folder: Path, *, trees: int) -> None:
    """Train a champion whose artifacts lie in a folder."""
    options = ("--env-manager", "uv", "--experiment-name", PROJECT.names.experiment)
    _quietly(["mlflow", "run", str(ROOT), *options, "-P", f"trees={trees}"], environ, cwd=folder)


def _starts(kinds: tuple[Kind, ...], times: int) -> dict[str, list[tuple[float, float]]]:
    """Start the images in turns; for each, the seconds to the first 200 and the MiB afterwards."""
    found: dict[str, list[tuple[float, float]]] = {kind.name: [] for kind in kinds}
    for _ in range(times):
        for kind in kinds:
            found[kind.name].append(_start(kind))
    return found


def _start(kind: Kind) -> tuple[float, float]:
    settings = ("--network", "host", "--env", "MLFLOW_MODELS_WORKERS=1", *kind.options)
    begin = time.monotonic()
    container = docker.ask("run", "--detach", *settings, kind.name).decode().strip()
    try:
        while not _pings(kind.port):
            if time.monotonic() - begin > 120:  # noqa: PLR2004 # seconds, and it does not start
                raise process.ProcessError(f"{kind.name} does not answer")
            time.sleep(0.01)
        took_s = time.monotonic() - begin
        time.sleep(2)
        return took_s, _memory_mib(container)
    finally:
        docker.ask("rm", "--force", container)


def _pings(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/ping", timeout=5).ok
    except requests.RequestException:
        return False


def _memory_mib(container: str) -> float:
    """Return the proportional set size of every process of a container: shared pages once."""
    top = docker.ask("top", container, "-o", "pid").decode().split()[1:]
    rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii") for pid in top]
    return sum(int(text.split("\nPss:")[1].split()[0]) for text in rollups) / 1024


def _layers_mib(image: str) -> float:
    """Return the size of an image without its base: everything that was built here."""
    return (_size(image) - _size(standin.NAME)) / MIB


def _size(image: str) -> int:
    size: int = json.loads(docker.ask("image", "inspect", image))[0]["Size"]
    return size


def _timed(build: Callable[[], None]) -> float:
    begin = time.monotonic()
    build()
    return time.monotonic() - begin


def _quietly(command: Sequence[str], environ: Mapping[str, str], *, cwd: Path = ROOT) -> None:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        print(done.stdout[-5000:], file=sys.stderr)
        raise process.ProcessError(f"{' '.join(command[:3])} … failed: see its output above")


@contextlib.contextmanager
def _engine() -> Iterator[None]:
    """Use the engine that answers, or start the tests' own."""
    if _engine_answers():
        yield
    elif lacking := engine.missing():
        raise process.ProcessError(f"no Docker engine ({lacking}); {engine.HOW}")
    else:
        with tempfile.TemporaryDirectory() as folder, engine.running(Path(folder), apt=True):
            yield


def _engine_answers() -> bool:
    try:
        docker.ask("version")
    except process.ProcessError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
