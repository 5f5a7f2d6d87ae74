"""Whether a registered version still loads and answers, found out in a process of its own.

A version whose scorecard is among its evidence answers by that, and its own code is not run: the files have to be those
that its tag names.

Run as a program it is that process: ``python -m registry.smoke_test models:/NAME/VERSION``.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from registry import stages
from registry.cli.text import one_line
from registry.errors import RegistryError
from registry.evidence import adoption
from registry.evidence.fetch import fetch_evidence
from registry.waiting import exit_status

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: How long loading and answering may take, in seconds.
PATIENCE = 120.0

_ANSWERED, _NO_EXAMPLE = "answered its input example", "loads; it has no input example to answer"


def tried(client: "MlflowClient", name: str, version: str) -> str:
    """See that a version can answer; what was seen, in words.

    Raises
    ------
    RegistryError
        where it cannot.
    """
    found = stages.model_version(client, name, version)
    if adoption.SCORECARD_TAG not in (found.tags or {}):
        return run(name, version)
    kept = fetch_evidence(client, found)
    if kept.digest != kept.tagged_digest:
        raise RegistryError(f"version {version} of {name!r}: its evidence, or its scorecard, was changed")
    return "has its scorecard"


def run(name: str, version: str, *, patience: float = PATIENCE) -> str:
    """Load a version and let it answer its input example; what it did, in words.

    A version without an input example only has to load.

    Raises
    ------
    RegistryError
        where it does not load, does not answer, or takes too long.
    """
    with tempfile.TemporaryDirectory(prefix="lifecycle-") as folder:
        result, output = Path(folder, "result.json"), Path(folder, "output.txt")
        # Models say things while they load: what counts is in a file.
        command = [sys.executable, "-u", "-m", "registry.smoke_test", f"models:/{name}/{version}", str(result)]
        with output.open("wb") as said:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
            )
            status = exit_status(process, patience)
        if status is None:
            raise RegistryError(f"version {version} of {name!r} took over {patience:g} s to load")
        try:
            found = json.loads(result.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            last = output.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            found = {"error": f"its process ended with {status} ({one_line(' '.join(last), 200)})"}
    if "error" in found:
        raise RegistryError(f"version {version} of {name!r} does not load and answer: {found['error']}")
    return found["did"]


def _answer(uri: str) -> dict[str, str]:
    from registry.client import settle

    settle()
    try:
        import mlflow

        settle()
        model = mlflow.pyfunc.load_model(uri)
        example = model.input_example
        if example is None:
            return {"did": _NO_EXAMPLE}
        answers = model.predict(example)
        if len(answers) != len(example):
            return {"error": f"{len(example)} rows of its input example were answered by {len(answers)}"}
        return {"did": _ANSWERED}
    except BaseException as error:
        return {"error": f"{type(error).__name__}: {one_line(error)}"}


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(_answer(sys.argv[1])), encoding="utf-8")
