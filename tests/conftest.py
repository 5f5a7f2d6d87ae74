"""Fixtures that any test may ask for: a tracking store of its own, and real servers that a session starts once.

No test sees the settings of the person who runs it, nor writes into the checkout's own tracking store.
"""

import contextlib
import gc
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import hypothesis
import pytest

from tests import effort, stores, warm

T = TypeVar("T")

#: Prefixes of the variables by which a person's own settings would reach a test.
PERSONAL = ("MLFLOW_", "AWS_", "GIT_", "OPTUNA_", "LEDGER_")

SETTINGS = {
    # Nothing reports home.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
    # Pictures need no screen.
    "MPLBACKEND": "Agg",
    # Several workers, each with a BLAS that takes all cores, wait for each other most of the time.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # boto3 without keys asks the cloud machine that this is not, and waits.
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}

#: How many tests of a run may pass only when they are run again.
RERUNS = 5

hypothesis.settings.register_profile("local", deadline=None, max_examples=effort.times(100))
hypothesis.settings.register_profile("ci", hypothesis.settings.get_profile("local"), derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_configure() -> None:
    # What a background runner ignores (`nohup`, `make test &`), its children would ignore too, however often they are
    # told to stop. A signal that is handled here has its default meaning in them.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    # Before any test module is imported: BLAS and MLflow read theirs when they are.
    for name in [name for name in os.environ if name.startswith(PERSONAL)]:
        del os.environ[name]
    os.environ.update(SETTINGS)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    # Modules and tests live as long as the run. Looking through them again and again would take a tenth of it, and
    # seconds where a test collects garbage itself.
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        mark = item.get_closest_marker("flaky")
        if mark and not mark.kwargs.get("reason"):
            raise pytest.UsageError(f"{item.nodeid}: a flaky test says why: @pytest.mark.flaky(reason=...)")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    again = terminalreporter.stats.get("rerun", [])
    if again:
        terminalreporter.section(f"run again: {len(again)} (at most {RERUNS})")
        for report in again:
            terminalreporter.line(report.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    # The controller hears of all workers' tests.
    if reporter and len(reporter.stats.get("rerun", [])) > RERUNS:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    return (yield)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    # Compressed bytes tell the second they were made in: as a test's name they differ from worker to worker.
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session", autouse=True)
def default_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whatever a test leaves to MLflow's default lands in a folder of the session."""
    folder = tmp_path_factory.mktemp("default")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        yield


@pytest.fixture(autouse=True)
def forgetful_mlflow(default_store: None) -> Iterator[None]:
    """What a test tells MLflow in its own process (store, experiment, run) is forgotten after it."""
    before = {name: value for name, value in os.environ.items() if name.startswith("MLFLOW_")}
    yield
    if fluent := sys.modules.get("mlflow.tracking.fluent"):
        import mlflow

        while mlflow.active_run():
            mlflow.end_run()
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # back to the environment
        mlflow.set_registry_uri(None)  # type: ignore[arg-type]
        fluent._active_experiment_id = None  # type: ignore[attr-defined]  # nothing public does this
    for name in [name for name in os.environ if name.startswith("MLFLOW_") and name not in before]:
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(scope="session")
def warm_python() -> Iterator[Path]:
    """The folder of a ``python`` that forks the platform's commands: for scripts and notebooks, one a worker."""
    with warm.python() as folder:
        yield folder


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite tracking store that MLflow has just created: it takes seconds, a copy none."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    folder = tmp_path_factory.mktemp("empty")
    path = folder / "mlflow.db"
    SqlAlchemyStore(f"sqlite:///{path}", str(folder / "mlruns")).engine.dispose()
    return path


@pytest.fixture
def tracking(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A tracking store and registry of the test's own, which MLflow uses; the working folder is the test's too."""
    path = tmp_path / "mlflow.db"
    shutil.copyfile(empty_store, path)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE experiments SET artifact_location = ?", (str(tmp_path / "mlruns" / "0"),))
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{path}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


@pytest.fixture(scope="session")
def tracking_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a tracking server on SQLite, one a worker; a test takes names of its own."""
    with stores.tracking_server(tmp_path_factory.mktemp("tracking-server")) as address:
        yield address


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a database on a PostgreSQL server, one server a worker."""
    with available(stores.postgresql()) as url:
        yield url


@pytest.fixture(scope="session")
def mariadb() -> Iterator[str]:
    """The URL of a database on a MariaDB server, one server a worker."""
    with available(stores.mariadb()) as url:
        yield url


@pytest.fixture
def new_database(postgresql: str) -> Callable[[], str]:
    """Make an empty PostgreSQL database, and give its URL."""
    return lambda: stores.new_database(postgresql)


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stores.ObjectStore]:
    """An object store that speaks S3, one a worker; a test takes a bucket of its own."""
    with available(stores.object_store(tmp_path_factory.mktemp("object-store"))) as store:
        yield store


@contextlib.contextmanager
def available(part: contextlib.AbstractContextManager[T]) -> Iterator[T]:
    """Enter a part; where this machine cannot run it, skip the test and say why. CI must be able to."""
    with contextlib.ExitStack() as stack:
        try:
            entered = stack.enter_context(part)
        except stores.Unavailable as reason:
            if os.environ.get("CI"):
                pytest.fail(str(reason))
            pytest.skip(str(reason))
        yield entered
