"""A version as the recorder sees it: it reads a request as a worker did, and keeps the features and the answers."""

from collections.abc import Callable, Mapping, Sequence
from inspect import isabstract
from typing import Any
from weakref import WeakValueDictionary

import serving.server.routes  # noqa: F401  # all wire formats
from serving.contract import Limits
from serving.contract.json_text import JSON
from serving.contract.tables import RequestTable
from serving.functions.signature import PyfuncInput
from serving.prediction_log.rows import (
    AnsweredRows,
    PyfuncRows,
    RecordedRequest,
    RowBuffer,
    ScorecardRows,
    pyfunc_schema,
    scorecard_schema,
)
from serving.prediction_log.schema import LogSchema, RecordedColumns
from serving.scorecard import Scorecard
from serving.scorecard.inputs import Input, named
from serving.server.messages import Request
from serving.server.protocols.base import WireProtocol
from serving.server.protocols.mlflow import MLflow, parse
from serving.server.pyfunc.model import CachedPyfunc, PyfuncModel
from serving.server.recording.messages import Handover, Introduction
from serving.server.settings import ServerSettings
from serving.server.state import ServedVersion


class RecordedVersion:
    """A version that was introduced by a worker.

    Raises
    ------
    ScorecardError
        if its document is none.
    """

    def __init__(self, introduction: Introduction, settings: ServerSettings, choice: RecordedColumns):
        self._choice = choice
        self._limits = Limits(settings.max_body, settings.max_rows)
        self._card: Scorecard | PyfuncModel
        model, version, self.role = introduction.model, introduction.version, introduction.role
        if introduction.pyfunc is None:
            self._card = card = Scorecard.loads(introduction.card)
            self.schema: LogSchema = scorecard_schema(model, version, card, choice)
        else:
            cached = CachedPyfunc(**introduction.pyfunc)
            self._card = PyfuncModel(cached, cached.places(settings.metrics_folder, 1), pending=1)
            self.schema = pyfunc_schema(model, version, cached.about, choice)
        self._served = ServedVersion(model, version, "", self._card)
        self.inputs = tuple(item.name for item in self._card.inputs)
        self._known = frozenset(self.inputs)

    @property
    def label(self) -> str:
        """``diabetes/3``."""
        return self._served.label

    def buffer(self) -> RowBuffer:
        """An empty buffer for its rows."""
        card, choice = self._card, self._choice
        rows: AnsweredRows
        rows = ScorecardRows(card, choice) if isinstance(card, Scorecard) else PyfuncRows(card.signature.types, choice)
        return RowBuffer(self.schema, self.role, choice.share, rows)

    def add(self, buffer: RowBuffer, handover: Handover, body: bytes) -> None:
        """Add a request to a buffer; nothing of it if it cannot be read.

        Raises
        ------
        RequestError
            if the body is none that this version answers.
        """
        request = RecordedRequest(handover.id, handover.time, handover.status, handover.latency)
        if not handover.rows:
            buffer.fail(request)
            return
        content, rows = handover.body or body, buffer.rows
        if isinstance(rows, ScorecardRows) and (records := self._records(handover, content)) is not None:
            rows.add_records(records, handover.found)
            buffer.add(request, handover.rows)
            return
        table = self._table(handover, content)
        if isinstance(table, PyfuncInput):
            rows.add(table.columns_, table.count, handover.found)
        else:
            rows.add(_columns(table, self._card.inputs), table.count, handover.found)
        buffer.add(request, table.count)

    def _records(self, handover: Handover, body: bytes) -> list[dict[str, Any]] | None:
        """The rows of a usual request: records with the model's own columns. None for any other, which is read in full.

        The request was answered, so that it needs no checks.
        """
        if handover.protocol != MLflow.__name__ or handover.kind != JSON or handover.encoding is not None:
            return None
        try:
            value = parse(body)
        except ValueError:
            return None
        records = value.get("dataframe_records") if isinstance(value, dict) else None
        if not isinstance(records, list) or len(records) != handover.rows:
            return None
        known = self._known
        return records if all(record.keys() >= known for record in records) else None

    def _table(self, handover: Handover, body: bytes) -> RequestTable:
        headers = [(b"content-type", handover.kind), (b"content-encoding", handover.encoding)]
        headers += [(b"inference-header-content-length", handover.header_length)]
        given = [(name, value.encode("latin-1")) for name, value in headers if value is not None]
        request = Request("POST", "", raw=b"", headers=given, body=body)
        return _PROTOCOLS[handover.protocol].ask(request, self._served, self._limits).table


class VersionCache:
    """The versions of all workers: each is read once, as long as a worker has it.

    Parameters
    ----------
    say : is told of columns to hash or to keep that a model does not have.
    """

    def __init__(self, settings: ServerSettings, choice: RecordedColumns, say: Callable[[str], None]):
        self._settings, self._choice, self._say = settings, choice, say
        self._found: WeakValueDictionary[tuple[str, ...], RecordedVersion] = WeakValueDictionary()
        self._told: set[tuple[str, str]] = set()

    def get(self, introduction: Introduction) -> RecordedVersion:
        """The version that a worker introduces; raises as ``RecordedVersion`` does."""
        key = (introduction.model, introduction.version, introduction.role, introduction.digest)
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = RecordedVersion(introduction, self._settings, self._choice)
            self._warn(found)
        return found

    def _warn(self, version: RecordedVersion) -> None:
        model = version.schema.model
        for name in self._choice.unknown(version.inputs):
            if (model, name) not in self._told:
                self._told.add((model, name))
                self._say(f"record: model {model} has no column {name!r} of --record-hash or --record-columns")


def _columns(table: RequestTable, inputs: Sequence[Input]) -> Mapping[str, list]:
    """The raw values of a table by the names that the model has for its columns; None where a row lacks one."""
    known = frozenset(item.name for item in inputs)
    columns = table.columns(inputs)
    if columns is not None:
        return named(columns, known)
    rows = [named(row, known) for row in table.rows()]
    return {name: [row.get(name) for row in rows] for name in known}


def _formats(base: type[WireProtocol]) -> dict[str, WireProtocol]:
    found = {}
    for kind in base.__subclasses__():
        if not isabstract(kind):
            found[kind.__name__] = kind()
        found |= _formats(kind)
    return found


_PROTOCOLS = _formats(WireProtocol)  # type: ignore[type-abstract]
