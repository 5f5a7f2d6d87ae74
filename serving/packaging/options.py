"""Targets and their options: declared once, read from ``-C name=value``, and checked before anything else."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from registry.cli.text import did_you_mean, truth
from serving.errors import ServingError

from .model import PackagedModel
from .plan import PackagePlan


@dataclass(frozen=True)
class Setting:
    """One option of a target.

    Parameters
    ----------
    name : as in ``-C name=value``.
    default : the value where it is not given; of the type that ``read`` gives.
    help : what it is for, in a few words.
    read : from text to a value; raises ValueError with words for what is expected.
    """

    name: str
    default: Any
    help: str
    read: Callable[[str], Any] = str


def option(default: Any, help: str, read: Callable[[str], Any] = str) -> Any:
    """Declare a field of a target's options; parameters are those of :class:`Setting`."""
    return field(default=default, metadata={"help": help, "read": read})


def read(declared: Iterable[Setting], given: Mapping[str, Any], *, of: str) -> dict[str, Any]:
    """Return the value of every declared option.

    Parameters
    ----------
    given : texts by name, as ``-C name=value`` gives them, or values from Python; an empty one is the default.
    of : what has the options, for messages.

    Raises
    ------
    ServingError
        if one is not declared, or its value is not of its kind.
    """
    known = {one.name: one for one in declared}
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known, otherwise=f"there are: {', '.join(known)}")
            raise ServingError(f"{of} has no option {name!r}; {hint}")
    found = {}
    for name, one in known.items():
        text = as_text(given.get(name))
        try:
            found[name] = one.read(text) if text else one.default
        except ValueError as error:
            raise ServingError(f"{of}: option {name}: expected {error}, found {text!r}") from None
    return found


def as_text(value: Any) -> str:
    """Return a value from Python as ``-C`` would give it; None is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ",".join(f"{key}={one}" for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return str(value).strip()


@dataclass(frozen=True)
class Target:
    """A place where a version can be deployed.

    Parameters
    ----------
    name : as ``--target`` takes it.
    summary : what it is, in a sentence.
    kind : a dataclass whose fields are its options, each declared by :func:`option`.
    plan : from a fetched model and options of that kind to a plan.
    """

    name: str
    summary: str
    kind: type
    plan: Callable[[PackagedModel, Any], PackagePlan]

    @property
    def options(self) -> tuple[Setting, ...]:
        """The options that it takes."""
        return tuple(
            Setting(one.name, one.default, one.metadata["help"], one.metadata["read"]) for one in fields(self.kind)
        )

    def read(self, given: Mapping[str, Any]) -> Any:
        """Return the options with their values.

        Raises
        ------
        ServingError
            if one is unknown, or refused.
        """
        return self.kind(**read(self.options, given, of=self.name))


def whole(least: int, most: int) -> Callable[[str], int]:
    """Reads a whole number within bounds."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise ValueError(f"a whole number from {least:,} to {most:,}")
        return value

    return read


def one_of(*words: str) -> Callable[[str], str]:
    """Reads one of several words."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return text

    return read


def some_of(*words: str) -> Callable[[str], tuple[str, ...]]:
    """Reads some of several words, with commas or spaces between them; in the order of ``words``."""

    def read(text: str) -> tuple[str, ...]:
        found = [part for part in re.split(r"[\s,;]+", text) if part and part != "none"]
        if not set(found) <= set(words):
            raise ValueError(f"some of {', '.join(words)}, or none")
        return tuple(word for word in words if word in found)

    return read


def matching(pattern: str, expected: str) -> Callable[[str], str]:
    """Reads a text that a regular expression matches as a whole."""

    def read(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(expected)
        return text

    return read


def listed(pattern: str, expected: str) -> Callable[[str], tuple[str, ...]]:
    """Reads texts with commas or spaces between them, each of which a regular expression matches."""
    one = matching(pattern, expected)
    return lambda text: tuple(one(part) for part in re.split(r"[\s,;]+", text) if part)


def or_none(read: Callable[[str], Any], nothing: Any) -> Callable[[str], Any]:
    """Reads the word none as ``nothing``, by which a deployment has a setting taken away; else as ``read`` does."""
    return lambda text: nothing if text == "none" else read(text)


def yes_no(text: str) -> bool:
    """Reads yes or no."""
    found = truth(text)
    if found is None:
        raise ValueError("yes or no")
    return found
