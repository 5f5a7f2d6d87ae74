"""What a row of the prediction log has, and how it is typed in Arrow."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from serving.functions.sampling import DIGITS, hashed
from serving.scorecard.inputs import BOOLEAN, CATEGORY, Input

if TYPE_CHECKING:
    import pyarrow as pa

#: Types of columns.
NUMBER, WHOLE, TRUTH, TEXT, MOMENT = "double", "bigint", "boolean", "text", "timestamp"

#: The columns that every row has, in order, before its features.
COMMON: Mapping[str, str] = {
    "request_id": TEXT,
    "row": WHOLE,
    "time": MOMENT,
    "model": TEXT,
    "version": TEXT,
    "role": TEXT,
    "status": WHOLE,
    "latency_ms": NUMBER,
    "sampling": NUMBER,
}
#: The column of the answer, and the prefixes of the others.
PREDICTION, FEATURE, PROBABILITY = "prediction", "feature_", "probability_"

#: Who answered: the version in Production, the one in Staging that got a share, one that was only compared, or a batch
#: job, which names its version itself.
CHAMPION, CHALLENGER, SHADOW, BATCH = "champion", "challenger", "shadow", "batch"

#: A regular expression of hashed values.
HASHED = f"[0-9a-f]{{{DIGITS}}}"

#: Greatest whole number that a column of whole numbers holds.
_LARGEST = 2**63 - 1


@dataclass(frozen=True)
class RecordedColumns:
    """Which features are recorded, and how.

    Parameters
    ----------
    share : of the requests that is recorded.
    only : names of the features that are recorded; empty for all.
    hashed : names of the features whose values are hashed.
    key : of the hash; needed if any are hashed.
    """

    share: float = 1.0
    only: tuple[str, ...] = ()
    hashed: tuple[str, ...] = ()
    key: bytes = b""

    def hash(self, text: str) -> str:
        """A text's hash by the key."""
        return hashed(self.key, text)

    def unknown(self, inputs: Iterable[str]) -> list[str]:
        """The names that are no inputs of a model."""
        known = set(inputs)
        return [name for name in dict.fromkeys((*self.hashed, *self.only)) if name not in known]


@dataclass(frozen=True)
class LoggedFeature:
    """A recorded input.

    Parameters
    ----------
    type : of its values, before hashing.
    hashed : whether a keyed hash is recorded instead of each value.
    """

    name: str
    type: str
    hashed: bool = False

    @property
    def column(self) -> str:
        """Its column in the log."""
        return FEATURE + self.name


@dataclass(frozen=True)
class LogSchema:
    """The columns of the rows of one version.

    Parameters
    ----------
    prediction : type of its answers.
    labels : of its probabilities, as text; empty if it has none.
    """

    model: str
    version: str
    features: tuple[LoggedFeature, ...]
    prediction: str = NUMBER
    labels: tuple[str, ...] = ()

    @property
    def columns(self) -> dict[str, str]:
        """All columns in order, each with its type."""
        found = dict(COMMON)
        found |= {feature.column: TEXT if feature.hashed else feature.type for feature in self.features}
        found[PREDICTION] = self.prediction
        return found | {PROBABILITY + label: NUMBER for label in self.labels}

    def arrow(self) -> "pa.Schema":
        """The columns as an Arrow schema."""
        import pyarrow as pa

        return pa.schema([pa.field(name, arrow_type(type)) for name, type in self.columns.items()])


def arrow_type(type: str) -> "pa.DataType":
    """The Arrow type of a column."""
    import pyarrow as pa

    return {
        NUMBER: pa.float64(),
        WHOLE: pa.int64(),
        TRUTH: pa.bool_(),
        TEXT: pa.string(),
        MOMENT: pa.timestamp("us", "UTC"),
    }[type]


def features(inputs: Sequence[Input], choice: RecordedColumns) -> tuple[LoggedFeature, ...]:
    """The recorded inputs of a model, in their order."""
    return tuple(
        LoggedFeature(item.name, _input_type(item), item.name in choice.hashed)
        for item in inputs
        if not choice.only or item.name in choice.only
    )


def label_type(labels: Sequence[Any] | None) -> str:
    """The type of the answers of a model with these labels; None for a regression."""
    if labels is None:
        return NUMBER
    types = set(map(type, labels))
    if types == {bool}:
        return TRUTH
    if types == {int} and all(-_LARGEST <= label <= _LARGEST for label in labels):
        return WHOLE
    return NUMBER if types <= {int, float} and float in types else TEXT


def _input_type(item: Input) -> str:
    if item.type == CATEGORY:
        return TEXT
    if item.type == BOOLEAN:
        return TRUTH
    return WHOLE if item.integer else NUMBER


def is_database(destination: str) -> bool:
    """Whether a log's destination is a SQLAlchemy URL rather than a folder or a broker."""
    return not is_broker(destination) and re.match(r"[A-Za-z][A-Za-z0-9+._-]*://", destination) is not None


def is_broker(destination: str) -> bool:
    """Whether a log's destination is the URL of a broker of CloudEvents."""
    return re.match(r"https?://", destination, re.IGNORECASE) is not None
