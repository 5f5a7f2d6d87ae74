"""A table from an object in S3, or whatever speaks its protocol."""

import os
import tempfile
from pathlib import Path

from pipelines.errors import PipelineError
from pipelines.sources import files
from pipelines.sources.options import FIND, ReadOptions
from pipelines.sources.table import Table
from registry import redaction
from registry.cli.text import one_line

_CONNECT_SECONDS = 4
_READ_SECONDS = 60
_REASONS = {
    "404": "no such bucket or key",
    "NoSuchBucket": "no such bucket",
    "NoSuchKey": "no such key",
    "403": "access refused; check the credentials and the bucket's policy",
}


def read(uri: str, options: ReadOptions = FIND) -> Table:
    """A table from ``s3://bucket/key``; endpoint and credentials are boto3's, or MLflow's ``MLFLOW_S3_ENDPOINT_URL``.

    Raises
    ------
    PipelineError
        where there is no such object, it may not be read, or it is no table.
    """
    import boto3
    from boto3.exceptions import Boto3Error
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, key = uri.split("://", 1)[1].partition("/")
    if not bucket or not key or key.endswith("/"):
        raise PipelineError(f"--data {uri}: expected the address of one object, s3://bucket/key")
    patience = Config(connect_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS, retries={"total_max_attempts": 2})
    own = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    endpoint = own or os.environ.get("MLFLOW_S3_ENDPOINT_URL") or None
    with tempfile.TemporaryDirectory(prefix="lifecycle-") as folder:
        path = Path(folder) / "object"
        try:
            # A session of its own: the default one keeps the credentials it saw first.
            boto3.Session().client("s3", endpoint_url=endpoint, config=patience).download_file(bucket, key, str(path))
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            raise PipelineError(f"--data {uri}: {_REASONS.get(code) or one_line(error)}") from None
        except (BotoCoreError, Boto3Error, ValueError) as error:
            raise PipelineError(f"--data {uri} cannot be fetched: {one_line(error)}") from None
        return files.parse_file(path, key.rsplit("/", 1)[-1], redaction.url(uri), options)
