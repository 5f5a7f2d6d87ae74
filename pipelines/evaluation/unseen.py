"""What is known of the rows that judge a version which was logged without this platform: was it trained on them?

Equal digests tell that a table is the one that the version's run logged as its training data. Digests that differ tell
nothing: one row more, or another type of a column, makes another digest.
"""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from pipelines.sources import Table
from pipelines.versions import RegisteredVersion
from registry import promotion
from registry.client import speaking
from registry.errors import RegistryError
from registry.evidence.document import Declaration

if TYPE_CHECKING:
    from mlflow import MlflowClient

_CONTEXT = "mlflow.data.context"
_READERS = {".csv": pd.read_csv, ".parquet": pd.read_parquet}


def declaration() -> Declaration:
    """That whoever runs this declares something now."""
    return Declaration(promotion.who(), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


def logged_as_training(client: "MlflowClient", version: RegisteredVersion, table: Table, target: str) -> str | None:
    """The name under which the run of a version logged this very table as its training data; None if it did not.

    Only what MLflow's own digest shows is told: of CSV and Parquet files on this machine, with and without the target.
    """
    logged = _training_digests(client, version)
    if not logged:
        return None
    return next((logged[digest] for digest in _digests(table, target) if digest in logged), None)


def _training_digests(client: "MlflowClient", version: RegisteredVersion) -> dict[str, str]:
    """The digests of the tables that a run logged as training data, each with the table's name."""
    if version.run_id is None:
        return {}
    with contextlib.suppress(RegistryError), speaking():
        inputs = client.get_run(version.run_id).inputs
        return {
            one.dataset.digest: one.dataset.name
            for one in (inputs.dataset_inputs if inputs else ())
            if any(tag.key == _CONTEXT and tag.value.lower().startswith("train") for tag in one.tags)
        }
    return {}


def _digests(table: Table, target: str) -> Iterator[str]:
    """The digests that MLflow gives to a table as pandas reads it."""
    from mlflow.data.pandas_dataset import from_pandas

    path = Path(table.source)
    reader = _READERS.get(path.suffix.lower())
    if reader is None or not path.is_file():
        return
    try:
        frame = reader(path)
    except (ValueError, OSError):  # what pandas does not read as it is was not logged as that
        return
    for part in (frame, frame.drop(columns=target, errors="ignore")):
        yield from_pandas(part, source=str(path)).digest
