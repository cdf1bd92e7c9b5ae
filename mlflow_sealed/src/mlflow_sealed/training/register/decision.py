"""Decide what becomes of a new model: champion, challenger, or nothing new."""

from dataclasses import dataclass
from typing import Any, Final

import mlflow

from mlflow_sealed.training.measure.comparison import Comparison, compare
from mlflow_sealed.training.measure.results import Evaluation
from mlflow_sealed.training.register import versions as registry
from mlflow_sealed.training.register.champion import Champion, find_champion
from mlflow_sealed.training.register.interruption import deferred

COMPARISON: Final = "comparison.json"


@dataclass(frozen=True)
class Outcome:
    """Which version stands for a trained model, and one phrase on what it is."""

    version: str
    said: str


@dataclass(frozen=True)
class Verdict:
    """What a new model was found to be beside the champion; some cannot be compared with."""

    champion: Champion
    comparison: Comparison | None

    @property
    def reasons(self) -> list[str]:
        """What speaks against the new model; nothing if it deserves to be champion."""
        caveat = [self.champion.caveat] if self.champion.caveat else []
        return [*caveat, *(self.comparison.reasons if self.comparison else [])]

    def report(self) -> dict[str, Any]:
        """Return what is logged of it."""
        return {
            "champion": self.champion.version,
            "champion_predictions": self.champion.how,
            **(self.comparison.report() if self.comparison else {}),
            "reasons_against": self.reasons,
        }


def register(
    uri: str,
    evaluation: Evaluation,
    *,
    champion: Champion | None,
    tags: dict[str, str],
    description: str | None = None,
) -> Outcome:
    """Register a logged model, give it the alias that it deserves, and end the run.

    The first model is the champion. Another becomes it when the comparison has nothing against it,
    else it is the challenger. Where the champion's predictions are not those that its run has
    logged, for the same data and folds, the comparison is not one of the two models: then the new
    one is the challenger, and a person decides. A model that is there already registers nothing,
    unless it is a champion that cannot be compared with: then this version can be, once it is
    promoted. From the moment that a version is made, signals wait until it has its alias and the
    run has ended.

    Parameters
    ----------
    champion
        The champion as it was found before the model was fitted. Where it is another by now, the
        model is compared with that one.
    """
    sha256 = registry.digest(uri)
    # What takes long comes first: others wait for the lock.
    verdict = _judge(champion, evaluation)
    with registry.locked():
        same = registry.same_model(sha256)
        if same is not None and not _is_lost(str(same.version), champion):
            return _kept(str(same.version), same.tags[registry.PROMOTION])
        while registry.champion() != (verdict and verdict.champion.version):
            verdict = _judge(find_champion(evaluation.data, evaluation.options), evaluation)
        with deferred():
            if verdict is not None:
                _log(verdict)
            version = registry.add(uri, sha256, tags, description)
            outcome = _place(version, verdict)
            mlflow.set_tag(registry.PROMOTION, f"version {version} {outcome.said}")
            mlflow.end_run()
    return outcome


def _judge(champion: Champion | None, evaluation: Evaluation) -> Verdict | None:
    if champion is None:
        return None
    if not champion.comparable:
        return Verdict(champion, None)
    predicted = champion.predictions(evaluation.data)
    found = compare(evaluation, predicted, champion=champion.version, how=champion.how)
    return Verdict(champion, found)


def _is_lost(version: str, champion: Champion | None) -> bool:
    return champion is not None and champion.version == version and not champion.comparable


def _place(version: str, verdict: Verdict | None) -> Outcome:
    if verdict is None or not verdict.reasons:
        registry.make_champion(version)
        return Outcome(version, f"is the {registry.CHAMPION}")
    registry.make_challenger(version)
    said = f"is the {registry.CHALLENGER}: {'; '.join(verdict.reasons)}"
    if verdict.champion.caveat:
        said += (
            "; compare the data and the figures of both versions (make ui): if this one is to be "
            f"served, make promote VERSION={version} makes it the {registry.CHAMPION}"
        )
    return Outcome(version, said)


def _kept(version: str, promotion: str) -> Outcome:
    if version == registry.champion():
        said = f"is this very model and stays the {registry.CHAMPION}"
    elif promotion == registry.ROLLED_BACK:
        said = f"is this very model, which was rolled back: make promote VERSION={version}"
    else:
        said = (
            f"is this very model and stays the {registry.CHALLENGER}: make promote "
            f"VERSION={version} makes it the {registry.CHAMPION}"
        )
    mlflow.set_tag(registry.PROMOTION, f"version {version} {said}")
    return Outcome(version, said)


def _log(verdict: Verdict) -> None:
    champion, comparison = verdict.champion, verdict.comparison
    mlflow.log_dict(verdict.report(), COMPARISON)
    mlflow.set_tag("promotion.compared_with", f"version {champion.version}, {champion.how}")
    if comparison is not None:
        mlflow.log_metrics(
            {
                "promotion/log_loss_difference": comparison.difference,
                "promotion/log_loss_worst": comparison.worst,
            }
        )
