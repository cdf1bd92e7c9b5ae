"""The diabetes model's part of its card: who is in the data, and what the model is not for."""

from dataclasses import replace

from mlflow_sealed.training.show import card, descriptions
from tests.conftest import PROJECT
from tests.environ import ROOT
from tests.measured import measured
from tests.mlflow_sealed.training.show.test_card import ORIGIN, OTHER_ORIGIN, other, whole_card


def test_the_card_says_what_the_model_must_not_be_used_for_and_whom_it_is_of() -> None:
    text = whole_card()
    for words in (
        "Not for clinical use",
        "Not for: diagnosis",
        "women of Pima heritage of at least 21 years",
        "1980s",
        "The patients are 21 to 81 years old, half of them 29 or younger.",
        "null or 0 in a measurement means 'not measured'",
        "more glucose, BMI or diabetes pedigree never lowers the risk",
        "over 60, small",
        "Gradient-boosted trees (XGBoost 9.8.7): 40 trees of depth 3, behind",
    ):
        assert words in text


def test_of_other_data_the_card_claims_nothing() -> None:
    text = card.card(other(), OTHER_ORIGIN)
    assert "Pima" not in text
    assert "for its owner to say" in text


def test_the_data_whose_origin_is_told_is_the_data_that_is_there() -> None:
    assert PROJECT.card is not None
    limits = (ROOT / PROJECT.card.folder / "limits.md").read_text(encoding="utf-8")
    assert measured().data.sha256 in limits
    changed = replace(ORIGIN, data_sha256="ab" * 32)
    assert "Pima" not in card.card(measured(), changed)


def test_every_version_of_the_model_in_the_lock_can_be_told() -> None:
    """The part on the kind of model names the version of a package: the lock has it."""
    lock = PROJECT.lock("model").read_text(encoding="utf-8")
    assert "\nxgboost-cpu==" in lock


def test_the_registered_model_is_said_to_be_not_for_clinical_use() -> None:
    assert descriptions.of_model(PROJECT) == (
        "The probability of diabetes from eight fields of a patient. Not for clinical use. The "
        "alias `champion` is the version that is served, `challenger` the last one that did not "
        "replace it. A version's description is its model card."
    )
    assert descriptions.of_experiment(PROJECT) == (
        "Trainings of the diabetes model. A run's overview tells what came of it; `card.html` and "
        "`pictures/` among its artifacts show it."
    )
