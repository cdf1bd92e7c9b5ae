"""Publish a project's own packages: each is built, held to the locks, and uploaded."""

import tempfile
from pathlib import Path

from mlflow_sealed.feed import lock, publish, upload_address
from mlflow_sealed.project import Project


def publish_package(folder: Path, project: Project, target: upload_address.Target) -> str:
    """Build and publish one package whose wheel the locks have, and return what came of it.

    Raises
    ------
    mlflow_sealed.feed.lock.LockError
        If a lock has another wheel.
    mlflow_sealed.feed.answers.FeedError
        If the feed does not take it.
    """
    with tempfile.TemporaryDirectory() as made:
        wheel = publish.build_wheel(folder, Path(made))
        lock.check(wheel, project)
        outcome = publish.publish(wheel, target)
        told = f"{wheel.name} sha256 {publish.sha256(wheel)}"
        return _line(told, outcome, target)


def publish_packages(project: Project, target: upload_address.Target) -> list[str]:
    """Publish every package of a project, and return what came of each."""
    return [
        publish_package(project.root / folder, project, target)
        for folder in project.packages.folders
    ]


def _line(wheel: str, outcome: publish.Outcome, target: upload_address.Target) -> str:
    if outcome.unseen:
        return (
            f"published {wheel} to {target.upload_url}; not shown by the index yet "
            f"({target.index.url}): {outcome.unseen}"
        )
    verb = "published" if outcome.uploaded else "already there, the same bytes:"
    return f"{verb} {wheel} on {target.index.url}"
