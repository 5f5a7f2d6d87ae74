"""A Spark session for tests; they are left out where Spark, or the Java that it needs, is not installed."""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


def need() -> None:
    """Skips a test, or a whole module, where Spark cannot run."""
    pytest.importorskip("pyspark.sql", reason='Spark is not here: pip install "model-lifecycle[spark]"')
    if not shutil.which(os.path.join(os.environ.get("JAVA_HOME", ""), "bin", "java")) and not shutil.which("java"):
        pytest.skip("Spark needs Java 17: put it on the PATH, or set JAVA_HOME", allow_module_level=True)


@contextlib.contextmanager
def session(folder: Path) -> Iterator:
    """A session of one core, whose files are in a folder; its workers are this Python, with these packages."""
    need()
    from pyspark.sql import SparkSession

    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.local.dir": str(folder),
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
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
