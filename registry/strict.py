"""Settings that a person wrote (YAML, JSON) -> a typed struct, or one line that says what is wrong.

A settings type is a ``msgspec.Struct``: bounds are ``Annotated[float, Meta(ge=0, le=1)]``, fixed words a ``Literal``
(or ``one_of``, where they are computed), a pattern has a ``description`` in words, and a rule over several fields is a
``ValueError`` in ``__post_init__``.
"""

import math
import re
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Meta

from registry.cli.text import did_you_mean

T = TypeVar("T")

#: A text that is not blank.
NotBlank = Annotated[str, Meta(pattern=r"\S")]
#: Of a list: no item is in it twice.
DISTINCT = Meta(extra_json_schema={"uniqueItems": True})

_KINDS = {float: "a number", int: "a whole number", str: "a text", bool: "true or false", NoneType: "nothing"}


class Invalid(ValueError):
    """Settings are not of their type: one line with the path to the value, what was expected and what was found."""


def one_of(*words: str) -> Meta:
    """The constraint on a text that it is one of these words."""
    return Meta(pattern=f"^(?:{'|'.join(map(re.escape, words))})$", extra={"words": words})


def read(content: Any, into: type[T], *, path: Sequence[str] = ()) -> T:
    """Read settings strictly: no unknown key, no value of another type, no number that is not finite.

    Parameters
    ----------
    content : mappings, lists, texts, numbers and None, as YAML and JSON give them.
    into : a ``msgspec.Struct``, or any other type that msgspec converts to.
    path : the keys that lead to ``content``, for the error.

    Raises
    ------
    Invalid
        if anything is wrong; it names the first fault.
    """
    _check(content, into, tuple(path))
    return msgspec.convert(content, into)


def _check(value: Any, kind: Any, path: tuple[str, ...]) -> None:
    """Raise Invalid for the innermost value that is not of its type."""
    bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    metas = [meta for meta in getattr(kind, "__metadata__", ()) if isinstance(meta, Meta)]
    origin = get_origin(bare)
    if origin in (Union, UnionType):
        members = get_args(bare)
        if value is not None or NoneType not in members:
            _check(value, next(member for member in members if member is not NoneType), path)
    elif isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        _check_struct(value, bare, path)
    elif origin is dict:
        _check_keys(value, _words(get_args(bare)[0]), path)
        for name, item in value.items():
            _check(item, get_args(bare)[1], (*path, name))
    elif origin in (list, tuple):
        if not isinstance(value, list):
            raise _invalid(path, "a list", value)
        for number, item in enumerate(value, 1):
            _check(item, get_args(bare)[0], (*path, str(number)))
        if DISTINCT in metas and len(value) != len({str(item) for item in value}):
            raise Invalid(f"{_told(path)}an item is repeated in {value!r}")
    elif not _fits(value, kind):
        raise _invalid(path, _expected(bare, _words(kind), metas), value, _words(kind))


def _check_struct(value: Any, kind: type[msgspec.Struct], path: tuple[str, ...]) -> None:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    _check_keys(value, tuple(fields), path)
    for name, field in fields.items():
        if name in value:
            _check(value[name], field.type, (*path, name))
        elif field.required:
            raise Invalid(f"{_told(path)}the key {name!r} is missing")
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:  # raised by its __post_init__: each value by itself is right
        raise Invalid(f"{_told(path)}{error}") from None


def _check_keys(value: Any, names: Sequence[str], path: tuple[str, ...]) -> None:
    """Raise Invalid unless a value is a mapping that has no key but these; any where none are given."""
    if not isinstance(value, Mapping):
        raise _invalid(path, f"keys ({', '.join(names)})" if names else "keys", value)
    for name in value:
        if not isinstance(name, str):
            raise _invalid(path, "keys that are texts", name)
        if names and name not in names:
            hint = did_you_mean(name, names, otherwise=f"the keys are {', '.join(names)}")
            raise Invalid(f"unknown key {'.'.join((*path, name))!r}; {hint}")


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return not isinstance(value, float) or math.isfinite(value)


def _expected(kind: Any, words: Sequence[str], metas: Sequence[Meta]) -> str:
    """A type and its bounds in words."""
    if words:
        return f"{', '.join(words[:-1])} or {words[-1]}"
    if told := next((meta.description for meta in metas if meta.description), None):
        return told
    text = _KINDS.get(kind, str(kind))
    for meta in metas:
        if meta.gt is not None and meta.lt is not None:
            text += f" between {meta.gt:g} and {meta.lt:g}"
        limits = [f"at least {meta.ge:g}"] if meta.ge is not None else []
        limits += [f"at most {meta.le:g}"] if meta.le is not None else []
        text += f" of {' and '.join(limits)}" if limits else ""
    return text


def _words(kind: Any) -> tuple[str, ...]:
    """The words that a text may be; none where it is not one of a list."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    extras = (meta.extra or {} for meta in getattr(kind, "__metadata__", ()) if isinstance(meta, Meta))
    return next((extra["words"] for extra in extras if "words" in extra), ())


def _invalid(path: Sequence[str], expected: str, value: Any, words: Sequence[str] = ()) -> Invalid:
    hint = did_you_mean(value, words) if isinstance(value, str) else ""
    return Invalid("; ".join(filter(None, (f"{_told(path)}expected {expected}, found {value!r}", hint))))


def _told(path: Sequence[str]) -> str:
    return f"{'.'.join(path)}: " if path else ""
