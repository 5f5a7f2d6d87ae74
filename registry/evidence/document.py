"""The evidence document as types: every section of ``evidence.json``, with the meaning of what may be missing."""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct, field

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


class ModelDescription(_Section, frozen=True):
    """The model that was judged.

    Parameters
    ----------
    estimator : the name of its class; ``"pyfunc"`` if that is not known.
    parameters : of the estimator, as the user gave them.
    classes : the labels in order; None for a regression.
    positive : of two classes, the one that precision, recall, f1 and roc_auc are of.
    threshold : the probability from which a row is called positive; None for the estimator's own decision.
    threshold_rule : what the threshold was chosen for, as the user gave it: ``cost=1:20``.
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

    def __post_init__(self) -> None:
        numbers = {name: float(value.text) for name, value in self.parameters.items() if isinstance(value, NotFinite)}
        self.parameters.update(numbers)


class MetricValue(_Section, frozen=True):
    """A metric on the held-out rows: None if it is not defined there; ``low`` and ``high`` end its interval."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Baseline(_Section, frozen=True):
    """The metrics of a dummy that does not look at the inputs, on the same rows."""

    strategy: str
    metrics: dict[str, float | None]


class FoldMetric(_Section, frozen=True):
    """A metric over the folds: its mean, its standard deviation (ddof 1), and its value in each fold."""

    mean: float | None
    std: float | None
    folds: list[float | None]


class CrossValidationSummary(_Section, frozen=True):
    """Cross-validation on the training rows; ``kind`` is how they were split, ``folds`` into how many parts."""

    kind: str
    folds: Count
    metrics: dict[str, FoldMetric]


class Bootstrap(_Section, frozen=True):
    """How the intervals were drawn: so many resamples of so many rows; ``level`` is the share inside."""

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


class Holdout(HoldoutRule, frozen=True, kw_only=True):
    """The rows that the metrics are of, and the rule that held them out.

    If ``by`` is ``"given"``, the version may have been trained on them (``possibly_trained_on``).

    Parameters
    ----------
    like : the version whose key columns were inherited; None if they were chosen anew.
    rows, training_rows : how many were judged, and how many trained on; None if that is not known.
    earlier : None if no registry was asked.
    bootstrap : None if no intervals were drawn.
    notes : what a person should know of the split, a sentence each.
    """

    rows: Count
    training_rows: Count | None = None
    like: str | None = None
    earlier: OtherVersions | None = None
    bootstrap: Bootstrap | None = None
    notes: list[str] = []

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
    """What an expectation suite found in the data; it succeeds if no critical expectation failed."""

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
    """The metrics of one group of rows."""

    group: str
    rows: Count
    metrics: dict[str, float | None]


class Fairness(_Section, frozen=True):
    """The metrics by the groups of one sensitive column, and of each metric the widest gap between two groups."""

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
    """How scorecard and pipeline agree on the rows they refuse; see ``serving.scorecard.parity.measure``."""

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
    paths : way of asking -> method -> agreement.
    tolerance : in words.
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
    """A column that the model takes: ``integer``: whole numbers only; ``null``: it may be missing."""

    name: str
    type: str
    integer: bool
    null: bool
    decimal: str = "."
    thousands: str = ""


class LeftOut(_Section, frozen=True):
    """A column of the table that is no input, and why."""

    column: str
    reason: str


class Schema(_Section, frozen=True):
    """The inputs in order, the columns that are none, and the target."""

    inputs: list[InputColumn]
    left_out: list[LeftOut]
    target: str


class DataSource(_Section, frozen=True):
    """The table: ``dropped_rows`` is how many rows without a target were left out."""

    source: str
    digest: str
    rows: Count
    columns: Count
    dropped_rows: Count


class GitState(_Section, frozen=True):
    """The commit of the working directory, and whether files differed from it; None outside of a git checkout."""

    commit: str | None
    dirty: bool | None


class Lineage(_Section, frozen=True):
    """Where a version comes from: data, code, seed, packages; ``created`` is in UTC."""

    data: DataSource
    git: GitState
    seed: int | None
    versions: dict[str, str]
    created: str
    command: str


class Histogram(_Section, frozen=True):
    """Bins of equal frequency: ``edges`` has one item more than ``counts``, unless all values are equal."""

    edges: list[float]
    counts: list[Count]


class NumberProfile(_Section, frozen=True, tag_field="type", tag="number"):
    """The values of a column of numbers in training; None and empty if it had none."""

    count: Count
    missing: Count
    mean: float | None
    std: float | None
    min: float | None
    max: float | None
    quantiles: dict[str, float]
    histogram: Histogram | None


class CategoryProfile(_Section, frozen=True, tag_field="type", tag="category"):
    """The values of a column of text in training; ``top`` is how often the most frequent ones occurred."""

    count: Count
    missing: Count
    distinct: Count
    top: dict[str, int]


class Evidence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was measured of a version, as ``evidence.json`` holds it.

    Parameters
    ----------
    cross_validation : None if there was none.
    suite : None if no suite checked the data.
    fairness : one a sensitive column; empty if none was named.
    parity : None if the version has no scorecard that was compared with its pipeline.
    lineage : None if the origin is unknown, as of a version that was logged without this platform.
    profile : column -> what its values were like: the inputs' and the target's.
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
    profile: dict[str, NumberProfile | CategoryProfile]

    def value(self, metric: str) -> float | None:
        """A metric on the held-out rows; None if it was not measured or is not defined there."""
        found = self.metrics.get(metric)
        return found.value if found else None
