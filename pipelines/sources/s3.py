"""A table from an object in S3, or whatever speaks its protocol."""

import tempfile
from pathlib import Path

from pipelines.errors import PipelineError
from pipelines.sources import files
from pipelines.sources.options import FIND, ReadOptions
from pipelines.sources.table import Table
from registry import redaction, s3


def read(uri: str, options: ReadOptions = FIND) -> Table:
    """A table from ``s3://bucket/key``; endpoint and credentials are those of :func:`registry.s3.client`.

    Raises
    ------
    PipelineError
        where there is no such object, it may not be read, or it is no table.
    """
    bucket, _, key = uri.split("://", 1)[1].partition("/")
    if not bucket or not key or key.endswith("/"):
        raise PipelineError(f"--data {uri}: expected the address of one object, s3://bucket/key")
    with tempfile.TemporaryDirectory(prefix="lifecycle-") as folder:
        path = Path(folder) / "object"
        try:
            client = s3.client()
            with s3.speaking():
                client.download_file(bucket, key, str(path))
        except s3.S3Error as error:
            raise PipelineError(f"--data {uri}: {error}") from None
        return files.parse_file(path, key.rsplit("/", 1)[-1], redaction.url(uri), options)
