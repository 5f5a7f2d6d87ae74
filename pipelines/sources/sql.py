"""A table from a SQL database, by SQLAlchemy: a table's name, or a query."""

import re
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.errors import PipelineError
from pipelines.sources import scalars
from pipelines.sources.table import Table, rows_digest
from registry import redaction
from registry.cli.text import listed
from registry.client import BARE_AT, said_by

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult, Engine, TableClause
    from sqlalchemy.engine import URL

# A host's name may stand for two addresses, and each is tried this long.
_CONNECT_SECONDS = 6
_ROWS_AT_ONCE = 10_000
# What begins a statement that reads, behind comments and brackets.
_SELECT = re.compile(
    r"(\s|\(|--[^\n]*(\n|$)|/\*.*?\*/)*(select|with|values|table|from)(?=[\s(*\"'`\[])", re.IGNORECASE | re.DOTALL
)


def read(url: str, query: str | None) -> Table:
    """A table from a database; no secret of the URL is in what is returned or raised.

    Parameters
    ----------
    query : the name of a table or view (``name`` or ``schema.name``), or a SELECT, which is passed on as it is.

    Raises
    ------
    PipelineError
        where the database cannot be reached, or refuses.
    """
    from sqlalchemy.exc import SQLAlchemyError

    if not query or not query.strip():
        raise PipelineError("--query is needed with a database: the name of a table, or a SELECT")
    query = query.strip().rstrip(";")
    address, safe = _address(url)
    engine = _engine(address, safe, url)
    try:
        with engine.connect() as connection:
            table = _table(connection, query)
            patient = connection.execution_options(stream_results=True)
            if table is None:
                # No parameters: colons and percent signs mean nothing but themselves.
                result = patient.execution_options(no_parameters=True).exec_driver_sql(query)
            else:
                result = patient.execute(table.select())
            names = list(result.keys())
            columns = _columns(result, len(names))
    except (SQLAlchemyError, sqlite3.Warning, ValueError, OverflowError) as error:
        raise PipelineError(f"{safe} refused: {said_by(error, url)}") from None
    finally:
        engine.dispose()
    arrays = [_arrow(values) for values in columns]
    rows = pa.Table.from_arrays([array for array, _ in arrays], names=[str(name) for name in names])
    mixed = {str(name): kinds for name, (_, kinds) in zip(names, arrays, strict=True) if kinds}
    name = Path(address.database or "query").stem if table is None else table.name
    source = f"{safe}#{redaction.redacted(query)}"
    return Table(rows, name, source, rows_digest(rows), notes=scalars.told(mixed), scalars=frozenset(mixed))


def _address(url: str) -> "tuple[URL, str]":
    """The database's address, and how it is shown: without secrets."""
    import sqlalchemy
    from sqlalchemy.exc import ArgumentError

    try:
        address = sqlalchemy.engine.make_url(url)
    except (ArgumentError, ValueError):
        raise PipelineError("--data is not a SQLAlchemy URL; expected dialect://user:password@host/database") from None
    safe = redaction.url(url)
    if "@" in (address.host or ""):
        raise PipelineError(f"--data {safe}: {BARE_AT}")
    path = address.database or ""
    lite = address.get_backend_name() == "sqlite" and not path.startswith("file:")
    if lite and path not in ("", ":memory:") and not Path(path).is_file():
        raise PipelineError(f"--data {safe} is not there: no file {path}")
    return address, safe


def _engine(address: "URL", safe: str, url: str) -> "Engine":
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    networked = address.get_backend_name() in ("postgresql", "mysql", "mariadb")
    patience = {"connect_timeout": _CONNECT_SECONDS} if networked and "connect_timeout" not in address.query else {}
    try:
        return sqlalchemy.create_engine(address, connect_args=patience, poolclass=sqlalchemy.NullPool)
    except (ImportError, SQLAlchemyError) as error:
        raise PipelineError(
            f"--data {safe}: no driver for {address.drivername}; pip install one ({said_by(error, url)})"
        ) from None
    except (TypeError, ValueError) as error:
        raise PipelineError(f"--data {safe}: the URL's options are refused: {said_by(error, url)}") from None


def _table(connection: "Connection", query: str) -> "TableClause | None":
    """The table or view that a query names; None where it is a statement of its own."""
    import sqlalchemy

    if _SELECT.match(query):
        return None
    inspector = sqlalchemy.inspect(connection)
    schema, _, bare = query.rpartition(".")
    schemas: list[tuple[str | None, str]] = [(None, query)]
    if schema in inspector.get_schema_names():
        schemas.append((schema, bare))
    for within, name in schemas:
        if inspector.has_table(name, schema=within):
            names = [column["name"] for column in inspector.get_columns(name, schema=within)]
            return sqlalchemy.table(name, *(sqlalchemy.column(each) for each in names), schema=within)
    if re.search(r"\s", query):
        raise PipelineError(
            f"--query: expected a table's name or a SELECT, found neither: it begins with {query.split()[0]!r}; "
            "nothing was executed"
        )
    names = sorted(inspector.get_table_names())
    raise PipelineError(f"--query {query}: no such table; found {listed(names) if names else 'no table at all'}")


def _columns(result: "CursorResult", width: int) -> list[list]:
    """The values of each column."""
    columns: list[list] = [[] for _ in range(width)]
    for rows in result.partitions(_ROWS_AT_ONCE):
        for column, values in zip(columns, zip(*rows, strict=True), strict=True):
            column.extend(values)
    return columns


def _arrow(values: list) -> tuple[pa.Array, tuple[str, ...]]:
    """A column of one type; of text where the database's values have several, as SQLite's may, and then which."""
    if any(isinstance(value, Decimal) for value in values):
        values = [float(value) if isinstance(value, Decimal) else value for value in values]
    try:
        return pa.array(values), ()
    except (pa.ArrowException, OverflowError, ValueError):
        return scalars.as_texts(values)
