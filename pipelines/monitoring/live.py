"""The rows that a version met: a prediction log, or any table, as one relation of DuckDB in bounded memory."""

import contextlib
import glob
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as parquet

from pipelines.errors import PipelineError
from pipelines.monitoring.windows import Period, micros
from pipelines.sources import FIND, ReadOptions, read
from registry.cli.text import listed
from registry.redaction import url
from serving.batch import duckdb_session
from serving.batch.quoting import identifier, path_of, text
from serving.errors import ServingError
from serving.prediction_log.schema import CHAMPION, FEATURE, HASHED, PREDICTION, PROBABILITY, SHADOW

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

#: What every prediction log has.
_OF_LOGS = frozenset({"request_id", "time", "model", "version", "status"})
# All rows; of a log those of the version, those of them that are answered, and those that any version answered.
_SOURCE, _LOG, _ROWS, _EARLIER = "live_source", "live_log", "live_rows", "live_earlier"
_WINDOW, _MICROS, _PAIRS = "live_window", "live_time", "live_pairs"
#: What the columns of another version begin with where it answered the same rows.
OTHER = "other_"
#: The time of a row, in microseconds since 1970.
TIME = _MICROS
_PARQUET = (".parquet", ".pq")
# Clocks of servers differ; so far ahead of this one's, in microseconds, a time is no mistake.
_AHEAD = 3600 * 1_000_000
# Numbers below so much are an epoch in seconds, milli-, micro- or nanoseconds; microseconds of one.
_EPOCHS = ((1e11, 1e6), (1e14, 1e3), (1e17, 1.0), (1e20, 1e-3))
# Forms of times that are no ISO 8601.
_FORMS = ("%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y")


@dataclass(frozen=True)
class LoggedVersion:
    """A version that a log has answers of.

    Parameters
    ----------
    rows : in the period; 0 if all are of another time.
    shadow : whether it answered in the shadow there.
    champion : whether it was the champion at any time of the log.
    first, last : the times of its first and last row, in microseconds since 1970.
    """

    version: str
    rows: int
    shadow: bool
    champion: bool
    first: int
    last: int


@dataclass(frozen=True)
class LiveRows:
    """The answered rows of one version.

    Parameters
    ----------
    source : what messages call the data, without secrets.
    is_log : whether it is a prediction log.
    features : raw column -> its name in the relation.
    prediction : whether answers are there.
    labels : the texts of the classes whose probabilities are there.
    timed : whether the rows have times.
    notes : what a person should know, a sentence each.
    """

    connection: "DuckDBPyConnection"
    source: str
    is_log: bool
    features: dict[str, str]
    prediction: bool
    labels: tuple[str, ...]
    timed: bool
    notes: tuple[str, ...]
    relation: str = _ROWS

    @property
    def place(self) -> str:
        """The source by a name that is the same in every folder: of files the whole path."""
        return self.source if "://" in self.source else os.path.abspath(os.path.expanduser(self.source))

    def span(self, period: Period) -> tuple[int, int] | None:
        """The first and the last time of the rows of a period, in microseconds since 1970; None without any."""
        with duckdb_session.speaking(url(self.source)):
            first, last = _one(
                self.connection,
                f"SELECT min({_MICROS}), max({_MICROS}) FROM {self.relation}{self._where(period)}",
            )
        return None if first is None else (int(first), int(last))

    def windows(self, period: Period) -> list[int]:
        """The numbers of the windows of a period that have rows, in order."""
        query = (
            f"SELECT DISTINCT {self._window(period)} AS {_WINDOW} FROM {self.relation}{self._where(period)} ORDER BY 1"
        )
        with duckdb_session.speaking(url(self.source)):
            return [int(number) for (number,) in self.connection.execute(query).fetchall()]

    def sample(
        self, period: Period, columns: Sequence[str], rows: int, only: Collection[int] | None = None
    ) -> pa.Table:
        """At most so many rows of a period, drawn evenly; for the other parameters see :meth:`batches`."""
        query = f"SELECT {self._names(columns)} FROM {self.relation}{self._where(period, only)}"
        with duckdb_session.speaking(url(self.source)):
            return self.connection.sql(
                f"SELECT * FROM ({query}) USING SAMPLE reservoir({int(rows)} ROWS) REPEATABLE (0)"
            ).to_arrow_table()

    def batches(
        self, period: Period, columns: Sequence[str], rows: int, only: Collection[int] | None = None
    ) -> Iterator[tuple[int, pa.Table]]:
        """The rows of a period in parts, each of one window, with the number of the window.

        Parameters
        ----------
        columns : names in the relation.
        rows : at most so many at a time.
        only : the numbers of the windows that are wanted; None for all.
        """
        query = (
            f"SELECT {self._window(period)} AS {_WINDOW}, {self._names(columns)} "
            f"FROM {self.relation}{self._where(period, only)}"
        )
        with duckdb_session.speaking(url(self.source)):
            for batch in self.connection.sql(query).to_arrow_reader(rows):
                table = pa.table(batch)
                window = table[_WINDOW].to_numpy()
                table = table.drop_columns([_WINDOW])
                first = int(window[0]) if len(window) else 0
                if (window == first).all():
                    if len(window):
                        yield first, table
                    continue
                for number in sorted(set(window.tolist())):
                    yield int(number), table.filter(pa.array(window == number))

    def joined(self, period: Period, outcomes: pa.Table, on: Sequence[str], columns: Sequence[str]) -> pa.Table:
        """The rows of a period that have an outcome: ``outcome_window``, ``TIME``, and the columns of both tables.

        Parameters
        ----------
        outcomes : has the columns ``key_0``, ``key_1``, ... of text, and ``outcome``.
        on : the names in the relation of the columns that are the keys.
        """
        keys = " AND ".join(f"{self._key(name)} = outcomes.key_{place}" for place, name in enumerate(on))
        self.connection.register("outcomes", outcomes)
        query = (
            f"SELECT {self._window(period)} AS outcome_window, {_MICROS}, outcomes.* EXCLUDE "
            f"({', '.join(f'key_{place}' for place in range(len(on)))}), {self._names(columns)} "
            f"FROM {self.relation} AS live JOIN outcomes ON {keys}{self._where(period)}"
        )
        with duckdb_session.speaking(url(self.source)):
            return self.connection.sql(query).to_arrow_table()

    def service(self, period: Period) -> dict[str, float] | None:
        """What a log tells of the service: requests, refused and failed ones, latencies; None of other tables."""
        if not self.is_log:
            return None
        query = (
            "SELECT count(DISTINCT request_id), count(DISTINCT request_id) FILTER (status BETWEEN 400 AND 499), "
            "count(DISTINCT request_id) FILTER (status >= 500), approx_quantile(latency_ms, 0.5), "
            f"approx_quantile(latency_ms, 0.99) FROM {_LOG}{self._where(period)}"
        )
        names = ("requests", "refused", "failed", "latency_ms_p50", "latency_ms_p99")
        with duckdb_session.speaking(url(self.source)):
            found = _one(self.connection, query)
        return {name: value for name, value in zip(names, found, strict=False) if value is not None}

    def of_any_version(self, model: str, period: Period, columns: Sequence[str]) -> "LiveRows":
        """The rows of a log that any version of the model answered in a period; of another table the same rows.

        Rows of the shadow are left out: they are there already. So are those of versions that have no value at all in
        one of the columns: they did not take it.

        Parameters
        ----------
        columns : names in the relation.
        """
        if not self.is_log:
            return self
        of_model = f"model = {text(model)} AND status < 400 AND role <> {text(SHADOW)}{_days(self.dated, period)}"
        taken = " AND ".join(["true", *(f"count({identifier(name)}) > 0" for name in columns)])
        versions = f"SELECT version FROM {_SOURCE} WHERE {of_model} GROUP BY version HAVING {taken}"
        with duckdb_session.speaking(url(self.source)):
            answered = [str(number) for (number,) in self.connection.execute(versions).fetchall()]
        here = ", ".join(map(text, answered)) or "NULL"
        query = f"SELECT *, epoch_us(time) AS {_MICROS} FROM {_SOURCE} WHERE {of_model} AND CAST(version AS VARCHAR) IN"
        _replace(self.connection, _EARLIER, f"{query} ({here})")
        return replace(self, relation=_EARLIER)

    def versions(self, model: str, period: Period) -> list["LoggedVersion"]:
        """The versions of a model that a log has answers of, and what they were in a period."""
        here = self._where(period).removeprefix(" WHERE ") or "true"
        query = (
            f"SELECT CAST(version AS VARCHAR), count(*) FILTER ({here}), "
            f"coalesce(bool_or(role = {text(SHADOW)}) FILTER ({here}), false), bool_or(role = {text(CHAMPION)}), "
            f"min({_MICROS}), max({_MICROS}) FROM (SELECT *, epoch_us(time) AS {_MICROS} FROM {_SOURCE}) "
            f"WHERE model = {text(model)} AND status < 400 GROUP BY 1 ORDER BY 2 DESC, 1"
        )
        with duckdb_session.speaking(url(self.source)):
            return [LoggedVersion(*row) for row in self.connection.execute(query).fetchall()]

    def of_version(self, model: str, version: str) -> "LiveRows":
        """The rows that a version answered in a log, at any time; of another table the same rows."""
        if not self.is_log:
            return self
        relation = f"live_version_{int.from_bytes(version.encode())}"
        query = f"SELECT *, epoch_us(time) AS {_MICROS} FROM {_SOURCE} WHERE model = {text(model)} AND status < 400"
        _replace(self.connection, relation, f"{query} AND CAST(version AS VARCHAR) = {text(version)}")
        return replace(self, relation=relation)

    def beside(self, model: str, version: str, columns: Sequence[str], period: Period) -> "LiveRows":
        """The rows that another version answered, too, with its columns as ``other_COLUMN``."""
        named = "".join(f", any_value({identifier(name)}) AS {identifier(OTHER + name)}" for name in columns)
        # Clients may send one id twice: nobody knows which row is which then.
        theirs = (
            f"SELECT request_id, row{named} FROM {_SOURCE} WHERE model = {text(model)} AND status < 400 "
            f"AND CAST(version AS VARCHAR) = {text(version)}{_days(self.dated, period)} "
            "GROUP BY request_id, row HAVING count(*) = 1"
        )
        query = f"SELECT * FROM {self.relation} JOIN ({theirs}) AS theirs USING (request_id, row)"
        _replace(self.connection, _PAIRS, query)
        return replace(self, relation=_PAIRS)

    @property
    def dated(self) -> bool:
        """Whether a log has folders of days."""
        return "date" in self._kinds

    def name_of(self, column: str) -> str | None:
        """What the relation calls a column of the data; None if it has none of that name."""
        if self.is_log and column in ("request_id", "row"):
            return column
        return self.features.get(column)

    def _names(self, columns: Sequence[str]) -> str:
        """The columns as the scorecard reads them; NULL where none is wanted."""
        return ", ".join(f"{self._plain(name)} AS {identifier(name)}" for name in columns) or "NULL"

    def _where(self, period: Period, only: Collection[int] | None = None) -> str:
        bounds = [] if only is None else [f"{self._window(period)} IN ({', '.join(map(str, only)) or 'NULL'})"]
        if self.timed:
            bounds += [f"{_MICROS} IS NOT NULL"]
            bounds += [] if period.since is None else [f"{_MICROS} >= {period.since}"]
            bounds += [] if period.until is None else [f"{_MICROS} < {period.until}"]
        return f" WHERE {' AND '.join(bounds)}" if bounds else ""

    def _window(self, period: Period) -> str:
        if not self.timed or period.window is None:
            return "CAST(0 AS BIGINT)"
        if period.monthly:
            return f"date_diff('month', TIMESTAMP '1970-01-01', make_timestamp({_MICROS}))"
        return f"CAST(floor({_MICROS} / {period.window}) AS BIGINT)"

    def _plain(self, name: str) -> str:
        """A column as a type that the scorecard reads: a decimal as a double, a moment or a word of a list as text."""
        kind = self._kinds[name]
        if kind.startswith("DECIMAL") or kind == "HUGEINT":
            return f"CAST({identifier(name)} AS DOUBLE)"
        if kind in ("DOUBLE", "FLOAT", "BOOLEAN", "VARCHAR") or "INT" in kind:
            return identifier(name)
        return f"CAST({identifier(name)} AS VARCHAR)"

    def _key(self, name: str) -> str:
        """A column as the text that an outcome's key has: a whole number without decimals."""
        column = f"live.{identifier(name)}"
        if self._kinds[name] in ("DOUBLE", "FLOAT") or self._kinds[name].startswith("DECIMAL"):
            whole = f"{column} = floor({column}) AND abs({column}) < 9e15"
            return (
                f"CASE WHEN {whole} THEN CAST(CAST({column} AS BIGINT) AS VARCHAR) ELSE CAST({column} AS VARCHAR) END"
            )
        return f"trim(CAST({column} AS VARCHAR))"

    @cached_property
    def _kinds(self) -> dict[str, str]:
        return duckdb_session.columns(self.connection, self.relation)


@contextlib.contextmanager
def opened(
    data: str,
    *,
    model: str,
    version: str | None,
    period: Period,
    memory: int,
    time: str | None = None,
    query: str | None = None,
    options: ReadOptions = FIND,
    whole: bool = False,
) -> Iterator[LiveRows]:
    """Open a prediction log or a table, while the block runs.

    Parameters
    ----------
    data : the folder of a log, a Parquet file, a folder or a pattern of them, or what ``pipelines.sources.read`` takes.
    model, version : whose rows are wanted of a log; no version for those of all.
    memory : of DuckDB, in bytes.
    time : of a table, the column of times.
    whole : whether a file of a log that cannot be read is refused, as one of any other table is; else it is left out.

    Raises
    ------
    PipelineError, ServingError
        if there is nothing to read, a file cannot be read, or no row is of the version.
    """
    with duckdb_session.connected(memory) as connection:
        connection.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
        source, told = _relation(connection, data, query, options, whole=whole)
        with duckdb_session.speaking(url(source)):
            names = list(duckdb_session.columns(connection, _SOURCE))
            logged = names_of_log(names)
            make = _log if logged else _table
            rows = make(connection, source, names, model=model, version=version, time=time, period=period)
            yield replace(rows, notes=(*told, *rows.notes))


def names_of_log(names: Sequence[str]) -> bool:
    """Whether a table of such columns is a prediction log."""
    return set(names) >= _OF_LOGS


def _relation(
    connection: "DuckDBPyConnection", data: str, query: str | None, options: ReadOptions, *, whole: bool
) -> tuple[str, list[str]]:
    """Make the view of all rows; what messages call it, and what a person should know."""
    files = _files(data)
    if files is None:
        table = read(data, query=query, options=options)
        connection.register("live_table", table.columns)
        connection.execute(f"CREATE VIEW {_SOURCE} AS SELECT * FROM live_table")
        return table.source, []
    if not files:
        raise PipelineError(f"--data {data}: expected Parquet files, found none; is something logged already?")
    options.refuse_for("Parquet")
    try:
        _view(connection, data, files)
        return data, []
    except ServingError:
        broken = [file for file in files if not _is_parquet(file)]
        if not broken:
            raise
    rest = [file for file in files if file not in broken]
    if rest:
        _view(connection, data, rest)
    first = broken[0].removeprefix(f"{os.path.expanduser(data).rstrip('/')}/")
    first = f"{first!r} and {len(broken) - 1} more" if broken[1:] else repr(first)
    # What a log lacks is some of its rows; what another table lacks nobody knows.
    if whole or not rest or not names_of_log(list(duckdb_session.columns(connection, _SOURCE))):
        raise PipelineError(
            f"{data}: expected Parquet files, found one that is damaged: {first}; write it anew, or move it elsewhere"
        )
    return data, [f"files of the log that cannot be read, and whose rows are left out: {first}"]


def _view(connection: "DuckDBPyConnection", data: str, files: Sequence[str]) -> None:
    listing = ", ".join(path_of(Path(file)) for file in files)
    with duckdb_session.speaking(data):
        connection.execute(
            f"CREATE VIEW {_SOURCE} AS SELECT * FROM read_parquet([{listing}], union_by_name = true, "
            "hive_partitioning = true, hive_types_autocast = false)"
        )


def _is_parquet(file: str) -> bool:
    """Whether a file has the beginning and the end of Parquet."""
    try:
        parquet.read_metadata(file)
    except (OSError, pa.ArrowException):
        return False
    return True


def _files(data: str) -> list[str] | None:
    """The Parquet files that a path, a folder or a pattern means; None if it means something else."""
    if "://" in data:
        return None
    path = Path(os.path.expanduser(data))
    if path.is_dir():
        found = (file.relative_to(path) for file in path.rglob("*") if file.suffix in _PARQUET)
        return sorted(str(path / file) for file in found if not any(part[0] in "._" for part in file.parts))
    if path.suffix in _PARQUET and any(sign in data for sign in "*?["):
        return sorted(glob.glob(str(path), recursive=True))
    return [str(path)] if path.suffix in _PARQUET and path.is_file() else None


def _log(
    connection: "DuckDBPyConnection",
    source: str,
    names: Sequence[str],
    *,
    model: str,
    version: str | None,
    time: str | None,
    period: Period,
) -> LiveRows:
    if time is not None:
        raise PipelineError("--time goes with a plain table: a prediction log has its own times; leave it out")
    of_version, title = f"model = {text(model)}", model
    if version is not None:
        of_version, title = f"{of_version} AND CAST(version AS VARCHAR) = {text(version)}", f"{model} version {version}"
    here = of_version + _days("date" in names, period)
    # Clocks that jumped: a window of the future is not over, and no row is in it yet.
    latest = max(micros(datetime.now(UTC)) + _AHEAD, period.until or 0)
    every = f"SELECT *, epoch_us(time) AS {_MICROS} FROM {_SOURCE} WHERE {here}"
    _replace(connection, _LOG, f"{every} AND epoch_us(time) <= {latest}")
    _replace(connection, _ROWS, f"SELECT * FROM {_LOG} WHERE status < 400")
    others = connection.execute(
        f"SELECT model, CAST(version AS VARCHAR), count(*) FROM {_SOURCE} WHERE NOT ({of_version}) "
        "GROUP BY ALL ORDER BY ALL LIMIT 6"
    ).fetchall()
    told = [f"{name} version {number} ({count:,} rows)" for name, number, count in others]
    (later,) = _one(connection, f"SELECT count(*) FROM ({every}) WHERE {_MICROS} > {latest} AND status < 400")
    future = f"{later:,} rows are of the future, and left out: a clock was wrong" if later else ""
    if not _any(connection, _ROWS):
        told += [future] if future else []
        there = f"it has {listed(told)}" if told else "it is empty"
        raise PipelineError(f"{url(source)}: no answered row of {title} in that period; {there}")
    notes = [f"rows of others are not monitored: {listed(told)}"] if told else []
    notes += [future] if future else []
    features = {name.removeprefix(FEATURE): name for name in names if name.startswith(FEATURE)}
    if hashed := _hashed(connection, features):
        notes.append(f"columns of which the log has hashes: {listed(hashed)}")
        features = {name: column for name, column in features.items() if name not in hashed}
    labels = tuple(name.removeprefix(PROBABILITY) for name in names if name.startswith(PROBABILITY))
    return LiveRows(connection, source, True, features, PREDICTION in names, labels, timed=True, notes=tuple(notes))


def _hashed(connection: "DuckDBPyConnection", features: Mapping[str, str]) -> list[str]:
    """The columns that a log has hashes of in place of values; see ``record_hash``."""
    kinds = duckdb_session.columns(connection, _ROWS)
    texts = {name: column for name, column in features.items() if kinds[column] == "VARCHAR"}
    if not texts:
        return []
    asked = ", ".join(f"bool_or(regexp_full_match({identifier(name)}, {text(HASHED)}))" for name in texts.values())
    found = _one(connection, f"SELECT {asked} FROM {_ROWS}")
    return [name for name, is_hashed in zip(texts, found, strict=True) if is_hashed]


def _micros_of(column: str, kind: str) -> str:
    """A column of times in microseconds since 1970: moments, days as 20261130, or an epoch of any unit; or text."""
    name = identifier(column)
    moment = f"epoch_us(TRY_CAST({name} AS TIMESTAMPTZ))"
    if kind == "VARCHAR":
        forms = ", ".join(map(text, _FORMS))
        return f"coalesce({moment}, epoch_us(TRY_STRPTIME(trim({name}), [{forms}])), {_of_number(name)})"
    if kind in ("DOUBLE", "FLOAT") or "INT" in kind or kind.startswith("DECIMAL"):
        return _of_number(name)
    return moment


def _of_number(name: str) -> str:
    number = f"TRY_CAST({name} AS DOUBLE)"
    day = f"TRY_STRPTIME(CAST(CAST({number} AS BIGINT) AS VARCHAR), '%Y%m%d')"
    units = " ".join(f"WHEN abs({number}) < {most} THEN {number} * {unit}" for most, unit in _EPOCHS)
    return (
        f"CASE WHEN {number} BETWEEN 19000101 AND 21001231 THEN epoch_us({day}) "
        f"ELSE CAST(CASE {units} END AS BIGINT) END"
    )


def _table(
    connection: "DuckDBPyConnection",
    source: str,
    names: Sequence[str],
    *,
    model: str,
    version: str | None,
    time: str | None,
    period: Period,
) -> LiveRows:
    if time is None and (period.window or period.since is not None or period.until is not None):
        raise PipelineError(
            f"--since, --until and --window need times: name the column by --time; found {listed(names)}"
        )
    if time is not None and time not in names:
        raise PipelineError(f"--time: no column {time!r}; the table has {listed(names)}")
    kinds = duckdb_session.columns(connection, _SOURCE)
    moment = "NULL" if time is None else _micros_of(time, kinds[time])
    _replace(connection, _ROWS, f"SELECT *, {moment} AS {_MICROS} FROM {_SOURCE}")
    if not _any(connection, _ROWS):
        raise PipelineError(f"expected rows, found an empty table: {url(source)}")
    notes = []
    if time is not None:
        rows, timed = _one(connection, f"SELECT count(*), count({_MICROS}) FROM {_ROWS}")
        if not timed:
            raise PipelineError(
                f"--time {time}: expected times such as 2026-11-30, 2026-11-30T12:00:00Z, 30.11.2026 12:00, or seconds "
                "since 1970, found none"
            )
        if timed < rows:
            notes.append(f"{rows - timed:,} of {rows:,} rows have no time and are left out")
    labels = tuple(name.removeprefix(PROBABILITY) for name in names if name.startswith(PROBABILITY))
    features = {name: name for name in names}
    return LiveRows(connection, source, False, features, PREDICTION in names, labels, time is not None, tuple(notes))


def _days(dated: bool, period: Period) -> str:
    """A condition on the folders of a log, which are days: those outside of the period are not read."""
    days = period.days() if dated else ()
    return "".join(f" AND CAST(date AS VARCHAR) {sign} {text(day)}" for sign, day in days)


def _replace(connection: "DuckDBPyConnection", name: str, query: str) -> None:
    connection.execute(f"CREATE OR REPLACE VIEW {name} AS {query}")


def _any(connection: "DuckDBPyConnection", relation: str) -> bool:
    return bool(connection.execute(f"SELECT 1 FROM {relation} LIMIT 1").fetchall())


def _one(connection: "DuckDBPyConnection", query: str) -> tuple:
    """The only row of an answer; a row alone would leave the connection busy."""
    (found,) = connection.execute(query).fetchall()
    return found
