"""S3, or whatever speaks its protocol: one client, and its errors in words."""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from registry.cli.text import one_line

_CONNECT_SECONDS = 4
_READ_SECONDS = 60
_REASONS = {
    "404": "no such bucket or key",
    "NoSuchBucket": "no such bucket",
    "NoSuchKey": "no such key",
    "403": "access refused; check the credentials and the bucket's policy",
    "412": "it changed while it was fetched; run the command again",
}
_SAME = {
    "AccessDenied": "403",
    "InvalidAccessKeyId": "403",
    "SignatureDoesNotMatch": "403",
    "PreconditionFailed": "412",
    "ConditionalRequestConflict": "412",
}
_ABSENT = ("404", "NoSuchKey", "NoSuchBucket")


class S3Error(Exception):
    """S3 refuses, or does not answer; one line for a person.

    Attributes
    ----------
    absent : whether there is no such bucket or object.
    away : whether no other object of the endpoint could be reached, either.
    changed : whether an object is not in the state that was a condition of the request.
    unknown : whether the endpoint does not know such a request.
    """

    def __init__(
        self, message: str, *, absent: bool = False, away: bool = False, changed: bool = False, unknown: bool = False
    ) -> None:
        super().__init__(message)
        self.absent, self.away, self.changed, self.unknown = absent, away, changed, unknown


@dataclass(frozen=True)
class S3Address:
    """An address of S3: ``s3://bucket/key``; the key may be empty."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def is_address(text: str) -> bool:
    """Whether a text is an address of S3."""
    return text[:5].lower() == "s3://"


def parse(text: str) -> S3Address:
    """The address in a text.

    Raises
    ------
    S3Error
        if it has no bucket.
    """
    bucket, _, key = text.partition("://")[2].partition("/")
    if not bucket:
        raise S3Error("expected an address such as s3://bucket/key")
    return S3Address(bucket, key)


def endpoint() -> str | None:
    """The endpoint that is set for boto3 or MLflow; None for AWS's own."""
    own = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return own or os.environ.get("MLFLOW_S3_ENDPOINT_URL") or None


def client() -> Any:
    """A client of boto3; endpoint and credentials are boto3's, or MLflow's ``MLFLOW_S3_ENDPOINT_URL``.

    Raises
    ------
    S3Error
        if the settings are no such.
    """
    import boto3
    from botocore.config import Config

    patience = Config(connect_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS, retries={"total_max_attempts": 2})
    with speaking():
        # A session of its own: the default one keeps the credentials it saw first.
        return boto3.Session().client("s3", endpoint_url=endpoint(), config=patience)


def upload_arguments() -> dict[str, str]:
    """What MLflow's ``MLFLOW_S3_UPLOAD_EXTRA_ARGS`` asks for of each upload, such as an encryption by a key."""
    try:
        return json.loads(os.environ.get("MLFLOW_S3_UPLOAD_EXTRA_ARGS") or "{}")
    except ValueError:
        raise S3Error("MLFLOW_S3_UPLOAD_EXTRA_ARGS: expected a JSON object") from None


@contextlib.contextmanager
def exclusive(client: Any) -> Iterator[None]:
    """Uploads by a client fail in the block if the object is there already."""

    def demand(params: dict[str, Any], **_: Any) -> None:
        params["headers"]["If-None-Match"] = "*"

    # boto3's upload takes no condition.
    events = [f"before-call.s3.{name}" for name in ("PutObject", "CompleteMultipartUpload")]
    for event in events:
        client.meta.events.register(event, demand)
    try:
        yield
    finally:
        for event in events:
            client.meta.events.unregister(event, demand)


@contextlib.contextmanager
def speaking(done: str = "fetched") -> Iterator[None]:
    """Errors of boto3 as one line.

    Parameters
    ----------
    done : what the block does with an object: fetched, written.

    Raises
    ------
    S3Error
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        yield
    except (ClientError, BotoCoreError, Boto3Error, ValueError) as error:
        # A failed upload is an error of boto3 around the client's.
        refused = next(
            (one for one in (error, error.__cause__, error.__context__) if isinstance(one, ClientError)), None
        )
        if refused is not None:
            code = refused.response.get("Error", {}).get("Code", "")
            code = _SAME.get(code, code)
            raise S3Error(
                _REASONS.get(code) or one_line(refused),
                absent=code in _ABSENT,
                changed=code == "412",
                unknown=code in ("NotImplemented", "501"),
            ) from None
        named = type(error).__name__
        away = isinstance(error, NoCredentialsError) or "Connect" in named or "Endpoint" in named
        raise S3Error(f"cannot be {done}: {one_line(error)}", away=away) from None
