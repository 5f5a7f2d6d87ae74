"""Writes the log into a database by SQLAlchemy: a table for each model, with a column more when a version needs one."""

import contextlib
import datetime
import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import ArgumentError, InterfaceError, NoSuchModuleError, OperationalError, SQLAlchemyError

from registry import redaction
from registry.client import said_by
from serving.errors import ServingError
from serving.prediction_log.schema import MOMENT, NUMBER, TEXT, TRUTH, WHOLE, LogSchema
from serving.prediction_log.sink import LogError

#: Seconds to connect.
CONNECT = 5
#: Start of the names of the tables.
TABLE = "prediction_log_"
#: Names longer than this are cut: the shortest limit is PostgreSQL's, 63 bytes.
_LONGEST = 60

_TYPES: dict[str, Any] = {
    NUMBER: sqlalchemy.Double(),
    WHOLE: sqlalchemy.BigInteger(),
    TRUTH: sqlalchemy.Boolean(),
    TEXT: sqlalchemy.Text(),
    # MySQL's own has seconds alone.
    MOMENT: sqlalchemy.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb"),
}


def check(url: str) -> None:
    """Raise ServingError if a URL is none that SQLAlchemy has a driver for; connects to nothing."""
    shown = redaction.url(url)
    try:
        _engine(url).dispose()
    except (ImportError, NoSuchModuleError) as error:
        raise ServingError(
            f"--record {shown}: no driver for this database; pip install one ({said_by(error, url)})"
        ) from None
    except (ArgumentError, ValueError, TypeError):
        raise ServingError(
            f"--record {shown}: expected a folder, or dialect://user:password@host/database of SQLAlchemy"
        ) from None


class DatabaseSink:
    """A log in a database.

    Parameters
    ----------
    url : of SQLAlchemy.
    """

    def __init__(self, url: str):
        self._url, self._shown = url, redaction.url(url)
        self._engine = _engine(url)
        self._tables: dict[LogSchema, sqlalchemy.Table] = {}

    def write(self, schema: LogSchema, date: datetime.date, batch: Any) -> int:
        table = self.table(schema)
        with self._explained(), self._engine.begin() as connection:
            _insert(connection, table, batch)
        return batch.num_rows

    def replace(self, schema: LogSchema, request_id: str, batches: Iterable[Any]) -> None:
        """Write the rows of a request in place of those that are there, in one transaction.

        Raises
        ------
        LogError
        """
        table = self.table(schema)
        with self._explained(), self._engine.begin() as connection:
            connection.execute(table.delete().where(table.c.request_id == request_id))
            for batch in batches:
                _insert(connection, table, batch)

    def table(self, schema: LogSchema) -> sqlalchemy.Table:
        """The table of a model, made or widened as a version needs it; raises LogError."""
        with self._explained():
            found = self._tables.get(schema)
            if found is None:
                found = self._tables[schema] = self._table(schema)
            return found

    def tick(self) -> None:
        pass

    def expire(self, before: datetime.date) -> None:
        with self._explained():
            edge = datetime.datetime.combine(before, datetime.time(), datetime.UTC)
            for name in sqlalchemy.inspect(self._engine).get_table_names():
                if name.startswith(TABLE):
                    moment = sqlalchemy.column("time", _TYPES[MOMENT])
                    with self._engine.begin() as connection:
                        connection.execute(sqlalchemy.delete(sqlalchemy.table(name, moment)).where(moment < edge))

    def close(self) -> None:
        self._engine.dispose()

    def _table(self, schema: LogSchema) -> sqlalchemy.Table:
        name = short_name(TABLE + schema.model)
        columns = {short_name(column): type for column, type in schema.columns.items()}
        table = sqlalchemy.Table(
            name,
            sqlalchemy.MetaData(),
            *(sqlalchemy.Column(column, _TYPES[type]) for column, type in columns.items()),
            sqlalchemy.Index(short_name(f"ix_{name}_time"), "time"),
        )
        # Another server may make it at the same moment.
        with contextlib.suppress(SQLAlchemyError):
            table.create(self._engine, checkfirst=True)
        present = {
            column["name"]: isinstance(column["type"], sqlalchemy.String)
            for column in sqlalchemy.inspect(self._engine).get_columns(name)
        }
        for column, type in columns.items():
            if column not in present:
                with self._engine.begin() as connection:
                    connection.execute(_adding(name, table.c[column], self._engine.dialect))
            elif present[column] != (type == TEXT):
                raise LogError(
                    f"the prediction log's table {name} in {self._shown} cannot take version {schema.version}: its "
                    f"column {column} has another type; rename the table, and a new one is made"
                )
        return table

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, InterfaceError, sqlalchemy.exc.TimeoutError) as error:
            # Another database may be there next time.
            self._tables = {}
            raise LogError(
                f"the prediction log in {self._shown} cannot be written: {said_by(error, self._url)}"
            ) from None
        except SQLAlchemyError as error:
            # What a database says of a row may quote it.
            self._tables = {}
            raise LogError(
                f"the prediction log in {self._shown} cannot be written: the database refuses a row or a statement "
                f"({type(getattr(error, 'orig', None) or error).__name__})"
            ) from None


def _insert(connection: sqlalchemy.Connection, table: sqlalchemy.Table, batch: Any) -> None:
    renamed = batch.rename_columns([short_name(name) for name in batch.schema.names])
    if len(renamed):
        connection.execute(table.insert(), renamed.to_pylist())


def short_name(name: str) -> str:
    """A name as every database takes it: a longer one ends with a digest of the whole."""
    if len(name.encode()) <= _LONGEST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:10]
    return name.encode()[: _LONGEST - 11].decode(errors="ignore") + "_" + digest


def _adding(table: str, column: sqlalchemy.Column, dialect: sqlalchemy.Dialect) -> sqlalchemy.TextClause:
    signs = dialect.identifier_preparer

    def quote(name: str) -> str:
        # The preparer's own would double per cent signs, which `text` does, too.
        inside = name.replace(signs.escape_quote, signs.escape_to_quote)
        return signs.initial_quote + inside + signs.final_quote

    type = column.type.compile(dialect)
    # What looks like a parameter in a name is none.
    name = re.sub(r"(?<!:):(?=\w)", r"\:", quote(column.name))
    return sqlalchemy.text(f"ALTER TABLE {quote(table)} ADD COLUMN {name} {type}")


def _engine(url: str) -> sqlalchemy.Engine:
    address = sqlalchemy.make_url(url)
    networked = address.get_backend_name() in ("postgresql", "mysql", "mariadb")
    patience = {"connect_timeout": CONNECT} if networked and "connect_timeout" not in address.query else {}
    # A row is never told.
    return sqlalchemy.create_engine(address, pool_pre_ping=True, hide_parameters=True, connect_args=patience)
