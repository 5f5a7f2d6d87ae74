"""Names and texts of the model in SQL: all of them are quoted, and none can become anything else.

Where the SQL standard says how, they are quoted here, else by sqlglot, which takes as long to import as DuckDB does.
"""

import contextlib
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from ...errors import ScorecardError, Unsupported
from .engine import Engine

#: What the answer is called.
PREDICTION = "prediction"
#: Names of tables that are read without a parser: no word of SQL's own is like them.
_PLAIN = "data|[a-z]+_[a-z_]+"
#: The dialects that quote names and texts by doubling the mark in them, and by nothing else.
_DOUBLING = ("duckdb", "postgres", "sqlite")
_LONGEST = 63  # bytes of a name in PostgreSQL, the shortest of the limits


def identifier(name: str, engine: Engine) -> str:
    """A name as the engine reads it back.

    Raises
    ------
    Unsupported
        where the engine can have no column of that name.
    """
    reason = unusable(name) or engine.refuses(name)
    if reason:
        raise Unsupported(f"column {name!r}", engine.title, reason)
    if engine.name in _DOUBLING:
        return doubled(name, '"')
    return _sqlglot().to_identifier(name, quoted=True).sql(dialect=engine.sqlglot)


def doubled(value: str, mark: str) -> str:
    """A name or a text between marks, as the SQL standard quotes it."""
    return mark + value.replace(mark, 2 * mark) + mark


def _sqlglot() -> Any:
    """The part of sqlglot that makes expressions.

    Raises
    ------
    ScorecardError
        where it is not installed.
    """
    try:
        from sqlglot import exp
    except ModuleNotFoundError:
        reason = "expected the package sqlglot, found none; install it: pip install sqlglot"
        raise ScorecardError(f"format sql: {reason}") from None
    return exp


def text(value: str, dialect: str) -> str:
    """A text as a literal.

    Raises
    ------
    Unsupported
        where no database can hold it.
    """
    if reason := unusable(value):
        raise Unsupported(f"category {value!r}", "SQL", reason)
    return doubled(value, "'") if dialect in _DOUBLING else _sqlglot().Literal.string(value).sql(dialect=dialect)


def unusable(value: str) -> str:
    """Why no database holds this text; empty where they do."""
    if "\0" in value:
        return "it holds a zero byte, which no SQL can"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "it holds half a character, which no SQL can"
    return ""


def table(name: str, engine: Engine) -> str:
    """A table's name as a user gives it (``sales.public."Raw data"``), quoted.

    Raises
    ------
    ScorecardError
        where it is anything but a name with at most two qualifiers.
    """
    if re.fullmatch(_PLAIN, name):
        return identifier(engine.unquoted(name), engine)
    exp = _sqlglot()
    from sqlglot import parse_one
    from sqlglot.errors import SqlglotError

    found = None
    with contextlib.suppress(SqlglotError):
        found = parse_one(name, into=exp.Table, dialect=engine.sqlglot)
    parts = found.args if isinstance(found, exp.Table) else {}
    given = [parts[key] for key in ("catalog", "db", "this") if parts.get(key) is not None]
    if not given or not all(isinstance(part, exp.Identifier) and part.this for part in given):
        raise ScorecardError(
            f'table: expected a name such as rows, public.rows or "My rows" in {engine.title}\'s quotes, found {name!r}'
        )
    if any(key not in ("catalog", "db", "this") for key, value in parts.items() if value):
        raise ScorecardError(f"table: expected a name and nothing after it, found {name!r}")
    quoted = [identifier(part.this if part.quoted else engine.unquoted(part.this), engine) for part in given]
    return ".".join(quoted)


def distinct(names: Iterable[str], engine: Engine) -> None:
    """Refuses names that the engine takes for one and the same column.

    Raises
    ------
    Unsupported
        naming both.
    """
    seen: dict[str, str] = {}
    for name in names:
        key = engine.same(name)
        if key in seen and seen[key] != name:
            raise Unsupported(
                f"columns {seen[key]!r} and {name!r}", engine.title, "it takes them for one: rename one of them"
            )
        seen[key] = name


def kept(columns: Iterable[str], engine: Engine, *, taken: list[str]) -> list[str]:
    """The columns to keep, each once.

    Raises
    ------
    ScorecardError
        where one is called as an answer is.
    """
    found = list(dict.fromkeys(columns))
    distinct(found, engine)
    answers = {engine.same(name) for name in taken}
    for name in found:
        if engine.same(name) in answers:
            raise ScorecardError(
                f"keep: an answer is called {name!r}; keep the column under another name, from a view say"
            )
    return found


def probabilities(classes: list) -> list[str]:
    """A column name for each class's probability: ``probability_yes``, in letters, digits and underscores."""
    found: list[str] = []
    for label in classes:
        plain = unicodedata.normalize("NFKC", str(label))
        plain = "".join(letter if letter.isalnum() else "_" for letter in plain)
        name, count = _cut(f"probability_{plain}"), 1
        while name.casefold() in {other.casefold() for other in found}:
            count += 1
            name = f"{_cut(f'probability_{plain}', _LONGEST - len(str(count)) - 1)}_{count}"
        found.append(name)
    return found


def _cut(name: str, most: int = _LONGEST) -> str:
    return name.encode()[:most].decode(errors="ignore")


def comment(line: str) -> str:
    """A line of comment: nothing in it ends the line, or starts anything."""
    return "-- " + "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in line).rstrip()
