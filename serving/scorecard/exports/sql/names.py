"""Names and texts of the model in SQL: all of them are quoted by sqlglot, and none can become anything else."""

import contextlib
import unicodedata
from collections.abc import Iterable

from ...errors import ScorecardError, Unsupported
from .engine import Engine

#: What the answer is called.
PREDICTION = "prediction"
_LONGEST = 63  # bytes of a name in PostgreSQL, the shortest of the limits


def identifier(name: str, engine: Engine) -> str:
    """A name as the engine reads it back.

    Raises
    ------
    Unsupported
        where the engine can have no column of that name.
    """
    from sqlglot import exp

    reason = unusable(name) or engine.refuses(name)
    if reason:
        raise Unsupported(f"column {name!r}", engine.title, reason)
    return exp.to_identifier(name, quoted=True).sql(dialect=engine.name)


def text(value: str, dialect: str) -> str:
    """A text as a literal.

    Raises
    ------
    Unsupported
        where no database can hold it.
    """
    from sqlglot import exp

    if reason := unusable(value):
        raise Unsupported(f"category {value!r}", "SQL", reason)
    return exp.Literal.string(value).sql(dialect=dialect)


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
    from sqlglot import exp, parse_one
    from sqlglot.errors import SqlglotError

    found = None
    with contextlib.suppress(SqlglotError):
        found = parse_one(name, into=exp.Table, dialect=engine.name)
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
