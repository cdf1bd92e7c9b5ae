"""What a reader calls the features, the groups and what was measured."""

from mlflow_sealed.training.measure.results import Evaluation, Group
from mlflow_sealed.training.subject import Subject

_UNITLESS = ("1", "count")


def feature_name(subject: Subject, name: str) -> str:
    """Return a feature's name as a reader has it: the project's word, or the name with spaces."""
    return subject.project.words.features.get(name, name.replace("_", " "))


def feature_names(subject: Subject) -> list[str]:
    """Return the names of all features as a reader has them, in the order of the columns."""
    return [feature_name(subject, name) for name in subject.features]


def unit(subject: Subject, name: str) -> str:
    """Return a feature's unit, or nothing where it has none or is no field of the record."""
    field = subject.record.model_fields.get(name)
    extra = field.json_schema_extra if field else None
    found = str(extra.get("unit", "")) if isinstance(extra, dict) else ""
    return "" if found in _UNITLESS else found


def kind_name(subject: Subject, kind: str) -> str:
    """Return what a kind of groups is called: the project's word, or the kind with spaces."""
    return subject.project.words.groups.get(kind, kind.replace("_", " "))


def group_name(group: Group) -> str:
    """Return which records a group has: its kind and its name, unless the name has the kind.

    Examples
    --------
    >>> group_name(Group("age", "21 to 30", 9, 3, True, {}))
    'age 21 to 30'
    >>> group_name(Group("missing", "2 missing", 9, 3, True, {}))
    '2 missing'
    """
    kind = group.kind.replace("_", " ")
    return group.name if kind in group.name else f"{kind} {group.name}"


def measured_on(evaluation: Evaluation) -> str:
    """Return how the out-of-fold predictions were made, in a sentence."""
    options, records = evaluation.options, evaluation.subject.project.words.records
    return (
        f"{len(evaluation.data.labels)} {records}, each predicted by models trained without it "
        f"({options.repeats} x {options.folds} cross-validation)."
    )


def listed(names: list[str], word: str) -> str:
    """Return names in a sentence, the last two joined by a word.

    Examples
    --------
    >>> listed(["a", "b", "c"], "or"), listed(["a"], "or"), listed([], "or")
    ('a, b or c', 'a', '')
    """
    *before, last = names or [""]
    return f"{', '.join(before)} {word} {last}" if before else last


def capitalised(text: str) -> str:
    """Return a text with its first letter a capital, the others as they are."""
    return text[:1].upper() + text[1:]


def lowered(text: str) -> str:
    """Return a text with its first letter small, the others as they are."""
    return text[:1].lower() + text[1:]
