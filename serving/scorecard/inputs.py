"""What an input column is, and how one raw value of it becomes a number, a category or a missing value.

Training and serving share these rules, so that a raw row scores as it was trained. Standard library only, and of it
only what costs nothing to import: ``re`` and ``dataclasses`` would take longer than a whole answer does. What a usual
row of numbers does not need is imported when it comes (``scalars``, ``names``).
"""

import math

from .errors import InputError, kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, dataclass_transform

    @dataclass_transform(frozen_default=True)
    class _Dataclass:
        """Tells type checkers how records are made."""

else:
    _Dataclass = object

#: Text that stands for a missing value once it is trimmed: what ``pandas.read_csv`` takes as missing, and ``?``.
MISSING_TEXT = frozenset(
    {
        *("", "?", "#N/A", "#N/A N/A", "#NA", "<NA>", "N/A", "NA", "n/a", "NULL", "null", "None"),
        *("NaN", "nan", "-NaN", "-nan", "1.#IND", "1.#QNAN", "-1.#IND", "-1.#QNAN"),
    }
)

NUMBER = "number"
BOOLEAN = "boolean"
CATEGORY = "category"
TYPES = (NUMBER, BOOLEAN, CATEGORY)

#: The types that columns of whole numbers have in an MLflow signature, and the type of an input by that of its column.
WHOLE_TYPES = ("long", "integer")
MLFLOW_TYPES = {"string": CATEGORY, "boolean": BOOLEAN, **dict.fromkeys(("double", "float", *WHOLE_TYPES), NUMBER)}

#: The marks that text numbers may have: before the fraction, and between groups of digits ("" for none).
DECIMALS = (".", ",")
THOUSANDS = ("", ",", ".", " ", "'", "\u2019", "_", "\u00a0", "\u2009", "\u202f")

_TRUTH = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0}

REQUIRED = "a value is required, found none"
ABSENT = "the column is required, found no such column"
INFINITE = "expected a finite number, found one that is infinite or too large"
FRACTION = "expected a whole number, found a fraction"


_set = object.__setattr__
_NO_FIELDS: tuple[str, ...] = ()
_NO_CHOICES: dict[str, tuple[str, ...]] = {}


class Record(_Dataclass):
    """A value made of its fields: built, compared, hashed and shown by them, and never changed.

    A subclass names its fields in ``__slots__`` and gives each its type. This is what a frozen dataclass does, without
    the time that importing ``dataclasses`` takes.

    Attributes
    ----------
    fields : the names of all fields, in order, those of base classes first.
    choices : by field, the words that it is one of; where its type is more than text, the texts that it may be.
    """

    __slots__ = ()
    fields, choices = _NO_FIELDS, _NO_CHOICES

    def __init_subclass__(cls) -> None:
        cls.fields = (*cls.fields, *cls.__slots__)

    def __init__(self, *values: object, **named: object) -> None:
        fields = self.fields
        if named and named.keys() == set(fields[len(values) :]):
            values = (*values, *(named[name] for name in fields[len(values) :]))
        elif named or len(values) != len(fields):
            raise TypeError(f"{type(self).__name__}: expected {', '.join(fields)}")
        for name, value in zip(fields, values, strict=True):
            _set(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: make a new one to change {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: {name!r} stays")

    def _values(self) -> tuple:
        return tuple(getattr(self, name) for name in self.fields)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.fields)})"

    def __reduce__(self) -> tuple:
        return type(self), self._values()


class Cleaning(Record):
    """How text is read: trimmed or as it stands, and which words mean that the value is missing."""

    __slots__ = ("trim", "missing")
    trim: bool
    missing: frozenset[str]

    def __init__(self, trim: bool = True, missing: "Iterable[str]" = MISSING_TEXT) -> None:
        _set(self, "trim", trim)
        _set(self, "missing", frozenset(missing))

    def text(self, raw: str) -> str | None:
        """The text without its surrounding white space, or None where it stands for a missing value."""
        value = raw.strip() if self.trim else raw
        return None if value in self.missing else value


#: Text as it stands, nothing but None and NaN missing: how scikit-learn itself reads a column.
AS_IS = Cleaning(trim=False, missing=frozenset())


class Input(Record):
    """One raw input column of a model.

    Parameters
    ----------
    name : the column's name, as in the table.
    type : ``"number"`` (float64), ``"boolean"`` (0.0 or 1.0) or ``"category"`` (text).
    integer : only whole numbers are taken: 3.0 is 3, and 3.5 is refused.
    null : whether a missing value is taken; it is wherever the pipeline imputes.
    decimal : the mark before the fraction in the text of a number; a dot is not written down.
    thousands : the mark between groups of digits in the text of a number, see ``number``; none is not written down.
    """

    __slots__ = ("name", "type", "integer", "null", "decimal", "thousands")
    name: str
    type: str
    integer: bool
    null: bool
    decimal: str
    thousands: str

    def __init__(
        self,
        name: str,
        type: str,
        integer: bool = False,
        null: bool = True,
        decimal: str = ".",
        thousands: str = "",
    ) -> None:
        if type not in TYPES:
            raise InputError(name, f"the type is one of {', '.join(TYPES)}, found {type!r}")
        if decimal not in DECIMALS or thousands not in THOUSANDS or decimal == thousands:
            raise InputError(name, f"no number has the decimal mark {decimal!r} and the thousands mark {thousands!r}")
        if type != NUMBER and (decimal, thousands) != (".", ""):
            raise InputError(name, f"only a number has a decimal or a thousands mark, and the type is {type!r}")
        _set(self, "name", name)
        _set(self, "type", type)
        _set(self, "integer", bool(integer))
        _set(self, "null", bool(null))
        _set(self, "decimal", decimal)
        _set(self, "thousands", thousands)

    def to_dict(self) -> dict:
        """The fields, ready for JSON; the marks only where they are not the usual ones."""
        found: dict = {"name": self.name, "type": self.type, "integer": self.integer, "null": self.null}
        if self.decimal != ".":
            found["decimal"] = self.decimal
        if self.thousands:
            found["thousands"] = self.thousands
        return found

    def read(self, raw: object, cleaning: Cleaning = AS_IS) -> float | str | None:
        """One raw value, cleaned: a float (number, boolean), a text (category), or None where it is missing.

        Python's own values, their NumPy scalars and ``Decimal`` are read; None, NaN, ``pandas.NA`` and ``NaT`` are
        missing.

        Raises
        ------
        InputError
            where the value is of another type, infinite, not whole though the column is, or missing
            though the column has no place for it.
        """
        if isinstance(raw, str):
            raw = cleaning.text(raw)
        elif raw is not None and type(raw) not in _PLAIN:
            from .scalars import plain

            raw = plain(raw)
        if raw is None or (isinstance(raw, float) and raw != raw):
            if not self.null:
                raise InputError(self.name, REQUIRED)
            return None
        if self.type == CATEGORY:
            return raw if isinstance(raw, str) else self._scalar(raw, cleaning)
        return self._boolean(raw) if self.type == BOOLEAN else self._number(raw)

    def reader(self, cleaning: Cleaning = AS_IS) -> "Callable[[Any], Any]":
        """``read`` as a function for one value after another: a missing number is NaN, a missing text None."""
        read, integer = self.read, self.integer
        if self.type == CATEGORY:
            return lambda raw: read(raw, cleaning)

        def numbers(raw: "Any") -> float | str:
            if type(raw) is float and raw - raw == 0.0 and not integer:  # the difference is NaN for NaN and infinity
                return raw
            value = read(raw, cleaning)
            return math.nan if value is None else value

        def booleans(raw: "Any") -> float | str:
            value = read(raw, cleaning)
            return math.nan if value is None else value

        return numbers if self.type == NUMBER else booleans

    def _scalar(self, raw: object, cleaning: Cleaning) -> str | None:
        from .scalars import scalar_text

        try:
            text = cleaning.text(scalar_text(raw))
        except TypeError:
            raise InputError(self.name, f"expected text, found {kind(raw)}") from None
        except ValueError:  # Python does not write down a whole number of thousands of digits
            raise InputError(self.name, "expected text, found a number that is too long") from None
        if text is None and not self.null:
            raise InputError(self.name, REQUIRED)
        return text

    def _boolean(self, raw: object) -> float:
        if isinstance(raw, str):
            raw = _TRUTH.get(raw.lower(), raw)
        if isinstance(raw, (bool, int, float)) and raw in (0, 1):
            return float(raw)
        raise InputError(self.name, f"expected true or false, found {kind(raw)}")

    def _number(self, raw: object) -> float:
        if isinstance(raw, str):
            from .scalars import number

            raw = number(raw, self.name, self.decimal, self.thousands)
        if isinstance(raw, bool) or not isinstance(raw, (int, float)):
            raise InputError(self.name, f"expected a number, found {kind(raw)}")
        try:
            value = float(raw)
        except OverflowError:
            value = math.inf
        if math.isinf(value):
            raise InputError(self.name, INFINITE)
        if self.integer and not value.is_integer():
            raise InputError(self.name, FRACTION)
        return value


_PLAIN = frozenset({float, int, bool, list, dict, tuple})


def named(row: "Mapping[str, Any]", known: frozenset[str] | set[str]) -> "Mapping[str, Any]":
    """A row, or columns by name, under the names that a model has for them; itself where it has no others for them.

    Parameters
    ----------
    row : mapping of name to anything.
    known : frozenset of the model's names.

    Raises
    ------
    InputError
        where two names are one column.
    """
    if known.issuperset(row.keys()):
        return row
    from .names import renamed

    return renamed(row, known)
