"""Databases that tests score rows in: tables of raw values, and an exported SELECT's answers to them."""

import contextlib
import json
import math
import sqlite3
from collections.abc import Iterator, Sequence

import duckdb
import psycopg
import pymysql
import sqlglot
from sqlalchemy.engine import make_url
from sqlglot import exp

from serving.scorecard import InputError, Scorecard, document, exports
from serving.scorecard.exports import sql

#: What a column of an input's type is declared as.
TYPES = {
    "duckdb": {"number": "DOUBLE", "category": "VARCHAR", "boolean": "BOOLEAN"},
    "postgres": {"number": "DOUBLE PRECISION", "category": "TEXT", "boolean": "BOOLEAN"},
    "sqlite": {"number": "REAL", "category": "TEXT", "boolean": "INTEGER"},
    "mariadb": {"number": "DOUBLE", "category": "TEXT", "boolean": "DOUBLE"},
}
#: Dialects that sqlglot knows under another name.
GRAMMARS = {"mariadb": "mysql"}


def quoted(name: str, dialect: str) -> str:
    return exp.to_identifier(name, quoted=True).sql(dialect=GRAMMARS.get(dialect, dialect))


class Database:
    """A connection, and what differs between those of different engines."""

    def __init__(self, dialect: str, connection):
        self.dialect, self.connection = dialect, connection

    def run(self, text: str, rows: Sequence | None = None) -> list:
        """The rows that a statement gives; with ``rows`` it is run for each of them."""
        if self.dialect == "postgres":
            cursor = self.connection.cursor()
            # Without parameters psycopg takes the text as it is, with its per cent signs.
            cursor.executemany(text, rows) if rows else cursor.execute(text.encode())
            return cursor.fetchall() if cursor.description else []
        if self.dialect == "mariadb":
            with self.connection.cursor() as cursor:
                cursor.executemany(text.replace("%", "%%").replace("%%s", "%s"), rows) if rows else cursor.execute(text)
                return list(cursor.fetchall())
        if rows is not None:
            if rows:
                self.connection.executemany(text, rows)
            return []
        return self.connection.execute(text).fetchall()

    def table(self, name: str, columns: dict[str, str], rows: Sequence[Sequence]) -> None:
        """A new table: columns with their declared types, and rows."""
        listed = ", ".join(f"{quoted(column, self.dialect)} {kind}" for column, kind in columns.items())
        self.run(f"DROP TABLE IF EXISTS {quoted(name, self.dialect)}")
        self.run(f"CREATE TABLE {quoted(name, self.dialect)} ({listed})")
        postgres = self.dialect == "postgres"
        mark = "%s" if self.dialect == "mariadb" else "?"
        marks = ", ".join(f"CAST(%s AS {kind})" if postgres else mark for kind in columns.values())
        self.run(f"INSERT INTO {quoted(name, self.dialect)} VALUES ({marks})", rows)


@contextlib.contextmanager
def opened(dialect: str, url: str = "") -> Iterator[Database]:
    """A database of its own; ``url`` is that of PostgreSQL's or MariaDB's."""
    if dialect == "duckdb":
        connection = duckdb.connect(config={"threads": 1})
    elif dialect == "sqlite":
        connection = sqlite3.connect(":memory:")
    elif dialect == "mariadb":
        given = make_url(url)
        connection = pymysql.connect(
            host=given.host, port=given.port or 0, user=given.username, password=given.password or "",
            database=given.database, charset="utf8mb4", autocommit=True,
        )  # fmt: skip
    else:
        connection = psycopg.connect(url, autocommit=True)
    with contextlib.closing(connection):
        yield Database(dialect, connection)


def answers(card: Scorecard, database: Database, rows: Sequence[dict], types: dict[str, str] | None = None) -> list:
    """What the exported SELECT says of rows, as ``parity.measure`` takes it: a row with NULL is one it refuses.

    Parameters
    ----------
    types : declared types of columns, by the name of an input or by its type.
    """
    if "" in {item.name for item in card.inputs} and database.dialect != "sqlite":
        # No other engine has a column without a name.
        card = renamed(card, "", "nameless")
        rows = [{name or "nameless": value for name, value in row.items()} for row in rows]
    kinds = TYPES[database.dialect] | (types or {})
    place = "row number"
    columns = {place: "INTEGER"} | {item.name: kinds.get(item.name, kinds[item.type]) for item in card.inputs}
    values = [(number, *(_cell(row.get(item.name), item) for item in card.inputs)) for number, row in enumerate(rows)]
    database.table("rows", columns, values)
    text = exports.write(card, "sql", dialect=database.dialect, table="rows", keep=[place])
    assert sqlglot.parse_one(text, dialect=GRAMMARS.get(database.dialect, database.dialect))
    found = sorted(database.run(text))
    if database.dialect == "duckdb":
        # Of a table whose types are known, another SELECT is written: it says the same.
        known = {name: kind for name, kind, *_ in database.run("DESCRIBE rows")}
        text = sql.write(card, dialect="duckdb", table="rows", keep=[place], types=known)
        assert sorted(database.run(text)) == found
    assert [row[0] for row in found] == list(range(len(rows)))
    return [read(card, row[1:]) for row in found]


def renamed(card: Scorecard, old: str, new: str) -> Scorecard:
    """The same model with another name for an input."""
    body = json.loads(card.dumps())
    for item in body["inputs"]:
        item["name"] = new if item["name"] == old else item["name"]
    for item in body["columns"]:
        if item.get("input") == old:
            item["input"] = new
    return Scorecard(document.seal(body))


def _cell(value, item):
    # pandas has NaN for a missing text.
    return None if item.type == "category" and value != value else value


def read(card: Scorecard, row: Sequence):
    """A row of answers."""
    prediction, *likely = row
    if prediction is None:
        assert set(likely) <= {None}
        return InputError("a column", "the answer is NULL")
    assert not any(value is None or not math.isfinite(value) for value in likely)
    if card.classes and isinstance(card.classes[0], bool):
        prediction = bool(prediction)
    if not card.classes:
        assert math.isfinite(prediction)
    found = {"predict": prediction}
    return found | ({"predict_proba": likely} if card.has_probabilities else {})
