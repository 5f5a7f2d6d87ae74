"""What a transition says on the versions that it moved, for whoever looks at MLflow's pages: a tag, and a line."""

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from registry.client import speaking
from registry.ledger import Entry
from registry.stages import State
from registry.text import one_line

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: The tag of a version: its last move in words, with the id and the hash of the ledger's row.
TAG = "ledger"

# What MLflow's table takes of a description.
_LONGEST = 5000
_WITNESS = re.compile(r"\(ledger (\d+) ([0-9a-f]{64})\)$")
_LINE = re.compile(r"^- \d{4}-\d\d-\d\d \d\d:\d\d UTC: .* \(ledger \d+\)$")


def steps(client: "MlflowClient", state: State, intent: Entry) -> Iterator[tuple[str, Callable[[], object]]]:
    """The writes that tell a transition on the versions it moved, each with its name; none that is done already."""
    for move in intent.details["moves"]:
        version = state.versions.get(move["version"])
        if version is None:
            continue
        words = _words(intent, move)
        value = f"{words} (ledger {intent.id} {intent.hash})"
        if version.tags.get(TAG) != value:
            yield f"tag of {version.number}", _tagging(client, state.name, version.number, value)
        text = described(version.description, f"- {_minute(intent)} UTC: {words} (ledger {intent.id})")
        if text != version.description:
            yield f"description of {version.number}", _describing(client, state.name, version.number, text)


def witnesses(state: State) -> dict[int, str]:
    """The hashes of the ledger's rows that a model's versions name in their tags, by id; see ``Ledger.verify``."""
    found = {}
    for version in state.versions.values():
        if told := _WITNESS.search(version.tags.get(TAG, "")):
            found[int(told[1])] = told[2]
    return found


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


def _words(intent: Entry, move: dict) -> str:
    """A move in words; of a version that had to make room, with the one that took its place."""
    other = "" if move["version"] == intent.version else f"version {intent.version} came; "
    return one_line(f"{move['from']} → {move['to']} by {intent.actor}: {other}{intent.reason}", 600)


def _minute(intent: Entry) -> str:
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
