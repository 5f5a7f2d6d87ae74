"""The scorecard as one SELECT for a database: subquery upon subquery, from the raw columns up to the answers.

A row that cannot be scored has NULL, and never fails the query: a value that is refused is read as infinity, or adds
NULL to the score, and a score that is not a finite number has no answer. Names and texts are quoted by ``names``.
"""

from collections.abc import Iterable, Mapping

from ...errors import ScorecardError, Unsupported
from ...inputs import Input
from ...scorecard import Scorecard
from .. import vocabulary
from ..about import About
from . import names
from .answers import AnswerColumns
from .engine import Engine
from .engines import ENGINES
from .layers import Layers, Sql
from .scores import scores
from .values import Writer

DIALECTS = tuple(ENGINES)
#: What the table is called where nobody says.
TABLE = "data"
_INSIDE = "raw_row"


def write(
    scorecard: Scorecard,
    about: About | None = None,
    *,
    dialect: str = "duckdb",
    table: str | None = None,
    keep: Iterable[str] = (),
    types: Mapping[str, str] | None = None,
) -> str:
    """The SELECT, under a comment that says what it is of and how to use it.

    Parameters
    ----------
    about : which model it is, as ``exports.About``.
    dialect : one of ``DIALECTS``.
    table : where the raw rows are, with qualifiers and quotes as the dialect has them; ``data`` by default.
    keep : columns of the table to give beside the answers.
    types : of the table's columns, as DESCRIBE names them, for DuckDB alone: the SELECT then asks no column for its
        type, and is right for a table of these types only. Without them it is for columns of any type.

    Raises
    ------
    ScorecardError
        where there is no such dialect, the table or a column to keep cannot be called so, or types are given for a
        dialect that is not DuckDB.
    Unsupported
        where the dialect cannot say the model.
    """
    if dialect not in ENGINES:
        raise ScorecardError(f"dialect: expected one of {', '.join(DIALECTS)}, found {dialect!r}")
    grammar = ENGINES[dialect].grammar or dialect
    engine = ENGINES[dialect](lambda value: names.text(value, grammar))
    if types is not None and dialect != "duckdb":
        raise ScorecardError(f"types: expected the dialect duckdb, found {dialect}; leave the types out")
    answers = AnswerColumns(scorecard)
    source = names.table(table or TABLE, engine)
    kept = names.kept(keep, engine, taken=answers.names)
    read = [scorecard.inputs[place] for place in vocabulary.read(scorecard.program)]
    names.distinct([*kept, *(item.name for item in read)], engine)
    prefix = "scorecard_layer"
    while prefix in source.lower():
        prefix += "_"
    layers = Layers(f"{source} AS {_INSIDE}", prefix=prefix, fence=engine.fence, limit=engine.most)

    def raw(name: str) -> Sql:
        return Sql(f"{_INSIDE}.{names.identifier(name, engine)}")

    engine.types = {raw(item.name).text: types[item.name] for item in read if item.name in types} if types else {}
    writer = Writer(engine, layers)
    outputs = [(layers.let(raw(name)), names.identifier(name, engine)) for name in kept]
    found = scores(scorecard, raw, writer)
    outputs += [(column, names.identifier(name, engine)) for column, name in answers.write(found, writer)]
    try:
        select = layers.select(outputs)
    except OverflowError as error:
        raise Unsupported("", f"SQL for {engine.title}", str(error)) from None
    lines = _comment(scorecard, about, engine, read, answers)
    return "".join(f"{names.comment(line)}\n" for line in lines) + select


def _comment(
    scorecard: Scorecard, about: About | None, engine: Engine, read: list[Input], answers: AnswerColumns
) -> list[str]:
    """What the file is, line by line."""
    kinds = [f"{item.name!r} ({item.type}{', whole' if item.integer else ''})" for item in read]
    lines = [
        f"{str(about or '') or 'A model'}: its answers in {engine.title}.",
        f"Scorecard {scorecard.digest}.",
        "It has no semicolon: run it as it is, or put CREATE VIEW, CREATE TABLE or INSERT INTO before it.",
        "A row that cannot be scored has NULL for an answer. To score some rows only, let the table be a view of them.",
        f"Columns it reads: {', '.join(kinds) or 'none'}{', of the types that the table had' if engine.types else ''}.",
        f"Columns it gives: {', '.join(answers.told)}.",
    ]
    if not engine.tested:
        lines.append(f"{engine.title} did not run this in any test: compare some rows with answers that you know.")
    if engine.note:
        lines.append(engine.note)
    return lines
