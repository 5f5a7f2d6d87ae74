"""``init``: writes a small project into an empty folder, whole or not at all."""

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2

from pipelines.errors import PipelineError
from pipelines.names import as_model_name
from pipelines.project import pins
from registry.cli.text import listed

_HERE = Path(__file__).parent
_TEMPLATE = ".j2"
#: What may be in a folder that counts as empty.
_ALLOWED = {".git"}


@dataclass(frozen=True)
class Project:
    """A project that was written.

    Parameters
    ----------
    files : relative to the folder, in alphabetical order.
    requirement : how it installs this package.
    """

    folder: Path
    name: str
    files: tuple[Path, ...]
    requirement: str


def init(folder: str, *, ci: str | None = None, source: str | None = None) -> Project:
    """Write a project into a new or empty folder.

    Parameters
    ----------
    ci : ``"github"`` or ``"gitlab"``, for a workflow of that system; None for none.
    source : see :func:`pipelines.project.pins.package`.

    Raises
    ------
    PipelineError
        if the folder is not empty or cannot be written, or its name leaves none for the model; nothing is written then.
    """
    path = Path(folder).expanduser().absolute()
    _check_empty(path)
    name = _model_name(path)
    requirement = pins.package(source)
    values = {
        "name": name,
        "package": requirement,
        "local": pins.is_local(requirement),
        "pins": pins.needed(),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "ci": ci,
    }
    roots = [_HERE / "template", *([_HERE / "ci" / ci] if ci else [])]
    contents = {file: content for root in roots for file, content in _rendered(root, values)}
    _write(path, contents)
    return Project(path, name, tuple(sorted(contents)), requirement)


def _check_empty(path: Path) -> None:
    try:
        there = sorted({each.name for each in path.iterdir()} - _ALLOWED) if path.exists() else []
    except OSError as error:
        raise PipelineError(f"{path}: {error.strerror}; name a new folder") from None
    if there:
        raise PipelineError(f"expected a new or empty folder, found {listed(there, 3)} in {path}; name another one")


def _model_name(path: Path) -> str:
    """The name of the registered model, made of the folder's: what a shell would take for its own becomes "-"."""
    given = path.resolve().name
    if not (name := re.sub(r"\W+", "-", as_model_name(given)).strip("-")):
        raise PipelineError(f"the folder's name is the model's, and {given!r} leaves none; name another folder")
    return name


def _rendered(root: Path, values: Mapping[str, object]) -> Iterator[tuple[Path, bytes]]:
    """Each file of a template, by its place in the project: ``.j2`` is rendered, ``dot_x`` is called ``.x``."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(root),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for file in sorted(each for each in root.rglob("*") if each.is_file() and "__pycache__" not in each.parts):
        relative = file.relative_to(root)
        parts = [re.sub(r"^dot_", ".", part) for part in relative.parts]
        if file.suffix == _TEMPLATE:
            text = environment.get_template(relative.as_posix()).render(values)
            yield Path(*parts).with_suffix(""), text.encode()
        else:
            yield Path(*parts), file.read_bytes()


def _write(folder: Path, contents: Mapping[Path, bytes]) -> None:
    """Write all files, or none: what was made is removed if one cannot be written."""
    made: list[Path] = []
    try:
        for relative, content in contents.items():
            path = folder / relative
            for parent in reversed(path.parents):
                if not parent.exists():
                    parent.mkdir()
                    made.append(parent)
            made.append(path)
            path.write_bytes(content)
    except BaseException as error:
        for path in reversed(made):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            told = f"{error.filename or folder}: {error.strerror}"
            raise PipelineError(f"{told}; nothing is written, name a folder that can be written") from None
        raise
