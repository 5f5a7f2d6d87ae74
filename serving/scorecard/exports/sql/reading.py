"""Raw values in SQL, read as ``inputs`` reads them: NULL where one is missing, infinity where a number is refused.

What is computed from infinity is not finite either, so that nothing else has to be asked about a number. What a text
column holds, and a column of numbers, is told apart in the query: the same SELECT is for both.
"""

import re
from collections.abc import Sequence

from ...errors import Unsupported
from ...inputs import BOOLEAN, Cleaning, Input
from ...scalars import scalar_text
from ..vocabulary import missing_words
from .engine import NO, NUMBER, YES, Engine
from .layers import Sql, sql
from .values import SMALLEST, Number, Positions, Text, Writer


def number(
    raw: Sql, item: Input, cleaning: Cleaning, writer: Writer, *, absorbed: bool, place: int, trusted: bool = False
) -> Number:
    """A raw number, or a boolean as 0 or 1.

    Parameters
    ----------
    absorbed : whether something gives a missing value an answer; where nothing does, NULL means refused, too.
    place : of the input, for what has to remember that it is refused.
    trusted : whether the number is taken to be finite or NULL, because the score is looked at afterwards.
    """
    engine, layers = writer.engine, writer.layers
    refused = engine.refused()
    read = _boolean if item.type == BOOLEAN else _number
    found = layers.let(read(raw, item, cleaning, writer, refused=refused if absorbed else ""))
    if item.integer and not engine.has_whole_numbers(raw.text):
        whole = engine.whole
        found = layers.let(sql("CASE WHEN {0} <> " + whole + "({0}) THEN {1} ELSE {0} END", found, refused))
    if absorbed and not item.null:
        # A missing value that is refused stays so whatever comes after.
        found = layers.let(Sql(engine.filled(found.text, refused), found.names, found.level))
    finite = trusted or _is_finite(raw, item, engine, absorbed=absorbed)
    return Number(
        found,
        missing=item.null or not absorbed,
        nan=(item.null or not absorbed) and not finite,
        infinite=not finite,
        reads=frozenset() if finite else frozenset((place,)),
        low=1.0 if item.integer or item.type == BOOLEAN else SMALLEST,
    )


def _is_finite(raw: Sql, item: Input, engine: Engine, *, absorbed: bool) -> bool:
    """Whether what is read of a column is finite or NULL by the column's type, and stands for no refused value."""
    if item.type == BOOLEAN or not engine.has_finite_numbers(raw.text):
        return False
    return (item.null or not absorbed) and (not item.integer or engine.has_whole_numbers(raw.text))


def _number(raw: Sql, item: Input, cleaning: Cleaning, writer: Writer, *, refused: str) -> Sql:
    engine = writer.engine
    if engine.has_numbers(raw.text) == YES:
        return _of(engine.figure(raw.text), raw)
    column, text = _column_and_text(raw, cleaning, writer)
    plain, marked = text, item.decimal != "." or bool(item.thousands)
    if marked:
        if not engine.has_numbers(column.text):
            reason = "it cannot ask whether a column holds numbers or text, which are read by different marks"
            raise Unsupported("inputs", f"column {item.name!r} in {engine.title}", reason)
        column, text = writer.layers.let(raw), writer.layers.let(text)
        read = engine.plain(column.text, text.text, item.decimal, item.thousands)
        plain = writer.layers.let(_of(read, column, text))
    whens = []
    # What is asked of a type is a constant in some engines, and all that depends on it costs nothing.
    if engine.has_numbers(raw.text) not in ("", NO):
        whens.append(f"WHEN {engine.has_numbers(column.text)} THEN {engine.figure(column.text)}")
    written = [f"WHEN {engine.is_number(plain.text)} THEN {engine.parsed(plain.text)}"]
    # A word for a missing value may look like a number.
    first = marked or any(re.fullmatch(NUMBER, word) for word in cleaning.missing)
    if cleaning.missing and (first or refused):
        written.insert(0 if first else 1, f"WHEN {engine.spelled(text.text, cleaning.missing)} THEN NULL")
    if refused:
        written.append(f"WHEN {text.text} IS NOT NULL THEN {refused}")
    whens += written
    return _of(f"CASE {' '.join(whens)} END", column, text, plain)


def _boolean(raw: Sql, item: Input, cleaning: Cleaning, writer: Writer, *, refused: str) -> Sql:
    engine = writer.engine
    if engine.has_booleans(raw.text):
        return _of(engine.parsed(raw.text), raw)
    column, text = _column_and_text(raw, cleaning, writer)
    yes, no = writer.literal(1.0).text, writer.literal(0.0).text
    whens = []
    if engine.has_numbers(raw.text) not in ("", NO):
        figure, numbers = engine.truth(column.text), engine.has_numbers(column.text)
        other = f" WHEN {engine.without_nan(figure)} IS NOT NULL THEN {refused}" if refused else ""
        whens.append(f"WHEN {numbers} THEN CASE WHEN {figure} IN ({yes}, {no}) THEN {figure}{other} END")
    if cleaning.missing:
        whens.append(f"WHEN {engine.spelled(text.text, cleaning.missing)} THEN NULL")
    whens.append(f"WHEN LOWER({text.text}) IN ('true', '1') THEN {yes}")
    whens.append(f"WHEN LOWER({text.text}) IN ('false', '0') THEN {no}")
    if refused:
        whens.append(f"WHEN {text.text} IS NOT NULL THEN {refused}")
    return _of(f"CASE {' '.join(whens)} END", column, text)


def _column_and_text(raw: Sql, cleaning: Cleaning, writer: Writer) -> tuple[Sql, Sql]:
    """A raw value, and the text in it, clean, where it is no number."""
    engine, layers = writer.engine, writer.layers
    if engine.in_place and not cleaning.trim:
        return raw, Sql(engine.text(raw.text))
    return layers.let(raw), layers.let(Sql(engine.written(raw.text, trim=cleaning.trim)))


def _of(text: str, *parts: Sql) -> Sql:
    """An expression that was written of others."""
    names = frozenset().union(*(part.names for part in parts))
    return Sql(text, names, max(part.level for part in parts))


def category(raw: Sql, item: Input, cleaning: Cleaning, writer: Writer, known: set[str]) -> Text:
    """A raw text, cleaned, or a number or a boolean as its text; a row in which it is none of these is refused.

    Parameters
    ----------
    known : texts that the model knows: they are clean, and most rows have one of them.
    """
    engine, layers = writer.engine, writer.layers
    text = _scalar(raw, cleaning, writer, known)
    found, whens = text, []
    if cleaning.trim:
        found = Sql(engine.trimmed(text.text), text.names, text.level)
    if known and (cleaning.trim or cleaning.missing):
        # Nothing more is asked of what most rows have.
        found = _of(f"CASE WHEN {engine.spelled(text.text, known)} THEN NULL ELSE {found.text} END", text)
        whens.append(f"WHEN {layers.let(found).text} IS NULL THEN {text.text}")
    found = layers.let(found)
    if cleaning.missing:
        whens.append(f"WHEN {engine.spelled(found.text, cleaning.missing)} THEN NULL")
    if whens:
        text = layers.let(_of(f"CASE {' '.join(whens)} ELSE {found.text} END", text, found))
    else:
        text = found
    if not item.null:
        writer.guard(sql("{} IS NULL", text))
    return Text(text)


def positions(raw: Sql, item: Input, cleaning: Cleaning, writer: Writer, words: Sequence[str]) -> Positions:
    """What a raw text is, cleaned, among the words that a model knows; the same rows are refused as by ``category``.

    Parameters
    ----------
    words : they are clean, no words for missing, and most rows have one of them as it stands.
    """
    engine = writer.engine
    text = _scalar(raw, cleaning, writer, set(words))
    missing, unknown = str(len(words) + 1), str(len(words) + 2)
    blanks = missing_words(cleaning)
    template = f"CASE WHEN {{0}} IS NULL{' OR {1}' if blanks else ''} THEN {missing} ELSE {{2}} END"

    def spelled(value: str) -> str:
        return engine.spelled(value, blanks)

    other = unknown
    if cleaning.trim:
        trimmed = engine.trimmed(text.text)
        if blanks:
            other = f"CASE WHEN {spelled(trimmed)} THEN {missing} ELSE {unknown} END"
        if words:
            other = f"COALESCE({engine.position(trimmed, words)}, {other})"
    found = _of(template.format(text.text, spelled(text.text), other), text)
    if not words:
        return Positions(Sql("NULL"), writer.layers.let(found), few=True)
    if not item.null:
        writer.guard(_of(f"{engine.position(text.text, words)} IS NULL AND {found.text} = {missing}", text))
    known = writer.layers.let(_of(engine.position(text.text, words), text))
    return Positions(known, found, few=len(words) <= engine.few)


def _scalar(raw: Sql, cleaning: Cleaning, writer: Writer, known: set[str]) -> Sql:
    """The text of a raw value; a row in which it is no text, number or boolean is refused."""
    wrong = writer.engine.has_no_scalar(raw.text)
    if wrong not in ("", NO):
        writer.guard(Sql(f"{raw.text} IS NOT NULL AND {wrong}"))
    return writer.layers.let(_word(raw, cleaning, writer, known))


def _word(raw: Sql, cleaning: Cleaning, writer: Writer, known: set[str]) -> Sql:
    """A raw value as text, where it is a number as ``scalars.scalar_text`` writes it; NULL where it is NaN.

    Databases write numbers with a fraction in many ways: such a number is compared with those that the model knows.
    """
    engine, layers = writer.engine, writer.layers
    kind = engine.has_fractions(raw.text)
    if kind in ("", NO):
        return Sql(engine.word(raw.text))
    known = known | cleaning.missing
    other = "another number"
    while other in known:
        other += "_"
    text, number = engine.word(raw.text), engine.without_nan(engine.fraction(raw.text))
    numbers = {word: one for word in sorted(known) if (one := _number_of(word)) is not None}
    if not numbers:
        # What a column's type decides costs least in one expression.
        return Sql(
            f"CASE WHEN {kind} THEN CASE WHEN {number} IS NOT NULL THEN {engine.quote(other)} END ELSE {text} END"
        )
    found = layers.let(Sql(f"CASE WHEN NOT ({kind}) THEN {text} END"))
    value = layers.let(Sql(f"CASE WHEN {kind} THEN {number} END"))
    whens = [f"WHEN {value.text} = {engine.exact(one)} THEN {engine.quote(word)}" for word, one in numbers.items()]
    whens.append(f"WHEN {value.text} IS NOT NULL THEN {engine.quote(other)}")
    return _of(f"CASE {' '.join(whens)} ELSE {found.text} END", value, found)


def _number_of(word: str) -> float | None:
    """The finite number that ``scalars.scalar_text`` writes as this word."""
    try:
        value = float(word)
        return value if value - value == 0.0 and scalar_text(value) == word else None
    except ValueError:
        return None
