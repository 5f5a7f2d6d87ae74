"""Databases that tests score tables of: the same table of hard rows in each kind of database."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import Engine

from serving import databases
from tests.serving.scorecard import portable

KINDS = ("postgresql", "mariadb", "sqlite")


def address(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """The URL of a database of a kind."""
    return f"sqlite:///{folder}/tables.db" if kind == "sqlite" else str(request.getfixturevalue(kind))


def engine(url: str) -> Engine:
    return databases.find(url, "--input", new=True).engine()


def hard_rows(kind: str) -> list[dict[str, Any]]:
    """Raw rows that a database can hold, each with its id."""
    held: Callable[[Any], bool] = {"mariadb": lambda value: not isinstance(value, float) or math.isfinite(value)}.get(
        kind, lambda value: True
    )
    rows = [row for row in portable.RAW if "\0" not in str(row["town"]) and all(map(held, row.values()))]
    rows = [
        row for row in rows if not any(isinstance(one, float) and 1e20 < abs(one) < math.inf for one in row.values())
    ]
    return [{**row, "id": place} for place, row in enumerate(rows)]


def fill(url: str, name: str, rows: list[dict[str, Any]]) -> None:
    """Make a table of raw rows in the place of any other of that name."""
    kinds = {"id": sqlalchemy.BigInteger(), "town": sqlalchemy.Text(), "grade": sqlalchemy.String(20)}
    columns = [sqlalchemy.Column(column, kinds.get(column, sqlalchemy.Double())) for column in ("id", *portable.GOOD)]
    table = sqlalchemy.Table(name, sqlalchemy.MetaData(), *columns)
    with engine(url).begin() as connection:
        table.drop(connection, checkfirst=True)
        table.create(connection)
        connection.execute(table.insert(), rows)


def rows_of(url: str, query: str) -> list[dict[str, Any]]:
    with engine(url).connect() as connection:
        return [dict(row._mapping) for row in connection.exec_driver_sql(query)]


def tables_of(url: str) -> set[str]:
    """The names of all tables."""
    with engine(url).connect() as connection:
        return set(sqlalchemy.inspect(connection).get_table_names())


def drop(url: str, *names: str) -> None:
    with engine(url).begin() as connection:
        for name in names:
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")
