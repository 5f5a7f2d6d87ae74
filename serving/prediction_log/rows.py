"""Makes typed rows of the log from raw values: batches of Arrow, one column after another."""

import builtins
import datetime
import json
import math
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from serving.functions import columns as typed
from serving.functions.sampling import plain
from serving.functions.signature import Signature
from serving.prediction_log.schema import (
    COMMON,
    NUMBER,
    PREDICTION,
    PROBABILITY,
    TEXT,
    TRUTH,
    WHOLE,
    LoggedFeature,
    LogSchema,
    RecordedColumns,
    arrow_type,
    features,
    label_type,
)
from serving.scorecard import Scorecard, frames

#: Stands for an answer that was not handed over: the scorecard gives it again.
UNKNOWN: Any = object()

#: 2**53 and beyond, float64 does not have every whole number; beyond 2**63 a column of whole numbers has none.
_WHOLE = float(2**63)


class AnsweredRows(Protocol):
    """Rows of one version that were answered, as raw values."""

    def add(self, columns: Any, count: int, found: Sequence[Any] | None) -> None:
        """Add the rows of a request, and their predictions if these are known."""

    def arrays(self, schema: LogSchema) -> dict[str, pa.Array]:
        """The columns of all rows but the common ones."""


class ScorecardRows:
    """Rows that a scorecard answered.

    Its cleaning makes the features; its probabilities are computed here, and so are predictions that a request did
    not ask for.
    """

    def __init__(self, card: Scorecard, choice: RecordedColumns):
        self._card, self._choice = card, choice
        self._raw: dict[str, list] = {item.name: [] for item in card.inputs}
        # Records whose values are not among those of the columns yet: many at once take a third of the time.
        self._records: list[Mapping[str, Any]] = []
        self._found: list = []

    def add(self, columns: Mapping[str, list], count: int, found: Sequence[Any] | None) -> None:
        self._settle()
        for name, values in self._raw.items():
            values.extend(columns.get(name) or (None,) * count)
        self._found.extend(found if found is not None else (UNKNOWN,) * count)

    def add_records(self, records: Sequence[Mapping[str, Any]], found: Sequence[Any] | None) -> None:
        """Add rows that have all of the model's columns, under its own names."""
        self._records += records
        self._found += found if found is not None else (UNKNOWN,) * len(records)

    def _settle(self) -> None:
        records, self._records = self._records, []
        if records:
            for name, values in self._raw.items():
                values.extend([record[name] for record in records])

    def arrays(self, schema: LogSchema) -> dict[str, pa.Array]:
        self._settle()
        return scorecard_arrays(self._card, schema, self._choice, self._raw, self._found)


def scorecard_arrays(
    card: Scorecard, schema: LogSchema, choice: RecordedColumns, raw: Mapping[str, Any], found: list
) -> dict[str, pa.Array]:
    """The columns of rows that a scorecard answered, but the common ones.

    Parameters
    ----------
    raw : the values of each input as they came; lists, or whatever ``frames.read`` takes.
    found : the predictions; ``UNKNOWN`` where the scorecard is to give it again.
    """
    read = {item.name: frames.read(item, raw[item.name], card.cleaning, frames.Refusals()) for item in card.inputs}
    made = {feature.column: _feature(feature, read[feature.name], choice) for feature in schema.features}
    if schema.labels or any(value is UNKNOWN for value in found):
        # Numbers are read already; texts are read again, which is cheap.
        table = {name: _cells(values) for name, values in read.items()}
        scores, refusals = card.tables.scores(table)
        if schema.labels:
            likely = card.tables.likelihoods(scores)
            likely[list(refusals.by_row())] = np.nan
            for place, label in enumerate(schema.labels):
                made[PROBABILITY + label] = pa.array(likely[:, place], from_pandas=True)
        again = (card.tables.predicted(scores) if card.classes is None else card.tables.labels(scores)).tolist()
        found = [other if value is UNKNOWN else value for value, other in zip(found, again, strict=True)]
    made[PREDICTION] = _predictions(found, schema.prediction)
    return made


def typed_arrays(schema: LogSchema, choice: RecordedColumns, typed: pa.Table, found: list) -> dict[str, pa.Array]:
    """The columns of rows that a model's own code answered, but the common ones.

    Parameters
    ----------
    typed : the columns as the model's code got them: float64, text, or dates and times.
    found : the predictions.
    """
    made = {}
    for feature in schema.features:
        if feature.name not in typed.column_names:
            values: list = [None] * len(typed)
        elif pa.types.is_floating(typed[feature.name].type):
            made[feature.column] = _feature(feature, typed[feature.name].to_numpy(), choice)
            continue
        else:
            values = [_text_of(value) for value in typed[feature.name].to_pylist()]
        made[feature.column] = _hashed(values, choice) if feature.hashed else _array(values, feature.type)
    made[PREDICTION] = _predictions(found, schema.prediction)
    return made


def _text_of(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime.datetime) else value


class PyfuncRows:
    """Rows that a model without a scorecard answered; its MLflow signature says their types.

    Requests of models that take no named columns of plain types have no features.
    """

    def __init__(self, types: Mapping[str, str], choice: RecordedColumns):
        self._choice = choice
        self._read: dict[str, list] = {name: [] for name in types}
        self._found: list = []

    def add(self, columns: Sequence[typed.Column] | None, count: int, found: Sequence[Any] | None) -> None:
        given = {column.name: typed.values(column) for column in columns or ()}
        for name, read in self._read.items():
            read.extend(given.get(name) or (None,) * count)
        # A model may answer with anything: what is no answer for each row belongs to none of them.
        matches = isinstance(found, list) and len(found) == count
        self._found.extend(found if matches and found is not None else (None,) * count)

    def arrays(self, schema: LogSchema) -> dict[str, pa.Array]:
        made = {}
        for feature in schema.features:
            read = self._read[feature.name]
            made[feature.column] = _hashed(read, self._choice) if feature.hashed else _array(read, feature.type)
        made[PREDICTION] = _predictions(self._found, schema.prediction)
        return made


def scorecard_schema(model: str, version: str, card: Scorecard, choice: RecordedColumns) -> LogSchema:
    """The log's columns for a version with a scorecard."""
    labels = tuple(map(str, card.classes or ())) if card.has_probabilities else ()
    return LogSchema(model, version, features(card.inputs, choice), label_type(card.classes), labels)


def pyfunc_schema(model: str, version: str, about: Mapping[str, Any], choice: RecordedColumns) -> LogSchema:
    """The log's columns for a version without a scorecard, of whose file ``MLmodel`` this is the content."""
    signature = Signature(about)
    outputs = (about.get("signature") or {}).get("outputs")
    outputs = json.loads(outputs) if isinstance(outputs, str) else outputs
    prediction = NUMBER if signature.numeric else _output_type(outputs or [])
    return LogSchema(model, version, features(signature.inputs, choice), prediction)


def _output_type(outputs: list[dict[str, Any]]) -> str:
    """The type of the answers of a signature; JSON text where they are no single plain values."""
    if len(outputs) != 1:
        return TEXT
    spec = outputs[0].get("tensor-spec")
    said = str(spec["dtype"] if spec and spec["shape"] == [-1] else outputs[0].get("type"))
    if "int" in said or said == "long":
        return WHOLE
    return TRUTH if said in ("bool", "boolean") else TEXT


class RecordedRequest(NamedTuple):
    """What all rows of a request have in common.

    Parameters
    ----------
    time : of the answer, in microseconds since 1970.
    status : of HTTP.
    latency : in milliseconds.
    """

    id: str
    time: int
    status: int
    latency: float


class RowBuffer:
    """Answered and failed requests to one version until they become a batch.

    Parameters
    ----------
    schema : of the version.
    role : of the version: ``champion``, ``challenger`` or ``shadow``.
    share : of the requests that is recorded.
    rows : has the answered ones.
    """

    def __init__(self, schema: LogSchema, role: str, share: float, rows: AnsweredRows):
        self.schema, self._role, self._share, self.rows = schema, role, share, rows
        # The request of each row, and the row's place in it.
        self._answered: list[tuple[RecordedRequest, int]] = []
        self._failed: list[RecordedRequest] = []

    def __len__(self) -> int:
        return len(self._answered) + len(self._failed)

    def add(self, request: RecordedRequest, count: int) -> None:
        """Add an answered request, whose rows are those that were added to ``rows`` last."""
        if count == 1:
            self._answered.append((request, 0))
        else:
            self._answered.extend((request, place) for place in range(count))

    def fail(self, request: RecordedRequest) -> None:
        """Add a failed request."""
        self._failed.append(request)

    def batch(self) -> pa.RecordBatch:
        """All rows as Arrow."""
        requests = [*(request for request, _ in self._answered), *self._failed]
        places = [*(place for _, place in self._answered), *(None for _ in self._failed)]
        ids, times, statuses, latencies = zip(*requests, strict=True)
        count, schema = len(requests), self.schema
        arrow = schema.arrow()
        texts = {"model": schema.model, "version": schema.version, "role": self._role}
        made = {
            "request_id": _array(ids, TEXT),
            "row": pa.array(places, pa.int64()),
            "time": pa.array(times, pa.int64()).cast(arrow.field("time").type),
            "status": pa.array(statuses, pa.int64()),
            "latency_ms": pa.array(latencies, pa.float64()),
            "sampling": pa.repeat(pa.scalar(self._share, pa.float64()), count),
            **{name: pa.repeat(pa.scalar(text, pa.string()), count) for name, text in texts.items()},
        }
        answers = self.rows.arrays(schema) if self._answered else {}
        for name in arrow.names[len(COMMON) :]:
            missing = pa.nulls(len(self._failed) if self._answered else count, arrow.field(name).type)
            made[name] = pa.concat_arrays([answers[name], missing]) if self._answered else missing
        return pa.RecordBatch.from_arrays([made[name] for name in arrow.names], schema=arrow)


def _feature(feature: LoggedFeature, read: np.ndarray | frames.Coded, choice: RecordedColumns) -> pa.Array:
    if isinstance(read, frames.Coded):
        values = [None if text is None or not feature.hashed else choice.hash(text) for text in read.values]
        texts = _array(values if feature.hashed else read.values, TEXT)
        return texts.take(pa.array(read.codes))
    if feature.hashed:
        return _hashed([None if value != value else value for value in read.tolist()], choice)
    missing = np.isnan(read)
    if feature.type == WHOLE:
        missing = missing | (np.abs(read) >= _WHOLE)
        return pa.array(np.where(missing, 0.0, read).astype(np.int64), mask=missing)
    if feature.type == TRUTH:
        return pa.array(np.where(missing, 0.0, read) != 0.0, mask=missing)
    return pa.array(read, mask=missing)


def _hashed(values: Sequence[Any], choice: RecordedColumns) -> pa.Array:
    return _array([None if value is None else choice.hash(plain(value)) for value in values], TEXT)


def _cells(read: np.ndarray | frames.Coded) -> Any:
    if isinstance(read, frames.Coded):
        return [read.values[code] for code in read.codes.tolist()]
    return read


def _predictions(found: list, type: str) -> pa.Array:
    if type == TEXT:
        return _array([_text(value) for value in found], TEXT)
    # Of another type, Arrow would take some as well, and cut off fractions.
    if {*map(builtins.type, found)} - _TYPES[type] - {NoneType}:
        # A model without a scorecard may answer with other things than its signature says.
        found = [_fitting(value, type) for value in found]
    return pa.array(found, type=arrow_type(type))


_TYPES: dict[str, set[builtins.type]] = {NUMBER: {float}, WHOLE: {int}, TRUTH: {bool}}


def _fitting(value: Any, type: str) -> Any:
    if type == TRUTH:
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if type == NUMBER:
        return float(value)
    if not math.isfinite(value):
        return None
    return int(value) if float(value).is_integer() and abs(value) < _WHOLE else None


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _array(values: Sequence[Any], type: str) -> pa.Array:
    try:
        return pa.array(values, type=arrow_type(type))
    except UnicodeEncodeError:  # half a character, as JSON may have it
        fixed = [None if value is None else value.encode("utf-8", "replace").decode() for value in values]
        return pa.array(fixed, type=arrow_type(type))
