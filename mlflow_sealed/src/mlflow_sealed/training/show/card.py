"""The model card: what the model is for, on what it was measured, and what it came to.

The sections follow Mitchell et al. 2019, https://doi.org/10.1145/3287560.3287596, and TRIPOD+AI,
https://doi.org/10.1136/bmj-2023-078378. The frame is the template ``card.md``, whose figures come
from the evaluation and the run; what only the project can say comes from its own templates.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from jinja2 import TemplateError
from markdown_it import MarkdownIt
from markupsafe import Markup
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT

from mlflow_sealed.project import Project
from mlflow_sealed.training.measure.evaluate import table
from mlflow_sealed.training.measure.figures import TITLES
from mlflow_sealed.training.measure.results import MODEL, Evaluation, Group, Interval
from mlflow_sealed.training.show import words
from mlflow_sealed.training.show.pictures import contributions
from mlflow_sealed.training.show.pictures.calibration import calibration_title, errors
from mlflow_sealed.training.show.pictures.decisions import confusion_title, decision_title
from mlflow_sealed.training.show.templates import fill

FILE: Final = "card.md"
PAGE: Final = "card.html"
"""The card among a run's artifacts."""

PARTS: Final = {
    "note": "what everybody has to know first",
    "kind": "what kind of model it is, in a phrase",
    "purpose": "what it is for, and what it must not be used for",
    "limits": "where the data is from, and whom it does not stand for",
    "missing": "what a missing value is, and what the model makes of it",
}
"""What only the project can say: ``NAME.md`` in its folder for the card, each of them optional.

They are templates too, with the values of the frame, such as ``provenance``, ``options`` and
``ranges``: the least, the most and the median of each column of the records.
"""

_UNKNOWN: Final = "not known"
_BY_GROUP: Final = ("auc", "brier", "sensitivity", "specificity")


class CardError(Exception):
    """The project's part of the card is wrong; the message names the file and what is expected."""


@dataclass(frozen=True)
class Provenance:
    """Where a model comes from; ``requirements`` are the versions of what serving installs."""

    run_id: str
    trained: str
    commit: str
    data_sha256: str
    package_version: str
    installed_from: str
    wheel_sha256: str
    requirements: Mapping[str, str]


def provenance(run: Run, project: Project) -> Provenance:
    """Return where the model of a run comes from: what its tags say, and the model's lock."""
    tags, package = run.data.tags, project.names.package
    text = project.lock("model").read_text(encoding="utf-8")
    version = tags[f"{package}.version"]
    wheel = re.search(
        rf"^{re.escape(package)}=={re.escape(version)} \\\n +--hash=sha256:(\w+)",
        text,
        re.MULTILINE,
    )
    return Provenance(
        run_id=run.info.run_id,
        trained=f"{datetime.fromtimestamp(run.info.start_time / 1000, tz=UTC):%Y-%m-%d}",
        commit=tags.get(MLFLOW_GIT_COMMIT, _UNKNOWN),
        data_sha256=tags["data.sha256"],
        package_version=version,
        installed_from=tags[f"{package}.installed_from"],
        wheel_sha256=wheel[1] if wheel else _UNKNOWN,
        requirements=dict(re.findall(r"^(\S+)==(\S+)", text, re.MULTILINE)),
    )


def card(evaluation: Evaluation, origin: Provenance) -> str:
    """Return the model card in Markdown.

    Raises
    ------
    CardError
        If the project's part of it is wrong.
    """
    subject, project = evaluation.subject, evaluation.subject.project
    rising = [words.feature_name(subject, name) for name in project.features.rising]
    values = {
        "project": project,
        "words": project.words,
        "headline": headline(evaluation),
        "provenance": asdict(origin),
        "options": evaluation.options,
        "features": words.feature_names(subject),
        "first": first_features(evaluation),
        "rising": words.listed(rising, "or"),
        "data": _data(evaluation),
        "ranges": _ranges(evaluation),
        "missing": _missing(evaluation),
        "figures": table(evaluation),
        "groups": _groups(evaluation),
        "calibration": _calibration(evaluation),
        "decision": decision_title(evaluation),
        "confusion": confusion_title(evaluation),
        "threshold": asdict(evaluation.threshold),
    }
    return fill("card.md", {**values, "parts": _parts(project, values)})


def page(markdown: str, project: Project) -> str:
    """Return a card as a page that needs nothing else."""
    values = {"title": f"Model card: {project.names.model}", "body": Markup(body(markdown))}  # noqa: S704 # escaped
    return fill("page.html", values)


def body(markdown: str) -> str:
    """Return a Markdown text as HTML; HTML in it is shown, not kept."""
    rendered: str = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    return rendered


def headline(evaluation: Evaluation) -> str:
    """Return what the model came to, and what the other candidates came to on the same folds."""
    figures, titles = evaluation.cross_validated, evaluation.subject.titles
    found = f"Cross-validated: AUC and Brier score {_pair(figures[MODEL])}."
    others = [
        f"{words.lowered(titles[one])} {_pair(figures[one])}" for one in figures if one != MODEL
    ]
    return f"{found} On the same folds: {', '.join(others)}." if others else found


def first_features(evaluation: Evaluation) -> str:
    """Return the names of the three features that move predictions most."""
    names = words.feature_names(evaluation.subject)
    return words.listed([names[one] for one in contributions.order(evaluation)[:3]], "and")


def _parts(project: Project, values: Mapping[str, Any]) -> dict[str, str]:
    """Return what the project says, by the names of `PARTS`; nothing where it has no such file."""
    if project.card is None:
        return dict.fromkeys(PARTS, "")
    folder = project.root / project.card.folder
    files = {path.stem: path for path in folder.glob("*.md")}
    if not files or not files.keys() <= PARTS.keys():
        raise CardError(
            f"{folder} has {sorted(path.name for path in files.values())}, expected some of "
            f"{[f'{name}.md' for name in PARTS]} and no others"
        )
    return {name: _part(files[name], values) if name in files else "" for name in PARTS}


def _part(file: Path, values: Mapping[str, Any]) -> str:
    try:
        return fill(file.name, values, file.parent).strip()
    except (TemplateError, UnicodeDecodeError) as error:
        raise CardError(f"{file}: {error}") from error


def _pair(figures: Mapping[str, Interval]) -> str:
    return f"{figures['auc'].value:.3f} and {figures['brier'].value:.3f}"


def _data(evaluation: Evaluation) -> dict[str, Any]:
    features = evaluation.subject.preprocess(evaluation.data.records)
    labels = evaluation.data.labels
    return {
        "rows": len(labels),
        "positive": int(labels.sum()),
        "share": f"{labels.mean():.1%}",
        "training": len(evaluation.split.training),
        "held_out": len(evaluation.split.held_out),
        "incomplete": int(np.isnan(features).any(axis=1).sum()),
    }


def _ranges(evaluation: Evaluation) -> dict[str, dict[str, str]]:
    """Return where the values of each column of the records that has numbers lie."""
    numbers = evaluation.data.records.select_dtypes("number")
    return {
        str(name): {
            "least": f"{column.min():g}",
            "most": f"{column.max():g}",
            "median": f"{column.median():g}",
        }
        for name, column in numbers.items()
    }


def _missing(evaluation: Evaluation) -> list[str]:
    """Return how many records lack each feature that may be missing."""
    subject = evaluation.subject
    absent = np.isnan(subject.preprocess(evaluation.data.records)).sum(axis=0)
    counts = dict(zip(subject.features, absent, strict=True))
    return [f"{words.feature_name(subject, name)} {counts[name]}" for name in subject.nullable]


def _calibration(evaluation: Evaluation) -> str:
    """Return how far each candidate's predicted risks are off, and the model's on the whole."""
    titles, condition = evaluation.subject.titles, evaluation.subject.project.words.condition
    others = [
        f"{words.lowered(titles[name])}: {points:.1f}"
        for name, points in errors(evaluation).items()
        if name != MODEL
    ]
    compared = f" ({'; '.join(others)})" if others else ""
    return (
        f"{calibration_title(evaluation)}{compared}. On the whole it predicts "
        f"{evaluation.out_of_fold[MODEL].mean():.1%}, and {evaluation.data.labels.mean():.1%} have "
        f"{condition}."
    )


def _groups(evaluation: Evaluation) -> str:
    """Return the figures of each group as a Markdown table, nothing if there are no groups."""
    if not evaluation.groups:
        return ""
    named = evaluation.subject.project.words
    titles = [named.records, named.positive, *(TITLES[name] for name in _BY_GROUP)]
    return "\n".join(
        [
            f"| | {' | '.join(titles)} |",
            "|---" * (1 + len(titles)) + "|",
            *(_row(group) for group in evaluation.groups),
        ]
    )


def _row(group: Group) -> str:
    name = f"{words.group_name(group)}{', small' if group.small else ''}"
    figures = [_cell(group.figures.get(figure)) for figure in _BY_GROUP]
    return f"| {' | '.join([name, str(group.rows), str(group.positive), *figures])} |"


def _cell(interval: Interval | None) -> str:
    if interval is None:
        return "too few"
    return f"{interval.value:.2f} ({interval.low:.2f} to {interval.high:.2f})"
