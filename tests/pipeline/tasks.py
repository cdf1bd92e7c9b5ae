"""Stand-ins for the hosted tasks: each does what the real one is documented to do.

An input that a stand-in does not know is an error. Where the documentation leaves something open,
the task's own source says it: https://github.com/microsoft/azure-pipelines-tasks/tree/master/Tasks.
"""

import base64
import hashlib
import json
import os
import platform
import shutil
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from mlflow_sealed.feed import credential, upload_address
from tests.pipeline.expressions import PipelineError
from tests.pipeline.job import Job, Registry

_PUSH_S: Final = 300


class TaskError(Exception):
    """A task has failed; the message is its line in the log."""


def use_python_version(inputs: Mapping[str, str], job: Job) -> None:
    """Put a Python of the asked version first on PATH.

    https://learn.microsoft.com/azure/devops/pipelines/tasks/reference/use-python-version-v0
    """
    _known(inputs, {"versionSpec"})
    version = platform.python_version_tuple()
    if inputs["versionSpec"].split(".") != list(version[:2]):
        raise TaskError(f"Version spec {inputs['versionSpec']} for architecture x64 did not match")
    job.prepend_path(Path(sys.base_prefix) / "bin")


def pip_authenticate(inputs: Mapping[str, str], job: Job) -> None:
    """Set the index variables; what an earlier call has set is gone.

    https://learn.microsoft.com/azure/devops/pipelines/tasks/reference/pip-authenticate-v1: with
    onlyAddExtraIndex all feeds go to PIP_EXTRA_INDEX_URL, without it the first is PIP_INDEX_URL.
    Multiple invocations do not stack credentials.
    """
    _known(inputs, {"artifactFeeds", "onlyAddExtraIndex"})
    urls = [_feed(name, job).authenticated_url for name in inputs["artifactFeeds"].split(",")]
    only_extra = inputs.get("onlyAddExtraIndex", "false").lower() == "true"
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        job.unset(name)
    if not only_extra:
        job.set("PIP_INDEX_URL", urls.pop(0))
    if urls:
        job.set("PIP_EXTRA_INDEX_URL", " ".join(urls))


def twine_authenticate(inputs: Mapping[str, str], job: Job) -> None:
    """Write a fresh .pypirc with a section named as the feed, and set PYPIRC_PATH.

    https://learn.microsoft.com/azure/devops/pipelines/tasks/reference/twine-authenticate-v1
    """
    _known(inputs, {"artifactFeed"})
    index = _feed(inputs["artifactFeed"], job)
    name = inputs["artifactFeed"].rpartition("/")[2]
    target = upload_address.from_index(index)
    lines = (
        *("[distutils]", f"index-servers={name}", "", f"[{name}]"),
        *(f"repository={target.upload_url}", f"username={index.username}"),
        f"password={index.password}",
    )
    path = job.temporary / f"twineAuthenticate-{len(list(job.temporary.iterdir()))}" / ".pypirc"
    path.parent.mkdir()
    credential.write_secret("\n".join(lines), path)
    job.set("PYPIRC_PATH", str(path))


def cache(inputs: Mapping[str, str], job: Job) -> None:
    """Restore a folder by its key, or by the newest entry that begins as a restore key does.

    https://learn.microsoft.com/azure/devops/pipelines/release/caching: a segment of the key with a
    dot or a slash in it names a file, whose content counts, unless it is quoted; entries never
    change; one is saved when the job has succeeded and its key was not there.
    """
    _known(inputs, {"key", "path", "restoreKeys"})
    folder = job.sources / inputs["path"]
    fingerprint = _fingerprint(inputs["key"], job)
    wanted = [fingerprint, *_restore_keys(inputs.get("restoreKeys", ""), job)]
    exact = _entry(fingerprint, job)
    found = exact if exact.exists() else next(_matching(wanted[1:], job), None)
    if found:
        copy(found / "content", folder)
    hit = "hit" if found == exact else "inexact hit" if found else "miss"
    job.say(f"Cache {hit}: {fingerprint}")
    if found != exact:
        job.after.append(lambda: _save(fingerprint, folder, job))


def publish_test_results(inputs: Mapping[str, str], job: Job) -> None:
    """Keep JUnit files for the run's page.

    https://learn.microsoft.com/azure/devops/pipelines/tasks/reference/publish-test-results-v2
    """
    _known(inputs, {"testResultsFormat", "testResultsFiles", "failTaskOnMissingResultsFile"})
    files = _found(inputs["testResultsFiles"], job)
    if not files and inputs.get("failTaskOnMissingResultsFile", "").lower() == "true":
        raise TaskError(f"No test result files matching {inputs['testResultsFiles']} were found.")
    for path in files:
        suites = list(ET.parse(path).getroot().iter("testsuite"))  # noqa: S314 # our own pytest's
        job.say(f"{path.name}: {sum(int(suite.get('tests', 0)) for suite in suites)} tests")
        _publish(path, job)


def publish_code_coverage(inputs: Mapping[str, str], job: Job) -> None:
    """Keep coverage files for the run's page.

    https://learn.microsoft.com/azure/devops/pipelines/tasks/reference/publish-code-coverage-results-v1
    """
    _known(inputs, {"codeCoverageTool", "summaryFileLocation", "failIfCoverageEmpty"})
    files = _found(inputs["summaryFileLocation"], job)
    if not files and inputs.get("failIfCoverageEmpty", "").lower() == "true":
        raise TaskError("No code coverage results were found to publish.")
    for path in files:
        rate = ET.parse(path).getroot().get("line-rate")  # noqa: S314 # our own coverage's
        job.say(f"{path.name}: line rate {rate}")
        _publish(path, job)


def docker(inputs: Mapping[str, str], job: Job) -> None:
    """Log in to a registry, or push an image to it.

    https://learn.microsoft.com/azure/devops/pipelines/tasks/reference/docker-v2: login writes the
    connection's credential to a config.json, names its folder in DOCKER_CONFIG for the steps that
    follow, and asks nobody whether it is right; push puts the registry before the repository.
    """
    command = inputs["command"]
    _known(inputs, {"command", "containerRegistry"} | _DOCKER.get(command, set()))
    if command not in _DOCKER:
        raise PipelineError(f"Docker@2 with the command {command} is not known")
    registry = job.services.connections.get(inputs["containerRegistry"])
    if registry is None:
        raise TaskError(f"There is no service connection {inputs['containerRegistry']}")
    config = job.temporary / "DockerConfig"
    log_in(registry, config)
    if command == "login":
        job.set("DOCKER_CONFIG", str(config))
        return
    for tag in inputs["tags"].split():
        name = f"{registry.host}/{inputs['repository']}:{tag}"
        environ = {"DOCKER_CONFIG": str(config)}
        status, _ = job.execute(["docker", "push", name], environ, timeout_s=_PUSH_S)
        if status:
            raise TaskError(f"The process 'docker' failed with exit code {status}")


TASKS: Final[Mapping[str, Callable[[Mapping[str, str], Job], None]]] = {
    "UsePythonVersion@0": use_python_version,
    "PipAuthenticate@1": pip_authenticate,
    "TwineAuthenticate@1": twine_authenticate,
    "Cache@2": cache,
    "PublishTestResults@2": publish_test_results,
    "PublishCodeCoverageResults@1": publish_code_coverage,
    "Docker@2": docker,
}
_DOCKER: Final[Mapping[str, set[str]]] = {"login": set(), "push": {"repository", "tags"}}


def _known(inputs: Mapping[str, str], known: set[str]) -> None:
    if unknown := sorted(inputs.keys() - known):
        raise PipelineError(f"inputs {unknown} are not known; those that are: {sorted(known)}")


def _feed(name: str, job: Job) -> credential.Index:
    index = job.services.feeds.get(name.strip())
    if index is None:
        raise TaskError(f"The feed with ID '{name}' doesn't exist.")
    return index


def log_in(registry: Registry, config: Path) -> None:
    """Write a connection's credential where docker looks for it."""
    pair = base64.b64encode(f"{registry.username}:{registry.password}".encode()).decode()
    config.mkdir(exist_ok=True)
    content = json.dumps({"auths": {registry.host: {"auth": pair}}})
    credential.write_secret(content, config / "config.json")


def _fingerprint(key: str, job: Job) -> str:
    return "|".join(_segment(part.strip(), job) for part in key.split("|"))


def _segment(text: str, job: Job) -> str:
    if text.startswith('"'):
        return text.strip('"')
    if not {".", "/", "*"} & set(text):
        return text
    path = job.sources / text
    if not path.is_file():
        raise TaskError(f"The cache key names {text}, which is no file")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _restore_keys(text: str, job: Job) -> list[str]:
    return [_fingerprint(line, job) for line in text.splitlines() if line.strip()]


def _entry(fingerprint: str, job: Job) -> Path:
    return job.services.caches / hashlib.sha256(fingerprint.encode()).hexdigest()[:16]


def _matching(prefixes: list[str], job: Job) -> Iterator[Path]:
    entries = sorted(job.services.caches.iterdir(), key=lambda path: path.stat().st_mtime)
    for prefix in prefixes:
        for entry in reversed(entries):
            fingerprint = (entry / "fingerprint").read_text(encoding="utf-8")
            if f"{fingerprint}|".startswith(f"{prefix}|"):
                yield entry


def _save(fingerprint: str, folder: Path, job: Job) -> None:
    if folder.exists():
        save_cache(fingerprint, folder, job.services.caches)


def save_cache(fingerprint: str, folder: Path, caches: Path) -> None:
    """Save a folder as a cache's entry."""
    name = hashlib.sha256(fingerprint.encode()).hexdigest()[:16]
    copy(folder, caches / name / "content")
    (caches / name / "fingerprint").write_text(fingerprint, encoding="utf-8")


def copy(source: Path, target: Path, *, left_out: Sequence[str] = ()) -> None:
    """Copy a folder but for names like these; on one file system the copy costs no space."""
    target.parent.mkdir(parents=True, exist_ok=True)
    is_near = source.stat().st_dev == target.parent.stat().st_dev
    shutil.copytree(
        source,
        target,
        symlinks=True,
        copy_function=os.link if is_near else shutil.copy2,
        ignore=shutil.ignore_patterns(*left_out),
    )


def _found(pattern: str, job: Job) -> list[Path]:
    return sorted(job.sources.glob(pattern))


def _publish(path: Path, job: Job) -> None:
    folder = job.services.published / job.name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, folder)
