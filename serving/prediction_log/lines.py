"""Reads the rows that cloud functions wrote as JSON, and adds those that are new to a prediction log.

Rows are found in the plain lines, and in what clouds make of them: a line after a time stamp (``aws logs tail``), or
in a field of another object (Cloud Logging's ``jsonPayload``, Application Insights' ``message``).
"""

import datetime
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from serving.functions.record import MARK
from serving.prediction_log import destinations, line_files, parquet
from serving.prediction_log.schema import (
    COMMON,
    FEATURE,
    MOMENT,
    NUMBER,
    PREDICTION,
    PROBABILITY,
    TEXT,
    TRUTH,
    WHOLE,
    LoggedFeature,
    LogSchema,
    is_database,
)

#: Rows that are written at a time.
MOST = 100_000
#: Where clouds put a line, or what they made of it.
_FIELDS = ("jsonPayload", "textPayload", "message", "body")
_DECODER = json.JSONDecoder()


@dataclass
class Collected:
    """What was read and written.

    Parameters
    ----------
    rows : number of rows that were added.
    broken : number of lines that begin as a row and are none, such as those that a log has cut.
    known : number of rows that the log had already.
    """

    rows: int = 0
    broken: int = 0
    known: int = 0


def collect(files: Sequence[str], destination: str) -> Collected:
    """Add the rows in files of logs to a prediction log.

    A folder gets a row once, however often it is read: a row is known by its request, its place in it and its time.

    Parameters
    ----------
    files : as ``line_files.lines`` takes them.
    destination : a folder, or the SQLAlchemy URL of a database.

    Raises
    ------
    ServingError
        if a file cannot be read, or the log cannot be written.
    """
    destinations.check_whole(destination, option="--output", what="rows that are collected")
    collected = Collected()
    rows: dict[tuple[str, str, datetime.date], list[dict[str, Any]]] = {}
    database = destinations.opened(destination, minutes=1) if is_database(destination) else None

    def write() -> None:
        for (model, version, day), found in rows.items():
            schema = _schema(model, version, found)
            batch = _batch(schema, found)
            if database is not None:
                database.write(schema, day, batch)
                collected.rows += len(found)
                continue
            folder, target = Path(destination).expanduser().absolute(), parquet.partition(model, day)
            new = _new(pa.Table.from_batches([batch]), folder / target)
            collected.rows += len(new)
            collected.known += len(found) - len(new)
            if len(new):
                digest = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:24]
                parquet.write_file(new, folder, target, digest)
        rows.clear()

    waiting = 0
    for line in line_files.lines(files):
        if MARK not in line:
            continue
        row = _row(line)
        day = None if row is None else _day(row)
        if row is None or day is None:
            collected.broken += 1
            continue
        rows.setdefault((str(row["model"]), str(row["version"]), day), []).append(row)
        waiting += 1
        if waiting >= MOST:
            write()
            waiting = 0
    write()
    if database is not None:
        database.close()
    return collected


def _new(rows: pa.Table, folder: Path) -> pa.Table:
    """The rows that no file of a folder has, each once."""
    import duckdb
    import pyarrow.dataset as ds

    keys = pa.schema([pa.field(name, rows.schema.field(name).type) for name in ("request_id", "row", "time")])
    unknown = ""
    with duckdb.connect() as database:
        numbered = rows.select(keys.names).append_column("place", pa.array(range(len(rows))))
        database.register("found", numbered)
        if files := [str(file) for file in folder.glob("*.parquet")]:
            database.register("known", ds.dataset(files, schema=keys))
            same = " and ".join(f"known.{name} is not distinct from found.{name}" for name in keys.names)
            unknown = f"where not exists (select 1 from known where {same})"
        query = f"select min(place) as place from found {unknown} group by {', '.join(keys.names)} order by place"
        return rows.take(database.sql(query).to_arrow_table()["place"])


def _row(line: str) -> dict[str, Any] | None:
    """The row in a line; None if there is none."""
    text = line.strip()
    value: Any = None
    try:
        value = json.loads(text)
    except ValueError:
        start = text.find('{"' + MARK)
        if start >= 0:
            try:
                value, _ = _DECODER.raw_decode(text, start)
            except ValueError:
                return None
    if not isinstance(value, dict):
        return None
    if MARK not in value:
        for name in _FIELDS:
            inner = value.get(name)
            if isinstance(inner, str) and MARK in inner:
                return _row(inner)
            if isinstance(inner, dict) and MARK in inner:
                value = inner
                break
    return value if MARK in value and all(value.keys() >= {name} for name in COMMON) else None


def _day(row: Mapping[str, Any]) -> datetime.date | None:
    try:
        return datetime.datetime.fromisoformat(row["time"]).astimezone(datetime.UTC).date()
    except (ValueError, TypeError):
        return None


def _schema(model: str, version: str, rows: Iterable[Mapping[str, Any]]) -> LogSchema:
    """The columns of the rows of a version, typed by their values."""
    types: dict[str, set[type]] = {}
    for row in rows:
        for name, value in row.items():
            found = types.setdefault(name, set())
            if value is not None:
                found.add(type(value))
    features = tuple(
        LoggedFeature(name.removeprefix(FEATURE), _type(found))
        for name, found in types.items()
        if name.startswith(FEATURE)
    )
    labels = tuple(name.removeprefix(PROBABILITY) for name in types if name.startswith(PROBABILITY))
    return LogSchema(model, version, features, _type(types.get(PREDICTION, set())), labels)


def _type(found: set[type]) -> str:
    if found == {bool}:
        return TRUTH
    if found == {int}:
        return WHOLE
    return NUMBER if found <= {int, float} else TEXT


def _batch(schema: LogSchema, rows: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
    arrow = schema.arrow()
    columns = [
        pa.array([_value(row.get(name), type) for row in rows], arrow.field(name).type)
        for name, type in schema.columns.items()
    ]
    return pa.RecordBatch.from_arrays(columns, schema=arrow)


def _value(value: Any, type: str) -> Any:
    if value is None:
        return None
    if type == MOMENT:
        return datetime.datetime.fromisoformat(value)
    if type == NUMBER:
        return float(value)
    if type == TEXT and not isinstance(value, str):
        return json.dumps(value)
    return value
