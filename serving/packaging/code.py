"""The code that a package carries: the scorecard, the contract and the handlers, under a name made of their content."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from .lean import lean

_SOURCE = Path(__file__).parents[1]
#: Where the handlers' sources are.
FUNCTIONS = _SOURCE / "functions"
_FORMAT_VERSION = 1
#: What answering from a checked scorecard, row by row, never runs: compiling, checking, writing, tables, MLflow.
_LEFT_BEHIND = frozenset(
    ("compiler", "exports", "parity.py", "loader.py")
    + ("document.py", "strictjson.py", "schema.json")
    + ("arraysteps.py", "blocks.py", "frames.py", "tables.py")
)


def sources(functions: Iterable[str]) -> dict[str, str]:
    """The sources to carry, by path below the package: the scorecard, the contract, and handlers.

    Parameters
    ----------
    functions : names in ``serving/functions`` of the handlers' modules and packages.
    """
    found = {"__init__.py": ""}
    for part in ("scorecard", "contract"):
        for file in sorted((_SOURCE / part).rglob("*.py")):
            relative = file.relative_to(_SOURCE)
            if part == "contract" or not _LEFT_BEHIND.intersection(relative.parts):
                found[relative.as_posix()] = file.read_text(encoding="utf-8")
    for name in ("__init__.py", *functions):
        path = FUNCTIONS / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            found[file.relative_to(_SOURCE).as_posix()] = file.read_text(encoding="utf-8")
    return found


def carried(sources: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The name of the package, and its files without what does not run, by path.

    The name holds a hash of the content, so two packages of different releases live side by side.
    """
    files = {path: lean(text) for path, text in sorted(sources.items())}
    total = hashlib.sha256()
    for path, text in files.items():
        total.update(f"{path}\n{text}".encode())
    name = f"scorecard_{_FORMAT_VERSION}_{total.hexdigest()[:8]}"
    return name, {f"{name}/{path}": text for path, text in files.items()}


def joined(modules: Mapping[str, str]) -> str:
    """Modules as one text, each after a line that begins with ``#: `` and names its path, in the order they come."""
    return "".join(f"\n#: {path}\n{text.rstrip()}" for path, text in modules.items()) + "\n"
