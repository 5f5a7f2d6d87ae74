"""``python -m registry watch`` as a process of its own, and what it says."""

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests import forked

ROOT = Path(__file__).parents[2]


@contextmanager
def program(
    folder: Path, name: str = "watch", *, env: Mapping[str, str] | None = None
) -> Iterator[tuple[forked.Program, Path]]:
    """Run the program in a folder; the process and its log, which has a line when it watches."""
    log = folder / f"{name}.log"
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, **(env or {}), "PYTHONPATH": path}
    with log.open("wb") as out:
        both = {"out": out.fileno(), "err": out.fileno()}
        words = ("watch", "--interval", "1")
        process = forked.Program("registry", words, folder=folder, environment=environment, **both)
    try:
        yield process, log
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def said(log: Path, pattern: str, *, within: float) -> float:
    """Wait until a line of a log matches; after how many seconds it did."""
    began = time.monotonic()
    while not re.search(pattern, log.read_text()):
        assert time.monotonic() - began < within, f"{pattern!r} is not in:\n{log.read_text()}"
        time.sleep(0.05)
    return time.monotonic() - began
