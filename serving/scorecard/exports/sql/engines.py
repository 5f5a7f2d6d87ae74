"""The databases that a model is written for."""

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence

from ...nodes import Label
from .engine import AROUND, MAX, NO, WHITE, YES, Engine, Matching, lowered


class DuckDB(Matching):
    """What a column's type decides is decided before the query runs: ``typeof`` of a column is a constant."""

    name, title = "duckdb", "DuckDB"
    looks_up = branches = True
    in_place = True

    def text(self, raw: str) -> str:
        # A column may have a collation, by which 'a' is 'A'.
        return f'(CAST({raw} AS VARCHAR) COLLATE "binary")'

    def has_numbers(self, raw: str) -> str:
        return self._is_of(raw, _DUCKDB_NUMBERS)

    def has_fractions(self, raw: str) -> str:
        return self._is_of(raw, _DUCKDB_FRACTIONS)

    def has_no_scalar(self, raw: str) -> str:
        return self._is_of(raw, _DUCKDB_OTHERS)

    def has_booleans(self, raw: str) -> bool:
        return self._is_of(raw, "BOOLEAN") == YES

    def has_whole_numbers(self, raw: str) -> bool:
        return self._is_of(raw, _DUCKDB_WHOLE) == YES

    def has_finite_numbers(self, raw: str) -> bool:
        return self._is_of(raw, f"{_DUCKDB_WHOLE}|{_DUCKDB_DECIMALS}") == YES

    def _is_of(self, raw: str, types: str) -> str:
        """Whether a column is of one of some types."""
        known = self.types.get(raw)
        if known is None:
            return f"REGEXP_FULL_MATCH(TYPEOF({raw}), '{types}')"
        return YES if re.fullmatch(types, known, re.DOTALL) else NO

    def figure(self, raw: str) -> str:
        return raw if self.types.get(raw) == "DOUBLE" else super().figure(raw)

    def among(self, value: str, literals: Iterable[str]) -> str:
        # It makes a join of a long IN: that mixes the rows, and computes the value for those that need none of it.
        return f"LIST_POSITION([{', '.join(literals)}], {value}) > 0"

    def zero(self, value: str) -> str:
        return f"({value} * {self.literal(0.0)})"  # a CASE takes thrice as long

    def position(self, text: str, words: Sequence[str]) -> str:
        # A function of a column and constants is computed once a word of a file's dictionary, not once a row.
        literals = ", ".join(map(self.quote, words))
        if len(words) <= self.few:
            return f"LIST_POSITION([{literals}], {text})"
        # A list is read through word by word, and an enumeration hashed.
        return f"CAST(ENUM_CODE(TRY_CAST({text} AS ENUM({literals}))) AS INTEGER) + 1"

    def trimmed(self, text: str) -> str:
        # TRIM with a list of characters takes ten times as long.
        return f"REGEXP_REPLACE({text}, {self.quote(AROUND)}, '', 'g')"

    def matches(self, text: str, pattern: str) -> str:
        return f"REGEXP_FULL_MATCH({text}, {self.quote(pattern)})"


class Postgres(Matching):
    """It fails the query where a number leaves the range of float64, and where it loses all of its digits."""

    name, title = "postgres", "PostgreSQL"
    raises = True
    infinity = "'Infinity'::FLOAT8"
    nan = "'NaN'::FLOAT8"
    fence = "OFFSET 0"
    most = 1600
    note = "Where it reads a number the column is of numbers or of text: of booleans or dates PostgreSQL runs no query."
    functions = Engine.functions | {"log2": "(LN({}) / LN('2'::FLOAT8))", "log10": "LOG({})"}

    def same(self, name: str) -> str:
        return name.encode()[:63].decode(errors="ignore")

    def unquoted(self, name: str) -> str:
        return lowered(name)

    def literal(self, value: float) -> str:
        return f"'{float(value)!r}'::FLOAT8"

    def text(self, raw: str) -> str:
        return f'(CAST({raw} AS TEXT) COLLATE "C")'

    def trimmed(self, text: str) -> str:
        return f"BTRIM({text}, {self.quote(WHITE)})"

    def has_numbers(self, raw: str) -> str:
        # NUMERIC holds numbers that no float64 does: it is read as text.
        return f"PG_TYPEOF({raw}) IN ({_types(*_NUMBERS)})"

    def has_fractions(self, raw: str) -> str:
        return f"PG_TYPEOF({raw}) IN ({_types(*_FRACTIONS)})"

    def has_no_scalar(self, raw: str) -> str:
        return f"PG_TYPEOF({raw}) IN ({_types(*_OTHERS)})"

    def fraction(self, raw: str) -> str:
        text = f"CAST({raw} AS TEXT)"
        return (
            f"CASE WHEN {text} = 'NaN' THEN {self.nan} WHEN {self.is_number(text)} THEN {self.parsed(text)} "
            f"WHEN {text} IS NOT NULL THEN {self.infinity} END"
        )

    def plain(self, raw: str, text: str, decimal: str, thousands: str) -> str:
        return (
            f"CASE WHEN PG_TYPEOF({raw}) = 'numeric'::REGTYPE THEN {text} "
            f"ELSE {super().plain(raw, text, decimal, thousands)} END"
        )

    def written(self, raw: str, *, trim: bool) -> str:
        text = self.text(raw)
        return (
            f"CASE WHEN {self.has_numbers(raw)} THEN NULL "
            f"WHEN PG_TYPEOF({raw}) = 'numeric'::REGTYPE THEN NULLIF({text}, 'NaN') "
            f"ELSE {self.trimmed(text) if trim else text} END"
        )

    def figure(self, raw: str) -> str:
        return f"CAST({raw} AS DOUBLE PRECISION)"

    def truth(self, raw: str) -> str:
        # A column of booleans has no other cast.
        return f"CAST(CAST({raw} AS TEXT) AS DOUBLE PRECISION)"

    def matches(self, text: str, pattern: str) -> str:
        return f"{text} ~ {self.quote(f'^(?:{pattern})$')}"

    def parsed(self, text: str) -> str:
        number, infinity = f"CAST({text} AS NUMERIC)", self.infinity
        return (
            f"CASE WHEN LENGTH({text}) > 1000 THEN {infinity} "
            # NUMERIC has exponents of up to four digits.
            f"WHEN {text} ~ '[eE][+-]?0*[1-9][0-9]{{4}}' THEN CASE WHEN {text} ~ '[1-9].*[eE][+]?[0-9]' "
            f"THEN {infinity} ELSE {self.literal(0.0)} END "
            f"WHEN ABS({number}) > '1.797693134862315807e308'::NUMERIC THEN {infinity} "
            f"WHEN ABS({number}) < '3e-324'::NUMERIC THEN {self.literal(0.0)} "
            f"ELSE CAST({text} AS DOUBLE PRECISION) END"
        )


class SQLite(Engine):
    """A column holds values of any type, and NaN is NULL."""

    name, title = "sqlite", "SQLite"
    infinity = "9e999"
    nan = ""
    fence = "LIMIT -1 OFFSET 0"
    most = 2000
    greatest = "MAX"
    whole = "ROUND"
    note = (
        "SQLite 3.35 or newer, built with its mathematical functions, as the sqlite3 program is: SELECT exp(1) tells."
    )
    functions = {name: template for name, template in Engine.functions.items() if name != "cbrt"}

    def literal(self, value: float) -> str:
        # Some releases read a long decimal literal one bit off, which a difference of large numbers makes a visible
        # error. Whole numbers, and powers of two of them, are exact.
        found = repr(float(value))
        if len(found) <= 16 and "e" not in found:
            return f"({found})" if found[0] == "-" else found
        mantissa, exponent = math.frexp(value)
        found, exponent = f"CAST({int(mantissa * 2**53)} AS REAL)", exponent - 53
        while exponent:
            step = min(abs(exponent), 62)
            found += f" {'*' if exponent > 0 else '/'} {2**step}"
            exponent -= step if exponent > 0 else -step
        return f"({found})"

    def label(self, value: Label) -> str:
        return str(int(value)) if isinstance(value, bool) else super().label(value)

    def refuses(self, name: str) -> str:
        return ""

    def has_numbers(self, raw: str) -> str:
        return f"TYPEOF({raw}) IN ('real', 'integer')"

    def has_fractions(self, raw: str) -> str:
        return f"TYPEOF({raw}) = 'real'"

    def has_no_scalar(self, raw: str) -> str:
        return f"TYPEOF({raw}) = 'blob'"

    def word(self, raw: str) -> str:
        return (
            f"(CASE TYPEOF({raw}) WHEN 'text' THEN {raw} WHEN 'integer' THEN CAST({raw} AS TEXT) "
            "WHEN 'blob' THEN 'bytes' END COLLATE BINARY)"
        )

    def text(self, raw: str) -> str:
        return f"(CASE TYPEOF({raw}) WHEN 'text' THEN {raw} WHEN 'blob' THEN 'bytes' END COLLATE BINARY)"

    def written(self, raw: str, *, trim: bool) -> str:
        return self.trimmed(self.text(raw)) if trim else self.text(raw)

    def is_grouped(self, text: str, decimal: str, thousands: str) -> str:
        mark = self.quote(decimal)
        unsigned = f"SUBSTR({text}, 1 + (SUBSTR({text}, 1, 1) IN ('+', '-')))"
        place = f"INSTR({unsigned} || {mark}, {mark})"
        whole, fraction = f"SUBSTR({unsigned}, 1, {place} - 1)", f"SUBSTR({unsigned}, {place} + 1)"
        shape = whole
        for digit in "123456789":
            shape = f"REPLACE({shape}, '{digit}', '0')"
        shapes = ", ".join(map(self.quote, _shapes(thousands)))
        return f"(SUBSTR({unsigned}, 1, 1) <> '0' AND {shape} IN ({shapes}) AND {fraction} NOT GLOB '*[^0-9]*')"

    def is_number(self, text: str) -> str:
        # Compared with a number, a text that is one is a number; and any other comes after all numbers.
        return f"({text} NOT GLOB '*[^0-9+.eE-]*' AND {text} <= CAST(9e999 AS REAL))"

    def parsed(self, text: str) -> str:
        return f"CAST({text} AS REAL)"


class Spark(Matching):
    """Databricks too. ``typeof`` is a constant, as in DuckDB."""

    name, title = "spark", "Spark"
    in_place = True
    # FLOOR gives a BIGINT, and fails the query where a number does not fit into one.
    whole = "RINT"
    note = "Where it reads a number the column is of numbers, booleans or text: of dates or arrays Spark runs no query."
    # Its own ASINH loses the digits of small numbers.
    functions = {name: template for name, template in Engine.functions.items() if name != "arcsinh"} | {
        "log1p": "LOG1P({})",
        "expm1": "EXPM1({})",
    }

    def same(self, name: str) -> str:
        return name.lower()

    def literal(self, value: float) -> str:
        return f"({float(value)!r}D)" if repr(float(value))[0] == "-" else f"{float(value)!r}D"

    def trimmed(self, text: str) -> str:
        return f"TRIM(BOTH {self.quote(WHITE)} FROM {text})"

    def has_numbers(self, raw: str) -> str:
        return f"TYPEOF({raw}) RLIKE '^(double|float|decimal|(tiny|small|big)?int$)'"

    def has_fractions(self, raw: str) -> str:
        return f"TYPEOF({raw}) RLIKE '^(double|float|decimal)'"

    def has_no_scalar(self, raw: str) -> str:
        return f"TYPEOF({raw}) RLIKE '^(date|time|binary|interval|array|map|struct)'"

    def text(self, raw: str) -> str:
        return f"CAST({raw} AS STRING)"

    def matches(self, text: str, pattern: str) -> str:
        return f"{text} RLIKE {self.quote(f'^(?:{pattern})' + chr(92) + 'z')}"


class BigQuery(Matching):
    """Its arithmetic fails the query as PostgreSQL's does. SQL cannot ask for a column's type."""

    name, title = "bigquery", "BigQuery"
    tested = False
    raises = True
    infinity = "CAST('inf' AS FLOAT64)"
    most = 10_000
    functions = Engine.functions | {"log2": "LOG({}, 2)"}

    def same(self, name: str) -> str:
        return name.casefold()

    def refuses(self, name: str) -> str:
        bad = sorted(set(name) & set('!"$()*,./;?@[\\]^`{}~')) + [letter for letter in name if not letter.isprintable()]
        if bad or len(name) > 300:
            return "its names are of up to 300 characters" + (f", and none of them is {bad[0]!r}" if bad else "")
        return super().refuses(name)

    def missing(self, value: str) -> str:
        return f"{value} IS NULL OR IS_NAN({value})"

    def without_nan(self, value: str) -> str:
        return f"IF(IS_NAN({value}), NULL, {value})"

    def text(self, raw: str) -> str:
        return f"SAFE_CAST({raw} AS STRING)"

    def matches(self, text: str, pattern: str) -> str:
        return f"REGEXP_CONTAINS({text}, {self.quote(f'^(?:{pattern})$')})"

    def parsed(self, text: str) -> str:
        return f"SAFE_CAST({text} AS FLOAT64)"

    def written(self, raw: str, *, trim: bool) -> str:
        return f"NULLIF({super().written(raw, trim=trim)}, 'NaN')"


class Snowflake(Matching):
    """``TRY_CAST`` takes texts only; a VARIANT tells the type of what it holds."""

    name, title = "snowflake", "Snowflake"
    tested = False
    infinity = "CAST('inf' AS DOUBLE)"
    functions = Engine.functions | {"log2": "LOG(2, {})", "log10": "LOG(10, {})"}

    def same(self, name: str) -> str:
        return name

    def unquoted(self, name: str) -> str:
        return name.upper()

    def literal(self, value: float) -> str:
        return f"CAST('{float(value)!r}' AS DOUBLE)"

    def has_numbers(self, raw: str) -> str:
        return f"TYPEOF(TO_VARIANT({raw})) IN ('DOUBLE', 'REAL', 'DECIMAL', 'INTEGER')"

    def has_fractions(self, raw: str) -> str:
        return f"TYPEOF(TO_VARIANT({raw})) IN ('DOUBLE', 'REAL', 'DECIMAL')"

    def has_no_scalar(self, raw: str) -> str:
        known = "'VARCHAR', 'BOOLEAN', 'DOUBLE', 'REAL', 'DECIMAL', 'INTEGER'"
        return f"TYPEOF(TO_VARIANT({raw})) NOT IN ({known})"

    def figure(self, raw: str) -> str:
        return f"AS_DOUBLE(TO_VARIANT({raw}))"

    def text(self, raw: str) -> str:
        return f"COLLATE(TO_VARCHAR({raw}), '')"

    def matches(self, text: str, pattern: str) -> str:
        return f"REGEXP_LIKE({text}, {self.quote(pattern)})"

    def parsed(self, text: str) -> str:
        return f"TRY_TO_DOUBLE({text})"


class MySQL(Matching):
    """8.0.17 or newer. It has no infinity, its arithmetic fails the query, and its texts compare without case."""

    name, title = "mysql", "MySQL"
    tested = False
    raises = True
    infinity = nan = ""
    fence = "LIMIT 18446744073709551615"
    most = 4096
    functions = {
        name: template for name, template in Engine.functions.items() if name not in ("cbrt", "tanh", "arcsinh")
    }

    def same(self, name: str) -> str:
        plain = unicodedata.normalize("NFD", name.casefold())
        return "".join(letter for letter in plain if not unicodedata.combining(letter))

    def refuses(self, name: str) -> str:
        if len(name) > 64 or name.endswith(" "):
            return "its names are of up to 64 characters and do not end with a blank"
        if any(ord(letter) > 0xFFFF for letter in name):
            return "its names have no character beyond U+FFFF"
        return super().refuses(name)

    def finite(self, value: str) -> str:
        return f"ABS({value}) < {self.literal(MAX)}"

    def infinite(self, value: str) -> str:
        return f"ABS({value}) >= {self.literal(MAX)}"

    def text(self, raw: str) -> str:
        return f"(CONVERT({raw} USING utf8mb4) COLLATE utf8mb4_0900_bin)"

    def trimmed(self, text: str) -> str:
        return f"REGEXP_REPLACE({text}, {self.quote(AROUND)}, '')"

    def matches(self, text: str, pattern: str) -> str:
        return f"REGEXP_LIKE({text}, {self.quote(f'^(?:{pattern})' + chr(92) + 'z')})"

    def parsed(self, text: str) -> str:
        return f"CAST({text} AS DOUBLE)"


class MariaDB(MySQL):
    """10.5 or newer. Other collations than MySQL's, and other regular expressions."""

    name, title = "mariadb", "MariaDB"
    grammar = "mysql"
    tested = True

    def text(self, raw: str) -> str:
        return f"(CONVERT({raw} USING utf8mb4) COLLATE utf8mb4_nopad_bin)"

    def matches(self, text: str, pattern: str) -> str:
        return f"({text} REGEXP {self.quote(f'^(?:{pattern})' + chr(92) + 'z')})"


ENGINES: dict[str, type[Engine]] = {
    engine.name: engine for engine in (DuckDB, Postgres, SQLite, Spark, BigQuery, Snowflake, MySQL, MariaDB)
}

_DUCKDB_DECIMALS = "DECIMAL[(][0-9,]+[)]"
_DUCKDB_FRACTIONS = f"DOUBLE|FLOAT|{_DUCKDB_DECIMALS}"
_DUCKDB_WHOLE = "U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER"
_DUCKDB_NUMBERS = f"{_DUCKDB_FRACTIONS}|{_DUCKDB_WHOLE}"
_DUCKDB_OTHERS = "DATE|TIME.*|INTERVAL|BLOB|UUID|BIGNUM|(STRUCT|TUPLE|MAP|UNION)[(].*|.*[]]"
_NUMBERS = ("float8", "float4", "int8", "int4", "int2")
_FRACTIONS = ("float8", "float4", "numeric")
_OTHERS = ("date", "timestamp", "timestamptz", "time", "interval", "bytea")


def _types(*names: str) -> str:
    return ", ".join(f"'{name}'::REGTYPE" for name in names)


def _shapes(thousands: str) -> list[str]:
    """How grouped digits look, each as 0: up to 27 of them."""
    groups = range(1, 9)
    west = ["0" * first + f"{thousands}000" * more for first in (1, 2, 3) for more in groups]
    india = ["0" * first + f"{thousands}00" * more + f"{thousands}000" for first in (1, 2) for more in groups]
    return [*west, *india]
