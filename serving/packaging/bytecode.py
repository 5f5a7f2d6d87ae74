"""Compile the modules that a function imports when it starts, for the Python of its runtime."""

import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.util import resolve_name
from pathlib import Path, PurePosixPath

from serving.errors import ServingError

from .plan import File

#: Runs in the Python of the runtime. Unchecked: the sources beside are never newer. Docstrings are left out.
_COMPILE = """
import json, py_compile, sys
for source, target, path in json.load(sys.stdin):
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(source, target, dfile=path, doraise=True, optimize=2, invalidation_mode=mode)
"""


def compiled(files: Iterable[File], runtime: str) -> tuple[File, ...]:
    """Return the bytecode of the modules that are imported at start, in ``__pycache__`` beside each of them.

    What an event needs later (a queue, an object) is compiled when it is first asked, which keeps the package small.

    Parameters
    ----------
    files : of a function.
    runtime : of Lambda, such as ``python3.13``.

    Raises
    ------
    ServingError
        if this machine has no Python of that release.
    """
    release = runtime.removeprefix("python")
    python, tag = _interpreter(release), f"cpython-{release.replace('.', '')}"
    with tempfile.TemporaryDirectory(prefix="lifecycle-") as folder:
        jobs, targets = [], {}
        for place, file in enumerate(imported_at_start(files)):
            source, target = Path(folder, f"{place}.py"), Path(folder, f"{place}.pyc")
            source.write_bytes(file.read())
            path = PurePosixPath(file.path)
            targets[str(path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc")] = target
            jobs.append([str(source), str(target), file.path])
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment["PYTHONHASHSEED"] = "0"
        done = subprocess.run(
            [python, "-c", _COMPILE], input=json.dumps(jobs), env=environment, capture_output=True, encoding="utf-8"
        )
        if done.returncode:
            said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise ServingError(f"{python} cannot compile the package: {said}")
        return tuple(File(path, target.read_bytes(), "bytecode") for path, target in targets.items())


def imported_at_start(files: Iterable[File]) -> list[File]:
    """Return the modules that ``lambda_function.py`` imports, directly or not, outside of functions."""
    modules = {_dotted(file.path): file for file in files if file.path.endswith(".py")}
    found: dict[str, File] = {}
    ahead = ["lambda_function"]
    while ahead:
        name = ahead.pop()
        if name in found or name not in modules:
            continue
        file = found[name] = modules[name]
        parent = name.rpartition(".")[0]
        package = name if file.path.endswith("/__init__.py") else parent
        ahead.append(parent)
        for node in ast.parse(file.read()).body:
            if isinstance(node, ast.ImportFrom):
                base = resolve_name("." * node.level + (node.module or ""), package)
                ahead += [base, *(f"{base}.{one.name}" for one in node.names)]
    return list(found.values())


def _dotted(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def _interpreter(release: str) -> str:
    own = "{}.{}".format(*sys.version_info)
    if release == own:
        return sys.executable
    found = shutil.which(f"python{release}")
    # What pyenv puts on the PATH may be no more than the words that there is none.
    if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
        return found
    raise ServingError(
        f"aws-lambda: bytecode=yes needs Python {release}, which the function runs on, and it is not on the PATH; "
        f"install it, or give -C runtime=python{own}"
    )
