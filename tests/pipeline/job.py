"""One job on one machine: its folders, its variables, its environment, what its steps say."""

import os
import re
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mlflow_sealed.feed.credential import Index
from tests.pipeline.expressions import PipelineError

_MACRO: Final = re.compile(r"\$\(([\w.]+)\)")
_COMMAND: Final = re.compile(r"##vso\[([\w.]+)((?:\s[^\]]*)?)\](.*)")
_PROPERTIES: Final = {"variable", "issecret", "isoutput"}
_DEPTH: Final = 10


@dataclass(frozen=True)
class Registry:
    """A service connection to a container registry."""

    host: str
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Services:
    """What the hosted tasks reach on Azure's side.

    Attributes
    ----------
    feeds
        The feeds by PROJECT/FEED, each with the token that the tasks authenticate with.
    connections
        The service connections by their names.
    caches
        A folder with an entry for each cache that was saved.
    published
        A folder for what the tasks publish.
    """

    feeds: Mapping[str, Index]
    connections: Mapping[str, Registry]
    caches: Path
    published: Path

    @property
    def secrets(self) -> tuple[str, ...]:
        """What the agent masks in every output."""
        feeds = [index.password for index in self.feeds.values()]
        registries = [registry.password for registry in self.connections.values()]
        return tuple(dict.fromkeys(feeds + registries))


class Job:
    """The state of a job while its steps run.

    Parameters
    ----------
    name
        What the tasks keep of it, they keep by this name.
    folder
        Made anew: it gets the sources (``s``), a temporary folder and a home.
    machine
        The environment of the machine that the agent runs on.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        variables: Mapping[str, str],
        machine: Mapping[str, str],
        services: Services,
    ) -> None:
        self.name = name
        self.sources, self.temporary, home = folder / "s", folder / "a-tmp", folder / "home"
        for made in (folder, self.sources, self.temporary, home):
            made.mkdir()
        self.services = services
        self.after: list[Callable[[], None]] = []
        self.outputs: dict[str, str] = {}
        self.said = bytearray()
        self._machine = {**machine, "HOME": str(home), "TMPDIR": str(self.temporary)}
        self._secrets: set[str] = set()
        self._variables = {
            **variables,
            "Agent.OS": "Linux",
            "Agent.TempDirectory": str(self.temporary),
            "Pipeline.Workspace": str(folder),
            "System.DefaultWorkingDirectory": str(self.sources),
            "TF_BUILD": "True",
        }

    @property
    def variables(self) -> dict[str, str]:
        """The variables, with those in their values filled in."""
        return {name: self.expand(value) for name, value in self._variables.items()}

    def expand(self, text: str) -> str:
        """Fill in ``$(name)``, also in what was filled in; what is no variable stays.

        https://learn.microsoft.com/azure/devops/pipelines/process/variables says so.
        """
        names = {name.casefold(): value for name, value in self._variables.items()}
        for _ in range(_DEPTH):
            filled = _MACRO.sub(lambda found: names.get(found[1].casefold(), found[0]), text)
            if filled == text:
                return text
            text = filled
        raise PipelineError(f"{text!r}: variables that name each other")

    def environ(self, mapped: Mapping[str, str]) -> dict[str, str]:
        """Return what a process finds: the machine's, the variables but secret ones, `mapped`.

        A variable's name is in upper case there, with an underscore for each dot.
        """
        variables = {
            _environment_name(name): value
            for name, value in self.variables.items()
            if name not in self._secrets
        }
        return {**self._machine, **variables, **{key: self.expand(mapped[key]) for key in mapped}}

    def set(self, name: str, value: str, *, secret: bool = False) -> None:
        """Set a variable for the steps that follow."""
        self._variables[name] = value
        if secret:
            self._secrets.add(name)

    def unset(self, name: str) -> None:
        """Remove a variable for the steps that follow."""
        self._variables.pop(name, None)

    def prepend_path(self, folder: Path) -> None:
        """Put a folder before those on PATH, for the steps that follow."""
        self._machine["PATH"] = f"{folder}{os.pathsep}{self._machine['PATH']}"

    def say(self, line: str) -> None:
        """Print a line as the output of the step at hand."""
        self.said += line.encode() + b"\n"

    def execute(
        self, command: Sequence[str], mapped: Mapping[str, str], *, timeout_s: float
    ) -> tuple[int, dict[str, str]]:
        """Run a process of the step at hand; return its status and the environment it got."""
        environ = self.environ(mapped)
        child = subprocess.Popen(
            command,
            cwd=self.sources,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            said, _ = child.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            said, _ = child.communicate()
            said += b"##[error]The job ran longer than its timeoutInMinutes.\n"
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)  # it has a process group of its own
            raise
        self.said += said
        return child.returncode, environ

    def masked(self) -> str:
        """Return the output of the step at hand as the agent shows it: with secrets as asterisks.

        https://learn.microsoft.com/azure/devops/pipelines/process/set-secret-variables
        """
        text = self.said.decode(errors="replace")
        secrets = {*self.services.secrets, *(self._variables.get(name) for name in self._secrets)}
        for secret in filter(None, secrets):
            text = text.replace(secret, "***")
        return text

    def obey(self, step: str) -> None:
        """Do what the logging commands in the output of the step at hand ask for.

        https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands
        """
        for line in self.said.decode(errors="replace").splitlines():
            if "##vso[" in line:
                self._obey(line, step)

    def _obey(self, line: str, step: str) -> None:
        match = _COMMAND.search(line)
        parts = [part for part in match[2].strip().split(";") if part] if match else []
        properties = {
            key.casefold(): value for key, _, value in (part.partition("=") for part in parts)
        }
        known = match and match[1] == "task.setvariable" and properties.keys() <= _PROPERTIES
        if not match or not known or "variable" not in properties:
            raise PipelineError(f"logging command {line!r} is not known")
        name, value = properties["variable"], match[3]
        if properties.get("isoutput", "").casefold() == "true":
            if not step:
                raise PipelineError(f"{line!r}: a step without a name has no outputs")
            name = f"{step}.{name}"
            self.outputs[name] = value
        self.set(name, value, secret=properties.get("issecret", "").casefold() == "true")


def _environment_name(name: str) -> str:
    return name.upper().replace(".", "_")
