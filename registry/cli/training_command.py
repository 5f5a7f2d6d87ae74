"""The command that trained a version, and what of it other commands take: for those that are suggested next."""

import contextlib
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from registry.errors import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: The tag of a run with the command that made it.
TAG = "command"
# How a table is read, which every command that reads one is told alike.
_READING = ("query", "sep", "decimal", "thousands", "encoding", "header", "missing", "skip-rows")
# What only a search, and only a training without one, is told.
_OF_SEARCH = ("trials", "timeout", "metric", "search", "storage", "study")
_OF_TRAINING = ("param", "pipeline", "estimator")
_FLAGS = ("json", "debug")
_HIDDEN = "***"


class TrainingCommand:
    """The options of a command, without those that are blank.

    Parameters
    ----------
    text : the command as it was typed; of another command than ``train`` and ``tune``, nothing of it is used.
    name : of the model.
    tags : of the version, which tell the table and the target.
    """

    def __init__(self, text: str, name: str, tags: Mapping[str, str]):
        given = [pair for pair in _options(text) if pair[0] not in ("data", "target", "name", *_FLAGS)]
        if not given and (pipeline := tags.get("pipeline")):
            given = [("pipeline", pipeline)]
        self._given, self._name = given, name
        self._data = tags.get("data.source", "").removeprefix("scikit-learn:")
        self._target = tags.get("target", "")

    @property
    def known(self) -> bool:
        """Whether the table can be named again: a database's address has lost its password."""
        return bool(self._data) and ("://" not in self._data or self._data.startswith("s3://"))

    @property
    def pipeline(self) -> bool:
        """Whether it trained a user's own pipeline."""
        return any(option == "pipeline" for option, _ in self._given)

    def reading(self) -> list[str]:
        """The words that name the table and say how it is read."""
        return self._words(lambda option: option in _READING)

    def training(self, *more: str) -> list[str]:
        """The words of ``train``, others in place of those that ``more`` gives."""
        own = {word.removeprefix("--") for word in more}
        words = self._words(lambda option: option not in _OF_SEARCH and option not in own)
        return [*words, "--name", self._name, *more]

    def searching(self) -> list[str]:
        """The words of ``tune``."""
        return [*self._words(lambda option: option not in _OF_TRAINING), "--name", self._name]

    def _words(self, wanted: Callable[[str], bool]) -> list[str]:
        words = ["--data", self._data, *(["--target", self._target] if self._target else [])]
        for option, value in self._given:
            if wanted(option):
                words += [f"--{option}", *([value] if value else [])]
        return words


def of_run(client: "MlflowClient", run_id: str | None) -> str:
    """The command that made a run; empty if it is not known, or the server does not tell now."""
    from registry.client import speaking

    with contextlib.suppress(RegistryError), speaking():
        return client.get_run(run_id).data.tags.get(TAG, "") if run_id else ""
    return ""


def reading(words: Iterable[str]) -> list[str]:
    """Of the words of a command that reads a table, those that say how it is read."""
    return [word for option, value in _pairs(words) if option in _READING for word in (f"--{option}", value)]


def _options(text: str) -> list[tuple[str, str]]:
    """The options of a command that trains, each with its value."""
    try:
        words = shlex.split(text)
    except ValueError:
        return []
    start = next((place for place, word in enumerate(words) if word in ("train", "tune")), None)
    return [] if start is None or _HIDDEN in text else _pairs(words[start + 1 :])


def _pairs(words: Iterable[str]) -> list[tuple[str, str]]:
    """The options among words with their values; without those that are blank."""
    found: list[tuple[str, str | None]] = []
    for word in words:
        if word.startswith("--"):
            option, equals, value = word[2:].partition("=")
            found.append((option, value if equals else None))
        elif found and found[-1][1] is None:
            found[-1] = (found[-1][0], word)
    return [(option, value or "") for option, value in found if value != ""]
