"""Checks of values in a document by the types of the nodes' fields; an error says where in the document it is."""

from .errors import ScorecardError
from .inputs import Record
from .nodes import Label, Layer, Term, Threshold
from .steps import Category, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import Any, NoReturn

    #: (value, where it is, the kind of the column where the value is one of its categories) -> raises, or does not.
    Check = Callable[[Any, str, str], object]

#: What a column holds.
NUMBER, TEXT = "number", "text"


def type_of(cls: "type[Record]", name: str) -> "Any":
    """The type of a field of a node."""
    return next(base.__annotations__[name] for base in cls.__mro__ if name in base.__annotations__)


def check(cls: "type[Record]", name: str) -> "Check":
    """What checks a field of a node."""
    found = _known.get((cls, name))
    if found is None:
        found = _known[cls, name] = _check(type_of(cls, name), cls.choices.get(name))
    return found


_known: "dict[tuple[type[Record], str], Check]" = {}


def node(value: "Any", at: str, cls: "type[Record]", kind: str = NUMBER) -> None:
    """Checks an object of the fields of a node."""
    keys(value, at, cls.fields)
    for name in cls.fields:
        check(cls, name)(value[name], f"{at}.{name}", kind)


def _check(wanted: "Any", words: "tuple[str, ...] | None") -> "Check":
    """What checks a value of a type; ``words`` are the texts that it may be."""
    if words and wanted is str:
        return lambda value, at, kind: choice(value, at, words)
    if words:
        other = _check(float | None, None)
        return lambda value, at, kind: choice(value, at, words) if type(value) is str else other(value, at, kind)
    if wanted in _LEAVES:
        return _LEAVES[wanted]
    if wanted in _NODES:
        return lambda value, at, kind: node(value, at, wanted, kind)
    inner = _check(wanted.__args__[0], None)
    if getattr(wanted, "__origin__", None) not in (list, tuple):  # it is a union with None
        return lambda value, at, kind: None if value is None else inner(value, at, kind)

    def items(value: "Any", at: str, kind: str) -> None:
        for place, item in enumerate(listed(value, at)):
            inner(item, f"{at}[{place}]", kind)

    return items


def fail(at: str, expected: str, found: object) -> "NoReturn":
    """Refuses a value; shows no text of the document."""
    shown = f"{len(found)} items" if isinstance(found, list) else type(found).__name__
    if found is None or isinstance(found, (bool, int, float)):
        shown = repr(found)
    raise ScorecardError(f"{at}: expected {expected}, found {shown}")


def keys(value: "Any", at: str, wanted: "Sequence[str]", optional: "Sequence[str]" = ()) -> None:
    """Checks that a value is an object of these keys."""
    if not isinstance(value, dict):
        fail(at, f"an object with {', '.join(wanted)}", value)
    for key in wanted:
        if key not in value:
            raise ScorecardError(f"{at}: {key!r} is missing")
    if len(value) > len(wanted):
        for key in value:
            if key not in wanted and key not in optional:
                raise ScorecardError(f"{at}: expected only {', '.join((*wanted, *optional))}, found {key!r} too")


def listed(value: "Any", at: str) -> "list[Any]":
    """The value, which has to be a list."""
    return value if type(value) is list else fail(at, "a list", value)


def length(value: "list[Any]", at: str, wanted: int) -> None:
    """Checks how many numbers are in a list."""
    if len(value) != wanted:
        fail(at, f"{wanted} numbers", value)


def choice(value: "Any", at: str, words: "Collection[str]") -> str:
    """The value, which has to be one of some texts."""
    return value if type(value) is str and value in words else fail(at, f"one of {', '.join(words)}", value)


def text(value: "Any", at: str, kind: str = TEXT) -> str:
    """The value, which has to be text."""
    return value if type(value) is str else fail(at, "text", value)


def boolean(value: "Any", at: str, kind: str = "") -> bool:
    """The value, which has to be a boolean."""
    return value if type(value) is bool else fail(at, "true or false", value)


def numbers(value: "Any", at: str, kind: str = NUMBER) -> None:
    """Checks a list of finite numbers."""
    for place, item in enumerate(listed(value, at)):
        if type(item) is not float or item - item != 0:
            _number(item, f"{at}[{place}]")


def categories(value: "Any", at: str, kind: str) -> "list[Category]":
    """The value, which has to be a list of categories of a column of some kind."""
    for place, item in enumerate(listed(value, at)):
        _category(item, f"{at}[{place}]", kind)
    return value


def reference(name: "Any", known: dict[str, str], at: str, kind: str | None) -> str:
    """The value, which has to be the name of what is known, of that kind."""
    if text(name, at) not in known:
        raise ScorecardError(f"{at}: there is no {name!r} above it")
    if kind is not None and known[name] != kind:
        raise ScorecardError(f"{at}: {name!r} is {known[name]}, expected a {kind}")
    return known[name]


def _number(value: "Any", at: str, kind: str = NUMBER) -> None:
    # A document made in Python may hold what JSON cannot say: a difference that is not zero is NaN or infinity.
    if type(value) not in (float, int) or value - value != 0:
        fail(at, "a finite number", value)


def _value(value: "Any", at: str, kind: str) -> None:
    (text if kind == TEXT else _number)(value, at)


def _category(value: "Any", at: str, kind: str) -> None:
    if value is not None:
        _value(value, at, kind)


def _label(value: "Any", at: str, kind: str) -> None:
    if type(value) not in (str, int, float, bool):
        fail(at, "a label", value)


_LEAVES: "dict[Any, Check]" = {
    **{str: text, bool: boolean, float: _number, Value: _value, Category: _category, Label: _label},
    **{list[float]: numbers, list[Category]: categories},
}
_NODES = (Term, Layer, Threshold)
