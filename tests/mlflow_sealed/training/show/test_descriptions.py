"""What MLflow's pages say: short enough for the registry, and in the project's words."""

import re

import pytest

from mlflow_sealed.training.show import card, descriptions
from mlflow_sealed.training.show.descriptions import MOST_CHARACTERS
from tests.measured import measured
from tests.mlflow_sealed.training.show.another import PROVENANCE, another, project
from tests.mlflow_sealed.training.show.test_card import whole_card

SECTIONS = "\n\n".join(
    ["# Card", *(f"## {title}\n\n{40 * 'x'}" for title in ("A", "B", "For whom"))]
)


def test_a_description_fits_the_registry_and_names_what_it_leaves_out() -> None:
    text = whole_card()
    assert len(text) > MOST_CHARACTERS
    shortened = descriptions.of_version(text)
    assert len(shortened) <= MOST_CHARACTERS
    told = re.search(r"\n\nOnly in the run's card.md: (.*)\.$", shortened)
    assert told is not None
    for title in re.findall(r"^## (.*)", text, re.MULTILINE):
        assert (f"## {title}\n" in shortened) != (title in told[1].split(", "))
    assert descriptions.of_version(text, most=len(text)) == text


@pytest.mark.parametrize(
    ("most", "kept"),
    [(155, ["A", "B"]), (130, ["A"]), (50, [])],
    ids=["without the first to go", "without the last of the others", "without any"],
)
def test_of_a_card_that_is_too_long_without_them_the_last_sections_go(
    most: int, kept: list[str]
) -> None:
    shortened = descriptions.of_version(SECTIONS, most=most)
    assert len(shortened) <= most
    assert re.findall(r"^## (.*)", shortened, re.MULTILINE) == kept


def test_a_run_is_described_by_its_figures_and_where_the_rest_is() -> None:
    said = descriptions.of_run(measured())
    assert said.startswith(f"{card.headline(measured())}\n\n| | held out (154 rows) | this model")
    assert "`card.html` is the model card, `pictures/` has the pictures, `thresholds.html`" in said
    alone = descriptions.of_run(another())
    assert "On the same folds" not in alone


def test_the_registered_model_and_the_experiment_are_described_by_the_project_first() -> None:
    ours = measured().subject.project
    model, experiment = descriptions.of_model(ours), descriptions.of_experiment(ours)
    assert model.startswith(f"{ours.words.about_model} The alias `champion` is the version that")
    assert experiment.startswith(f"{ours.words.about_experiment} A run's overview tells what")
    assert descriptions.of_model(project()).startswith("The alias `champion` is")
    assert descriptions.of_experiment(project()).startswith("A run's overview tells what")


def test_a_short_card_is_a_description_as_it_is() -> None:
    text = card.card(another(), PROVENANCE)
    assert descriptions.of_version(text) == text
