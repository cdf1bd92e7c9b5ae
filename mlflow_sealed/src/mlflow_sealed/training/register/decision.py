"""Decide what becomes of a new model: champion, challenger, or nothing new."""

from dataclasses import dataclass
from typing import Any

import mlflow

from mlflow_sealed.training import log
from mlflow_sealed.training.measure.comparison import Comparison, compare
from mlflow_sealed.training.measure.results import Evaluation
from mlflow_sealed.training.register.champion import Champion, find_champion
from mlflow_sealed.training.register.interruption import deferred
from mlflow_sealed.training.register.versions import (
    CHALLENGER,
    CHAMPION,
    PROMOTION,
    ROLLED_BACK,
    RegisteredModel,
    digest,
)


@dataclass(frozen=True)
class Outcome:
    """Which version stands for a trained model, and one phrase on what it is."""

    version: str
    said: str


@dataclass(frozen=True)
class Verdict:
    """What a new model was found to be next to the champion; some cannot be compared with.

    Attributes
    ----------
    champion
        Nothing if there was none.
    comparison
        Nothing if there was no champion, or nothing of it to compare with.
    """

    champion: Champion | None
    comparison: Comparison | None = None

    @property
    def version(self) -> str | None:
        """The champion's version, if there was one."""
        return self.champion.version if self.champion else None

    @property
    def caveat(self) -> str:
        """Why the new model was not compared with the champion's; empty if it was."""
        return self.champion.caveat if self.champion else ""

    @property
    def reasons(self) -> list[str]:
        """What speaks against the new model; nothing if it deserves to be champion."""
        caveat = [self.caveat] if self.caveat else []
        return [*caveat, *(self.comparison.reasons if self.comparison else [])]

    def report(self, champion: Champion) -> dict[str, Any]:
        """Return what is logged of it."""
        return {
            "champion": champion.version,
            "champion_predictions": champion.how,
            **(self.comparison.report() if self.comparison else {}),
            "reasons_against": self.reasons,
        }


def decide(evaluation: Evaluation, champion: Champion | None) -> Verdict:
    """Compare a new model with the champion.

    The first model becomes the champion. Another becomes it when the comparison has nothing against
    it, else the challenger. Where the champion's predictions are not those that its run has logged,
    for the same data and folds, the comparison is not one of the two models: then the new one
    becomes the challenger, and a person decides.
    """
    if champion is None or not champion.comparable:
        return Verdict(champion)
    predicted = champion.predictions(evaluation.subject, evaluation.data)
    found = compare(evaluation, predicted, champion=champion.version, how=champion.how)
    return Verdict(champion, found)


def register(
    uri: str,
    evaluation: Evaluation,
    verdict: Verdict,
    *,
    tags: dict[str, str],
    description: str | None = None,
) -> Outcome:
    """Register a logged model, give it the alias that it deserves, and end the run.

    A model that is there already registers nothing, unless it is a champion that cannot be compared
    with: then this version can be, once it is promoted. From the moment that a version is made,
    signals wait until it has its alias and the run has ended.

    Parameters
    ----------
    verdict
        Where the champion is another one by now, the model is compared with that one.
    """
    model, sha256 = RegisteredModel(evaluation.subject.project.names.model), digest(uri)
    with model.locked():
        same = model.same_model(sha256)
        if same is not None and not _is_lost(str(same.version), verdict):
            return _kept(model, str(same.version), same.tags[PROMOTION])
        while model.champion() != verdict.version:
            champion = find_champion(model, evaluation.data, evaluation.options)
            verdict = decide(evaluation, champion)
        with deferred():
            _log(verdict)
            version = model.add(uri, sha256, tags, description)
            outcome = _place(model, version, verdict)
            log.log_outcome(f"version {version} {outcome.said}")
            mlflow.end_run()
    return outcome


def _is_lost(version: str, verdict: Verdict) -> bool:
    champion = verdict.champion
    return champion is not None and champion.version == version and not champion.comparable


def _place(model: RegisteredModel, version: str, verdict: Verdict) -> Outcome:
    if not verdict.reasons:
        model.make_champion(version)
        return Outcome(version, f"is the {CHAMPION}")
    model.make_challenger(version)
    said = f"is the {CHALLENGER}: {'; '.join(verdict.reasons)}"
    if verdict.caveat:
        said += (
            "; compare the data and the figures of both versions in MLflow's UI: if this one is to "
            f"be served, {_promotion(version)} makes it the {CHAMPION}"
        )
    return Outcome(version, said)


def _kept(model: RegisteredModel, version: str, promotion: str) -> Outcome:
    if version == model.champion():
        said = f"is this very model and stays the {CHAMPION}"
    elif promotion == ROLLED_BACK:
        said = f"is this very model, which was rolled back: {_promotion(version)}"
    else:
        said = (
            f"is this very model and stays the {CHALLENGER}: {_promotion(version)} makes it the "
            f"{CHAMPION}"
        )
    log.log_outcome(f"version {version} {said}")
    return Outcome(version, said)


def _promotion(version: str) -> str:
    return f"mlflow-sealed model promote {version}"


def _log(verdict: Verdict) -> None:
    if champion := verdict.champion:
        against = f"version {champion.version}, {champion.how}"
        log.log_comparison(verdict.report(champion), verdict.comparison, compared_with=against)
