"""The settings of a training run, and the plan that is made of them before anything is fitted."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pipelines import ancestry, estimators, features, fitting, lineage, own_pipeline, splitting, targets, thresholds
from pipelines.ancestry import Inheritance
from pipelines.dataset import CLASSIFICATION, Dataset, Roles, check, prepare
from pipelines.errors import PipelineError
from pipelines.names import model_name
from pipelines.own_pipeline import OwnPipeline
from pipelines.sources import FIND, Origin, ReadOptions, Table, read
from pipelines.splitting import Split
from pipelines.validation import suite_lookup
from pipelines.validation.suite_lookup import SuiteCheck
from registry import logs, redaction
from registry.earlier_versions import EarlierVersion, earlier_versions
from registry.evidence.document import OtherVersions
from registry.holdout import HoldoutRule
from serving.batch.spark.settings import SparkSettings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from sklearn.pipeline import Pipeline

_log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Settings:
    """The settings of a training run; see ``python -m pipelines train --help``."""

    data: str
    query: str | None = None
    options: ReadOptions = FIND
    roles: Roles = field(default_factory=Roles)
    estimator: str = "auto"
    parameters: Mapping[str, str] = field(default_factory=dict)
    pipeline: str | None = None
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
    engine: str = "auto"
    memory: int | None = None
    spark: SparkSettings = field(default_factory=SparkSettings)


@dataclass(frozen=True)
class TrainingPlan:
    """Everything that is decided before anything is fitted: the table, read, typed and split, and the estimator.

    The raw table itself is not kept.

    Parameters
    ----------
    settings : the user's.
    inherited : the rule and roles taken over from an earlier version of the model.
    known : which earlier versions may have been trained on the held-out rows.
    entry : the estimator; of a user's own pipeline, that of its last step.
    own : the user's own pipeline; None for the platform's.
    checked : the result of the suite, if the table was checked already.
    """

    settings: Settings
    origin: Origin
    dataset: Dataset
    split: Split
    inherited: Inheritance
    known: OtherVersions
    entry: estimators.EstimatorEntry
    values: Mapping[str, object]
    name: str
    positive: object
    class_weight: object
    rule: thresholds.ThresholdRule | None
    own: OwnPipeline | None = None
    checked: SuiteCheck | None = None

    @property
    def chooses_threshold(self) -> bool:
        """Whether the decision threshold is chosen by cross-validation."""
        return self.rule is not None and self.rule.value is None

    def pipeline(self, threshold: float | None = None) -> "Pipeline":
        """Return the whole pipeline, unfitted, see :meth:`build`: the user's own, or the platform's features first."""
        if self.own:
            return self.own.build(self.dataset, self.settings.seed, self._decision(threshold))
        return fitting.pipeline(self.dataset, self.build(threshold))

    def _decision(self, threshold: float | None) -> tuple[float, object] | None:
        return None if threshold is None else (threshold, self.positive)

    def build(self, threshold: float | None = None) -> Any:
        """Return the estimator, unfitted.

        Parameters
        ----------
        threshold : predict the positive class from this probability on; None for the estimator's own decision.
        """
        return estimators.build(
            self.entry,
            self.values,
            seed=self.settings.seed,
            size=self._most_coefficients(),
            class_weight=self.class_weight,
            threshold=self._decision(threshold),
        )

    def _most_coefficients(self) -> int:
        """How many coefficients a linear model will have at most."""
        sets = len(self.dataset.classes) if len(self.dataset.classes) > 2 else 1
        return sets * features.most_columns(self.dataset.inputs, self.dataset.levels)

    def with_estimator(self, name: str, parameters: Mapping[str, str]) -> "TrainingPlan":
        """Return the plan with another estimator of the same task and its parameters, as a user types them.

        Raises
        ------
        PipelineError
            if the estimator or a parameter is refused.
        """
        settings = replace(self.settings, estimator=name, parameters=parameters)
        entry = _entry(name, self.dataset)
        return replace(self, settings=settings, entry=entry, values=estimators.parameters(entry, parameters))

    def renewed(
        self, client: "MlflowClient", *, held: int, counts: Mapping[HoldoutRule, int] | None = None
    ) -> "TrainingPlan":
        """Return the plan, with versions taken into account that were registered since it was made.

        Parameters
        ----------
        held : how many rows are held out.
        counts : see :func:`ancestry.known`.
        """
        known = ancestry.known(earlier_versions(client, self.name), self.dataset, self.split, counts)
        for note in ancestry.notes(known, held):
            if note not in ancestry.notes(self.known, held):
                _log.info(note)
        return replace(self, known=known)

    def with_check(self, client: "MlflowClient") -> "TrainingPlan":
        """Return the plan with its table checked by the suite of the settings, unless it was checked already.

        Raises
        ------
        PipelineError
            if the suite does not exist or cannot be read.
        """
        if self.checked or self.settings.suite == suite_lookup.NONE:
            return self
        checked = suite_lookup.check(
            self.settings.suite,
            self.dataset,
            self.split,
            origin=self.origin,
            model=self.name,
            roles=self.inherited.roles,
            client=client,
        )
        looked = len(self.dataset.features)
        some = f"; on {looked:,} of the rows" if looked + self.dataset.dropped_rows < self.origin.rows else ""
        _log.info("%s (%s%s)", checked.result.summary(), checked.origin, some)
        return replace(self, checked=checked)


def plan_training(settings: Settings, *, connect: "Callable[[], MlflowClient] | None" = None) -> TrainingPlan:
    """Read, type and split the table, and choose the estimator.

    Findings about the columns are logged, also if the table is then refused.

    Parameters
    ----------
    connect : returns a client of the registry, for the model's earlier versions; None to ignore them.

    Raises
    ------
    PipelineError
        if the settings or the table are refused.
    RegistryError
        if the registry does not answer.
    """
    _log.info("reading %s", redaction.url(settings.data))
    check_settings(settings)
    table = read(settings.data, query=settings.query, options=settings.options)
    for note in table.notes:
        _log.info(note)
    return plan_table(settings, table, earlier_of(settings, table.name, connect), set(table.notes))


def check_settings(settings: Settings) -> None:
    """Raise PipelineError for what is wrong with the settings whatever the table is."""
    if not 0 < settings.test_size < 1:
        raise PipelineError(f"--test-size is between 0 and 1, found {settings.test_size:g}")
    if settings.folds < 0 or settings.folds == 1:
        raise PipelineError(f"--folds: expected 0, or at least 2, found {settings.folds}")
    if settings.threshold:
        thresholds.parse(settings.threshold)
    _own(settings)
    estimators.task_of(settings.estimator)
    if settings.roles.task != "auto":
        estimators.choose(settings.estimator, settings.roles.task)


def earlier_of(
    settings: Settings, table: str, connect: "Callable[[], MlflowClient] | None"
) -> Sequence[EarlierVersion]:
    """The earlier versions of the model that a table's name and the settings give; none without a registry."""
    name = model_name(settings.name, table)
    lineage.warn_without_commit(name)
    return earlier_versions(connect(), name) if connect else []


def plan_table(
    settings: Settings, table: Table, earlier: Sequence[EarlierVersion], told: set[str] | None = None
) -> TrainingPlan:
    """The plan of a table that was read; of a sample, what its rows tell.

    Parameters
    ----------
    earlier : the versions of the model.
    told : what was logged already, and is not logged again.

    Raises
    ------
    PipelineError
        if the settings or the table are refused.
    """
    told = set() if told is None else told

    def tell(level: int, note: str) -> None:
        if note not in told:
            told.add(note)
            _log.log(level, "%s", note)

    for note in table.notes:
        tell(logging.INFO, note)
    own = _own(settings)
    target = check(table, settings.roles)
    inherited = ancestry.take_over(earlier, settings.roles, target=target, columns=table.columns.column_names)
    roles = inherited.roles
    dataset = prepare(table, roles, task_of_estimator=estimators.task_of(settings.estimator))
    for note in (*dataset.notes, *inherited.notes):
        tell(logging.INFO, note)
    for column, reason in dataset.left_out.items():
        tell(logging.INFO, f"left out: {column!r}: {reason}")
    entry = own.entry(dataset, settings.seed) if own else _entry(settings.estimator, dataset)
    sample = table.total_rows is not None
    split = splitting.split(
        dataset,
        roles,
        test_size=settings.test_size,
        key_columns=inherited.key_columns,
        before=inherited.rule,
        sample=sample,
    )
    for note in split.notes:
        tell(logging.WARNING, note)
    known = OtherVersions() if sample else ancestry.known(earlier, dataset, split)
    for note in ancestry.notes(known, len(split.holdout)):
        tell(logging.INFO, note)
    return TrainingPlan(
        settings=settings,
        origin=table.origin,
        dataset=dataset,
        split=split,
        inherited=inherited,
        known=known,
        entry=entry,
        values={} if own else estimators.parameters(entry, settings.parameters),
        name=model_name(settings.name, table.name),
        positive=_positive(settings.positive, dataset),
        class_weight=_class_weight(settings.class_weight, dataset),
        rule=_applicable(thresholds.parse(settings.threshold) if settings.threshold else None, dataset),
        own=own,
    )


def _own(settings: Settings) -> OwnPipeline | None:
    """The user's own pipeline; None if none was asked for."""
    if settings.pipeline is None:
        return None
    estimator = None if settings.estimator == "auto" else settings.estimator
    for option, value in (
        ("--estimator", estimator),
        ("--param", settings.parameters),
        ("--class-weight", settings.class_weight),
    ):
        if value:
            raise PipelineError(f"{option} does not go with --pipeline: leave it out, and set it in the pipeline")
    return own_pipeline.find(settings.pipeline)


def _entry(name: str, dataset: Dataset) -> estimators.EstimatorEntry:
    entry = estimators.choose(name, dataset.task)
    entry.check_target(dataset.target, dataset.target_name)
    return entry


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


def _applicable(rule: thresholds.ThresholdRule | None, dataset: Dataset) -> thresholds.ThresholdRule | None:
    if rule and len(dataset.classes) != 2:
        raise PipelineError(
            f"--threshold goes with two classes, found {len(dataset.classes) or 'a regression'}; leave it out"
        )
    return rule
