"""Which files of a folder are scored already, so that a job that was interrupted continues."""

import contextlib
import json
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import Any

from serving.batch import outputs
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
        self._done: dict[str, Any] = {}
        if self._output is not None:
            with contextlib.suppress(OSError, ValueError):
                self._done = json.loads(self._output.read())

    def done(self, file: InputFile, target: Output) -> ScoredFile | None:
        """What came of a file in an earlier job, if nothing has changed since."""
        known = self._done.get(file.relative.as_posix())
        if not isinstance(known, dict) or known.get("settings") != self._settings:
            return None
        if known.get("input") != list(file.identity) or target.size() != known["size"]:
            return None
        return ScoredFile(**{**known["file"], "done_before": True})

    def wrote(self, file: InputFile, target: Output) -> bool:
        """Whether an earlier job wrote what is at the target, or was about to."""
        known = self._done.get(file.relative.as_posix())
        return isinstance(known, dict) and known.get("size") in (None, target.size())

    def begin(self, file: InputFile) -> None:
        """Remember that the answers to a file are about to be written."""
        if self._output is not None:
            # Taken now: what changes while it is scored is not done.
            self._done[file.relative.as_posix()] = {"size": None, "input": list(file.identity)}
            self._save(self._output)

    def add(self, file: InputFile, target: Output, done: ScoredFile) -> None:
        """Remember what came of a file."""
        if self._output is not None:
            known = {"settings": self._settings, "size": target.size(), "file": asdict(done)}
            self._done[file.relative.as_posix()] |= known
            self._save(self._output)

    def _save(self, output: Output) -> None:
        with output.writing() as path:
            Path(path).write_text(json.dumps(self._done, indent=1) + "\n", encoding="utf-8")
