"""Whether a table is read into memory, in parts, or by Spark; and what fits and measures a training in each case."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, TypeAlias

from pipelines import planning
from pipelines.errors import PipelineError
from pipelines.in_memory import InMemory
from pipelines.modelling import FittedModel
from pipelines.planning import Settings, TrainingPlan
from pipelines.record import Measurements
from pipelines.sources import BUNDLED, ReadOptions
from registry import logs, redaction
from serving.batch.scratch import scratch
from serving.errors import ServingError
from serving.scorecard import Scorecard

if TYPE_CHECKING:
    import numpy as np
    from mlflow import MlflowClient

    from pipelines.streaming.raw import RawTable

Connect: TypeAlias = "Callable[[], MlflowClient] | None"
Check: TypeAlias = Callable[[TrainingPlan], None] | None

_log = logs.get_logger(__name__)

AUTO, MEMORY, STREAM, SPARK = "auto", "memory", "stream", "spark"
ENGINES = (AUTO, MEMORY, STREAM, SPARK)

# A table in memory takes so many times the bytes of its file: Parquet is packed, and text is parsed into copies.
_PARQUET, _TEXT = 8, 4
# From this share of the memory on a table is read in parts.
_SHARE = 1 / 3


class TrainingEngine(Protocol):
    """Fits a plan, and measures what was fitted.

    Attributes
    ----------
    name : ``memory``, ``stream`` or ``spark``.
    sampled : whether the plan's dataset is a sample.
    covariance : of the fitted intercept and weights, once they are; None where it is not known.
    plan : what is trained. The dataset and the split of a table that is read in parts are those of a sample.
    """

    name: str
    sampled: bool
    covariance: "np.ndarray | None"
    plan: TrainingPlan

    @property
    def sizes(self) -> tuple[int, int]:
        """How many rows are trained on, and how many are held out."""

    def with_plan(self, plan: TrainingPlan) -> Self:
        """The engine of another plan on the same rows: of another estimator, say."""

    def renewed(self, client: "MlflowClient") -> Self:
        """The engine, with versions taken into account that were registered since its plan was made."""

    def fit(self) -> FittedModel:
        """The fitted pipeline."""

    def measure(self, fitted: FittedModel, card: Scorecard | None, folder: Path) -> Measurements:
        """Measure a fitted pipeline, and write its answers to the held-out rows into a folder."""


@contextlib.contextmanager
def prepared(
    what: Settings | TrainingPlan | TrainingEngine, connect: Connect, check: Check = None
) -> Iterator[TrainingEngine]:
    """The engine of the settings, or of a plan whose table is in memory, with everything planned.

    Parameters
    ----------
    what : an engine is renewed.
    connect : see :func:`pipelines.planning.plan_training`.
    check : of a table that is read in parts, refuses the plan of a sample before the whole table is read.

    Raises
    ------
    PipelineError, RegistryError
        if anything is refused.
    """
    if not isinstance(what, Settings):
        engine = InMemory(what) if isinstance(what, TrainingPlan) else what
        yield engine.renewed(connect()) if connect else engine
        return
    name = choose(what, ENGINES)
    if name != SPARK and not what.spark.is_default:
        raise PipelineError("--spark-conf and --spark-remote are for --engine spark")
    if name == MEMORY:
        yield InMemory(planning.plan_training(what, connect=connect))
        return
    with scratch() as folder, (_on_spark if name == SPARK else _streamed)(what, connect, folder, check) as made:
        yield made


@contextlib.contextmanager
def _streamed(settings: Settings, connect: Connect, folder: Path, check: Check) -> Iterator[TrainingEngine]:
    from pipelines.streaming import journal
    from pipelines.streaming import planning as streaming
    from pipelines.streaming.scan import StreamedTable

    rows = opened(settings, folder)
    with journal.opened(rows.origin.digest, repr(settings)) as found:
        memory = (settings.memory or memory_of_machine()) // 4
        typing = partial(StreamedTable, rows, folder=found.folder, memory=memory)
        yield streaming.prepared(settings, rows, typing, found, connect, check, name=STREAM)


@contextlib.contextmanager
def _on_spark(settings: Settings, connect: Connect, folder: Path, check: Check) -> Iterator[TrainingEngine]:
    from pipelines.streaming import planning as streaming
    from pipelines.streaming.journal import Journal
    from pipelines.streaming.spark import package, raw
    from pipelines.streaming.spark.table import ClusterTable
    from serving.batch.spark.session import connected

    if settings.query is not None:
        raise PipelineError("--query is for databases; name a table or a view of Spark's catalog: --data table:NAME")
    try:
        with connected(settings.spark) as session, raw.partitioned_alike(session):
            _log.info("reading %s by Spark", redaction.url(settings.data))
            package.ship(session, folder, remote=settings.spark.remote is not None)
            rows = raw.opened(session, settings.data, settings.options)
            # Its folder is removed: a training that was stopped begins anew.
            typing = partial(ClusterTable, rows)
            yield streaming.prepared(settings, rows, typing, Journal(folder), connect, check, name=SPARK)
    except ServingError as error:
        raise PipelineError(str(error)) from None


class ReadingSettings(Protocol):
    """What says which table is read, and how; see ``planning.Settings``."""

    @property
    def data(self) -> str: ...
    @property
    def query(self) -> str | None: ...
    @property
    def options(self) -> ReadOptions: ...
    @property
    def engine(self) -> str: ...
    @property
    def memory(self) -> int | None: ...


def opened(settings: ReadingSettings, folder: Path) -> "RawTable":
    """The table of the settings, to be read in parts.

    Parameters
    ----------
    folder : for files that are made of it, which are needed as long as the table is.

    Raises
    ------
    PipelineError
        if there is nothing to read, or it cannot be read as a table.
    """
    from pipelines.streaming import raw

    _log.info("reading %s in parts", redaction.url(settings.data))
    memory = (settings.memory or memory_of_machine()) // 4
    return raw.opened(settings.data, query=settings.query, options=settings.options, memory=memory, folder=folder)


def choose(settings: ReadingSettings, among: Sequence[str] = (AUTO, MEMORY, STREAM)) -> str:
    """The engine of the settings: the one asked for, else the one that the size of the table asks for.

    Parameters
    ----------
    among : the engines that there are.

    Raises
    ------
    PipelineError
        if there is no such engine.
    """
    if settings.engine not in among:
        raise PipelineError(f"--engine: expected one of {', '.join(among)}, found {settings.engine!r}")
    if settings.engine != AUTO:
        return settings.engine
    if settings.data.lower().replace("-", "_") in BUNDLED or "://" in settings.data:
        return MEMORY
    path = Path(settings.data).expanduser()
    if path.is_dir() or not path.exists():
        return STREAM if path.is_dir() or set("*?[") & set(settings.data) else MEMORY
    factor = _PARQUET if path.suffix.lower() in (".parquet", ".pq") else _TEXT
    return STREAM if path.stat().st_size * factor > _SHARE * (settings.memory or memory_of_machine()) else MEMORY


def memory_of_machine() -> int:
    """The memory of this machine, or of the container that this process is in, in bytes."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            whole = min(whole, int(Path(file).read_text()))
    return whole
