"""The tracking server with MLflow's pages, and the watch beside it: two processes that run and end together."""

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from registry import logs, redaction
from registry.cli import interrupts
from registry.errors import RegistryError
from registry.ledger import places
from registry.waiting import attempts, how_ended

_log = logs.get_logger(__name__)

# Seconds: how long the server may take to answer first, and each process to end.
_START, _END = 120.0, 10.0
_LOOK = 0.2


@dataclass(frozen=True)
class PageSettings:
    """What a user asks of the server.

    Parameters
    ----------
    backend : the database of runs and registry; None for that of ``MLFLOW_TRACKING_URI``, else MLflow's own default.
    artifacts : where the server keeps artifacts; None for MLflow's default.
    workers : processes of the server.
    policy : the file that the watch judges by; None for the usual one.
    """

    host: str = "127.0.0.1"
    port: int = 5000
    backend: str | None = None
    artifacts: str | None = None
    workers: int = 1
    policy: str | None = None

    @property
    def store(self) -> str:
        """The database of runs and registry, as SQLAlchemy takes it."""
        uri = self.backend or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
        # With psycopg 3, which SQLAlchemy 2.1 reads this as, MLflow cannot archive a version.
        return uri.replace("postgresql://", "postgresql+psycopg2://", 1)

    @property
    def url(self) -> str:
        """The server's address, for programs on this machine."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def run(settings: PageSettings) -> int:
    """Run both until one ends or an interrupt comes; the exit code: 0 for an interrupt, else 1.

    Raises
    ------
    RegistryError
        if the port is taken, the backend is no database, or the server does not start.
    """
    if settings.store.startswith(("http://", "https://")):
        raise RegistryError(
            f"{redaction.url(settings.store)} is a tracking server already; run `lifecycle watch` beside it, or name a "
            "database with --backend"
        )
    _check_free(settings)
    environment = _environment(settings)
    with _process("the tracking server", _server(settings), _without(environment)) as server:
        try:
            _wait(server, settings)
            # MLflow opens with its pages for language models, unless the address says otherwise.
            _log.info("MLflow's pages are at %s/#/experiments?workflowType=machine_learning", settings.url)
            for name in ("MLFLOW_TRACKING_URI", places.VARIABLE):
                _log.info("other folders: export %s=%s", name, shlex.quote(redaction.url(environment[name])))
            with _process("the watch", _watch(settings), environment) as watch:
                return _until_one_ends(server, watch)
        except KeyboardInterrupt:
            interrupts.close()
            _log.info("stopping")
            return 0


@dataclass
class _Child:
    """A running process and what it is called."""

    name: str
    process: subprocess.Popen

    @property
    def ended(self) -> str:
        """How it ended, in words; empty while it runs."""
        code = self.process.poll()
        if code is None:
            return ""
        return f"{self.name} ended {how_ended(code)}"


def _check_free(settings: PageSettings) -> None:
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        socket.create_server((settings.host, settings.port), family=family).close()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise RegistryError(
            f"{settings.host} port {settings.port}: {reason}; give another --port, such as --port {settings.port + 1}, "
            "or another --host"
        ) from None


def _environment(settings: PageSettings) -> dict[str, str]:
    """The environment of the watch, and of any client: the server's address, and the ledger that all share."""
    shared = os.environ.get(places.VARIABLE)
    if not shared:
        shared = places.place(places.beside(settings.store)).render_as_string(hide_password=False)
    return {**os.environ, "MLFLOW_TRACKING_URI": settings.url, places.VARIABLE: shared}


def _without(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of the server itself, which is no client of itself."""
    lean = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Runners of background jobs for language models: eight processes that nothing here needs.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        # What its parts say to each other.
        "PYTHONWARNINGS": "ignore",
    }
    return lean | {name: value for name, value in environment.items() if name != "MLFLOW_TRACKING_URI"}


def _server(settings: PageSettings) -> list[str]:
    words = ["-m", "mlflow", "server", "--backend-store-uri", settings.store]
    # Its access log, a line for each of the watch's questions, would bury what the watch says.
    words += ["--uvicorn-opts", "--no-access-log"]
    words += ["--artifacts-destination", settings.artifacts] if settings.artifacts else []
    return [*words, "--host", settings.host, "--port", str(settings.port), "--workers", str(settings.workers)]


def _watch(settings: PageSettings) -> list[str]:
    return ["-m", "registry", "watch", *(["--policy", settings.policy] if settings.policy else [])]


@contextlib.contextmanager
def _process(name: str, words: list[str], environment: Mapping[str, str]) -> Iterator[_Child]:
    """A Python process with all its children in a group of its own, which ends with the block."""
    root = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, (root, environment.get("PYTHONPATH"))))
    process = subprocess.Popen(
        # Not from the working folder, whose modules may have the names of ours.
        [sys.executable, "-P", *words],
        env={**environment, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        # Ctrl-C at the terminal comes here alone, and this ends the others.
        process_group=0,
    )
    try:
        yield _Child(name, process)
    finally:
        with interrupts.held():
            _end(process)


def _end(process: subprocess.Popen) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END)


def _wait(server: _Child, settings: PageSettings) -> None:
    """Wait until the server answers, whatever it answers.

    Raises
    ------
    RegistryError
        if it ends before, or takes too long.
    """
    for _ in attempts(_START, every=_LOOK):
        if server.ended:
            raise RegistryError(f"{server.ended} before it answered; its lines above say why")
        try:
            urllib.request.urlopen(f"{settings.url}/health", timeout=5).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            continue
        return
    raise RegistryError(f"the tracking server did not answer within {_START:g} s; its lines above say why")


def _until_one_ends(*children: _Child) -> int:
    while True:
        for child in children:
            if child.ended:
                _log.error("%s; stopping the other one", child.ended)
                return 1
        time.sleep(_LOOK)
