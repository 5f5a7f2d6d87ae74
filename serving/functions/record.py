"""Rows of the prediction log as lines of JSON on standard output, for functions that have no disk to keep.

A line has the columns of a row of the log and ``"prediction_log": 1``, by which it is told from other lines.
"""

import json
from time import time

from ..contract import OUTPUTS
from ..scorecard.inputs import BOOLEAN, CATEGORY, named
from .sampling import hashed, plain, sampled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from ..contract import Question
    from ..contract.answers import AnsweringModel
    from .web import Answer

#: The variable that asks for it, and its value.
VARIABLE, STDOUT = "RECORD", "stdout"
#: The key that a line has beside its columns.
MARK = "prediction_log"


class RowLines:
    """Writes a line for each row that a function answers, and for each request that it refuses.

    Parameters
    ----------
    card : the model.
    about : what is known of it: ``model``, ``version``, ``digest``.
    environment : the settings, as variables: ``RECORD_SHARE`` (of the requests, 0 to 1), ``RECORD_COLUMNS`` (names of
        the inputs to record; by default all), ``RECORD_HASH`` (names of those of which a hash is recorded) and
        ``RECORD_KEY``, the key of the hash. Without a key, columns to hash are left out.
    write : takes a line.
    """

    def __init__(
        self,
        card: "AnsweringModel",
        about: "Mapping[str, Any]",
        environment: "Mapping[str, str]",
        write: "Callable[[str], object]",
    ) -> None:
        self._card, self._write = card, write
        self._share = float(environment.get("RECORD_SHARE") or 1.0)
        self._key = environment.get("RECORD_KEY", "").encode()
        self._hashed = _names(environment.get("RECORD_HASH", ""))
        only = _names(environment.get("RECORD_COLUMNS", ""))
        self._inputs = [
            item
            for item in card.inputs
            if (not only or item.name in only) and (self._key or item.name not in self._hashed)
        ]
        self._known = frozenset(item.name for item in card.inputs)
        self._same = {
            "model": about.get("model") or "model",
            "version": about.get("version") or (about.get("digest") or "")[:19],
            "role": "champion",
        }

    def record(self, answer: "Answer", request_id: str, latency: float) -> None:
        """Write the lines of a request.

        Parameters
        ----------
        latency : in milliseconds.
        """
        if not answer.predicts or not sampled(request_id, self._share):
            return
        moment = time()
        common = {
            MARK: 1,
            "request_id": request_id,
            "row": None,
            "time": _written(moment),
            **self._same,
            "status": answer.status,
            "latency_ms": round(latency, 3),
            "sampling": self._share,
        }
        if answer.asked is None:
            self._write(json.dumps(common))
            return
        for place, row in enumerate(self._rows(*answer.asked)):
            self._write(json.dumps({**common, "row": place, **row}))

    def _rows(self, question: "Question", found: "Any") -> "Iterator[dict[str, Any]]":
        """The features, the prediction and the probabilities of each row."""
        card, table = self._card, question.table
        if hasattr(table, "columns_"):  # of a model without a scorecard
            yield from self._of_signature(table, found)
            return
        known = question.output == OUTPUTS[0]
        labels = [str(label) for label in card.classes or ()] if card.has_probabilities else []
        cleaning = card.cleaning  # type: ignore[attr-defined]  # of a scorecard
        for place, raw in enumerate(table.rows()):
            row = named(raw, self._known)
            values = {}
            for item in self._inputs:
                value = item.read(row.get(item.name), cleaning) if item.name in row else None
                values["feature_" + item.name] = self._value(item.name, _typed(item, value))
            values["prediction"] = found[place] if known else card.predict_row(row)
            if labels:
                likely = card.probabilities_row(row)
                values |= {"probability_" + label: one for label, one in zip(labels, likely, strict=True)}
            yield values

    def _of_signature(self, table: "Any", found: "Any") -> "Iterator[dict[str, Any]]":
        from .columns import values

        columns = {column.name: values(column) for column in table.columns_ or ()}
        alike = isinstance(found, list) and len(found) == table.count
        for place in range(table.count):
            row = {
                "feature_" + item.name: self._value(item.name, columns[item.name][place])
                for item in self._inputs
                if item.name in columns
            }
            yield {**row, "prediction": found[place] if alike else None}

    def _value(self, name: str, value: "Any") -> "Any":
        return hashed(self._key, plain(value)) if value is not None and name in self._hashed else value


def _typed(item: "Any", value: "Any") -> "Any":
    if value is None or item.type == CATEGORY:
        return value
    if item.type == BOOLEAN:
        return value != 0.0
    return int(value) if item.integer else value


def _names(text: str) -> frozenset[str]:
    return frozenset(filter(None, (part.strip() for part in text.split(","))))


def _written(moment: float) -> str:
    """A time as ISO 8601 in UTC, with microseconds."""
    from time import gmtime, strftime

    return f"{strftime('%Y-%m-%dT%H:%M:%S', gmtime(moment))}.{int(moment % 1 * 1e6):06d}Z"
