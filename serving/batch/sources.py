"""The files of a table that is scored: one file, several by a pattern, or all of a folder."""

import contextlib
import fnmatch
import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Protocol

from serving.errors import ServingError

PARQUET, CSV, JSON_LINES = "Parquet", "CSV", "JSON lines"
#: The form of a file by its ending.
FORMS = {
    ".parquet": PARQUET,
    ".csv": CSV,
    ".tsv": CSV,
    ".txt": CSV,
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
}
_PACKED = (".gz", ".zst")
#: The signs that make a path a pattern.
PATTERN = frozenset("*?[")
# How names begin that are no part of a table, as pandas and Spark have it.
_HIDDEN = (".", "_")


class InputFile(Protocol):
    """A file to score, on this machine or elsewhere.

    Attributes
    ----------
    address : what messages call it.
    key : equal to the key of the output that is the same file.
    relative : its path below the folder that was named; below the folders that tell columns if it was named itself.
    form : ``PARQUET``, ``CSV`` or ``JSON_LINES``.
    """

    @property
    def address(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def relative(self) -> PurePath: ...
    @property
    def form(self) -> str: ...

    @property
    def identity(self) -> tuple[int | str, ...]:
        """What changes if its content does."""

    @property
    def version(self) -> str | None:
        """Which state of a table it is, such as ``delta version 3``; None of a file."""

    def fetched(self) -> contextlib.AbstractContextManager["SourceFile"]:
        """The file on this machine, while the block runs."""


@dataclass(frozen=True)
class SourceFile:
    """A file of this machine.

    Parameters
    ----------
    relative : its path below the folder that was named; its name if it was named itself.
    form : ``PARQUET``, ``CSV`` or ``JSON_LINES``.
    """

    path: Path
    relative: PurePath
    form: str

    @property
    def address(self) -> str:
        """Its path, as it was given."""
        return str(self.path)

    @property
    def key(self) -> str:
        """Its path without links."""
        return str(self.path.resolve())

    @property
    def partitions(self) -> tuple[str, ...]:
        """The names of the columns that its folders tell: ``day`` of ``day=2026-11-30/part.parquet``."""
        return tuple(part.partition("=")[0] for part in self.relative.parts[:-1] if "=" in part)

    @property
    def identity(self) -> tuple[int | str, ...]:
        """Its size in bytes, and when its content and its entry in the folder were changed last, in nanoseconds."""
        known = self.path.stat()
        return known.st_size, known.st_mtime_ns, known.st_ctime_ns

    @property
    def version(self) -> str | None:
        """None."""
        return None

    @contextlib.contextmanager
    def fetched(self) -> Iterator["SourceFile"]:
        """Itself."""
        yield self


@dataclass(frozen=True)
class SourceFiles:
    """The files of a table.

    Parameters
    ----------
    single : whether one file was named, so that there is one file of answers.
    """

    files: tuple[InputFile, ...]
    single: bool


def below_partitions(path: PurePath) -> PurePath:
    """The name of a file below the folders right above it that tell columns: ``day=2026-11-30/part.parquet``."""
    count = len(path.parts) - 1
    while count and "=" in path.parts[count - 1]:
        count -= 1
    return PurePath(*path.parts[count:])


def endings(path: PurePath) -> str:
    """The endings that tell a file's form, such as ``.csv.gz``."""
    count = 2 if path.suffix.lower() in _PACKED else 1
    return "".join(path.suffixes[-count:])


def stem(name: str) -> str:
    """A file's name without the endings that tell its form."""
    path = PurePath(name)
    return PurePath(path.stem).stem if path.suffix.lower() in _PACKED else path.stem


def find_local(given: str) -> SourceFiles:
    """The files of a path, a pattern such as ``day=*/*.parquet``, or a folder.

    In a folder, what begins with a dot or an underscore is left alone, as pandas and Spark do.

    Raises
    ------
    ServingError
        if there is no such file, or none of a form that is read.
    """
    path = Path(given)
    if path.is_file():
        return SourceFiles((SourceFile(path, below_partitions(path.absolute()), _form(path)),), single=True)
    if path.is_dir():
        found = [file for file in sorted(path.rglob("*")) if file.is_file() and is_visible(file.relative_to(path))]
        return SourceFiles(_known(given, found, path), single=False)
    if PATTERN.intersection(given):
        fixed = _fixed(path)
        paths = [Path(one) for one in sorted(glob.glob(given, recursive=True))]
        found = [file for file in paths if file.is_file() and meant_by(PurePath(os.path.relpath(file, fixed)), given)]
        return SourceFiles(_known(given, found, fixed), single=False)
    raise ServingError(f"--input {given}: there is no such file or folder")


def _known(given: str, found: list[Path], folder: Path) -> tuple[SourceFile, ...]:
    _refuse_tables(found)
    files = tuple(
        SourceFile(file, Path(os.path.relpath(file, folder)), form)
        for file in found
        if (form := form_of(file)) is not None
    )
    if not files:
        raise ServingError(f"--input {given}: expected files that end with {', '.join(FORMS)}, found none")
    return files


def _refuse_tables(found: list[Path]) -> None:
    """Raise if files belong to a Delta table, whose log alone tells which of them are its rows."""
    known: set[Path] = set()
    for file in found:
        for above in file.parents:
            if above in known:
                break
            known.add(above)
            if (above / "_delta_log").is_dir():
                raise ServingError(f"--input: {above} is a Delta table; score it by itself: --input delta:{above}")


def form_of(file: PurePath) -> str | None:
    """The form of a file by its name; None if it is none that is read."""
    return FORMS.get(_ending(file))


def _form(file: Path) -> str:
    form = form_of(file)
    if form is None:
        raise ServingError(
            f"--input {file}: expected a name that ends with {', '.join(FORMS)}, and .gz or .zst after a text's ending"
        )
    return form


def _ending(file: PurePath) -> str:
    """The ending that tells the form, in lower case, without that of a compressed text."""
    path = PurePath(file.name.lower())
    if path.suffix not in _PACKED:
        return path.suffix
    ending = PurePath(path.stem).suffix
    return "" if FORMS.get(ending) == PARQUET else ending


def is_visible(relative: PurePath) -> bool:
    """Whether no part of a path begins with a dot or an underscore."""
    return not any(part.startswith(_HIDDEN) for part in relative.parts)


def meant_by(relative: PurePath, pattern: str) -> bool:
    """Whether a path that matches a pattern is meant: a hidden part is only where the pattern has one like it."""
    signs = {part[0] for part in PurePath(pattern).parts if part.startswith(_HIDDEN)}
    return not any(part.startswith(_HIDDEN) and part[0] not in signs for part in relative.parts)


def _fixed(pattern: Path) -> Path:
    """The folder above the first part that is a pattern."""
    parts = []
    for part in pattern.parts[:-1]:
        if PATTERN.intersection(part):
            break
        parts.append(part)
    return Path(*parts)


def matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the parts of a path match those of a pattern, of which ``**`` stands for any number of parts."""
    if not pattern:
        return not parts
    first, rest = pattern[0], pattern[1:]
    if first == "**":
        return matches(parts, rest or ["*"]) or (bool(parts) and matches(parts[1:], pattern))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], first) and matches(parts[1:], rest)
