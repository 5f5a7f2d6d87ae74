"""Arrow tables as tables of a database: the types of columns, and their values as drivers take them."""

import io
import json
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from serving.databases.address import MARIADB, MYSQL, POSTGRESQL, SQLITE, DatabaseError

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy.types import TypeEngine


def sql_type(kind: "pa.DataType") -> "TypeEngine":
    """The type of a database's column for a column of Arrow; lists, objects and durations are text."""
    import pyarrow as pa
    import sqlalchemy
    from sqlalchemy.dialects import mysql

    is_ = pa.types
    if is_.is_boolean(kind):
        return sqlalchemy.Boolean()
    if is_.is_uint64(kind):
        return sqlalchemy.Numeric(20, 0)
    if is_.is_integer(kind):
        return sqlalchemy.BigInteger()
    if is_.is_floating(kind):
        return sqlalchemy.Double()
    if is_.is_decimal(kind):
        exact: Any = sqlalchemy.Numeric(kind.precision, kind.scale)
        return exact.with_variant(sqlalchemy.Double(), SQLITE)
    if is_.is_date(kind):
        return sqlalchemy.Date()
    if is_.is_timestamp(kind):
        moment: Any = sqlalchemy.DateTime(timezone=kind.tz is not None)
        return moment.with_variant(mysql.DATETIME(fsp=6), MYSQL, MARIADB)
    if is_.is_time(kind):
        return sqlalchemy.Time().with_variant(mysql.TIME(fsp=6), MYSQL, MARIADB)
    if is_.is_binary(kind) or is_.is_large_binary(kind):
        return sqlalchemy.LargeBinary().with_variant(mysql.LONGBLOB(), MYSQL, MARIADB)
    return sqlalchemy.Text().with_variant(mysql.LONGTEXT(), MYSQL, MARIADB)


def plain(table: "pa.Table") -> "pa.Table":
    """A table of scalars: moments in UTC and microseconds, lists and objects as JSON text."""
    import pyarrow as pa

    arrays = []
    for column in table.columns:
        kind = column.type
        if pa.types.is_dictionary(kind):
            column = column.cast(kind.value_type)
        elif pa.types.is_nested(kind):
            texts = (None if one is None else json.dumps(one, default=str) for one in column.to_pylist())
            column = pa.chunked_array([pa.array(texts, pa.string())])
        elif pa.types.is_duration(kind) or isinstance(kind, pa.BaseExtensionType):
            column = pa.chunked_array([pa.array([None if one is None else str(one) for one in column.to_pylist()])])
        elif pa.types.is_timestamp(kind):
            column = column.cast(pa.timestamp("us", "UTC" if kind.tz else None), safe=False)
        elif pa.types.is_time(kind):
            column = column.cast(pa.time64("us"), safe=False)
        arrays.append(column)
    return pa.table(arrays, names=table.column_names)


def as_csv(table: "pa.Table") -> bytes:
    """Rows as PostgreSQL's COPY reads them: a missing value is empty, an empty text is in quotes."""
    import pyarrow as pa
    import pyarrow.csv as pc

    arrays = []
    for column in table.columns:
        if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
            texts = (None if one is None else f"\\x{one.hex()}" for one in column.to_pylist())
            column = pa.chunked_array([pa.array(texts, pa.string())])
        arrays.append(column)
    sink = io.BytesIO()
    pc.write_csv(
        pa.table(arrays, names=table.column_names), sink, pc.WriteOptions(include_header=False, quoting_style="needed")
    )
    return sink.getvalue()


def as_rows(table: "pa.Table", dialect: str) -> list[tuple[Any, ...]]:
    """Rows as other drivers take them.

    Raises
    ------
    DatabaseError
        if a column holds an infinity, and the database cannot.
    """
    columns = [
        _values(column.to_pylist(), name, dialect)
        for name, column in zip(table.column_names, table.columns, strict=True)
    ]
    return list(zip(*columns, strict=True))


def _values(values: list[Any], name: str, dialect: str) -> Sequence[Any]:
    if dialect == SQLITE:
        return [float(value) if isinstance(value, Decimal) else value for value in values]
    assert dialect in (MYSQL, MARIADB, POSTGRESQL)
    if dialect == POSTGRESQL:
        return values
    found = [None if value != value else value for value in values]
    if any(isinstance(value, float) and math.isinf(value) for value in found):
        raise DatabaseError(
            f"the column {name!r} holds an infinity, and MySQL and MariaDB have none; leave the column out by --keep"
        )
    return found
