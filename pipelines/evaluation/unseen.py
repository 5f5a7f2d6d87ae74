"""What is known of the rows that judge a version which was logged without this platform: was it trained on them?

Equal digests tell that a table is the one that the version's run logged as its training data. Digests that differ tell
nothing: one row more, or another type of a column, makes another digest.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.sources import Table
from pipelines.versions import RegisteredVersion
from registry import promotion
from registry.client import speaking
from registry.errors import RegistryError
from registry.evidence.document import Declaration

if TYPE_CHECKING:
    from mlflow import MlflowClient

_CONTEXT = "mlflow.data.context"
# The rows that MLflow's digest of a table is of.
_HEAD = 10_000


def declaration() -> Declaration:
    """That whoever runs this declares something now."""
    return Declaration(promotion.who(), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


def logged_as_training(client: "MlflowClient", version: RegisteredVersion, table: Table, target: str) -> str | None:
    """The name under which the run of a version logged this very table as its training data; None if it did not.

    Only what MLflow's own digest shows is told: of CSV and Parquet files on this machine, with and without the target.

    Parameters
    ----------
    table : of one that is read in parts, a sample.
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
    if path.suffix.lower() not in _READERS or not path.is_file():
        return
    try:
        readers = _READERS if table.total_rows is None else _HEAD_READERS
        frame = readers[path.suffix.lower()](path)
    except (ValueError, OSError):  # what pandas does not read as it is was not logged as that
        return
    for part in (frame, frame.drop(columns=target, errors="ignore")):
        if table.total_rows is None:
            yield from_pandas(part, source=str(path)).digest
        else:
            yield _digest_of_head(part, table.total_rows)


def _parquet_head(path: Path) -> pd.DataFrame:
    with pq.ParquetFile(path, pre_buffer=False) as file:
        batches = list(itertools.islice(file.iter_batches(_HEAD), 1))
        return pa.Table.from_batches(batches, file.schema_arrow).to_pandas()


_READERS: dict[str, Callable[[Path], pd.DataFrame]] = {".csv": pd.read_csv, ".parquet": pd.read_parquet}
_HEAD_READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": partial(pd.read_csv, nrows=_HEAD),
    ".parquet": _parquet_head,
}


def _digest_of_head(head: pd.DataFrame, rows: int) -> str:
    """MLflow's digest of a table of so many rows, which is of the first 10,000 and of their number."""
    from mlflow.data.digest_utils import get_normalized_md5_digest

    texts = head.columns[head.map(lambda value: type(value) is str).all(axis=0)]
    numbers = head.select_dtypes(include=[np.number]).columns
    hashes = pd.util.hash_pandas_object(head[texts.union(numbers)]).to_numpy()
    return get_normalized_md5_digest([hashes, np.int64(rows), *(str(name).encode() for name in head.columns)])
