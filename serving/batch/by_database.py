"""Scores inside a database: INSERT INTO ... SELECT by the exported SQL, so that no row leaves it but the rejected ones.

What the SQL has no answer for is read, and scored again by NumPy: that finds the column at fault and the reason, and an
answer where only the database had none (MySQL has no infinity to compute with).
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from registry import logs
from serving.batch import answers, by_batches, by_numpy, column_types, duckdb_session, matching, readable, table_rejects
from serving.batch.answers import PREDICTION, SCORED_AT, VERSION
from serving.batch.database_input import DatabaseInput
from serving.batch.database_sql import DIALECTS, ROW, ROWS, Statements
from serving.batch.outputs import Output
from serving.batch.quoting import identifier
from serving.batch.rejects import Rejects, stopped
from serving.batch.request import AUTO, FAIL, ScoredFile, ScoreRequest
from serving.batch.scratch import scratch
from serving.batch.sources import PARQUET, SourceFiles
from serving.batch.table_output import REJECTED_COLUMNS, TableOutput, rejects_name, row_groups
from serving.batch.texts import ReadableFile
from serving.databases import parquet
from serving.databases.columns import sql_type
from serving.databases.query import stream
from serving.databases.writing import MYSQL, SQLITE, Name, Writing, dialect
from serving.errors import ScorecardError, ServingError, Unsupported
from serving.scorecard import Scorecard, exports

if TYPE_CHECKING:
    from datetime import datetime

    from duckdb import DuckDBPyConnection
    from sqlalchemy import Connection
    from sqlalchemy.types import TypeEngine

    from serving.batch.sources import InputFile

_log = logs.get_logger(__name__)


def why_not(found: SourceFiles, targets: Sequence[Output], card: Scorecard, request: ScoreRequest) -> str:
    """Why a database cannot score its own table; empty if it can.

    Raises
    ------
    DatabaseError
        if it cannot be reached, or refuses the query.
    """
    (source, *_), (target, *_) = found.files, targets
    if not isinstance(source, DatabaseInput) or not isinstance(target, TableOutput):
        return "--input and --output are not both tables of a database"
    why = _why_not(source, target, card, request)
    if why and request.engine == AUTO:
        _log.info("scored outside the database: %s", why)
    return why


def _why_not(source: DatabaseInput, target: TableOutput, card: Scorecard, request: ScoreRequest) -> str:
    if source.database.url != target.database.url:
        return "--input and --output are different databases"
    if request.outputs and answers.REASONS in request.outputs:
        return "--outputs reasons"
    with source.database.connected() as connection:
        kind = dialect(connection)
        if kind == MYSQL and request.engine == AUTO:
            return "its SQL for MySQL has not been tested; --engine database uses it"
        there = readable.columns(connection, source)
        meant = _meant(source, card, there)
        try:
            exports.write(card, "sql", dialect=DIALECTS[kind], table=ROWS)
        except (Unsupported, ScorecardError) as error:
            return str(error)
        named = {meant.get(name, name): found for name, found in there.items()}
        for item in card.inputs:
            if item.name in named and (reason := readable.why_not(item, card.cleaning, named[item.name], kind)):
                return reason
        return _without_functions(connection) if kind == SQLITE else ""


def _without_functions(connection: "Connection") -> str:
    from sqlalchemy.exc import SQLAlchemyError

    try:
        connection.exec_driver_sql("SELECT exp(1)")
    except SQLAlchemyError:
        return "this SQLite has no mathematical functions"
    return ""


def _meant(source: DatabaseInput, card: Scorecard, there: "dict[str, TypeEngine]") -> dict[str, str]:
    names = [item.name for item in card.inputs]
    return matching.meant(source.address, list(there), names, optional=card.optional)


def score(
    duck: "DuckDBPyConnection",
    card: Scorecard,
    source: "InputFile",
    target: Output,
    rejected: Output | None,
    request: ScoreRequest,
    *,
    version: str,
    scored_at: "datetime",
) -> ScoredFile:
    """Score a query's rows into a table of the same database, in one transaction.

    Parameters
    ----------
    duck : reads the rows that are scored again.
    rejected : the table or the file of rejected rows; None if they stop the job.

    Raises
    ------
    ServingError
        if the database refuses, a column of the model is absent, or rows are rejected and that is to stop the job.
    """
    assert isinstance(source, DatabaseInput)
    assert isinstance(target, TableOutput)
    with target.writing_table() as (job, name), scratch() as folder:
        there = readable.columns(job.connection, source)
        meant = _meant(source, card, there)
        kept = [meant.get(column, column) for column in there]
        plan = answers.plan(card, kept, request, version=version, scored_at=scored_at)
        statements = Statements(job, source, card, plan, there, meant)
        into, rejected_into = _tables(job, name, statements, with_rejects=target.with_rejects)
        job.begin()
        answered = job.run(statements.insert(into))
        rows = job.scalar(statements.count())
        rest = _Rest(duck, statements, folder)
        if rows > answered:
            answered += rest.score(into)
        refused, kept_in = rest.rejects.count, None
        if refused and request.rejects == FAIL:
            raise stopped(source.address, rest.rejects, rows, target.address)
        if rows != answered + refused:
            raise ServingError(f"{source.address} changed while it was scored; nothing is written: run this again")
        reason = column_types.why_rejected(duck, rest.rejects, card.inputs, is_all=not answered)
        if refused and rejected:
            kept_in = rejected.address
            if rejected_into:
                rest.insert_rejects(rejected_into)
            else:
                with rejected.writing() as path:
                    rest.write_rejects(path)
        job.finish()
    return ScoredFile(source.address, target.address, rows, answered, refused, kept_in, reason=reason)


def _tables(job: Writing, name: Name, statements: Statements, *, with_rejects: bool) -> tuple[Name, Name | None]:
    """The tables to write answers and rejected rows to."""
    import pyarrow as pa

    plan, card = statements.plan, statements.card
    constants = {VERSION: sql_type(pa.string()), SCORED_AT: sql_type(pa.timestamp("us", "UTC"))}
    own = {PREDICTION: sql_type(by_numpy.kind(card)), **dict.fromkeys(plan.probabilities, sql_type(pa.float64()))}
    rejected = {**REJECTED_COLUMNS, **constants}
    like = statements.kept() if plan.keep else ""
    into = job.create(name, own | constants, like=like, kept=plan.keep)
    if not with_rejects:
        return into, None
    return into, job.create(rejects_name(name), rejected, like=like, kept=plan.keep)


class _Rest:
    """The rows that the database's SQL did not answer.

    Parameters
    ----------
    folder : for their files.

    Attributes
    ----------
    rejects : those of them that NumPy rejects, too.
    """

    def __init__(self, duck: "DuckDBPyConnection", statements: Statements, folder: Path) -> None:
        self._duck, self._statements, self._folder = duck, statements, folder
        self._rejects_file = folder / "rejects.csv"
        self.rejects = Rejects(self._rejects_file)

    def score(self, into: Name) -> int:
        """Read them, and write those that have an answer into a table; their number."""
        statements, card = self._statements, self._statements.card
        rows, answered = self._folder / "rows.parquet", self._folder / "answers.parquet"
        parquet.write(stream(statements.job.connection, statements.rest()), rows)
        relation = duckdb_session.reader(self._duck, ReadableFile(rows, rows.name, PARQUET, ()), [])
        duckdb_session.view(self._duck, relation, {}, [])
        answer = functools.partial(by_numpy.answers, card, statements.plan)
        count = by_batches.score(self._duck, answer, statements.plan, answered, csv=False, rejects=self.rejects)
        self.rejects.close()
        if (first := self.rejects.first) is not None and first.row is not None:
            query = f"SELECT {identifier(ROW)} FROM {duckdb_session.RAW} LIMIT 1 OFFSET {first.row}"
            ((number,),) = self._duck.execute(query).fetchall()
            self.rejects.first = first.at(number)
        statements.job.insert(into, row_groups(answered))
        return count

    def insert_rejects(self, into: Name) -> None:
        """Write the rejected rows into a table."""
        path = self._folder / "rejects.parquet"
        table_rejects.write(self._duck, self._statements.plan, self._rejects_file, path, row=ROW)
        self._statements.job.insert(into, row_groups(path))

    def write_rejects(self, path: Path) -> None:
        """Write the rejected rows into a CSV file."""
        table_rejects.write_csv(self._duck, self._rejects_file, path, row=ROW)
