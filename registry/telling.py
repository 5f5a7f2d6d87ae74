"""What a transition says on the versions that it moved, for whoever looks at MLflow's pages: two tags and a line."""

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from registry.client import speaking
from registry.ledger import Entry
from registry.stages import State
from registry.text import one_line

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: Tags of a version: the id and hash of the ledger's row that moved it last, and that move in words.
ENTRY_TAG = "ledger.entry"
MOVE_TAG = "ledger.transition"

# What MLflow's table takes of a description.
_LONGEST = 5000
_LINE = re.compile(r"^- \d{4}-\d\d-\d\d \d\d:\d\d UTC: .* \(ledger \d+\)$")


def steps(client: "MlflowClient", state: State, intent: Entry) -> Iterator[tuple[str, Callable[[], object]]]:
    """The writes that tell a transition on the versions it moved, each with its name; none that is done already."""
    for move in intent.details["moves"]:
        version = state.versions.get(move["version"])
        if version is None:
            continue
        words = _words(intent, move)
        tags = {ENTRY_TAG: f"{intent.id} {intent.hash}", MOVE_TAG: words}
        for tag, value in tags.items():
            if version.tags.get(tag) != value:
                yield f"tag {tag} of {version.number}", _setting_tag(client, state.name, version.number, tag, value)
        text = described(version.description, f"- {_minute(intent)} UTC: {words} (ledger {intent.id})")
        if text != version.description:
            yield f"description of {version.number}", _describing(client, state.name, version.number, text)


def witnesses(state: State) -> dict[int, str]:
    """The hashes of the ledger's rows that a model's versions name in their tags, by id; see ``Ledger.verify``."""
    found = {}
    for version in state.versions.values():
        number, _, hash = version.tags.get(ENTRY_TAG, "").partition(" ")
        if number.isdigit():
            found[int(number)] = hash
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


def _setting_tag(client: "MlflowClient", name: str, number: str, tag: str, value: str) -> Callable[[], object]:
    def write() -> None:
        with speaking():
            client.set_model_version_tag(name, number, tag, value)

    return write


def _describing(client: "MlflowClient", name: str, number: str, text: str) -> Callable[[], object]:
    def write() -> None:
        with speaking():
            client.update_model_version(name, number, text)

    return write
