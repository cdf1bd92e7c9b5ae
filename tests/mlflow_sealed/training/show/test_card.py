"""The model card: each number in it comes from the evaluation or the run."""

import itertools
import re
import string
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from mlflow.entities import Run, RunData, RunInfo, RunTag

from mlflow_sealed.feed import lock
from mlflow_sealed.training.measure.results import (
    MODEL,
    Evaluation,
    Group,
    Interval,
    Threshold,
)
from mlflow_sealed.training.show import card, templates
from mlflow_sealed.training.show.card import CardError, Provenance
from mlflow_sealed.training.show.pictures.calibration import errors
from mlflow_sealed.training.show.pictures.decisions import confusion_title, decision_title
from tests.conftest import PROJECT
from tests.environ import ROOT
from tests.measured import measured
from tests.mlflow_sealed.training.show.another import PROVENANCE, another, project
from training.options import Options


def requirements(count: int, version: str) -> dict[str, str]:
    """So many made-up packages of one version, which XGBoost has too."""
    names = map("".join, itertools.product(string.ascii_lowercase, repeat=3))
    return dict.fromkeys(["xgboost-cpu", *itertools.islice(names, count - 1)], version)


ORIGIN = Provenance(
    run_id="0123456789abcdef0123456789abcdef",
    trained="2031-10-17",
    commit="89abcdef0123456789abcdef0123456789abcdef",
    data_sha256=measured().data.sha256,
    package_version="4.5.6",
    installed_from="index",
    wheel_sha256="fe" * 32,
    requirements=requirements(678, "9.8.7"),
)
OTHER_ORIGIN = Provenance(
    run_id="fedcba98fedcba98fedcba98fedcba98",
    trained="2044-12-13",
    commit="76543210fedcba98fedcba9876543210fedcba98",
    data_sha256="ab" * 32,
    package_version="14.15.16",
    installed_from="file",
    wheel_sha256="cd" * 32,
    requirements=requirements(876, "17.18.19"),
)


def whole_card() -> str:
    return card.card(measured(), ORIGIN)


def numbers(text: str) -> set[str]:
    """The numbers of a text, a hash counted as one."""
    return set(re.findall(r"\b[0-9a-f]{32,64}\b|\d+(?:\.\d+)*", text))


def of_the_template() -> set[str]:
    """The numbers that stand in the card's own text: years, sources, who is in the data."""
    folders = Path(str(templates.__file__)).parent, PROJECT.root / "training" / "card"
    files = [file for folder in folders for file in sorted(folder.glob("*.md"))]
    assert len(files) == 1 + len(card.PARTS)
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
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
        subject=one.subject,
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
    assert isinstance(options, Options)
    yield from map(str, (options.trees, options.depth, options.folds, options.repeats))
    yield from (str(evaluation.threshold.value), evaluation.threshold.reason)
    yield from (str(len(rows)) for rows in (evaluation.split.training, evaluation.split.held_out))
    yield from map(str, (len(data.labels), data.labels.sum(), len(evaluation.subject.features)))
    ages = data.records["age"]
    yield from map(str, (ages.min(), ages.max(), int(ages.median())))
    measurements = data.records[list(evaluation.subject.nullable)]
    absent = measurements.fillna(0) == 0
    yield from map(str, (*absent.sum(), absent.any(axis=1).sum()))
    for share in (data.labels.mean(), evaluation.out_of_fold[MODEL].mean()):
        yield f"{100 * share:.1f}"
    yield from (f"{one:.1f}" for one in errors(evaluation).values())
    yield from (decision_title(evaluation), confusion_title(evaluation))
    yield from map(str, asdict(origin).values())
    yield str(len(origin.requirements))


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


@pytest.mark.parametrize("name", list(measured().subject.titles))
@pytest.mark.parametrize("figure", ["auc", "brier", "npv"])
def test_another_figure_is_another_number_in_the_card(name: str, figure: str) -> None:
    one = measured()
    figures = {**one.cross_validated[name], figure: Interval(0.1111, 0.2222, 0.3333)}
    changed = replace(one, cross_validated={**one.cross_validated, name: figures})
    text = card.card(changed, ORIGIN)
    assert "0.111 (0.222 to 0.333)" in text
    assert "0.111 (0.222 to 0.333)" not in whole_card()
    assert (card.headline(changed) != card.headline(one)) == (figure in {"auc", "brier"})


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


def test_a_group_too_small_for_a_figure_says_so() -> None:
    group = replace(measured().groups[0], small=True, figures={})
    text = card.card(replace(measured(), groups=[group]), ORIGIN)
    assert "| age 21 to 30, small | 417 | 90 | too few | too few | too few | too few |" in text


def test_the_page_has_the_tables_and_shows_html_as_text() -> None:
    named = measured().subject.project.names.model_copy(update={"model": "A & B"})
    changed = PROJECT.model_copy(update={"names": named})
    page = card.page(f"{whole_card()}\n\n<script>alert(1)</script>", changed)
    assert page.count("<table>") == 3
    assert "<script>alert" not in page
    assert "<title>Model card: A &amp; B</title>" in page


def test_the_provenance_is_the_runs_and_the_wheel_is_the_one_in_the_lock() -> None:
    version = re.search(r'^version = "(.*)"', package_file(), re.MULTILINE)
    assert version is not None
    tags = {
        "data.sha256": "ab" * 32,
        "mypreprocessing.version": version[1],
        "mypreprocessing.installed_from": "index",
        "mlflow.source.git.commit": "c0ffee",
    }
    found = card.provenance(run(tags), PROJECT)
    wheel = f"mypreprocessing-{version[1]}-py3-none-any.whl"
    assert found.wheel_sha256 == lock.locked_sha256(wheel, PROJECT.lock("model"))
    assert found.commit == "c0ffee"
    assert found.trained == "2031-10-17"
    assert len(found.requirements) > 40
    assert found.requirements["mypreprocessing"] == version[1]
    without = {name: value for name, value in tags.items() if "git" not in name}
    unknown = card.provenance(run({**without, "mypreprocessing.version": "0.0.1"}), PROJECT)
    assert (unknown.commit, unknown.wheel_sha256) == ("not known", "not known")


def package_file() -> str:
    return (ROOT / "mypreprocessing" / "pyproject.toml").read_text(encoding="utf-8")


START_MS = round(datetime(2031, 10, 17, 23, 59, tzinfo=UTC).timestamp() * 1000)


def run(tags: dict[str, str]) -> Run:
    info = RunInfo(
        run_id="r", experiment_id="1", user_id="u", status="RUNNING", start_time=START_MS,
        end_time=None, lifecycle_stage="active",
    )  # fmt: skip
    return Run(info, RunData(tags=[RunTag(key, value) for key, value in tags.items()]))


def test_a_card_without_other_candidates_groups_missing_values_or_a_part_of_the_projects() -> None:
    text = card.card(another(), PROVENANCE)
    for words in (
        "A model, behind the private preprocessing `contracts` 4.5.6.",
        "It gives the probability of an early end from 1 feature: monthly price.",
        "Its predictions are moved most by monthly price. Trained on",
        "is for its owner to say",
        "160 contracts, ",
        "Nothing was measured for groups of contracts.",
        "percentage points on average. On the whole it predicts",
    ):
        assert words in text
    for words in ("Missing values", "never lowers", "On the same folds", "> "):
        assert words not in text
    assert "\n\n\n" not in text


@pytest.mark.parametrize(
    ("rising", "said"),
    [
        ((), "by visits, months and late payments. Trained"),
        (("visits",), "; more visits never lowers the risk."),
        (("visits", "late_payments"), "; more visits or late payments never lowers the risk."),
        (("visits", "months", "late_payments"), "more visits, months or late payments never"),
    ],
    ids=["none", "one", "two", "three"],
)
def test_any_number_of_features_may_be_rising(rising: tuple[str, ...], said: str) -> None:
    one = another(4)
    changed = replace(one.subject, project=project(features={"rising": rising}))
    reordered = one.contributions[:, [3, 0, 1, 2, 4]]
    text = card.card(replace(one, subject=changed, contributions=reordered), PROVENANCE)
    assert said in text


def with_parts(folder: Path, **parts: str) -> Evaluation:
    """An evaluation whose project has these parts of a card in a folder."""
    for name, text in parts.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    ours = project(root=folder, card={"folder": "."})
    return replace(another(), subject=replace(another().subject, project=ours))


def test_the_projects_parts_are_filled_in_and_stand_in_their_places(tmp_path: Path) -> None:
    parts = {
        "note": "First line.\nSecond line.",
        "kind": "Rules of depth {{ options.depth }}",
        "purpose": "- Meant for: trying out.",
        "limits": "Of {{ ranges.monthly_price.least }} EUR at least.",
    }
    text = card.card(with_parts(tmp_path, **parts), PROVENANCE)
    least = another().data.records["monthly_price"].min()
    for words in (
        "# Model card: churn\n\n> First line.\n> Second line.\n\nCross-validated",
        "## What it is\n\nRules of depth 3, behind the private",
        "## What it is for\n\n- Meant for: trying out.\n\n##",
        f"## The data and its limits\n\nOf {least:g} EUR at least. 160 contracts",
    ):
        assert words in text
    assert "for its owner to say" not in text


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({}, r"has \[\], expected some of \['note.md', 'kind.md'"),
        ({"note": "x", "limit": "x"}, r"has \['limit.md', 'note.md'\], expected some of"),
        ({"note": "{{ nobody }}"}, r"note\.md: 'nobody' is undefined"),
        ({"kind": "{% if %}"}, r"kind\.md: Expected an expression"),
    ],
    ids=["no part", "another name", "no such value", "no template"],
)
def test_a_wrong_part_of_the_projects_is_an_error_that_names_it(
    tmp_path: Path, parts: dict[str, str], told: str
) -> None:
    evaluation = with_parts(tmp_path, **parts)
    with pytest.raises(CardError, match=told):
        card.card(evaluation, PROVENANCE)
