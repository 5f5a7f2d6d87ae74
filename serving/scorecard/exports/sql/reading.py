"""Raw values in SQL, read as ``inputs`` reads them: NULL where one is missing, infinity where a number is refused.

What is computed from infinity is not finite either, so that nothing else has to be asked about a number. What a text
column holds, and a column of numbers, is told apart in the query: the same SELECT is for both.
"""

import re

from ...inputs import BOOLEAN, Cleaning, Input
from .engine import NUMBER
from .layers import Sql, sql
from .values import SMALLEST, Number, Text, Writer


def number(raw: Sql, item: Input, cleaning: Cleaning, writer: Writer, *, absorbed: bool, place: int) -> Number:
    """A raw number, or a boolean as 0 or 1.

    Parameters
    ----------
    absorbed : whether something gives a missing value an answer; where nothing does, NULL means refused, too.
    place : of the input, for what has to remember that it is refused.
    """
    engine, layers = writer.engine, writer.layers
    refused = engine.refused()
    words = cleaning.missing if absorbed or item.type == BOOLEAN or _has_numbers(cleaning) else frozenset()
    if item.type == BOOLEAN:
        found = _boolean(raw, words, cleaning, writer)
    elif engine.parses_all and not cleaning.trim:
        found = _at_once(raw, words, writer)
    else:
        found = _number(raw, words, cleaning, writer)
    found = layers.let(found)
    if item.integer:
        whole = engine.whole
        found = layers.let(sql("CASE WHEN {0} <> " + whole + "({0}) THEN {1} ELSE {0} END", found, refused))
    if absorbed and not item.null:
        # A missing value that is refused stays so whatever comes after.
        found = layers.let(Sql(engine.filled(found.text, refused), found.names, found.level))
    return Number(
        found,
        missing=item.null or not absorbed,
        nan=item.null or not absorbed,
        reads=frozenset((place,)),
        low=1.0 if item.integer or item.type == BOOLEAN else SMALLEST,
    )


def _at_once(raw: Sql, words: frozenset[str], writer: Writer) -> Sql:
    """A number of an engine whose one cast takes columns of numbers and of text."""
    engine = writer.engine
    text = engine.text(raw.text)
    number = f"{engine.has_numbers(raw.text)} OR {engine.is_number(text)}"
    missing = f"{raw.text} IS NULL" + (f" OR {text} IN {engine.words(words)}" if words else "")
    whens = [f"WHEN {number} THEN {engine.figure(raw.text)}", f"WHEN {missing} THEN NULL"]
    if any(re.fullmatch(NUMBER, word) for word in words):
        whens.insert(0, f"WHEN {text} IN {engine.words(words)} AND NOT ({engine.has_numbers(raw.text)}) THEN NULL")
    return Sql(f"CASE {' '.join(whens)} ELSE {engine.refused()} END")


def _number(raw: Sql, words: frozenset[str], cleaning: Cleaning, writer: Writer) -> Sql:
    engine, layers = writer.engine, writer.layers
    column, text = layers.let(raw), layers.let(Sql(engine.written(raw.text, trim=cleaning.trim)))
    # What is asked of a type is a constant in some engines, and all that depends on it costs nothing.
    numbers = engine.has_numbers(column.text)
    whens = [f"WHEN {numbers} THEN {engine.figure(column.text)}"] if numbers else []
    whens.append(f"WHEN {text.text} IS NULL THEN NULL")
    answers = [f"WHEN {engine.is_number(text.text)} THEN {engine.parsed(text.text)}"]
    if words:
        # A word for a missing value may look like a number.
        first = any(re.fullmatch(NUMBER, word) for word in words)
        answers.insert(0 if first else 1, f"WHEN {text.text} IN {engine.words(words)} THEN NULL")
    answer = f"CASE {' '.join([*whens, *answers])} ELSE {engine.refused()} END"
    return Sql(answer, text.names | column.names, 1)


def _boolean(raw: Sql, words: frozenset[str], cleaning: Cleaning, writer: Writer) -> Sql:
    engine, layers = writer.engine, writer.layers
    column, text = layers.let(raw), layers.let(Sql(engine.written(raw.text, trim=cleaning.trim)))
    yes, no = writer.literal(1.0).text, writer.literal(0.0).text
    whens = []
    if numbers := engine.has_numbers(column.text):
        figure = engine.truth(column.text)
        given = f"{engine.without_nan(figure)} IS NOT NULL"
        whens.append(f"WHEN {numbers} THEN CASE WHEN {figure} IN ({yes}, {no}) THEN {figure}")
        whens.append(f"WHEN {given} THEN {engine.refused()} END")
    whens.append(f"WHEN {text.text} IS NULL THEN NULL")
    whens += [f"WHEN {text.text} IN {engine.words(words)} THEN NULL"] if words else []
    whens.append(f"WHEN LOWER({text.text}) IN ('true', '1') THEN {yes}")
    whens.append(f"WHEN LOWER({text.text}) IN ('false', '0') THEN {no}")
    return Sql(f"CASE {' '.join(whens)} ELSE {engine.refused()} END", text.names | column.names, 1)


def category(raw: Sql, item: Input, cleaning: Cleaning, writer: Writer, known: set[str]) -> Text:
    """A raw text, cleaned; a row in which it is none is refused.

    Parameters
    ----------
    known : texts that the model knows: they are clean, and most rows have one of them.
    """
    engine, layers = writer.engine, writer.layers
    text = layers.let(Sql(engine.text(raw.text)))
    if wrong := engine.has_no_text(raw.text):
        writer.guard(Sql(f"{raw.text} IS NOT NULL AND {wrong}"))
    clean = engine.trimmed(text.text) if cleaning.trim else text.text
    whens = [f"WHEN {text.text} IN {engine.words(known)} THEN {text.text}"] if known else []
    if cleaning.missing:
        whens.append(f"WHEN {clean} IN {engine.words(cleaning.missing)} THEN NULL")
    if cleaning.missing or cleaning.trim:
        found = f"CASE {' '.join(whens)} ELSE {clean} END" if whens else clean
        text = layers.let(Sql(found, text.names, text.level))
    if not item.null:
        writer.guard(sql("{} IS NULL", text))
    return Text(text)


def _has_numbers(cleaning: Cleaning) -> bool:
    """Whether a word for a missing value is a number, too."""
    return any(re.fullmatch(NUMBER, word) for word in cleaning.missing)
