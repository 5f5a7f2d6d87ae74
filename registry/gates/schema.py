"""What two versions take and answer, compared as their callers would notice."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Changes:
    """What a new version changes for its callers, a phrase each.

    Parameters
    ----------
    breaking : a request that was answered is refused or misread, or an answer is not what it was.
    compatible : all other.
    """

    breaking: tuple[str, ...]
    compatible: tuple[str, ...]


def changes(before: dict, after: dict) -> Changes:
    """What is different between two versions, by their evidence documents.

    An input that may be null is optional. The order of the inputs matters to requests that send bare lists.
    """
    old = {one["name"]: one for one in before["schema"]["inputs"]}
    new = {one["name"]: one for one in after["schema"]["inputs"]}
    breaking = [f"column {name!r} is gone" for name in old if name not in new]
    compatible: list[str] = []
    for name in new:
        if name not in old:
            (compatible if new[name]["null"] else breaking).append(
                f"{'optional' if new[name]['null'] else 'required'} column {name!r} is new"
            )
            continue
        worse, fine = _column(name, old[name], new[name])
        breaking += worse
        compatible += fine
    kept = [name for name in old if name in new]
    if kept != [name for name in new if name in old]:
        breaking.append("the columns are in another order, so that a request of a bare list is misread")
    breaking += _answers(before["model"], after["model"])
    return Changes(tuple(breaking), tuple(compatible))


def _column(name: str, old: Mapping, new: Mapping) -> tuple[list[str], list[str]]:
    breaking: list[str] = []
    compatible: list[str] = []
    if old["type"] != new["type"]:
        breaking.append(f"column {name!r} was a {old['type']} and is a {new['type']}")
    elif old["integer"] != new["integer"]:
        words = f"column {name!r} takes {'whole numbers only' if new['integer'] else 'fractions, too'}"
        (breaking if new["integer"] else compatible).append(words)
    if _marks(old) != _marks(new):
        breaking.append(f"column {name!r} took text of numbers with {_marks(old)}, and takes it with {_marks(new)}")
    if old["null"] != new["null"]:
        words = f"column {name!r} is {'optional now' if new['null'] else 'newly required: it may not be missing'}"
        (compatible if new["null"] else breaking).append(words)
    return breaking, compatible


def _marks(column: Mapping) -> str:
    """The marks of numbers in text, which are told where they are not the usual ones."""
    thousands = column.get("thousands", "")
    return f"decimal {column.get('decimal', '.')!r}" + (f" and thousands {thousands!r}" if thousands else "")


def _answers(old: Mapping, new: Mapping) -> list[str]:
    if old["task"] != new["task"]:
        return [f"it was a {old['task']} and is a {new['task']}"]
    found = []
    if old["target"] != new["target"]:
        found.append(f"it predicted {old['target']!r} and predicts {new['target']!r}")
    if list(old["classes"] or ()) != list(new["classes"] or ()):
        found.append(f"its classes were {old['classes']} and are {new['classes']}")
    return found
