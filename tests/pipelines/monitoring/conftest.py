"""A version that several tests monitor; none of them changes it."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.dataset import Roles
from pipelines.planning import Settings
from pipelines.training import train
from serving import models
from serving.scorecard import Scorecard
from tests.pipelines import tables

QUICK = {"folds": 0, "resamples": 0, "pictures": False}


@pytest.fixture(scope="module")
def module_store(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A tracking store and a working folder for the tests of a module."""
    folder = tmp_path_factory.mktemp("monitored")
    path = folder / "mlflow.db"
    shutil.copyfile(empty_store, path)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE experiments SET artifact_location = ?", (str(folder / "mlruns" / "0"),))
    before = Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
        os.chdir(folder)
        yield folder
        os.chdir(before)


@pytest.fixture(scope="module")
def regression(module_store: Path) -> Scorecard:
    """A regression of ``x`` and ``colour``, called ``made``."""
    train(Settings(str(tables.linear(module_store / "t.csv", rows=2000)), name="made", suite="auto", **QUICK))
    return _card("made")


@pytest.fixture(scope="module")
def classifier(module_store: Path) -> Scorecard:
    """A classifier of the hostile table, called ``judged``."""
    path = tables.hostile(module_store / "hostile.csv", rows=1500)
    train(Settings(str(path), name="judged", roles=Roles(target="outcome"), suite="none", **QUICK))
    return _card("judged")


def _card(name: str) -> Scorecard:
    card = models.find(f"models:/{name}/1").scorecard
    assert card is not None
    return card
