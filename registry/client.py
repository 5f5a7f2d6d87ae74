"""The one way to MLflow: its settings, a client that is known to answer, and its errors in one line."""

import logging
import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from registry.errors import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: A tracking server that is away, or does not answer, is reported within this time; in seconds.
PATIENCE = 15
_CONNECT_SECONDS = 5

# MLflow's own settings, read when it is imported. A user's own values win. Two tries of 7 s stay within PATIENCE.
_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "7",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
    "AWS_MAX_ATTEMPTS": "2",
}


def settle() -> None:
    """Apply the platform's settings of MLflow; call it before MLflow is imported."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)


def connect() -> "MlflowClient":
    """A client of the tracking server that ``MLFLOW_TRACKING_URI`` names, MLflow's default where it names none.

    Raises
    ------
    RegistryError
        within ``PATIENCE`` seconds where the server is away, refuses, or does not answer.
    """
    settle()
    probe()
    with speaking():
        import mlflow

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        client = mlflow.MlflowClient()
        client.search_experiments(max_results=1)
    return client


def probe() -> None:
    """Open a connection to where the tracking URI points, before MLflow, slow to import, tries for minutes.

    Raises
    ------
    RegistryError
        where nothing answers there.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    parts = urlsplit(uri)
    scheme = parts.scheme.split("+")[0]
    if scheme in ("http", "https"):
        port = parts.port or (443 if scheme == "https" else 80)
    elif scheme in ("postgresql", "mysql", "mssql"):
        # A database may be reached through a socket in the file system (?host=/path); then there is no host to try.
        if not parts.hostname:
            return
        port = parts.port or {"postgresql": 5432, "mysql": 3306, "mssql": 1433}[scheme]
    elif scheme == "sqlite":
        _probe_sqlite(uri.partition("sqlite:///")[2].partition("?")[0])
        return
    elif scheme in ("file", "") and uri:
        raise RegistryError(
            f"the tracking server is a database or an http address, found {uri!r}; set MLFLOW_TRACKING_URI to "
            "sqlite:///mlflow.db or http://host:port"
        )
    else:
        return
    try:
        socket.create_connection((parts.hostname, port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise RegistryError(
            f"the tracking server at {parts.hostname}:{port} does not answer ({error.strerror or error}); "
            "start it (`make server`), or correct MLFLOW_TRACKING_URI"
        ) from None


def _probe_sqlite(path: str) -> None:
    if not path or path == ":memory:":
        return
    folder = os.path.dirname(path) or "."
    try:
        if os.path.exists(path):
            connection = sqlite3.connect(path, timeout=_CONNECT_SECONDS)
            connection.execute("PRAGMA schema_version").fetchone()
            connection.close()
        elif os.path.isdir(folder) and not os.access(folder, os.W_OK):
            raise PermissionError(f"no right to write in {folder}")
    except (sqlite3.Error, OSError) as error:
        raise RegistryError(
            f"the tracking database {path} cannot be opened: {error}; correct MLFLOW_TRACKING_URI"
        ) from None


@contextmanager
def speaking() -> Iterator[None]:
    """Turn what MLflow and its transports raise inside the block into a RegistryError of one line."""
    import requests
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (requests.exceptions.RequestException, SQLAlchemyError) as error:
        raise RegistryError(f"the tracking server failed: {_reason(error)}") from error
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("mlflow", "botocore", "boto3"):
            raise
        raise RegistryError(_refusal(error)) from error


def _refusal(error: Exception) -> str:
    text = _reason(error)
    code = getattr(error, "error_code", "")
    status = getattr(error, "get_http_status_code", lambda: 0)()
    if code in ("PERMISSION_DENIED", "UNAUTHENTICATED") or status in (401, 403) or "Permission denied" in text:
        return (
            f"the tracking server refused: {text}; "
            "check MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD and the rights"
        )
    if "Max retries exceeded" in text or "timed out" in text or "API request to" in text:
        return f"the tracking server does not answer: {text}"
    return text


def _reason(error: Exception, most: int = 300) -> str:
    text = " ".join(str(getattr(error, "orig", None) or error).split())
    return text if len(text) <= most else text[: most - 1] + "…"
