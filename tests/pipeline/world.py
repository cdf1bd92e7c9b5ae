"""Azure's side and ours, all real and on this machine, for whole runs of azure-pipelines.yml."""

import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import mlflow

from mlflow_sealed import process
from mlflow_sealed.feed import credential
from mlflow_sealed.feed.local import LocalFeed
from tests.environ import ROOT
from tests.pipeline import definition, surroundings, tasks
from tests.pipeline.agent import Agent
from tests.pipeline.job import Registry, Services

FEED: Final = "ours/private"
CONNECTION: Final = "our-registry"
QUICK_TESTS: Final = "-n 0 tests/mypreprocessing"
"""What `make test` is told to run inside of a run: all of it would be this very test again."""

QUICK_TRAINING: Final = "-P folds=2 -P repeats=1"
FILE: Final = "azure-pipelines.yml"


@dataclass(frozen=True)
class World:
    """A feed, an MLflow server, a registry, and the agent that runs against them."""

    agent: Agent
    feed: LocalFeed
    index: credential.Index
    registry: Registry
    server: str
    folder: Path
    token: str = field(repr=False)

    @property
    def repository(self) -> str:
        """The image's repository, REGISTRY/NAME."""
        return f"{self.registry.host}/diabetes"

    @property
    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient(self.server, self.server)

    @property
    def champion(self) -> mlflow.entities.model_registry.ModelVersion:
        return self.client.get_model_version_by_alias("diabetes", "champion")

    def versions(self) -> list[str]:
        """The registered versions of the model."""
        found = self.client.search_model_versions("name='diabetes'")
        return sorted(str(version.version) for version in found)

    def finished(self) -> list[mlflow.entities.Run]:
        """The runs of the experiment that have come to their end."""
        experiment = self.client.get_experiment_by_name("diabetes")
        assert experiment is not None
        return list(self.client.search_runs([experiment.experiment_id], "status = 'FINISHED'"))

    def pipeline(self, **parameters: str) -> definition.Pipeline:
        """Read the file of the commit that is run."""
        ours = {
            "project": FEED.partition("/")[0],
            "feed": FEED.partition("/")[2],
            "trackingServer": self.server,
            "registryConnection": CONNECTION,
            "registry": self.registry.host,
            "testArguments": QUICK_TESTS,
            "trainingArguments": QUICK_TRAINING,
        }
        return definition.load(self.agent.repository / FILE, {**ours, **parameters})

    def with_services(self, **services: Any) -> Agent:
        """Return the agent with other services on Azure's side."""
        return replace(self.agent, services=replace(self.agent.services, **services))

    def with_sources(self, folder: Path, changes: Mapping[str, str]) -> Agent:
        """Return the agent for a commit that has other texts in some files."""
        return replace(self.agent, repository=surroundings.make_repository(folder, dict(changes)))


@contextmanager
def make(folder: Path) -> Iterator[World]:
    """Start everything in a folder for the length of a block; an engine is there already."""
    token, password = (f"t0k/+@:%{secrets.token_urlsafe(24)}==" for _ in range(2))
    for name in ("sources", "work", "caches", "feed", "mlflow", "registry"):
        (folder / name).mkdir()
    credential.write_secret(token, folder / "feed" / "password")
    feed = LocalFeed(folder / "feed")
    surroundings.make_repository(folder / "sources")
    with ExitStack() as stack:
        index = stack.enter_context(feed.serving(process.free_port()))
        server = stack.enter_context(surroundings.mlflow_server(folder / "mlflow"))
        registry = stack.enter_context(surroundings.registry(folder / "registry", password))
        services = Services(
            {FEED: index}, {CONNECTION: registry}, folder / "caches", folder / "published"
        )
        _fill_cache(services)
        machine = {
            **surroundings.machine(),
            # A fresh machine would compile all of an environment again for every job.
            "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
        }
        agent = Agent(folder / "work", folder / "sources", machine, services)
        yield World(agent, feed, index, registry, server, folder, token)


def _fill_cache(services: Services) -> None:
    """Save what this machine's uv and mypy have, as if for an earlier lock: it is quicker."""
    asked = subprocess.run(["uv", "cache", "dir"], capture_output=True, text=True, check=True)
    packages = services.caches / "packages"
    # Not what the uv of another test is writing now, nor pyspark, which no stage installs.
    tasks.copy(Path(asked.stdout.strip()), packages / "uv", left_out=(".tmp*", "sdists-*"))
    if (ROOT / ".mypy_cache").is_dir():
        # Not linked: mypy's cache is a database, which another mypy would damage.
        shutil.copytree(ROOT / ".mypy_cache", packages / "mypy")
    tasks.save_cache("packages|Linux|earlier", packages, services.caches)
    subprocess.run(["rm", "-r", str(packages)], check=True)
