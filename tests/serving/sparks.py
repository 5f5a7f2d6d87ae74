"""A Spark session for tests; they are left out where Spark, or the Java that it needs, is not installed."""

import contextlib
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

#: Tables are small: what takes time is Java's own start, and its compilers.
QUICK = "spark.driver.extraJavaOptions=-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


def need() -> None:
    """Skips a test, or a whole module, where Spark cannot run; in continuous integration, where it must, it fails."""
    missing = ""
    if find_spec("pyspark") is None:
        missing = 'Spark is not here: pip install "model-lifecycle[spark]"'
    elif not shutil.which(os.path.join(os.environ.get("JAVA_HOME", ""), "bin", "java")) and not shutil.which("java"):
        missing = "Spark needs Java 17: put it on the PATH, or set JAVA_HOME"
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"{missing}; .ci/run installs both", pytrace=False)
    if missing:
        pytest.skip(missing, allow_module_level=True)


@contextlib.contextmanager
def session(folder: Path, **more: str) -> Iterator:
    """A session of one core, whose files are in a folder; its workers are this Python, with these packages.

    Parameters
    ----------
    more : settings, with underscores for dots.
    """
    need()
    from pyspark.sql import SparkSession

    name, _, options = QUICK.partition("=")
    settings = {
        name: options,
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.local.dir": str(folder),
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    } | {name.replace("_", "."): value for name, value in more.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        builder = SparkSession.builder.master("local[1]").appName("tests")
        for name, value in settings.items():
            builder = builder.config(name, value)
        made = builder.getOrCreate()
        try:
            yield made
        finally:
            made.stop()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def server(folder: Path, port: int) -> Iterator:
    """A session that is a Spark Connect server as well, and says nothing."""
    plugin = {"spark_plugins": "org.apache.spark.sql.connect.SparkConnectPlugin"}
    address = {"spark_connect_grpc_binding_port": str(port), "spark_connect_grpc_binding_address": "127.0.0.1"}
    with session(folder, **plugin, **address) as made:
        made.sparkContext.setLogLevel("OFF")
        yield made
