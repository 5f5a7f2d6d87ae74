"""What a row of the ledger says, and the chain of hashes by which a changed row is found."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from registry.errors import RegistryError
from registry.redaction import inside, redacted

#: States. A transition is an ``intent`` and one row that closes it, ``done`` or ``undone``; what follows a transition
#: is ``followed`` or ``failed``; anything else that is worth a row is ``noted``.
INTENT, DONE, UNDONE, FOLLOWED, FAILED, NOTED = "intent", "done", "undone", "followed", "failed", "noted"
STATES = (INTENT, DONE, UNDONE, FOLLOWED, FAILED, NOTED)
CLOSED = (DONE, UNDONE)

#: The kind of the rows that tell what a command or webhook made of a transition.
FOLLOW = "follow"

#: What the first row holds as the hash of the one before.
BEGINNING = "0" * 64

#: The columns, in the order of the table.
COLUMNS = (
    *("id", "time", "kind", "state", "intent", "model", "version", "source", "target", "actor", "reason"),
    *("digest", "verdict", "details", "previous", "hash"),
)


@dataclass(frozen=True)
class LedgerEntry:
    """A row of the ledger.

    Parameters
    ----------
    kind : what was done: ``promote``, ``reject``, ``rollback``, ``by-hand``, ``revert``, ``follow``, ...
    state : one of ``STATES``.
    source, target : the stage that the version came from, and went to.
    actor : who did it: a user's name, or ``UI``.
    intent : the id of the intent that this row closes, or belongs to; None in an intent.
    digest : the digest of the evidence that the version was judged by.
    verdict : what the gates said.
    details : what else: the moves of other versions, aliases, attempts, errors.
    id, time, previous, hash : given when it is appended; the time is UTC in ISO 8601.
    """

    kind: str
    state: str
    model: str
    version: str
    source: str
    target: str
    actor: str
    reason: str
    intent: int | None = None
    digest: str | None = None
    verdict: Mapping[str, Any] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    id: int = 0
    time: str = ""
    previous: str = ""
    hash: str = ""


@dataclass(frozen=True)
class Broken:
    """The first row at which the chain does not hold, and why."""

    id: int
    reason: str


@dataclass(frozen=True)
class Anchor:
    """A registered version, and the row of the ledger that its tag names; None where it names none.

    Parameters
    ----------
    created : when the registry made the version; it tells versions of one number from each other.
    """

    model: str
    version: str
    created: int
    row: int | None = None
    hash: str | None = None


def row_of(entry: LedgerEntry, *, id: int, time: str, previous: str) -> dict[str, Any]:
    """The columns of an entry that is appended after the row whose hash is ``previous``."""
    if entry.state not in STATES or (entry.intent is None) != (entry.state in (INTENT, NOTED)):
        raise ValueError(f"no such row: state {entry.state!r} with intent {entry.intent!r}")
    row: dict[str, Any] = {name: getattr(entry, name) for name in COLUMNS}
    row |= {name: plain(row[name]) for name, value in row.items() if isinstance(value, str)}
    row |= {"id": id, "time": time, "previous": previous}
    # What is written here stays for good: no secret is.
    row["reason"] = redacted(row["reason"])
    row["verdict"] = None if entry.verdict is None else canonical(inside(entry.verdict))
    row["details"] = canonical(inside(entry.details))
    row["hash"] = hash_of(row)
    return row


def entry_of(row: Mapping[str, Any]) -> LedgerEntry:
    """A stored row as an entry.

    Raises
    ------
    RegistryError
        where its JSON is damaged.
    """
    values = {name: row[name] for name in COLUMNS}
    try:
        values["verdict"] = None if values["verdict"] is None else json.loads(values["verdict"])
        values["details"] = json.loads(values["details"])
        if not isinstance(values["details"], dict):
            raise ValueError("details are no object")
    except (ValueError, TypeError) as error:
        raise RegistryError(
            f"row {values['id']} of the ledger is damaged ({error}); see `python -m registry history --verify`"
        ) from None
    return LedgerEntry(**values)


def hash_of(row: Mapping[str, Any]) -> str:
    """The SHA-256 of a row's columns without its hash, as canonical JSON: 64 hex digits."""
    text = json.dumps({name: row[name] for name in COLUMNS if name != "hash"}, default=repr, **_CANONICAL)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def first_broken(rows: Iterable[Mapping[str, Any]], *, last: int, head: str) -> Broken | None:
    """The first row that was changed, removed, added or put elsewhere since it was written; None where all hold.

    Parameters
    ----------
    rows : all rows by ascending id.
    last, head : the id and hash of the row that was appended last, as the ledger's head keeps them.
    """
    previous, expected = BEGINNING, 1
    for row in rows:
        if row["id"] != expected:
            return Broken(expected, f"row {expected} is not there")
        if row["previous"] != previous:
            return Broken(expected, f"row {expected} does not follow the row before it")
        if row["hash"] != hash_of(row):
            return Broken(expected, f"row {expected} was changed after it was written")
        previous, expected = row["hash"], expected + 1
    if isinstance(last, int) and expected - 1 < last:
        return Broken(expected, f"row {expected} is not there")
    if last != expected - 1 or previous != head:
        return Broken(expected - 1, f"row {expected - 1} is not the one that was written last")
    return None


def unanchored(
    entries: Sequence[LedgerEntry], anchors: Iterable[Anchor], *, until: int, pending: Collection[int]
) -> Broken | None:
    """The first closing row that the registry should name and does not, or that closes another intent; None: none.

    A tag names the intent before anything is moved, and the closing row after it is written. The chain anchors what
    is before a named row; behind the last one, a closing row is as it was written only where its transition was cut
    short in between: the row is pending, and a tag names its intent.

    Parameters
    ----------
    entries : all rows by ascending id.
    anchors : of all versions of the registry, read after the rows until ``until`` and ``pending`` were.
    until : the last row that the anchors must know of; what comes later was written meanwhile.
    pending : the rows that wait to be named.
    """
    versions = {(one.model, one.version, one.created): one for one in anchors}
    named = {one.row for one in versions.values() if one.row is not None}
    by_id = {entry.id: entry for entry in entries}
    for number in sorted(pending):
        if number not in by_id or by_id[number].state not in CLOSED:
            return Broken(number, f"row {number} waits to be named in the registry, and closes nothing")
    # The first release named no closing rows.
    since = next((entry.id for entry in entries if entry.state == INTENT and anchoring(entry)), until + 1)
    for entry in entries:
        if entry.state not in CLOSED:
            continue
        intent = by_id.get(entry.intent or 0)
        if intent is None or not _closes(intent, entry):
            return Broken(entry.id, f"row {entry.id} does not close the intent that it names")
        if entry.id > until or entry.id <= max(named, default=0) or intent.id < since:
            continue
        moved = {
            (entry.model, move["version"], move["created"])
            for move in entry.details.get("moves", ())
            # What was undone moved nothing: it is told on the version that it was about.
            if entry.state == DONE or move["version"] == entry.version
        }
        # Of versions that were deleted there is nothing to ask.
        known = moved & versions.keys()
        cut_short = entry.id in pending and any(versions[one].row == intent.id for one in known)
        if known and not cut_short:
            return Broken(entry.id, f"row {entry.id} is not named by the tag of any version that it moved")
    return None


def anchoring(intent: LedgerEntry) -> bool:
    """Whether the release that wrote an intent named it in the registry before it moved anything."""
    return intent.details.get("schema", 1) >= 2


def _closes(intent: LedgerEntry, entry: LedgerEntry) -> bool:
    """Whether a row says of a transition what its intent says, but for how it ended."""
    same = ("kind", "model", "version", "source", "target", "actor", "reason", "digest", "verdict")
    return (
        intent.state == INTENT
        and intent.id < entry.id
        and all(getattr(intent, name) == getattr(entry, name) for name in same)
        and all(name in entry.details and entry.details[name] == value for name, value in intent.details.items())
    )


def canonical(value: Any) -> str:
    """A value as JSON that is the same for equal values.

    Raises
    ------
    ValueError, TypeError
        where it is no JSON: a number that is not finite, say.
    """
    return json.dumps(value, default=_mapping, **_CANONICAL)


_CANONICAL: dict[str, Any] = {"sort_keys": True, "ensure_ascii": True, "allow_nan": False, "separators": (",", ":")}


def _mapping(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def plain(text: str) -> str:
    """A text as every database takes it: without NUL, and without halves of characters."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\N{REPLACEMENT CHARACTER}")


def closing(intent: LedgerEntry, state: str, **details: Any) -> LedgerEntry:
    """The row that closes an intent as ``done`` or ``undone``; details are added to the intent's."""
    whole = {**intent.details, **details}
    return replace(intent, state=state, intent=intent.id, details=whole, id=0, time="", previous="", hash="")
