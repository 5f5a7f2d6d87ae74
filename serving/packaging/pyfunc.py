"""What packages hold of a model without a scorecard: its files, and what it needs."""

import re
from collections.abc import Iterator

from serving.errors import ServingError

from .model import PackagedModel
from .plan import File

_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[^\]]*\])?===?[^\s;*]+(\s*;.*)?")


def files(model: PackagedModel, folder: str) -> Iterator[File]:
    """All files of the model, below a folder of the package."""
    for path in sorted(path for path in model.folder.rglob("*") if path.is_file()):
        yield File(f"{folder}/{path.relative_to(model.folder).as_posix()}", path, "the model")


def release(model: PackagedModel) -> str:
    """The Python that the model was logged with, such as ``3.11``; empty if it does not say."""
    import yaml

    file = model.folder / "python_env.yaml"
    found = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return ".".join(str((found or {}).get("python", "")).split(".")[:2])


def requirements(model: PackagedModel) -> bytes:
    """What the model needs, each at one release.

    Raises
    ------
    ServingError
        if it does not say, or leaves a release open.
    """
    file = model.folder / "requirements.txt"
    if not file.is_file():
        raise ServingError(f"{model.uri} has no requirements.txt; log it with MLflow's pip_requirements")
    lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    wanted = [line for line in lines if line and not line.startswith("#")]
    if loose := [line for line in wanted if not _PINNED.fullmatch(line)]:
        raise ServingError(
            f"{model.uri} does not pin {loose[0]!r} in its requirements.txt; log it with pip_requirements "
            "such as scikit-learn==1.9.1"
        )
    return ("\n".join(sorted(wanted, key=str.lower)) + "\n").encode()
