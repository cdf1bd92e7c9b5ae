"""What another threshold would give: a table, and a page with a slider."""

from typing import Final

import numpy as np
import pandas as pd
from markupsafe import Markup

from mlflow_sealed.training.measure import curves
from mlflow_sealed.training.measure.results import MODEL, Evaluation, Floats
from mlflow_sealed.training.show.templates import fill

TABLE: Final = "thresholds.json"
PAGE: Final = "thresholds.html"
"""Their names among a run's artifacts."""

_STEPS: Final = np.linspace(0.05, 0.95, 19)
_FINE_STEPS: Final = np.linspace(0.01, 0.99, 99)


def table(evaluation: Evaluation) -> pd.DataFrame:
    """Return the shares at thresholds from 0.05 to 0.95 and at the chosen one.

    Returns
    -------
    pandas.DataFrame
        Columns ``threshold``, ``chosen``, ``flagged``, ``sensitivity``, ``specificity``, ``ppv``,
        ``npv`` and ``net_benefit``, each a mean over the repeats; NaN where a share is of nobody.
    """
    chosen = evaluation.threshold.value
    thresholds = np.unique(np.r_[_STEPS, chosen])
    found, alarms = counts(evaluation, thresholds)
    labels = evaluation.data.labels
    positive, negative = float(labels.sum()), float((1 - labels).sum())
    flagged, cleared = found + alarms, len(labels) - found - alarms
    with np.errstate(invalid="ignore"):
        return pd.DataFrame(
            {
                "threshold": thresholds,
                "chosen": thresholds == chosen,
                "flagged": flagged / len(labels),
                "sensitivity": found / positive,
                "specificity": (negative - alarms) / negative,
                "ppv": found / flagged,
                "npv": (negative - alarms) / cleared,
                "net_benefit": (found - alarms * thresholds / (1 - thresholds)) / len(labels),
            }
        )


def page(evaluation: Evaluation) -> str:
    """Return the slider over thresholds, as a page that needs nothing else."""
    values = {"slider": counted(evaluation), "words": evaluation.subject.project.words}
    body = Markup(fill("slider.html", values))  # noqa: S704 # escaped
    return fill("page.html", {"title": "Another threshold", "body": body})


def counted(evaluation: Evaluation) -> dict[str, object]:
    """Return what the page needs: counts at each threshold, and no record."""
    labels = evaluation.data.labels
    found, alarms = counts(evaluation, _FINE_STEPS)
    return {
        "records": len(labels),
        "positive": int(labels.sum()),
        "chosen": evaluation.threshold.value,
        "found": [round(float(one)) for one in found],
        "alarms": [round(float(one)) for one in alarms],
    }


def counts(evaluation: Evaluation, thresholds: Floats) -> tuple[Floats, Floats]:
    """Return how many positive records, and how many negative, are flagged at each threshold."""
    labels = evaluation.data.labels
    shares = curves.flagged(evaluation.out_of_fold[MODEL], thresholds)
    return labels @ shares, (1 - labels) @ shares
