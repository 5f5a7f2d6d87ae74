"""The one way to MLflow: its settings, a client that is known to answer, and its errors in one line."""

import logging
import os
import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from registry import tracking_store
from registry.cli.text import one_line
from registry.errors import RegistryError
from registry.redaction import LogFilter, explained, url

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: A tracking server that is away, or does not answer, is reported within this time; in seconds.
PATIENCE = 15
#: How long a first sign of life may take, and how long a locked SQLite database is waited for; in seconds.
_SIGN_OF_LIFE = 4
_LOCKED = 8

# MLflow's own settings, read whenever it makes a request; a user's own values win. Two tries of 7 s are PATIENCE.
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
_ONE_TRY = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "5", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
_VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
# MLflow's own, in the working folder.
_DEFAULT = "sqlite:///mlflow.db"
#: What is wrong with a URL whose host, as SQLAlchemy reads it, holds an @.
BARE_AT = "its password holds an @, which is written %40"
# As many as MLflow's own pages take of versions.
_PAGE = 200


def settle() -> None:
    """Apply the platform's settings of MLflow; call it before MLflow is imported."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    # Whatever they would say is in the error that is raised, or is nothing that a person can act on.
    for name in ("mlflow", "alembic", "sqlalchemy"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # A library's warning may echo a URL, urllib3's of a request that is tried again say.
    if logging.lastResort and not any(isinstance(one, LogFilter) for one in logging.lastResort.filters):
        logging.lastResort.addFilter(LogFilter())


def connect() -> "MlflowClient":
    """Return a client of the tracking server that ``MLFLOW_TRACKING_URI`` names, by default of MLflow's own.

    Raises
    ------
    RegistryError
        within ``PATIENCE`` seconds if the server is unavailable, refuses, or does not answer.
    """
    settle()
    probe()
    with speaking(), one_try():
        import mlflow

        # Importing MLflow sets the level of its own logger.
        settle()
        for uri in dict.fromkeys((mlflow.get_tracking_uri(), mlflow.get_registry_uri())):
            tracking_store.prepare(uri)
        client = mlflow.MlflowClient()
        client.search_experiments(max_results=1)
        client.search_registered_models(max_results=1)
    return client


def place() -> str:
    """Where the registry is that clients are connected to, without secrets; a file by its whole path."""
    import mlflow

    uri = mlflow.get_registry_uri()
    path = tracking_store.path_of(uri)
    return url(f"sqlite:///{path.absolute()}" if path else uri)


@contextmanager
def one_try() -> Iterator[None]:
    """Ask a server of which it is not known whether it answers: once, and not for long."""
    before = {name: os.environ.get(name) for name in _ONE_TRY}
    os.environ.update(_ONE_TRY)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def probe() -> None:
    """Look for a sign of life where the tracking URI, and the registry's, point: MLflow itself would try for minutes.

    Raises
    ------
    RegistryError
        where nothing answers there, or a database refuses.
    """
    for variable in _VARIABLES:
        uri = os.environ.get(variable, "")
        if uri or variable == _VARIABLES[0]:
            _probe(uri or _DEFAULT, variable)


def _probe(uri: str, variable: str) -> None:
    scheme = uri.partition(":")[0].partition("+")[0].lower()
    if scheme in ("http", "https"):
        _probe_server(uri, variable)
    elif scheme == "sqlite":
        _probe_sqlite(uri, variable)
    elif scheme in ("postgresql", "mysql", "mssql"):
        _probe_database(uri, variable)
    elif scheme not in _others():
        raise RegistryError(
            f"the tracking server is a database or an http address, found {variable}={url(uri)}; "
            "set it to sqlite:///mlflow.db or http://host:port"
        )


def _others() -> set[str]:
    """The schemes that MLflow knows beside its own server and SQL: Databricks' and those of plugins."""
    from importlib.metadata import entry_points

    groups = ("mlflow.tracking_store", "mlflow.model_registry_store")
    plugins = {one.name for name in groups for one in entry_points(group=name)}
    return {"databricks", "databricks-uc", "uc"} | plugins - {"", "file"}


def _probe_server(uri: str, variable: str) -> None:
    import requests

    try:
        if not urlsplit(uri).hostname:
            raise ValueError("it has no host")
        # Whatever it answers, it lives; MLflow asks it with the user's credentials, and tells what it refuses.
        requests.get(f"{uri.rstrip('/')}/health", timeout=_SIGN_OF_LIFE, stream=True, allow_redirects=False).close()
    except requests.exceptions.SSLError:
        return  # MLflow has settings for certificates, which this has not: it tells what is wrong with this one
    except requests.exceptions.ConnectionError as error:
        raise _away(uri, variable, cause(error)) from None
    except requests.exceptions.Timeout:
        raise _away(uri, variable, f"silent for {_SIGN_OF_LIFE} s") from None
    except (requests.exceptions.RequestException, ValueError) as error:
        raise RegistryError(f"{variable}={url(uri)} is no address of a server: {said_by(error)}; correct it") from None


def _away(uri: str, variable: str, reason: str) -> RegistryError:
    return RegistryError(
        f"the tracking server {url(uri)} does not answer ({reason}); start it (`make server`), or correct {variable}"
    )


def _probe_sqlite(uri: str, variable: str) -> None:
    """Whether the file, or where it is absent its folder, can be written, and is not locked by another process."""
    path = tracking_store.path_of(uri)
    if path is None:
        return
    folder = next((parent for parent in path.parents if parent.exists()), Path("."))
    try:
        if path.is_dir():
            raise IsADirectoryError("it is a folder")
        with tempfile.TemporaryFile(dir=folder):
            pass
        if path.exists() and path.stat().st_size:
            existing = f"{path.absolute().as_uri()}?mode=rw"
            with closing(sqlite3.connect(existing, uri=True, timeout=_LOCKED)) as connection:
                connection.execute("PRAGMA schema_version").fetchone()
                connection.execute("BEGIN IMMEDIATE")
                connection.rollback()
    except (sqlite3.Error, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        advice = f"correct {variable}, or the rights to it"
        if "locked" in str(error):
            advice = "another process is writing to it: wait for that to end"
        elif "full" in str(reason) or "No space" in str(reason):
            advice = "free some space"
        raise RegistryError(f"the tracking database {path} cannot be written: {reason}; {advice}") from None


def _probe_database(uri: str, variable: str) -> None:
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    try:
        address = sqlalchemy.make_url(uri)
        if "@" in (address.host or ""):
            raise ValueError(BARE_AT)
        patience = {} if address.get_backend_name() == "mssql" else {"connect_timeout": _SIGN_OF_LIFE}
        engine = sqlalchemy.create_engine(address, connect_args=patience, poolclass=sqlalchemy.NullPool)
        engine.connect().close()
    except (SQLAlchemyError, ImportError, ValueError) as error:
        raise RegistryError(
            f"the tracking database {url(uri)} cannot be reached: {said_by(error)}; start it, or correct {variable}"
        ) from None


def pages(search: Callable) -> list:
    """All that a search of MLflow finds, page by page: it takes ``max_results`` and ``page_token``."""
    found, token = [], None
    while True:
        page = search(max_results=_PAGE, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


@contextmanager
def speaking() -> Iterator[None]:
    """Turn what MLflow and its transports raise inside the block into a RegistryError of one line."""
    try:
        yield
    except Exception as error:
        if _module(error) not in _TOLD:
            raise
        raise RegistryError(_told(error)) from error


_TOLD = ("mlflow", "requests", "urllib3", "sqlalchemy", "botocore", "boto3")


def _module(error: BaseException) -> str:
    return type(error).__module__.partition(".")[0]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that it was raised from: MLflow tells what S3 refuses by an error of its own."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _told(error: Exception) -> str:
    """The line for an error: who failed, how, and what to do."""
    text = str(error)
    status = _status(error, text)
    if "botocore" in text or "boto3" in text or any(_module(one) in ("botocore", "boto3") for one in _chain(error)):
        return (
            f"the artifact store refused: {said_by(error)}; "
            "check its address, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if status in (401, 403) or getattr(error, "error_code", "") in ("PERMISSION_DENIED", "UNAUTHENTICATED"):
        return (
            f"{_server()} refused ({status or 403}): {_body(text)}; "
            "check MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD and the rights"
        )
    if status and _TRANSPORT.search(text):
        said = f": {_body(text)}" if "Response body: " in text else ""
        return f"{_server()} failed ({status}){said}; look at its log, or correct MLFLOW_TRACKING_URI"
    if "valid JSON" in text:
        return f"{_server()} answers, but not as MLflow does: {_body(text)}; correct MLFLOW_TRACKING_URI"
    if "Max retries exceeded" in text or "timed out" in text or _TRANSPORT.search(text):
        return f"{_server()} does not answer ({cause(error)}); see that it runs, and try again"
    if "OperationalError" in text or type(error).__module__.startswith("sqlalchemy"):
        return f"the tracking database failed: {said_by(error)}; {remedy(text)}"
    return said_by(error)


_TRANSPORT = re.compile(r"API request to (endpoint )?\S+ (failed|was successful)")


def _status(error: Exception, text: str) -> int:
    """The HTTP status that a server answered; 0 where it did not."""
    found = re.search(
        r"failed with error code (\d+)|too many (\d+) error responses|\b(\d{3}) (?:Client|Server) Error", text
    )
    return int(next(filter(None, found.groups()))) if found else 0


def _server() -> str:
    return f"the tracking server {url(os.environ.get('MLFLOW_TRACKING_URI', ''))}".rstrip()


def _body(text: str) -> str:
    """What a server's answer says, without the tags of a page and the words around it."""
    body = text.partition("Response body: ")[2].strip("'\" ")
    plain = one_line(re.sub(r"(?s)<(style|script)\b.*?</\1>|<[^>]*>", " ", body), 160)
    return plain or one_line(said_by(Exception(text)), 160)


def cause(error: BaseException) -> str:
    """The innermost reason of a request that failed: ``Connection refused``."""
    text = str(error)
    for pattern in (r"\[Errno -?\d+\] ([^'\")]+)", r"read timeout=(\d+)", r"Caused by \w+\((.*)\)", r"\('([^']+)'"):
        if found := re.search(pattern, text):
            said = found.group(1)
            return one_line(f"silent for {said} s" if said.isdigit() else said.strip("'\" "), 160)
    return said_by(error)


def remedy(text: str) -> str:
    """What to do about a database that said so."""
    if "locked" in text:
        return "another process is writing to it: wait for that to end"
    if "full" in text or "disk I/O" in text or "readonly" in text:
        return "see that its disk has space and may be written"
    return "see that it runs, and try again"


def said_by(error: BaseException, *given: str, most: int = 300) -> str:
    """What an error says, on one line, without secrets (those of the texts ``given`` too) and the SQL that failed."""
    text = str(getattr(error, "orig", None) or error)
    text = text.partition("[SQL: ")[0].partition("(Background on this error")[0]
    return one_line(explained(re.sub(r"^\([\w.]+\) ", "", " ".join(text.split())), *given), most)
