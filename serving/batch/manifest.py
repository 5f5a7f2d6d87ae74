"""Which files of a folder are scored already, so that a job that was interrupted continues."""

import contextlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import Any

from registry import s3
from serving.batch import outputs
from serving.batch.errors import OutputChanged
from serving.batch.outputs import Output
from serving.batch.request import ScoredFile
from serving.batch.sources import InputFile

#: The name of the file in the folder of answers.
NAME = "_scored.json"


class Manifest:
    """The files that are done: by the identity of each, and by what decides the answers.

    Parameters
    ----------
    folder : address of the folder of answers; None for a job of one file, which needs none.
    settings : a digest of what decides the answers, but the input and the time.
    """

    def __init__(self, folder: str | None, settings: str):
        self._settings = settings
        self._output = None if folder is None else outputs.output(outputs.below(folder, PurePath(NAME)))
        self._done = self._read()

    def done(self, file: InputFile, target: Output) -> ScoredFile | None:
        """What came of a file in an earlier job, if nothing has changed since."""
        known = self._done.get(_name(file))
        if not isinstance(known, dict) or known.get("settings") != self._settings:
            return None
        if known.get("input") != list(file.identity) or target.size() != known["size"]:
            return None
        return ScoredFile(**{**known["file"], "done_before": True})

    def wrote(self, file: InputFile, target: Output) -> bool:
        """Whether an earlier job wrote what is at the target, or was about to."""
        known = self._done.get(_name(file))
        return isinstance(known, dict) and known.get("size") in (None, target.size())

    def former(self, files: Iterable[InputFile]) -> int:
        """The number of files that are none of these, and to which the folder still has answers of earlier jobs."""
        others = [known for name, known in self._done.items() if name not in set(map(_name, files))]
        answers = [known["file"]["output"] for known in others if isinstance(known, dict) and "file" in known]
        # Objects are not asked for one by one: there may be one of each day of years.
        return sum(s3.is_address(address) or Path(address).exists() for address in answers)

    def begin(self, file: InputFile, target: Output, *, overwrite: bool) -> None:
        """Remember that the answers to a file are about to be written.

        Raises
        ------
        OutputChanged
            if another job has written them since this one began, and ``overwrite`` is false.
        """
        if self._output is None:
            return
        now, before = self._read().get(_name(file)), self._done.get(_name(file))
        if not overwrite and now != before and isinstance(now, dict) and now.get("size") is not None:
            raise OutputChanged(target.address)
        # Taken now: what changes while it is scored is not done.
        self._save(self._output, file, {"size": None, "input": list(file.identity)})

    def add(self, file: InputFile, target: Output, done: ScoredFile) -> None:
        """Remember what came of a file."""
        if self._output is not None:
            known = {"settings": self._settings, "size": target.size(), "file": asdict(done)}
            self._save(self._output, file, self._done[_name(file)] | known)

    def _read(self) -> dict[str, Any]:
        """What is known of each file; another job may have written it a moment ago."""
        if self._output is not None:
            with contextlib.suppress(OSError, ValueError):
                found = json.loads(self._output.read())
                return found if isinstance(found, dict) else {}
        return {}

    def _save(self, output: Output, file: InputFile, known: dict[str, Any]) -> None:
        self._done[_name(file)] = known
        with output.writing() as path:
            content = json.dumps({**self._read(), _name(file): known}, indent=1)
            Path(path).write_text(content + "\n", encoding="utf-8")


def _name(file: InputFile) -> str:
    return file.relative.as_posix()
