"""The gate ``schema``: what two versions take and answer, compared as their callers would notice."""

from dataclasses import dataclass

from registry.evidence import Evidence
from registry.evidence.document import InputColumn, ModelDescription
from registry.gates.context import Answer, GateContext


def schema(context: GateContext) -> Answer:
    """Whoever asks the champion can ask this version."""
    if context.champion is None:
        return True, "no other version is in Production"
    found, name = changes(context.champion.document, context.document), context.champion.title
    if found.breaking and context.breaking:
        return True, f"breaks with {name}, as --breaking says: {'; '.join(found.breaking)}"
    if found.breaking:
        return False, f"breaks with {name}: {'; '.join(found.breaking)}; where callers know, promote with --breaking"
    fine = f": {'; '.join(found.compatible)}" if found.compatible else ""
    return True, f"takes what {name} takes{fine}"


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


def changes(before: Evidence, after: Evidence) -> Changes:
    """What differs between two versions, by their evidence documents.

    An input that may be null is optional. The order of the inputs matters to requests that send bare lists.
    """
    old = {column.name: column for column in before.schema.inputs}
    new = {column.name: column for column in after.schema.inputs}
    breaking = [f"column {name!r} is gone" for name in old if name not in new]
    compatible: list[str] = []
    for name in new:
        if name not in old:
            (compatible if new[name].null else breaking).append(
                f"{'optional' if new[name].null else 'required'} column {name!r} is new"
            )
            continue
        worse, fine = _column(name, old[name], new[name])
        breaking += worse
        compatible += fine
    kept = [name for name in old if name in new]
    if kept != [name for name in new if name in old]:
        breaking.append("the columns are in another order, so that a request of a bare list is misread")
    breaking += _answers(before.model, after.model)
    return Changes(tuple(breaking), tuple(compatible))


def _column(name: str, old: InputColumn, new: InputColumn) -> tuple[list[str], list[str]]:
    breaking: list[str] = []
    compatible: list[str] = []
    if old.type != new.type:
        breaking.append(f"column {name!r} was a {old.type} and is a {new.type}")
    elif old.integer != new.integer:
        words = f"column {name!r} takes {'whole numbers only' if new.integer else 'fractions, too'}"
        (breaking if new.integer else compatible).append(words)
    if _marks(old) != _marks(new):
        breaking.append(f"column {name!r} took text of numbers with {_marks(old)}, and takes it with {_marks(new)}")
    if old.null != new.null:
        words = f"column {name!r} is {'optional now' if new.null else 'newly required: it may not be missing'}"
        (compatible if new.null else breaking).append(words)
    return breaking, compatible


def _marks(column: InputColumn) -> str:
    """The marks of numbers in text, which are told where they are not the usual ones."""
    return f"decimal {column.decimal!r}" + (f" and thousands {column.thousands!r}" if column.thousands else "")


def _answers(old: ModelDescription, new: ModelDescription) -> list[str]:
    if old.task != new.task:
        return [f"it was a {old.task} and is a {new.task}"]
    found = []
    if old.target != new.target:
        found.append(f"it predicted {old.target!r} and predicts {new.target!r}")
    if (old.classes or []) != (new.classes or []):
        found.append(f"its classes were {old.classes} and are {new.classes}")
    return found
