"""Evidence as files: the one writer and the one reader of ``evidence.json`` and ``holdout.parquet``."""

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from registry.errors import RegistryError
from registry.evidence.document import SCHEMA_VERSION, Evidence, ModelDescription
from registry.holdout import completed

if TYPE_CHECKING:
    import pyarrow as pa

DOCUMENT = "evidence.json"
HOLDOUT = "holdout.parquet"
#: The scorecard that was compiled for a version which was logged without one.
SCORECARD = "scorecard.json"
#: Where training puts a version's evidence, and where the evaluation does that adopts one.
TRAINING = "evidence/training"
ADOPTION = "evidence/adoption"
EVALUATIONS = "evidence/evaluations"

#: In an evaluation's folder: the answers of the version and of another, on the rows that neither was trained on.
BESIDE = "beside"
BESIDE_CANDIDATE, BESIDE_CHAMPION = "candidate", "champion"

#: The tag of a model version that holds the digest of its evidence.
DIGEST_TAG = "evidence.digest"

#: The published JSON schema.
SCHEMA = Path(__file__).with_name("schema.json")

_AGAIN = "evaluate the version anew"


def schema() -> dict[str, Any]:
    """The JSON schema of ``evidence.json``, as the file ``SCHEMA`` publishes it."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Evidence)}


def write(document: Evidence, folder: Path) -> Path:
    """Write ``evidence.json`` into a folder; equal documents give equal bytes.

    An estimator's parameter may be infinite or not a number, which JSON cannot say: it is written as
    ``{"float": "inf"}``, and :func:`read` gives the number back.

    Raises
    ------
    RegistryError
        if another number is not finite.
    """
    content = msgspec.to_builtins(document, enc_hook=lambda number: number.item())  # NumPy's numbers as Python's
    if document.evaluation is None:
        del content["evaluation"]  # earlier releases refuse a section that they do not know
    content["model"]["parameters"] = {name: _written(value) for name, value in document.model.parameters.items()}
    try:
        text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    except ValueError as error:
        raise RegistryError(f"evidence holds finite numbers only; put null where there is none ({error})") from error
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / DOCUMENT
    path.write_text(text + "\n", encoding="utf-8")
    return path


def _written(value: Any) -> Any:
    return {"float": str(value)} if isinstance(value, float) and not math.isfinite(value) else value


def read(folder: Path) -> Evidence:
    """The document of a folder, also one that an earlier release wrote.

    Raises
    ------
    RegistryError
        if it is missing, is not JSON, or is of a shape that this release does not read.
    """
    try:
        content = json.loads((folder / DOCUMENT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RegistryError(
            f"no evidence: {DOCUMENT} is not there; judge the version with `python -m pipelines evaluate`"
        ) from None
    except ValueError as error:
        raise RegistryError(f"{DOCUMENT} is damaged: not JSON ({error}); train or evaluate the version anew") from None
    version = content.get("schema_version") if isinstance(content, dict) else type(content).__name__
    if version != SCHEMA_VERSION:
        raise RegistryError(f"evidence is of schema version {SCHEMA_VERSION}, found {version}; {_AGAIN}")
    if unknown := sorted(content.keys() - set(Evidence.__struct_fields__)):
        raise RegistryError(f"evidence has unknown sections {', '.join(unknown)}; a newer release wrote it, upgrade")
    try:
        return msgspec.convert({**content, "holdout": completed(content.get("holdout"))}, Evidence)
    except msgspec.ValidationError as error:
        raise RegistryError(f"{DOCUMENT} is damaged: {error}; {_AGAIN}") from None


def read_holdout(path: Path, model: ModelDescription) -> "pa.Table":
    """The answers of a version to its held-out rows, as ``holdout.parquet`` has them.

    Returns
    -------
    table with ``key``, ``target``, ``prediction`` and, of a classifier, ``probability_<class>`` for each class.

    Raises
    ------
    ValueError
        if it is no Parquet, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    table = parquet.read_table(path)
    wanted = ["key", "target", "prediction", *(f"probability_{label}" for label in model.classes or ())]
    if missing := set(wanted) - set(table.column_names):
        raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    numbers = wanted[3:] if model.classes else wanted[1:]
    if wrong := [name for name in numbers if not pa.types.is_primitive(table.schema.field(name).type)]:
        raise ValueError(f"it holds no numbers in {', '.join(wrong)}")
    return table


def digest(folder: Path) -> str:
    """``sha256:`` and the hash over the bytes of the document, of the answers and, if there is one, of the scorecard.

    Raises
    ------
    RegistryError
        if the document or the answers are missing.
    """
    total = hashlib.sha256()
    for name in (DOCUMENT, HOLDOUT, SCORECARD):
        try:
            content = (folder / name).read_bytes()
        except FileNotFoundError:
            if name == SCORECARD:
                continue
            raise RegistryError(f"evidence is incomplete: {name} is not there; {_AGAIN}") from None
        total.update(f"{name} {len(content)}\n".encode())
        total.update(content)
    return f"sha256:{total.hexdigest()}"
