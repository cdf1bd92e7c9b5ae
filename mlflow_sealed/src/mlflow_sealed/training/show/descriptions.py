"""What MLflow's own pages say of a run, a version, a registered model and an experiment."""

from typing import Final

from mlflow_sealed.project import Project
from mlflow_sealed.training.measure.evaluate import table
from mlflow_sealed.training.measure.results import Evaluation
from mlflow_sealed.training.show import card, pictures, threshold_slider

MOST_CHARACTERS: Final = 5000
"""What a description in the registry has room for; some databases refuse what is longer."""

DISPENSABLE: Final = ("Where it comes from", "Are the risks right", "For whom")
"""The sections of a card that a description can do without, the first first."""

_SECTION: Final = "\n\n## "


def of_run(evaluation: Evaluation) -> str:
    """Return what a run's overview says: the figures, and where the rest is."""
    where = (
        f"Among the artifacts: `{card.PAGE}` is the model card, `{pictures.FOLDER}/` has the "
        f"pictures, `{threshold_slider.PAGE}` shows what another threshold would give."
    )
    return "\n\n".join([card.headline(evaluation), table(evaluation), where])


def of_version(text: str, most: int = MOST_CHARACTERS) -> str:
    r"""Return a card as a registered version's description: a long one without some sections.

    What is left out is named. After `DISPENSABLE` the last sections go first.

    Examples
    --------
    >>> whole = _SECTION.join(["# Card", *(f"{title}\n\n{80 * 'x'}" for title in DISPENSABLE)])
    >>> of_version(whole, most=len(whole) - 1).rpartition("\n")[2]
    "Only in the run's card.md: Where it comes from."
    """
    top, *sections = text.split(_SECTION)
    by_title = {section.partition("\n")[0]: section for section in sections}
    first = [title for title in DISPENSABLE if title in by_title]
    left_out = list[str]()
    for title in (*first, *(title for title in reversed(by_title) if title not in first)):
        if len(text) <= most:
            break
        left_out.append(title)
        kept = [section for name, section in by_title.items() if name not in left_out]
        text = (
            f"{_SECTION.join([top, *kept])}\n\n"
            f"Only in the run's {card.FILE}: {', '.join(left_out)}."
        )
    return text[:most]


def of_model(project: Project) -> str:
    """Return what the registered model's page says."""
    return _joined(
        project.words.about_model,
        "The alias `champion` is the version that is served, `challenger` the last one that did "
        "not replace it. A version's description is its model card.",
    )


def of_experiment(project: Project) -> str:
    """Return what the experiment's page says."""
    return _joined(
        project.words.about_experiment,
        f"A run's overview tells what came of it; `{card.PAGE}` and `{pictures.FOLDER}/` among its "
        "artifacts show it.",
    )


def _joined(*sentences: str) -> str:
    return " ".join(filter(None, sentences))
