"""What a transition says on the versions that it moved, for whoever looks at MLflow's pages: a tag, and a line."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from registry import stages
from registry.cli.text import one_line
from registry.client import speaking
from registry.ledger import DONE, UNDONE, Anchor, LedgerEntry
from registry.stages import State

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: The tag of a version: its last move in words, with the hash of the ledger's row. While it moves that is the intent,
#: afterwards the row that closed it: so the registry holds what the ledger's last rows must be.
TAG = "ledger"

#: A write to the registry, and its name.
Step = tuple[str, Callable[[], object]]

# What MLflow's table takes of a description.
_LONGEST = 5000
_WITNESS = re.compile(r"\(ledger (\d+)(?:, row (\d+))? ([0-9a-f]{64})\)$")
_LINE = re.compile(r"^- \d{4}-\d\d-\d\d \d\d:\d\d UTC: .* \(ledger \d+\)$")


def announcement(client: "MlflowClient", state: State, intent: LedgerEntry) -> Iterator[Step]:
    """The write that names an intent on the version that it is about, before anything is moved; none if it is named."""
    yield from _tags(client, state, intent, [intent.version])


def undoing(client: "MlflowClient", state: State, intent: LedgerEntry) -> Iterator[Step]:
    """The write that names an intent that moved nothing, before it is closed: in words that announce no move."""
    yield from _tags(client, state, intent, [intent.version], prefix="not done: ")


def announced(state: State, intent: LedgerEntry) -> bool:
    """Whether the registry names an intent: what it does not name has moved nothing."""
    version = state.versions.get(intent.version)
    return version is not None and any(
        version.tags.get(TAG) == _value(intent, move) for move in intent.details["moves"] if _about(intent, move)
    )


def steps(client: "MlflowClient", state: State, intent: LedgerEntry) -> Iterator[Step]:
    """The writes that tell a transition on the versions it moved, each with its name; none that is done already."""
    for move in intent.details["moves"]:
        if not _about(intent, move):
            # That one was announced.
            yield from _tags(client, state, intent, [move["version"]])
        version = state.versions.get(move["version"])
        if version is None:
            continue
        text = described(version.description, f"- {_minute(intent)} UTC: {_words(intent, move)} (ledger {intent.id})")
        if text != version.description:
            yield f"description of {version.number}", _describing(client, state.name, version.number, text)


def closings(client: "MlflowClient", state: State, closing: LedgerEntry) -> Iterator[Step]:
    """The writes that name the row that closed a transition: on what it moved, or where it was undone, was to move."""
    moved = [move["version"] for move in closing.details["moves"]]
    yield from _tags(client, state, closing, moved if closing.state == DONE else [closing.version])


def anchors(client: "MlflowClient") -> list[Anchor]:
    """All versions of the registry with the rows of the ledger that their tags name; see ``Ledger.verify``."""
    return [
        Anchor(name, version.number, version.created, *_named(version.tags)) for name, version in stages.every(client)
    ]


def rows_named(state: State) -> set[int]:
    """The ids of the ledger's rows that a model's versions name in their tags."""
    return {row for version in state.versions.values() if (row := _named(version.tags)[0]) is not None}


def _named(tags: Mapping[str, str]) -> tuple[int | None, str | None]:
    told = _WITNESS.search(tags.get(TAG, ""))
    return (int(told[2] or told[1]), told[3]) if told else (None, None)


def _tags(
    client: "MlflowClient", state: State, row: LedgerEntry, numbers: Collection[str], *, prefix: str = ""
) -> Iterator[Step]:
    for move in row.details["moves"]:
        version = state.versions.get(move["version"])
        # One of the same number may have come in its place.
        if version is None or version.number not in numbers or version.created != move["created"]:
            continue
        value = prefix + _value(row, move)
        if version.tags.get(TAG) != value:
            yield f"tag of {version.number}", _tagging(client, state.name, version.number, value)


def _about(row: LedgerEntry, move: Mapping[str, Any]) -> bool:
    return move["version"] == row.version


def _value(row: LedgerEntry, move: Mapping[str, Any]) -> str:
    """A version's tag: its move in words, then the transition and the hash of the row."""
    closing = f", row {row.id}" if row.intent else ""
    return f"{_words(row, move)} (ledger {row.intent or row.id}{closing} {row.hash})"


def described(description: str, line: str) -> str:
    """A description with a line below it; of earlier such lines the oldest go where it would be too long."""
    lines = description.rstrip("\n").split("\n") if description else []
    if line in lines:
        return description
    told: list[str] = []
    while lines and _LINE.match(lines[-1]):
        told.insert(0, lines.pop())
    text = "\n".join(lines).rstrip("\n")
    told.append(line)
    while told:
        whole = "\n".join([text, "", *told] if text else told)
        if len(whole) <= _LONGEST:
            return whole
        told.pop(0)
    return description


def _words(row: LedgerEntry, move: Mapping[str, Any]) -> str:
    """A move in words; of a version that had to make room, with the one that took its place."""
    undone = f"undone, {row.details.get('recovered', '')}; " if row.state == UNDONE else ""
    other = "" if _about(row, move) else f"version {row.version} came; "
    return one_line(f"{move['from']} → {move['to']} by {row.actor}: {undone}{other}{row.reason}", 600)


def _minute(intent: LedgerEntry) -> str:
    return intent.time[:16].replace("T", " ")


def _tagging(client: "MlflowClient", name: str, number: str, value: str) -> Callable[[], object]:
    def write() -> None:
        with speaking():
            client.set_model_version_tag(name, number, TAG, value)

    return write


def _describing(client: "MlflowClient", name: str, number: str, text: str) -> Callable[[], object]:
    def write() -> None:
        with speaking():
            client.update_model_version(name, number, text)

    return write
