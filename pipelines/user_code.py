"""The Python files that a user's pipeline is made of: found by their imports, digested, and carried with the model."""

import ast
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from pathlib import Path
from types import ModuleType

from serving.flavor import CarriedCode

#: Folders of installed packages: what lies there is a requirement of the model, and is not carried.
_INSTALLED = {"site-packages", "dist-packages"}
#: This project's own packages, which may lie beside the user's modules in a checkout.
_OURS = {"pipelines", "registry", "serving"}


@dataclass(frozen=True)
class UserCode:
    """The code that a model needs beside scikit-learn.

    Parameters
    ----------
    carried : the user's modules and packages, and pins of the installed packages that they import.
    digest : ``sha256:`` of the names and contents of all files.
    """

    carried: CarriedCode
    digest: str


def of(module: ModuleType) -> UserCode:
    """The code of an imported module, with the modules beside it that it imports, directly or through each other."""
    top = module.__name__.partition(".")[0]
    root = _root(sys.modules[top])
    found: dict[str, Path] = {}
    needed: set[str] = set() if root else {top}
    due = [top] if root else []
    while root and due:
        name = due.pop()
        path = _beside(root, name)
        if path is None:
            needed.add(name)
        elif name not in found:
            found[name] = path
            due += [each for file in _sources(path) for each in _imports(file)]
    paths = tuple(found[name] for name in sorted(found))
    files = [file for path in paths for file in _sources(path)] or [Path(module.__file__ or __file__)]
    return UserCode(CarriedCode(paths, _pins(needed)), _digest(root or files[0].parent, files))


def _root(top: ModuleType) -> Path | None:
    """The folder that has the top-level module; None if it is installed."""
    place = top.__file__ or next(iter(getattr(top, "__path__", ())), None)
    if place is None or _INSTALLED & set(Path(place).parts) or top.__name__ in sys.stdlib_module_names:
        return None
    path = Path(place).resolve()
    return path.parent.parent if path.name == "__init__.py" else path.parent


def _beside(root: Path, name: str) -> Path | None:
    """The module or package of a name in a folder; None if there is none of the user's."""
    if name in _OURS or name in sys.stdlib_module_names:
        return None
    for path in (root / name, root / f"{name}.py"):
        if path.is_file() or (path.is_dir() and any(path.glob("*.py"))):
            return path
    return None


def _sources(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def _imports(file: Path) -> Iterator[str]:
    """The top-level names that a file imports, anywhere in it; relative imports stay within their package."""
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except SyntaxError:
        # A file beside the user's that nothing imports: it travels, and is not followed.
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]


def _pins(names: set[str]) -> tuple[str, ...]:
    distributions = packages_distributions()
    wanted = {one for name in names - sys.stdlib_module_names for one in distributions.get(name, ())}
    return tuple(sorted(f"{name}=={version(name)}" for name in wanted))


def _digest(root: Path, files: list[Path]) -> str:
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.relative_to(root).as_posix()}\n{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return f"sha256:{total.hexdigest()}"
