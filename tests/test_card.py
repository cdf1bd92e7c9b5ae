"""The model card: each number in it comes from the evaluation or the run."""

import re
from collections.abc import Iterator
from dataclasses import asdict, replace

import numpy as np
import pytest
from mlflow.entities import Run, RunData, RunInfo, RunTag
from mlflow_sealed.feed import lock
from mlflow_sealed.training.measure.results import (
    CANDIDATES,
    MODEL,
    Evaluation,
    Group,
    Interval,
    Threshold,
)
from mlflow_sealed.training.show import card
from mlflow_sealed.training.show.card import DESCRIPTION, Provenance
from mlflow_sealed.training.show.pictures.calibration import errors
from mlflow_sealed.training.show.pictures.decisions import confusion_title, decision_title

from mypreprocessing import FEATURES
from tests.conftest import PROJECT, ROOT
from tests.measured import measured

ORIGIN = Provenance(
    run_id="0123456789abcdef0123456789abcdef",
    trained="2031-10-17",
    commit="89abcdef0123456789abcdef0123456789abcdef",
    data_sha256=measured().data.sha256,
    package_version="4.5.6",
    installed_from="index",
    wheel_sha256="fe" * 32,
    requirements=678,
    xgboost="9.8.7",
)
OTHER_ORIGIN = Provenance(
    run_id="fedcba98fedcba98fedcba98fedcba98",
    trained="2044-12-13",
    commit="76543210fedcba98fedcba9876543210fedcba98",
    data_sha256="ab" * 32,
    package_version="14.15.16",
    installed_from="file",
    wheel_sha256="cd" * 32,
    requirements=876,
    xgboost="17.18.19",
)


def whole_card() -> str:
    return card.card(measured(), ORIGIN)


def numbers(text: str) -> set[str]:
    """The numbers of a text, a hash counted as one."""
    return set(re.findall(r"\b[0-9a-f]{32,64}\b|\d+(?:\.\d+)*", text))


def of_the_template() -> set[str]:
    """The numbers that stand in the card's own text: years, sources, who is in the data."""
    text = (ROOT / "training" / "templates" / "card.md").read_text(encoding="utf-8")
    return numbers(re.sub(r"\{\{.*?\}\}|\{%.*?%\}", " ", text, flags=re.DOTALL))


def unseen() -> Iterator[Interval]:
    """Intervals of which no end is a number of the card."""
    seen = numbers(whole_card())
    free = [each / 1000 for each in range(100, 1000) if f"{each / 1000:.3f}" not in seen]
    return (Interval(*ends) for ends in zip(*[iter(free)] * 3, strict=False))


def other() -> Evaluation:
    """An evaluation in which nothing has the value that it has in `measured`."""
    one, new = measured(), unseen()
    rows = np.flatnonzero(np.arange(len(one.data.labels)) % 7)
    records = one.data.records.iloc[rows].assign(age=lambda frame: frame["age"] + 11)
    records.loc[records.index[:53], ["glucose", "blood_pressure", "skin_thickness", "bmi"]] = 0
    return Evaluation(
        data=replace(one.data, records=records, labels=one.data.labels[rows], sha256="ab" * 32),
        split=replace(one.split, training=np.arange(601), held_out=np.arange(601, len(rows))),
        options=one.options.model_copy(update={"trees": 73, "depth": 6, "folds": 17, "repeats": 9}),
        threshold=Threshold(0.4567, "youden", "It was the 19th of 77."),
        out_of_fold={name: each[:, rows] ** 1.5 for name, each in one.out_of_fold.items()},
        held_out=one.held_out,
        cross_validated={
            name: {figure: next(new) for figure in figures}
            for name, figures in one.cross_validated.items()
        },
        held_out_figures={name: next(new) for name in one.held_out_figures},
        groups=[
            Group(
                group.kind,
                f"of {chr(65 + index)}",
                1000 + index,
                900 + index,
                small=False,
                figures={},
            )
            for index, group in enumerate(one.groups)
        ],
        contributions=one.contributions[rows],
    )


def traced(evaluation: Evaluation, origin: Provenance) -> Iterator[str]:
    """Every value that the card may show, as text."""
    for figures in (evaluation.held_out_figures, *evaluation.cross_validated.values()):
        for interval in figures.values():
            yield from (f"{one:.3f}" for one in asdict(interval).values())
    for group in evaluation.groups:
        yield from (group.name, str(group.rows), str(group.positive))
        for interval in group.figures.values():
            yield from (f"{one:.2f}" for one in asdict(interval).values())
    options, data = evaluation.options, evaluation.data
    yield from map(str, (options.trees, options.depth, options.folds, options.repeats))
    yield from (str(evaluation.threshold.value), evaluation.threshold.reason)
    yield from (str(len(rows)) for rows in (evaluation.split.training, evaluation.split.held_out))
    yield from map(str, (len(data.labels), data.labels.sum(), len(FEATURES)))
    ages = data.records["age"]
    yield from map(str, (ages.min(), ages.max(), int(ages.median())))
    measurements = data.records[["glucose", "blood_pressure", "skin_thickness", "insulin", "bmi"]]
    absent = measurements.fillna(0) == 0
    yield from map(str, (*absent.sum(), absent.any(axis=1).sum()))
    for share in (data.labels.mean(), evaluation.out_of_fold[MODEL].mean()):
        yield f"{100 * share:.1f}"
    yield from (f"{one:.1f}" for one in errors(evaluation).values())
    yield from (decision_title(evaluation), confusion_title(evaluation))
    yield from map(str, asdict(origin).values())


def test_every_number_is_a_value_of_the_training_or_stands_in_the_text_itself() -> None:
    known = of_the_template() | {
        number for text in traced(measured(), ORIGIN) for number in numbers(text)
    }
    assert numbers(whole_card()) - known == set()
    assert len(numbers(whole_card())) > 100


def test_no_number_stays_when_everything_is_another() -> None:
    """The control: a figure that was written into the card by hand would stay.

    Counts of one or two digits are left out: they come again by chance.
    """
    stays = numbers(whole_card()) & numbers(card.card(other(), OTHER_ORIGIN))
    assert {number for number in stays - of_the_template() if len(number) > 2} == set()


@pytest.mark.parametrize("name", list(CANDIDATES))
@pytest.mark.parametrize("figure", ["auc", "brier", "npv"])
def test_another_figure_is_another_number_in_the_card(name: str, figure: str) -> None:
    one = measured()
    figures = {**one.cross_validated[name], figure: Interval(0.1111, 0.2222, 0.3333)}
    changed = replace(one, cross_validated={**one.cross_validated, name: figures})
    text = card.card(changed, ORIGIN)
    assert "0.111 (0.222 to 0.333)" in text
    assert "0.111 (0.222 to 0.333)" not in whole_card()
    assert (card.headline(changed) != card.headline(one)) == (figure in {"auc", "brier"})


def test_the_card_says_what_the_model_must_not_be_used_for_and_whom_it_is_of() -> None:
    text = whole_card()
    for words in (
        "Not for clinical use",
        "Not for: diagnosis",
        "women of Pima heritage of at least 21 years",
        "1980s",
        "null or 0 in a measurement means 'not measured'",
        "more glucose, BMI or diabetes pedigree never lowers the risk",
        "over 60, small",
    ):
        assert words in text


def test_the_sections_are_those_that_the_guidelines_ask_for() -> None:
    assert re.findall(r"^## (.*)", whole_card(), re.MULTILINE) == [
        "What it is",
        "What it is for",
        "The data and its limits",
        "How good it is",
        "For whom",
        "Are the risks right",
        "The threshold",
        "Where it comes from",
    ]


def test_of_other_data_the_card_claims_nothing() -> None:
    text = card.card(other(), OTHER_ORIGIN)
    assert "Pima" not in text
    assert "for its owner to say" in text


def test_the_data_whose_origin_is_told_is_the_data_that_is_there() -> None:
    assert measured().data.sha256 == card.PIMA


def test_a_group_too_small_for_a_figure_says_so() -> None:
    group = replace(measured().groups[0], small=True, figures={})
    text = card.card(replace(measured(), groups=[group]), ORIGIN)
    assert "| age 21 to 30, small | 417 | 90 | too few | too few | too few | too few |" in text


def test_a_description_fits_the_registry_and_names_what_it_leaves_out() -> None:
    text = whole_card()
    assert len(text) > DESCRIPTION
    shortened = card.description(text)
    assert len(shortened) <= DESCRIPTION
    told = re.search(r"\n\nOnly in the run's card.md: (.*)\.$", shortened)
    assert told is not None
    for title in re.findall(r"^## (.*)", text, re.MULTILINE):
        assert (f"## {title}\n" in shortened) != (title in told[1].split(", "))
    assert card.description(text, most=len(text)) == text


def test_the_page_has_the_tables_and_shows_html_as_text() -> None:
    page = card.html(f"{whole_card()}\n\n<script>alert(1)</script>", "A & B")
    assert page.count("<table>") == 3
    assert "<script>alert" not in page
    assert "<title>A &amp; B</title>" in page


def test_the_provenance_is_the_runs_and_the_wheel_is_the_one_in_the_lock() -> None:
    version = re.search(r'^version = "(.*)"', package_file(), re.MULTILINE)
    assert version is not None
    tags = {
        "data.sha256": "ab" * 32,
        "mypreprocessing.version": version[1],
        "mypreprocessing.installed_from": "index",
        "mlflow.source.git.commit": "c0ffee",
    }
    found = card.provenance(run(tags), "2031-10-17")
    wheel = f"mypreprocessing-{version[1]}-py3-none-any.whl"
    assert found.wheel_sha256 == lock.locked_sha256(wheel, PROJECT.lock("model"))
    assert found.commit == "c0ffee"
    assert found.requirements > 40
    without = {name: value for name, value in tags.items() if "git" not in name}
    unknown = card.provenance(run({**without, "mypreprocessing.version": "0.0.1"}), "2031-10-17")
    assert (unknown.commit, unknown.wheel_sha256) == ("not known", "not known")


def package_file() -> str:
    return (ROOT / "mypreprocessing" / "pyproject.toml").read_text(encoding="utf-8")


def run(tags: dict[str, str]) -> Run:
    info = RunInfo(
        run_id="r", experiment_id="1", user_id="u", status="RUNNING", start_time=0, end_time=None,
        lifecycle_stage="active",
    )  # fmt: skip
    return Run(info, RunData(tags=[RunTag(key, value) for key, value in tags.items()]))
