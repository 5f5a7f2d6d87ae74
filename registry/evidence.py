"""Evidence: what was measured about a version, written once beside the model and read by people and by gates.

``evidence/training/`` of the version's run holds ``evidence.json`` (this module's document) and
``holdout.parquet`` (the answers on the held-out rows). The digest over both is a tag of the version.
"""

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from registry.errors import RegistryError

#: The version of the document's shape. A reader refuses any other.
SCHEMA_VERSION = 1

DOCUMENT = "evidence.json"
HOLDOUT = "holdout.parquet"
TRAINING = "evidence/training"
EVALUATIONS = "evidence/evaluations"

#: In an evaluation's folder: the answers of the version and of another, on the rows that neither was trained on.
BESIDE = "beside"
BESIDE_CANDIDATE, BESIDE_CHAMPION = "candidate", "champion"

#: The tag of a model version that holds the digest of its training evidence.
DIGEST_TAG = "evidence.digest"

#: What every document has at its top level.
SECTIONS = frozenset(
    {
        *("schema_version", "model", "metrics", "baseline", "cross_validation", "holdout", "suite"),
        *("fairness", "parity", "schema", "lineage", "profile"),
    }
)

_NOT_FINITE = ("inf", "-inf", "nan")


def write(document: dict, folder: Path) -> Path:
    """Write a document as ``evidence.json`` in a folder; the same document gives the same bytes.

    An estimator's parameter may be infinite or not a number, which JSON cannot say: it is written as
    ``{"float": "inf"}``, and :func:`read` gives the number back.

    Raises
    ------
    RegistryError
        where a section is missing or unknown, or another number is not finite.
    """
    check(document)
    document = _with_parameters(document, _written)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / DOCUMENT
    try:
        text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    except ValueError as error:
        raise RegistryError(f"evidence holds finite numbers only; put null where there is none ({error})") from error
    path.write_text(text + "\n", encoding="utf-8")
    return path


def read(folder: Path) -> dict:
    """The document of a folder.

    Raises
    ------
    RegistryError
        where it is not there, is not JSON, or is of a shape that this release does not read.
    """
    path = folder / DOCUMENT
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RegistryError(
            f"no evidence: {DOCUMENT} is not there; judge the version with `python -m pipelines evaluate`"
        ) from None
    except ValueError as error:
        raise RegistryError(f"{DOCUMENT} is damaged: not JSON ({error}); train or evaluate the version anew") from None
    check(document)
    return _with_parameters(document, _read)


def _with_parameters(document: dict, change: Callable[[Any], Any]) -> dict:
    """A document with each parameter of its estimator changed; as it is where it tells none."""
    model = document["model"]
    if not isinstance(model, dict) or not isinstance(model.get("parameters"), dict):
        return document
    parameters = {name: change(value) for name, value in model["parameters"].items()}
    return {**document, "model": {**model, "parameters": parameters}}


def _written(value: Any) -> Any:
    return {"float": str(value)} if isinstance(value, float) and not math.isfinite(value) else value


def _read(value: Any) -> Any:
    return float(value["float"]) if isinstance(value, dict) and value.get("float") in _NOT_FINITE else value


def check(document: dict) -> None:
    """Raise RegistryError unless a document has exactly the sections of this schema version."""
    if not isinstance(document, dict) or document.get("schema_version") != SCHEMA_VERSION:
        found = document.get("schema_version") if isinstance(document, dict) else type(document).__name__
        raise RegistryError(f"evidence is of schema version {SCHEMA_VERSION}, found {found}; evaluate the version anew")
    if missing := sorted(SECTIONS - document.keys()):
        raise RegistryError(f"evidence lacks {', '.join(missing)}; evaluate the version anew")
    if unknown := sorted(document.keys() - SECTIONS):
        raise RegistryError(f"evidence has unknown sections {', '.join(unknown)}; a newer release wrote it, upgrade")


def digest(folder: Path) -> str:
    """``sha256:`` and the hash over the bytes of the document and of the held-out answers.

    Raises
    ------
    RegistryError
        where one of the two files is not there.
    """
    total = hashlib.sha256()
    for name in (DOCUMENT, HOLDOUT):
        try:
            content = (folder / name).read_bytes()
        except FileNotFoundError:
            raise RegistryError(f"evidence is incomplete: {name} is not there; evaluate the version anew") from None
        total.update(f"{name} {len(content)}\n".encode())
        total.update(content)
    return f"sha256:{total.hexdigest()}"
