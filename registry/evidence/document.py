"""The evidence document as types: every section of ``evidence.json``, with the meaning of what may be missing."""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from registry.holdout import HoldoutRule
from registry.strict import one_of

#: The version of the document's shape. A reader refuses any other.
SCHEMA_VERSION: Final = 1

Label = bool | int | float | str
Count = Annotated[int, Meta(ge=0)]


class _Section(Struct, frozen=True):
    """A part of the document. Keys that are not known are ignored below the top level."""


class NotFinite(Struct, frozen=True):
    """A parameter that JSON has no number for: ``{"float": "inf"}``."""

    text: Literal["inf", "-inf", "nan"] = field(name="float")


class InputShare(_Section, frozen=True):
    """The share of some inputs in a score: the sum of their terms.

    Parameters
    ----------
    inputs : their names; several if a term is of several inputs.
    mean, std : of the share over the rows, in units of the score.
    """

    inputs: list[str]
    mean: float
    std: float


class ScoreProfile(_Section, frozen=True):
    """A score of a linear model over the rows that the profile is of.

    Parameters
    ----------
    label : the class that it speaks for; None for a regression.
    scale : what it is: ``log-odds``, ``target``.
    rows : how many rows have a score.
    mean, std : of the score.
    shares : those of the inputs; the score is their sum and a constant.
    """

    label: Label | None
    scale: str
    rows: Count
    mean: float
    std: float
    shares: list[InputShare]


class ModelDescription(_Section, frozen=True):
    """The model that was evaluated.

    Parameters
    ----------
    name : the registered model.
    task : ``regression`` or ``classification``.
    estimator : the name of its class; ``"pyfunc"`` if that is not known.
    parameters : the estimator's parameters, as the user gave them.
    target : the column that it predicts.
    classes : the labels in order; None for a regression.
    positive : of two classes, the one that precision, recall, f1 and roc_auc refer to.
    threshold : the probability from which a row is called positive; None for the estimator's own decision.
    threshold_rule : how the user chose the threshold: ``cost=1:20``.
    class_names : label, as text -> its meaning, if the labels are codes of known meaning.
    scores : what the profile's rows score, and the share of each input; absent if the score is no sum of terms.
    """

    name: str
    task: Annotated[str, one_of("regression", "classification")]
    estimator: str
    parameters: dict[str, Label | NotFinite | None]
    target: str
    classes: list[Label] | None
    positive: Label | None
    threshold: float | None
    threshold_rule: str | None
    class_names: dict[str, str] | UnsetType = UNSET
    scores: list[ScoreProfile] | UnsetType = UNSET

    def __post_init__(self) -> None:
        numbers = {name: float(value.text) for name, value in self.parameters.items() if isinstance(value, NotFinite)}
        self.parameters.update(numbers)

    def called(self, label: Label | None) -> str:
        """A label for people: ``0 (malignant)`` where it is known what the code means, else as it is."""
        word = None if self.class_names is UNSET else self.class_names.get(str(label))
        return f"{label} ({word})" if word else str(label)


class MetricValue(_Section, frozen=True):
    """A metric on the held-out rows.

    Parameters
    ----------
    value : None if the metric is not defined there.
    low, high : the ends of its bootstrap interval; None if none was drawn.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


class Baseline(_Section, frozen=True):
    """The metrics of a dummy that ignores the inputs, on the same rows.

    Parameters
    ----------
    strategy : of scikit-learn's dummy: ``mean``, ``prior``.
    metrics : metric -> value.
    """

    strategy: str
    metrics: dict[str, float | None]


class FoldMetric(_Section, frozen=True):
    """A metric over the folds.

    Parameters
    ----------
    mean : the mean over the folds.
    std : the standard deviation over the folds (ddof 1).
    folds : the value in each fold.
    """

    mean: float | None
    std: float | None
    folds: list[float | None]


class CrossValidationSummary(_Section, frozen=True):
    """Cross-validation on the training rows.

    Parameters
    ----------
    kind : how the rows were split.
    folds : the number of folds.
    metrics : metric -> its values over the folds.
    """

    kind: str
    folds: Count
    metrics: dict[str, FoldMetric]


class Bootstrap(_Section, frozen=True):
    """How the intervals of the metrics were drawn.

    Parameters
    ----------
    resamples : the number of resamples.
    rows : the number of rows in each.
    level : the share of the resamples inside an interval.
    """

    resamples: Count
    rows: Count
    level: float


class OtherVersions(_Section, frozen=True):
    """What was known about the judged rows and the versions that were registered then.

    Parameters
    ----------
    unseen : the versions that were trained on none of these rows.
    seen : version -> how many of the rows it may have been trained on: its rule did not hold them out.
    unknown : the versions of which neither can be said.
    """

    unseen: list[str] = []
    seen: dict[str, int] = {}
    unknown: list[str] = []


class Declaration(_Section, frozen=True):
    """A declaration about something that the platform cannot know.

    Parameters
    ----------
    by : who declared it.
    time : when, in UTC.
    """

    by: str
    time: str


class Holdout(HoldoutRule, frozen=True, kw_only=True):
    """The rows that the metrics are of, and the rule that held them out.

    Parameters
    ----------
    like : the version whose key columns were inherited; None if they were chosen anew.
    rows, training_rows : how many were judged, and how many trained on; None if that is not known.
    earlier : None if no registry was asked.
    bootstrap : None if no intervals were drawn.
    notes : what a person should know of the split, a sentence each.
    declared_unseen : of a version whose training is unknown, who declared that it was not trained on these rows.
    """

    rows: Count
    training_rows: Count | None = None
    like: str | None = None
    earlier: OtherVersions | None = None
    bootstrap: Bootstrap | None = None
    notes: list[str] = []
    declared_unseen: Declaration | None = None

    @property
    def possibly_trained_on(self) -> bool:
        """Whether the version may have been trained on the rows that it is judged on."""
        return self.unknown and self.declared_unseen is None

    @classmethod
    def of(cls, rule: HoldoutRule, **facts: Any) -> "Holdout":
        """The section about rows that a rule held out."""
        return cls(**msgspec.structs.asdict(rule), **facts)


class Finding(_Section, frozen=True):
    """One expectation about the data, and whether it was met.

    Parameters
    ----------
    expectation : its type, such as ``expect_column_values_to_be_between``.
    column : the column it is about (several joined by a comma); None for the whole table.
    severity : ``critical``, ``warning`` or ``info``.
    observed, expected : in words, each at most 300 characters, with at most five values of the table in them.
    """

    expectation: str
    column: str | None
    severity: str
    success: bool
    observed: str
    expected: str

    def told(self) -> str:
        """On one line: what was expected of what, and what was found."""
        place = "table" if self.column is None else f"column {self.column!r}"
        return f"{place} ({self.expectation}): expected {self.expected}, found {self.observed}"


class SuiteOutcome(_Section, frozen=True):
    """What an expectation suite found in the data.

    Parameters
    ----------
    name : the suite.
    success : true if no critical expectation failed.
    evaluated, failed : how many expectations were evaluated, and how many failed.
    findings : each expectation and its result.
    """

    name: str
    success: bool
    evaluated: Count
    failed: Count
    findings: list[Finding]

    @property
    def failures(self) -> list[Finding]:
        """The expectations that were not met."""
        return [finding for finding in self.findings if not finding.success]


class GroupMetrics(_Section, frozen=True):
    """The metrics of one group of rows.

    Parameters
    ----------
    group : the value of the sensitive column.
    rows : the number of rows.
    metrics : metric -> value.
    """

    group: str
    rows: Count
    metrics: dict[str, float | None]


class Fairness(_Section, frozen=True):
    """The metrics by the groups of one sensitive column.

    Parameters
    ----------
    column : the sensitive column.
    groups : the metrics of each group.
    gaps : metric -> the widest gap between two groups.
    """

    column: str
    groups: list[GroupMetrics]
    gaps: dict[str, float | None]


class Agreement(_Section, frozen=True, omit_defaults=True):
    """How far one way of answering is from the pipeline's: numbers have ``worst``, labels have ``different``.

    Parameters
    ----------
    compared, outside : how many answers, and how many are outside of the tolerance.
    worst, worst_ratio : the widest difference, and its ratio to the tolerance.
    different : how many labels differ.
    """

    compared: Count
    outside: Count
    worst: float | None = None
    worst_ratio: float | None = None
    different: Count | None = None


class RefusalAgreement(_Section, frozen=True):
    """How scorecard and pipeline agree on refusing rows; see ``serving.scorecard.parity.measure``.

    Parameters
    ----------
    refused : rows that the scorecard refused.
    checked : how many of them the pipeline was asked about.
    missed : rows that the pipeline refuses and the scorecard answers.
    needless : rows that the scorecard refuses because of its model, and the pipeline answers.
    stricter : rows that the scorecard refuses by the request contract, and the pipeline answers.
    paths_differ : rows that one path of the scorecard refuses and another one answers.
    """

    refused: Count
    checked: Count
    missed: Count
    needless: Count
    stricter: Count
    paths_differ: Count


class Parity(_Section, frozen=True):
    """Whether the scorecard gives the pipeline's answers; see ``serving.scorecard.parity.measure``.

    Parameters
    ----------
    schema_version : of this section.
    rows, rows_one_by_one : how many rows were compared as a table, and one by one.
    ill_conditioned : how many rows are too sensitive to rounding to be compared.
    refusals : agreement on refusing rows.
    paths : path -> method -> agreement of the answers.
    tolerance : the tolerance in words.
    passed : true if all answers are within the tolerance.
    """

    schema_version: int
    rows: Count
    rows_one_by_one: Count
    ill_conditioned: Count
    refusals: RefusalAgreement
    paths: dict[str, dict[str, Agreement]]
    tolerance: str
    passed: bool

    @property
    def agreements(self) -> list[Agreement]:
        """All comparisons that were made."""
        return [agreement for path in self.paths.values() for agreement in path.values()]


class InputColumn(_Section, frozen=True, omit_defaults=True):
    """A column that the model takes.

    Parameters
    ----------
    name : the column.
    type : ``number``, ``boolean`` or ``category``.
    integer : true if only whole numbers are accepted.
    null : true if the value may be missing.
    decimal, thousands : the marks of numbers in text.
    """

    name: str
    type: str
    integer: bool
    null: bool
    decimal: str = "."
    thousands: str = ""


class LeftOut(_Section, frozen=True):
    """A column of the table that is not an input.

    Parameters
    ----------
    column : the column.
    reason : why it is not.
    """

    column: str
    reason: str


class Schema(_Section, frozen=True):
    """The columns of the table.

    Parameters
    ----------
    inputs : the inputs in order.
    left_out : the columns that are not inputs.
    target : the target.
    """

    inputs: list[InputColumn]
    left_out: list[LeftOut]
    target: str


class DataSource(_Section, frozen=True):
    """The table.

    Parameters
    ----------
    source : the file, URL or name, without secrets.
    digest : of its content.
    rows, columns : its size.
    dropped_rows : how many rows without a target were excluded.
    """

    source: str
    digest: str
    rows: Count
    columns: Count
    dropped_rows: Count


class GitState(_Section, frozen=True):
    """The commit of the working folder; None outside a git checkout.

    Parameters
    ----------
    commit : its hash.
    dirty : true if tracked files differed from it.
    """

    commit: str | None
    dirty: bool | None


class PipelineSource(_Section, frozen=True):
    """A user's own pipeline.

    Parameters
    ----------
    function : its name, ``module:function``.
    digest : of its source files.
    """

    function: str
    digest: str


class Lineage(_Section, frozen=True):
    """The origin of a version, or of an evaluation.

    Parameters
    ----------
    data : the table.
    git : the code.
    seed : of folds, bootstrap and estimator.
    versions : package -> release.
    created : when, in UTC.
    command : the command that was run.
    pipeline : the user's own pipeline; absent for the platform's.
    """

    data: DataSource
    git: GitState
    seed: int | None
    versions: dict[str, str]
    created: str
    command: str
    pipeline: PipelineSource | UnsetType = UNSET


class Histogram(_Section, frozen=True):
    """Bins of equal frequency.

    Parameters
    ----------
    edges : of the bins: one more than there are counts, unless all values are equal.
    counts : the number of values in each bin.
    """

    edges: list[float]
    counts: list[Count]


class NumberProfile(_Section, frozen=True, tag_field="type", tag="number"):
    """The values of a numeric column in training; None and empty if it had none.

    Parameters
    ----------
    count, missing : how many values there are, and how many are missing.
    mean, std, min, max : of the values.
    quantiles : share -> value.
    histogram : of the values.
    """

    count: Count
    missing: Count
    mean: float | None
    std: float | None
    min: float | None
    max: float | None
    quantiles: dict[str, float]
    histogram: Histogram | None


class CategoryProfile(_Section, frozen=True, tag_field="type", tag="category"):
    """The values of a text column in training.

    Parameters
    ----------
    count, missing : how many values there are, and how many are missing.
    distinct : the number of different values.
    top : each of the most frequent values -> how often it occurred.
    """

    count: Count
    missing: Count
    distinct: Count
    top: dict[str, int]


class Evidence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was measured about a version, as ``evidence.json`` holds it.

    Parameters
    ----------
    schema_version : of this document.
    model : the model that was evaluated.
    metrics : metric -> its value on the held-out rows.
    baseline : the metrics of a dummy.
    cross_validation : None if there was none.
    holdout : the rows that the metrics refer to.
    suite : None if no suite checked the data.
    fairness : one entry for each sensitive column; empty if none was named.
    parity : None if the version has no scorecard that was compared with its pipeline.
    schema : the columns.
    lineage : of the version; None if it is unknown, as for one that was logged without this platform.
    evaluation : of the evaluation that measured the version; None if training itself did.
    profile : column -> the values in training, of the inputs and the target.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    model: ModelDescription
    metrics: dict[str, MetricValue]
    baseline: Baseline
    cross_validation: CrossValidationSummary | None
    holdout: Holdout
    suite: SuiteOutcome | None
    fairness: list[Fairness]
    parity: Parity | None
    schema: Schema
    lineage: Lineage | None
    evaluation: Lineage | None = None
    profile: dict[str, NumberProfile | CategoryProfile]

    @property
    def adopted(self) -> bool:
        """Whether the version was logged without this platform: of its training nothing is known."""
        return self.holdout.unknown

    def value(self, metric: str) -> float | None:
        """A metric on the held-out rows; None if it was not measured or is not defined there."""
        found = self.metrics.get(metric)
        return found.value if found else None
