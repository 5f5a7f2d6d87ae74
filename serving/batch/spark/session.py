"""A Spark session: the one that runs already, one of this process, or one over Spark Connect."""

import contextlib
import logging
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from registry.redaction import url
from serving.batch.spark.errors import speaking
from serving.batch.spark.settings import SparkSettings
from serving.errors import ServingError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_INSTALL = "pip install 'model-lifecycle[spark]'"
#: Where Spark Connect listens unless told otherwise.
_CONNECT_PORT = 15002
_PATIENCE = 10.0
#: Seconds that an interrupted job has to stop and to be removed.
_LAST = 60.0
#: What this work needs of a session: folder names are texts, times are as other engines write them, and arithmetic that
#: fails gives NULL, which is a rejected row.
_NEEDED = {
    "spark.sql.ansi.enabled": "false",
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.session.timeZone": "UTC",
}


def _tells_no_interrupt(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("KeyboardInterrupt while")


@contextlib.contextmanager
def connected(settings: SparkSettings) -> Iterator["SparkSession"]:
    """A session; one that was there before (a notebook's, a job's of Databricks) goes on afterwards.

    Raises
    ------
    ServingError
        if Spark or Java is not installed, or Spark does not start or answer.
    """
    _check(settings)
    from pyspark.sql import SparkSession

    # What is raised is logged as well, with the values that are quoted there; an interrupt with its trace.
    for name in ("SQLQueryContextLogger", "py4j"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger().addFilter(_tells_no_interrupt)
    warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
    with speaking(url(settings.remote) if settings.remote else "Spark"):
        active = None if settings.remote else SparkSession.getActiveSession()
        session = active or (_remote(settings.remote, settings) if settings.remote else _started(settings))
        before = {name: session.conf.get(name, None) for name in _NEEDED}
        for name, value in [*_NEEDED.items(), *(settings.conf if active else ())]:
            session.conf.set(name, value)
    try:
        yield session
    finally:
        if settings.remote:
            os.environ.pop("SPARK_CONNECT_MODE_ENABLED", None)
        apart(session.stop if active is None else lambda: _restore(session, before))


def _restore(session: "SparkSession", before: dict[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            session.conf.unset(name)
        else:
            session.conf.set(name, value)


def apart(work: Callable[[], object]) -> None:
    """Do something in a thread of its own, and wait for it; what fails there is forgotten.

    After an interrupt, this thread's connection to Spark may still hold the answer to an earlier call.
    """

    def quietly() -> None:
        with contextlib.suppress(Exception):
            work()

    thread = threading.Thread(target=quietly, daemon=True)
    thread.start()
    thread.join(_LAST)


class SparkCall:
    """A thread that waits for Spark: after an interrupt one can still see when Spark has ended the call."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def do(self, work: Callable[[], None]) -> None:
        """Do something in the thread, and wait for it; what it raises is raised here."""
        raised: list[BaseException] = []

        def doing() -> None:
            try:
                work()
            except BaseException as error:  # told by the thread that waits
                raised.append(error)

        self._thread = threading.Thread(target=doing, daemon=True)
        self._thread.start()
        self._thread.join()
        if raised:
            raise raised[0]

    def is_busy(self) -> bool:
        """Whether it still waits."""
        return self._thread is not None and self._thread.is_alive()


def _check(settings: SparkSettings) -> None:
    if find_spec("pyspark") is None:
        raise ServingError(f"--engine spark needs the package pyspark, which is not installed: {_INSTALL}")
    if not settings.remote:
        home = os.environ.get("JAVA_HOME")
        java = os.path.join(home, "bin", "java") if home else "java"
        if "PYSPARK_GATEWAY_PORT" not in os.environ and not shutil.which(java):
            where = f"at JAVA_HOME, {home}" if home else "on the PATH"
            raise ServingError(f"--engine spark needs Java 17 or newer, and there is none {where}; install it")
        return
    if find_spec("grpc") is None:
        raise ServingError(f"--spark-remote needs the package grpcio, which is not installed: {_INSTALL}")
    address = urlsplit(settings.remote)
    try:
        host, port = address.hostname, address.port or _CONNECT_PORT
    except ValueError:
        host, port = None, 0
    if address.scheme != "sc" or not host:
        raise ServingError(f"--spark-remote: expected sc://HOST:PORT, found {url(settings.remote)}")
    try:
        # Spark itself would try for ten minutes.
        socket.create_connection((host, port), _PATIENCE).close()
    except OSError as error:
        raise ServingError(
            f"--spark-remote: no Spark Connect server answers at {host}:{port} ({error.strerror or error})"
        ) from None


def _remote(address: str, settings: SparkSettings) -> "SparkSession":
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.remote(address)
    for name, value in settings.conf:
        builder = builder.config(name, value)
    return builder.getOrCreate()


def _started(settings: SparkSettings) -> "SparkSession":
    """A session of this process; under spark-submit that of its driver."""
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    conf = SparkConf().setAppName("lifecycle")
    for name, value in settings.conf:
        conf.set(name, value)
    if conf.get("spark.master", "local").startswith("local"):
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        return SparkSession.builder.config(conf=conf).getOrCreate()
    handler = signal.getsignal(signal.SIGINT)
    # Java's own log quotes rows and fills the terminal: it is read here alone, where Spark does not start.
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        try:
            gateway = launch_gateway(conf, {"stdout": log, "stderr": log})
            SparkContext(conf=conf, gateway=gateway)
        except Exception as error:
            raise ServingError(f"Spark did not start: {_reason(log, error)}") from None
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, handler)  # Spark has put its own in its place
    return SparkSession.builder.getOrCreate()


def _reason(log: IO[str], error: Any) -> str:
    """Why Spark did not start: the last error in its log, or what Python says."""
    log.seek(0)
    lines = [line.strip() for line in log if re.search(r"Exception|Error", line) and not line.startswith(("\t", " "))]
    text = lines[-1] if lines else str(error).strip().splitlines()[0]
    return re.sub(r"^.*?([\w.$]+(Exception|Error))", r"\1", text)[:300]
