"""The model card: what the model is for, on what it was measured, and what it came to.

The sections follow Mitchell et al. 2019, https://doi.org/10.1145/3287560.3287596, and TRIPOD+AI,
https://doi.org/10.1136/bmj-2023-078378. The text is the template ``card.md``; every figure in it is
taken from the evaluation and the run.
"""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import xgboost
from markdown_it import MarkdownIt
from markupsafe import Markup
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT

from mlflow_model.save import REQUIREMENTS
from mlflow_sealed.training.measure import evaluate
from mlflow_sealed.training.measure.results import CANDIDATES, MODEL, Evaluation, Group, Interval
from mlflow_sealed.training.show.pictures import contributions, style
from mlflow_sealed.training.show.pictures.calibration import calibration_title, errors
from mlflow_sealed.training.show.pictures.decisions import confusion_title, decision_title
from mlflow_sealed.training.show.templates import fill
from mypreprocessing import FEATURES, MEASUREMENTS, preprocess
from training.dataset import Dataset
from training.fit import RISING
from training.project import NAME

PIMA: Final = "c2e22ef40dba75987df000a8c2d936d8db725510f96a81855fe7b9bc810438ce"
"""The SHA-256 of the data that the card can tell the origin of."""

DESCRIPTION: Final = 5000
"""How many characters a description in the registry may have."""

DISPENSABLE: Final = ("Where it comes from", "Are the risks right", "For whom")
"""The sections that a description can do without, the first first."""

_SECTION: Final = "\n\n## "
_UNKNOWN: Final = "not known"
_BY_GROUP: Final = ("auc", "brier", "sensitivity", "specificity")


@dataclass(frozen=True)
class Provenance:
    """Where a model comes from; ``requirements`` is the number of packages that serving needs."""

    run_id: str
    trained: str
    commit: str
    data_sha256: str
    package_version: str
    installed_from: str
    wheel_sha256: str
    requirements: int
    xgboost: str


def provenance(run: Run, trained: str, lock: Path = REQUIREMENTS) -> Provenance:
    """Return where the model of a run comes from: what its tags say, and serving's lock.

    Parameters
    ----------
    trained
        The day.
    """
    tags, text = run.data.tags, lock.read_text(encoding="utf-8")
    version = tags["mypreprocessing.version"]
    wheel = re.search(
        rf"^mypreprocessing=={re.escape(version)} \\\n +--hash=sha256:(\w+)", text, re.MULTILINE
    )
    return Provenance(
        run_id=run.info.run_id,
        trained=trained,
        commit=tags.get(MLFLOW_GIT_COMMIT, _UNKNOWN),
        data_sha256=tags["data.sha256"],
        package_version=version,
        installed_from=tags["mypreprocessing.installed_from"],
        wheel_sha256=wheel[1] if wheel else _UNKNOWN,
        requirements=len(re.findall(r"^\S+==", text, re.MULTILINE)),
        xgboost=xgboost.__version__,
    )


def card(evaluation: Evaluation, origin: Provenance) -> str:
    """Return the model card in Markdown."""
    values = {
        "name": NAME,
        "headline": headline(evaluation),
        "provenance": asdict(origin),
        "options": evaluation.options,
        "features": [style.feature_name(name) for name in FEATURES],
        "first": first_features(evaluation),
        "rising": _listed([style.feature_name(name) for name in RISING], "or"),
        "pima": evaluation.data.sha256 == PIMA,
        "data": _data(evaluation),
        "missing": _missing(evaluation.data),
        "figures": evaluate.table(evaluation),
        "groups": _groups(evaluation.groups),
        "calibration": _calibration(evaluation),
        "decision": decision_title(evaluation),
        "confusion": confusion_title(evaluation),
        "threshold": asdict(evaluation.threshold),
    }
    return fill("card.md", values)


def description(text: str, most: int = DESCRIPTION) -> str:
    """Return a card as a registered version's description: a long one without some sections.

    What is left out is named. The registry's column has no room for more than `DESCRIPTION`
    characters, and some databases refuse what is longer.

    Examples
    --------
    >>> whole = _SECTION.join(["# Card", *(f"{title}, in detail" for title in DISPENSABLE)])
    >>> len(description(whole, most=100)) <= 100
    True
    """
    parts, left_out = text.split(_SECTION), list[str]()
    for title in DISPENSABLE:
        if len(text) <= most:
            break
        left_out.append(title)
        kept = [part for part in parts if not part.startswith(tuple(left_out))]
        text = f"{_SECTION.join(kept)}\n\nOnly in the run's card.md: {', '.join(left_out)}."
    return text


def html(markdown: str, title: str) -> str:
    """Return a Markdown text as a page that needs nothing else."""
    return fill("page.html", {"title": title, "body": Markup(body(markdown))})  # noqa: S704 # escaped


def body(markdown: str) -> str:
    """Return a Markdown text as HTML; HTML in it is shown, not kept."""
    rendered: str = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    return rendered


def headline(evaluation: Evaluation) -> str:
    """Return what the model came to, and the others beside it."""
    figures = evaluation.cross_validated
    others = (f"{_low(CANDIDATES[one])} {_pair(figures[one])}" for one in figures if one != MODEL)
    return (
        f"Cross-validated: AUC and Brier score {_pair(figures[MODEL])}. "
        f"On the same folds: {', '.join(others)}."
    )


def first_features(evaluation: Evaluation) -> str:
    """Return the names of the three features that move predictions most."""
    order = contributions.order(evaluation)[:3]
    return _listed([style.feature_name(FEATURES[one]) for one in order], "and")


def _listed(names: list[str], word: str) -> str:
    return f"{', '.join(names[:-1])} {word} {names[-1]}"


def _low(title: str) -> str:
    return title[:1].lower() + title[1:]


def _pair(figures: dict[str, Interval]) -> str:
    return f"{figures['auc'].value:.3f} and {figures['brier'].value:.3f}"


def _data(evaluation: Evaluation) -> dict[str, Any]:
    data, ages = evaluation.data, evaluation.data.records["age"]
    return {
        "rows": len(data.labels),
        "positive": int(data.labels.sum()),
        "share": f"{data.labels.mean():.1%}",
        "youngest": int(ages.min()),
        "oldest": int(ages.max()),
        "median_age": f"{ages.median():g}",
        "training": len(evaluation.split.training),
        "held_out": len(evaluation.split.held_out),
        "incomplete": int(np.isnan(preprocess(data.records)).any(axis=1).sum()),
    }


def _missing(data: Dataset) -> list[str]:
    """Return how many patients lack each measurement."""
    absent = np.isnan(preprocess(data.records)).sum(axis=0)
    counts = dict(zip(FEATURES, absent, strict=True))
    return [f"{style.feature_name(name)} {counts[name]}" for name in MEASUREMENTS]


def _calibration(evaluation: Evaluation) -> str:
    """Return how far the predicted risks are off, beside the others', and on the whole."""
    others = (
        f"{_low(CANDIDATES[name])}: {points:.1f}"
        for name, points in errors(evaluation).items()
        if name != MODEL
    )
    return (
        f"{calibration_title(evaluation)} ({'; '.join(others)}). On the whole it predicts "
        f"{evaluation.out_of_fold[MODEL].mean():.1%}, and {evaluation.data.labels.mean():.1%} have "
        "diabetes."
    )


def _groups(groups: list[Group]) -> str:
    titles = [evaluate.TITLES[name] for name in _BY_GROUP]
    lines = [
        "| | " + " | ".join(["patients", "with diabetes", *titles]) + " |",
        "|---" * (3 + len(titles)) + "|",
    ]
    for group in groups:
        name = f"{style.group_name(group)}{', small' if group.small else ''}"
        figures = [_cell(group.figures.get(figure)) for figure in _BY_GROUP]
        lines.append(f"| {' | '.join([name, str(group.rows), str(group.positive), *figures])} |")
    return "\n".join(lines)


def _cell(interval: Interval | None) -> str:
    if interval is None:
        return "too few"
    return f"{interval.value:.2f} ({interval.low:.2f} to {interval.high:.2f})"
