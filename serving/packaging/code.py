"""The code that a package carries: the scorecard, the contract and the handlers, under a name made of their content."""

import ast
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from .plan import File
from .stripping import stripped

_SOURCE = Path(__file__).parents[1]
#: The folder of the handlers' sources.
FUNCTIONS = _SOURCE / "functions"
_FORMAT_VERSION = 1
#: Answering row by row from a checked scorecard needs no compiling, checking, writing, tables or MLflow.
_LEFT_BEHIND = frozenset(
    ("compiler", "exports", "parity.py", "loader.py")
    + ("document.py", "fields.py", "modelcheck.py", "stepcheck.py", "strictjson.py", "schema.py", "schema.json")
    + (
        "arrayresponses.py",
        "arraysteps.py",
        "blocks.py",
        "contributions.py",
        "frames.py",
        "handlers.py",
        "rounding.py",
        "tables.py",
    )
)
#: What Lambda calls.
HANDLER = "lambda_function.handler"
#: To be told with every package.
NOTE = "modules have no comments, docstrings or annotations; each line has the number that it has in the source"
_LAMBDA_ENTRY = '''\
"""The module that AWS Lambda imports; `handler` answers every event."""

import sys

# /var/task is read-only: without the vain attempts to keep bytecode there, a cold start is 2 ms shorter.
sys.dont_write_bytecode = True

from {package}.functions.aws_lambda.{module} import load

handler = load(__file__.rpartition("/")[0])
'''


def carried(functions: Iterable[str]) -> tuple[str, tuple[File, ...]]:
    """Return the name of the package, and its modules without comments, docstrings and annotations.

    The name holds a hash of the content, so two packages of different releases live side by side.

    Parameters
    ----------
    functions : the handlers' modules, by path below ``serving/functions``.
    """
    found = {"__init__.py": ""}
    for part in ("scorecard", "contract"):
        for file in (_SOURCE / part).rglob("*.py"):
            relative = file.relative_to(_SOURCE)
            if part == "contract" or not _LEFT_BEHIND.intersection(relative.parts):
                found[relative.as_posix()] = file.read_text(encoding="utf-8")
    for name in ("__init__.py", *functions):
        file = FUNCTIONS / name
        found[file.relative_to(_SOURCE).as_posix()] = file.read_text(encoding="utf-8")
    total = hashlib.sha256()
    for path, text in sorted(found.items()):
        total.update(f"{path}\n{text}".encode())
    name = f"scorecard_{_FORMAT_VERSION}_{total.hexdigest()[:8]}"
    return name, tuple(
        File(f"{name}/{path}", stripped(text).encode(), _purpose(text)) for path, text in sorted(found.items())
    )


def lambda_function(functions: Iterable[str], module: str) -> tuple[str, tuple[File, ...]]:
    """Return the name of a Lambda function's package, and its modules with ``lambda_function.py``, which imports it.

    Parameters
    ----------
    functions : the handlers' modules, by path below ``serving/functions``.
    module : the one in ``serving/functions/aws_lambda`` whose ``load(folder)`` returns the handler.
    """
    package, files = carried(functions)
    entry = _LAMBDA_ENTRY.format(package=package, module=module)
    return package, (File("lambda_function.py", entry.encode(), "the module that Lambda imports"), *files)


def compact(value: object) -> bytes:
    """Return a value as JSON on one line, in UTF-8."""
    return (json.dumps(value, separators=(",", ":"), ensure_ascii=False) + "\n").encode()


def _purpose(source: str) -> str:
    """Return what a module's docstring says in its first line."""
    return (ast.get_docstring(ast.parse(source)) or "the package").splitlines()[0]
