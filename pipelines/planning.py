"""What a user asks of a training run, and all that is decided before anything is fitted."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipelines import ancestry, estimators, splitting, targets, thresholds
from pipelines.ancestry import Inheritance
from pipelines.dataset import CLASSIFICATION, Dataset, Roles, check, prepare
from pipelines.errors import PipelineError
from pipelines.sources import FIND, Origin, ReadOptions, Table, read
from pipelines.splitting import Split
from pipelines.validation import suite_lookup
from registry.earlier_versions import earlier_versions
from registry.evidence.document import OtherVersions
from serving.scorecard.inputs import Cleaning

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: How raw text is read, in training and wherever the model answers.
CLEANING = Cleaning()
# What MLflow's names do not take (/ : . % " '), and what ends a name in a URI ``models:/NAME/1``.
_NOT_IN_NAMES = r"/:.%\"'@?#"
# The width of MLflow's column.
_LONGEST_NAME = 256


@dataclass(frozen=True)
class Settings:
    """What a user asks of a training run; see ``python -m pipelines train --help``."""

    data: str
    query: str | None = None
    options: ReadOptions = FIND
    roles: Roles = field(default_factory=Roles)
    estimator: str = "auto"
    parameters: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    experiment: str | None = None
    seed: int = 0
    test_size: float = 0.2
    folds: int = 5
    resamples: int = 1000
    suite: str = suite_lookup.AUTO
    positive: str | None = None
    class_weight: str | None = None
    threshold: str | None = None
    pictures: bool = True


@dataclass(frozen=True)
class Plan:
    """All that is decided before anything is fitted; of the raw table, only where it came from.

    Parameters
    ----------
    inherited : what was taken over from an earlier version of the name, the columns' roles among it.
    known : what is known about the held-out rows and the registered versions.
    """

    origin: Origin
    dataset: Dataset
    split: Split
    inherited: Inheritance
    known: OtherVersions
    entry: estimators.Entry
    values: Mapping[str, object]
    name: str
    positive: object
    class_weight: object
    rule: thresholds.Rule | None


def decide(
    settings: Settings,
    say: Callable[[str], None] = lambda text: None,
    *,
    connect: "Callable[[], MlflowClient] | None" = None,
    inherited: Inheritance | None = None,
) -> Plan:
    """Read the table and decide all that can be decided before a run begins.

    Parameters
    ----------
    say : told what was found of the columns, a line each; also where the table is refused for what is left of it.
    connect : gives the client of the registry that holds the model's earlier versions; None where none are to be seen.
    inherited : what was taken over from them already; None to see.

    Raises
    ------
    PipelineError
        where the settings, the table, or the two together are refused.
    RegistryError
        where the registry does not answer.
    """
    if not 0 < settings.test_size < 1:
        raise PipelineError(f"--test-size is between 0 and 1, found {settings.test_size:g}")
    rule = thresholds.parse(settings.threshold) if settings.threshold else None
    asked = estimators.task_of(settings.estimator)
    if settings.roles.task != "auto":
        estimators.choose(settings.estimator, settings.roles.task)
    table = read(settings.data, query=settings.query, options=settings.options)
    for note in table.notes:
        say(note)
    name = model_name(settings.name, table)
    target = check(table, settings.roles)
    earlier = earlier_versions(connect(), name) if connect else []
    if inherited is None:
        columns = table.columns.column_names
        inherited = ancestry.take_over(earlier, settings.roles, target=target, columns=columns)
    roles = inherited.roles
    dataset = prepare(table, roles, cleaning=CLEANING, task_of_estimator=asked)
    for note in (*dataset.notes, *inherited.notes):
        say(note)
    for column, reason in dataset.left_out.items():
        say(f"left out: {column!r}: {reason}")
    entry = estimators.choose(settings.estimator, dataset.task)
    if entry.target == "non-negative" and (dataset.target < 0).any():
        raise PipelineError(
            f"--estimator {entry.name} needs a target of 0 or more, found negative values in {dataset.target_name!r}"
        )
    split = splitting.split(
        dataset, roles, test_size=settings.test_size, key_columns=inherited.key_columns, before=inherited.rule
    )
    known = ancestry.known(earlier, dataset, split)
    for note in ancestry.notes(known, len(split.holdout)):
        say(note)
    return Plan(
        origin=table.origin,
        dataset=dataset,
        split=split,
        inherited=inherited,
        known=known,
        entry=entry,
        values=estimators.parameters(entry, settings.parameters),
        name=name,
        positive=_positive(settings.positive, dataset),
        class_weight=_class_weight(settings.class_weight, dataset),
        rule=_applicable(rule, dataset),
    )


def model_name(asked: str | None, table: Table) -> str:
    """The model's name: as asked for, else the table's, its characters that a model's name cannot hold replaced by "-".

    Raises
    ------
    PipelineError
        if the name asked for cannot be written in ``models:/NAME/1``, or nothing of the table's name is left.
    """
    if asked is None:
        shown = "".join(sign if sign.isprintable() else " " for sign in table.name)
        name = re.sub(rf"[{_NOT_IN_NAMES}\s]+", "-", shown)
        name = name.strip("-")[:_LONGEST_NAME].strip("-")
    else:
        name = asked
    if not name or name != name.strip() or not name.isprintable() or re.search(f"[{_NOT_IN_NAMES}]", name):
        found = f"found {asked!r}" if asked is not None else f"and the table's, {table.name!r}, leaves none"
        raise PipelineError(
            "--name: expected a name for the model, without any of / : . % \" ' @ ? #, without control characters, "
            f"and without blanks around it, {found}"
        )
    if len(name) > _LONGEST_NAME:
        raise PipelineError(f"--name: expected at most {_LONGEST_NAME} characters, found {len(name)}")
    return name


def _positive(asked: str | None, dataset: Dataset) -> object:
    """The positive class: the one asked for, else the second of two, as scikit-learn has it; None without two."""
    classes = dataset.classes
    if asked is None:
        return classes[1] if len(classes) == 2 else None
    if len(classes) != 2:
        raise PipelineError(f"--positive {asked} goes with two classes, found {len(classes) or 'a regression'}")
    return targets.label(asked, classes, "--positive")


def _class_weight(asked: str | None, dataset: Dataset) -> object:
    """None, ``"balanced"``, or class -> weight from ``bad=5,good=1``."""
    if asked is None:
        return None
    if dataset.task != CLASSIFICATION:
        raise PipelineError("--class-weight goes with a classification; leave it out")
    if asked == "balanced":
        return asked
    return targets.weights(asked, dataset.classes, "--class-weight")


def _applicable(rule: thresholds.Rule | None, dataset: Dataset) -> thresholds.Rule | None:
    if rule and len(dataset.classes) != 2:
        raise PipelineError(
            f"--threshold goes with two classes, found {len(dataset.classes) or 'a regression'}; leave it out"
        )
    return rule
