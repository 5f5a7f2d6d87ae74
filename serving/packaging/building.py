"""Write the files of a plan into a folder, which is whole or not there."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from serving.errors import ServingError

from .plan import Built, File, PackagePlan
from .render import manifest, readme
from .zipping import zipped

#: Written into every build; a folder without it is not replaced.
MANIFEST = "plan.json"
#: Written into every build, for people.
README = "README.md"


def build(plan: PackagePlan, folder: str | Path, *, overwrite: bool = False) -> Built:
    """Write what a plan says into a folder that is not there yet.

    It is written beside, under a name that begins with a dot, and moved there as one: whoever kills this finds the
    old folder, the new one, or none.

    Parameters
    ----------
    overwrite : whether an earlier build that is there is replaced; anything else is left alone.

    Raises
    ------
    ServingError
        if the folder is there, or cannot be written.
    """
    target = Path(folder).absolute()
    ready(target, overwrite=overwrite)
    try:
        with tempfile.TemporaryDirectory(
            dir=target.parent, prefix=f".{target.name}-", ignore_cleanup_errors=True
        ) as beside:
            made = Path(beside, "made")
            files = contents(plan)
            _write(files, made)
            if target.exists():
                os.rename(target, Path(beside, "old"))
            os.rename(made, target)
    except OSError as error:
        raise ServingError(f"{folder} cannot be written: {error.strerror or error}") from None
    path = target / plan.archive if plan.archive else target
    if plan.archive:
        content = path.read_bytes()
        return Built(plan, target, path, hashlib.sha256(content).hexdigest(), len(content))
    return Built(plan, target, path, digest(files), sum(file.size for file in files))


def ready(folder: str | Path, *, overwrite: bool) -> None:
    """Look whether a folder can be built into, before anything is planned.

    Raises
    ------
    ServingError
        if it is there and may not be replaced, or nothing can be made there.
    """
    target = Path(folder).absolute()
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ServingError(f"--output {folder} is there, and is no folder; name another")
    if target.is_dir() and any(target.iterdir()):
        if not overwrite:
            raise ServingError(f"{folder} is there already; give --overwrite, or another --output")
        if not (target / MANIFEST).is_file():
            raise ServingError(
                f"{folder} holds no earlier package (it has no {MANIFEST}) and is not replaced; name another --output"
            )
    if not target.parent.is_dir():
        raise ServingError(f"--output {folder}: no folder {target.parent}; make it first")


def contents(plan: PackagePlan) -> list[File]:
    """Return every file that a build writes, by path."""
    found = [*plan.beside]
    if plan.archive:
        found.append(File(plan.archive, zipped(plan.package), "the package"))
    else:
        found += plan.package
    found.append(File(README, readme(plan), "read this first"))
    content = manifest(plan, digest(plan.package), digest(found))
    found.append(File(MANIFEST, content, "the plan, with digests"))
    return sorted(found, key=lambda file: file.path)


def digest(files: Iterable[File]) -> str:
    """The SHA-256 over names and contents, in order of the names: 64 hexadecimal digits."""
    total = hashlib.sha256()
    for file in sorted(files, key=lambda one: one.path):
        total.update(f"{file.path}\0{file.size}\0".encode())
        total.update(file.read())
    return total.hexdigest()


def _write(files: Iterable[File], folder: Path) -> None:
    folder.mkdir(mode=0o755)
    for file in files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(file.content, bytes):
            path.write_bytes(file.content)
        else:
            shutil.copyfile(file.content, path)
        path.chmod(0o644)
    for path in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        path.chmod(0o755)
