"""What a database does its own way: literals, casts that cannot fail, functions, and how it compares names.

Every method takes and gives the text of an operand.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence

from ...nodes import Label

MAX = 1.7976931348623157e308
#: What is known of a column's type before the query runs.
YES, NO = "TRUE", "FALSE"
#: A decimal number as ``scalars.number`` takes it.
NUMBER = "[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?"
#: What ``str.strip`` takes away.
WHITE = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())

#: The white space around a text, as a regular expression.
AROUND = rf"^[{WHITE}]+|[{WHITE}]+\z"


class Engine(ABC):
    """The dialect most engines share.

    Attributes
    ----------
    name, title : of the dialect, as users write it and as people call it.
    grammar : the dialect as sqlglot calls it, where that is not the name.
    tested : whether the project's tests run what is written for it.
    raises : whether arithmetic that leaves the range of float64, or loses all of a number's digits, fails the query.
    infinity : a literal; empty where the engine has none, and then the largest number stands in its place.
    nan : a literal that equals what is not a number; empty where the engine has none, or NULL in its place.
    fence : what keeps the engine from merging a subquery into the one around it, and computing its columns many times.
    most : the most columns of a SELECT.
    in_place : whether ``text`` costs so little that it can be written more than once.
    greatest, whole : its functions for the largest of several numbers, and for a number without its fraction.
    note : what else a user has to know.
    functions : the engine's own for those of ``steps.FUNCTIONS`` that it has.
    looks_up : whether it has ``position``, and lists that are indexed from 1: a text is looked up once for all columns.
    few : the most words that it looks a text up in by reading them one by one.
    branches : whether a CASE computes, for each row, only the branch that the row takes, whatever the branches are.
    """

    name = title = grammar = ""
    tested = True
    raises = False
    infinity = "CAST('Infinity' AS DOUBLE)"
    nan = "CAST('NaN' AS DOUBLE)"
    fence = ""
    most = 10**9
    in_place = False
    greatest = "GREATEST"
    whole = "FLOOR"
    note = ""
    looks_up = False
    few = 32
    branches = False
    functions = {
        "log": "LN({})",
        "log2": "LOG2({})",
        "log10": "LOG10({})",
        "exp": "EXP({})",
        "sqrt": "SQRT({})",
        "cbrt": "CBRT({})",
        "abs": "ABS({})",
        "sin": "SIN({})",
        "cos": "COS({})",
        "tanh": "TANH({})",
        "arcsinh": "ASINH({})",
    }

    def __init__(self, quote: Callable[[str], str]) -> None:
        """``quote`` makes a literal of a text."""
        self.quote = quote
        #: Of a table's columns, by their expressions, the types that are known before the query runs.
        self.types: dict[str, str] = {}

    @property
    def sqlglot(self) -> str:
        """The dialect as sqlglot calls it."""
        return self.grammar or self.name

    # Names

    def same(self, name: str) -> str:
        """What names have in common that are one to the engine."""
        return lowered(name)

    def unquoted(self, name: str) -> str:
        """The name of a table that was given without quotes."""
        return name

    def refuses(self, name: str) -> str:
        """Why the engine can have no column of this name; empty where it can."""
        return "" if name else "it has no column without a name"

    # Literals

    def literal(self, value: float) -> str:
        """A float64, to the last bit."""
        found = repr(float(value))
        found = found if "e" in found else f"{found}e0"
        return f"({found})" if found[0] == "-" else found

    def exact(self, value: float) -> str:
        """A float64 to compare with for equality or order."""
        return self.literal(value)

    def label(self, value: Label) -> str:
        """A class."""
        if isinstance(value, bool):
            return "TRUE" if value else "FALSE"
        if isinstance(value, str):
            return self.quote(value)
        if isinstance(value, float):
            return self.literal(value)
        return f"({value})" if value < 0 else str(value)

    # Tests

    def among(self, value: str, literals: Iterable[str]) -> str:
        """Whether a value is one of several; not true for NULL."""
        return f"{value} IN ({', '.join(literals)})"

    def spelled(self, text: str, words: Iterable[str]) -> str:
        """Whether a text is one of several."""
        return self.among(text, map(self.quote, sorted(words)))

    def position(self, text: str, words: Sequence[str]) -> str:
        """The position of a text among words, from 1; NULL where it is none of them. For an engine that ``looks_up``.

        Parameters
        ----------
        words : at least one.
        """
        raise NotImplementedError

    def finite(self, value: str) -> str:
        """Whether a number is finite: not true for NULL and NaN, whose order differs between engines."""
        return f"ABS({value}) <= {self.literal(MAX)}"

    def infinite(self, value: str) -> str:
        """Whether a number that is not NaN is infinite."""
        return f"ABS({value}) > {self.literal(MAX)}"

    def zero(self, value: str) -> str:
        """0 where a number is finite; not a finite number, or NULL, where it is not."""
        return f"CASE WHEN {self.finite(value)} THEN {self.literal(0.0)} END"

    def missing(self, value: str) -> str:
        """Whether a number is NULL or NaN."""
        return f"{value} IS NULL OR {value} = {self.nan}" if self.nan else f"{value} IS NULL"

    def filled(self, value: str, fill: str) -> str:
        """A number, or another where it is missing: NaN comes after infinity, or compares with nothing."""
        if not self.nan:
            return f"COALESCE({value}, {fill})"
        return f"CASE WHEN {value} <= {self.infinity} THEN {value} ELSE {fill} END"

    def without_nan(self, value: str) -> str:
        """NULL for NaN."""
        return f"NULLIF({value}, {self.nan})" if self.nan else value

    def has_numbers(self, raw: str) -> str:
        """Whether a column is of a type of numbers: ``YES`` or ``NO`` if that is known; empty where SQL cannot ask."""
        return ""

    def has_booleans(self, raw: str) -> bool:
        """Whether a column is known to be of booleans."""
        return False

    def has_whole_numbers(self, raw: str) -> bool:
        """Whether a column is known to be of a type of whole numbers."""
        return False

    def has_finite_numbers(self, raw: str) -> bool:
        """Whether a column is known to be of a type of numbers that has neither NaN nor infinities."""
        return False

    def has_fractions(self, raw: str) -> str:
        """Whether a column is of a type of numbers that may have a fraction, answered as by ``has_numbers``."""
        return ""

    def has_no_scalar(self, raw: str) -> str:
        """Whether a column is of a type that is no text, number or boolean, answered as by ``has_numbers``."""
        return ""

    # Raw values

    @abstractmethod
    def text(self, raw: str) -> str:
        """A raw value as text that is compared letter by letter."""

    def word(self, raw: str) -> str:
        """A raw text, whole number or boolean as the text of a category."""
        return self.text(raw)

    def fraction(self, raw: str) -> str:
        """The number in a column that ``has_fractions``."""
        return self.figure(raw)

    def trimmed(self, text: str) -> str:
        """A text without the white space around it."""
        return f"TRIM({text}, {self.quote(WHITE)})"

    def figure(self, raw: str) -> str:
        """The number in a column that ``has_numbers``."""
        return self.parsed(raw)

    def truth(self, raw: str) -> str:
        """The number in a column that ``has_numbers``, where another may have booleans."""
        return self.figure(raw)

    def written(self, raw: str, *, trim: bool) -> str:
        """The text in a column that has no numbers, where a number may be written; NULL where it has numbers."""
        text = self.trimmed(self.text(raw)) if trim else self.text(raw)
        if self.has_numbers(raw) == NO:
            return text
        return f"CASE WHEN NOT ({self.has_numbers(raw)}) THEN {text} END" if self.has_numbers(raw) else text

    @abstractmethod
    def is_number(self, text: str) -> str:
        """Whether a text is a decimal number."""

    @abstractmethod
    def is_grouped(self, text: str, decimal: str, thousands: str) -> str:
        """Whether a text is a number whose digits are grouped, as ``scalars.number`` takes it."""

    def plain(self, raw: str, text: str, decimal: str, thousands: str) -> str:
        """The text of a number with a decimal point and no grouping; no number where it is not written by its marks."""
        found, whens, foreign = text, "", [thousands] if thousands else []
        if decimal != ".":
            found, foreign = f"REPLACE({found}, {self.quote(decimal)}, '.')", [*foreign, "."]
        if thousands:
            bare = f"REPLACE({text}, {self.quote(thousands)}, '')"
            bare = f"REPLACE({bare}, {self.quote(decimal)}, '.')" if decimal != "." else bare
            whens = f"WHEN {self.is_grouped(text, decimal, thousands)} THEN {bare} "
        without = " OR ".join(f"REPLACE({text}, {self.quote(mark)}, '') <> {text}" for mark in dict.fromkeys(foreign))
        return f"CASE {whens}WHEN {without} THEN 'no number' ELSE {found} END"

    def parsed(self, text: str) -> str:
        """The number in a text that ``is_number``."""
        return f"TRY_CAST({text} AS DOUBLE)"

    def refused(self) -> str:
        """What stands for a value that is refused."""
        return self.infinity or self.literal(MAX)


def lowered(name: str) -> str:
    """A name with its ASCII letters in lower case."""
    return name.translate({code: code + 32 for code in range(ord("A"), ord("Z") + 1)})


class Matching(Engine):
    """An engine that has regular expressions."""

    @abstractmethod
    def matches(self, text: str, pattern: str) -> str:
        """Whether the whole of a text matches a regular expression."""

    def is_number(self, text: str) -> str:
        return self.matches(text, NUMBER)

    def is_grouped(self, text: str, decimal: str, thousands: str) -> str:
        mark, group = f"[{decimal}]", f"[{thousands}]"
        west, india = f"[1-9][0-9]{{0,2}}({group}[0-9]{{3}})+", f"[1-9][0-9]?({group}[0-9]{{2}})+{group}[0-9]{{3}}"
        return self.matches(text, f"[+-]?({west}|{india})({mark}[0-9]*)?")
