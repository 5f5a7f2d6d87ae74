"""The Optuna study of a search, in a database where an interrupted search is found again."""

import logging
import sqlite3
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipelines.errors import PipelineError
from registry import filelock, redaction
from registry.client import BARE_AT, said_by
from registry.tracking_store import path_of

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

#: Attributes of a study: what it searches, and the MLflow run of the search that last worked on it.
SEARCHED, SEARCH_RUN = "searched", "search_run"
#: Attributes of a trial: why it failed, its mean cross-validated metrics, its MLflow run.
REASON, METRICS, RUN = "reason", "metrics", "run"

_CONNECT_SECONDS = 10
_LOCK_SECONDS = 30
_WORST_SHOWN = 3


def connect(url: str) -> "BaseStorage":
    """Open a database of studies; made where it is an SQLite file that is not there yet.

    Raises
    ------
    PipelineError
        where there is no such database, it does not answer, is damaged, or holds another program's tables.
    """
    import optuna
    import sqlalchemy

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with storing(url):
        parsed = sqlalchemy.make_url(url)
        if "@" in (parsed.host or ""):
            raise PipelineError(f"--storage {redaction.url(url)}: {BARE_AT}")
        kind = parsed.get_backend_name()
        wait: dict[str, Any] = {"sqlite": {"timeout": _LOCK_SECONDS}}.get(kind, {})
        if kind in ("postgresql", "mysql") and "connect_timeout" not in parsed.query:
            wait = {"connect_timeout": _CONNECT_SECONDS}
        engine = sqlalchemy.create_engine(url, connect_args=wait)
        tables = set(sqlalchemy.inspect(engine).get_table_names())
        engine.dispose()
        # Optuna and MLflow would take each other's `alembic_version` for their own.
        if "alembic_version" in tables and "studies" not in tables:
            raise PipelineError(
                f"--storage {redaction.url(url)} holds the tables of another program; give a database of its own, "
                "such as sqlite:///tuning.db"
            )
        with _alone(url), _logging_kept():
            return optuna.storages.RDBStorage(
                url, engine_kwargs={"connect_args": wait, "pool_pre_ping": kind != "sqlite"}
            )


@contextmanager
def _alone(url: str) -> Iterator[None]:
    """Hold the lock of an SQLite file: Optuna makes its tables without one, and fails where another makes them, too."""
    path = path_of(url)
    if path is None or not path.parent.is_dir():
        yield
        return
    try:
        with filelock.held(path, _LOCK_SECONDS):
            yield
    except filelock.Held:
        raise PipelineError(
            f"--storage {redaction.url(url)}: another process has been opening it for over {_LOCK_SECONDS} s; "
            "wait for it to end, then try again"
        ) from None
    except sqlite3.Error as error:
        raise PipelineError(f"--storage {redaction.url(url)} cannot be written: {said_by(error, url)}") from None


@contextmanager
def _logging_kept() -> Iterator[None]:
    """Keep Optuna's migrations from configuring logging, which they do where the root logger has no handler.

    They would give it one, and disable every logger that there is, ours among them.
    """
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


@contextmanager
def storing(url: str) -> Iterator[None]:
    """Turn what Optuna and its database raise inside the block into a PipelineError of one line."""
    from optuna.exceptions import ExperimentalWarning, OptunaError
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    except (ArgumentError, ImportError) as error:
        raise PipelineError(
            f"--storage: expected a database such as sqlite:///tuning.db or postgresql://user@host/name, "
            f"found {redaction.url(url)!r} ({said_by(error, url, most=120)})"
        ) from error
    except (SQLAlchemyError, OptunaError) as error:
        # What the database's own driver said.
        cause = getattr(error, "orig", None) or getattr(error.__cause__, "orig", None) or error
        raise PipelineError(
            f"--storage {redaction.url(url)} failed: {said_by(cause, url)}; correct it, or give another"
        ) from error
    except RuntimeError as error:
        if "table schema" not in str(error):
            raise
        raise PipelineError(f"--storage {redaction.url(url)}: {said_by(error, url)}") from error


def open_study(storage: "BaseStorage", name: str, *, maximized: bool, searched: Mapping[str, str]) -> "Study":
    """The study of a name, new or as it was left.

    Parameters
    ----------
    searched : all that its values hang on; a study that searched anything else is refused.

    Raises
    ------
    PipelineError
        where the study of that name is another's.
    """
    import optuna

    direction = optuna.study.StudyDirection.MAXIMIZE if maximized else optuna.study.StudyDirection.MINIMIZE
    known = name in optuna.get_all_study_names(storage)
    if known:
        study = optuna.load_study(study_name=name, storage=storage)
        # Without trials it may be ours: the process that made it may have ended before it wrote what it searches.
        if SEARCHED in study.user_attrs or study.get_trials(deepcopy=False):
            refuse_another(name, study.user_attrs.get(SEARCHED), searched)
            return study
    study = optuna.create_study(study_name=name, storage=storage, direction=direction, load_if_exists=True)
    study.set_user_attr(SEARCHED, dict(searched))
    return study


def refuse_another(name: str, before: Mapping[str, str] | None, searched: Mapping[str, str]) -> None:
    """Refuse a study that did not search what is asked for now, and say where the two differ."""
    if before is None:
        raise PipelineError(f"study {name!r} was made by another program; give --study another name")
    parts = [part for part in {**before, **searched} if before.get(part) != searched.get(part)]
    if parts:
        told = [f"{part} {before.get(part, 'none')}, now {searched.get(part, 'none')}" for part in parts]
        more = f" and {len(told) - _WORST_SHOWN} more" if len(told) > _WORST_SHOWN else ""
        raise PipelineError(
            f"study {name!r} is of another search ({'; '.join(told[:_WORST_SHOWN])}{more}); "
            "give --study another name, or none"
        )


def done(study: "Study") -> "list[FrozenTrial]":
    """The trials that count, in order: measured, pruned, or failed for a reason; not those that were interrupted."""
    from optuna.trial import TrialState

    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    ended = study.get_trials(deepcopy=False, states=states)
    return [trial for trial in ended if trial.state != TrialState.FAIL or REASON in trial.user_attrs]


def measured(study: "Study") -> "list[FrozenTrial]":
    """The trials that have a value, in order."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def best(study: "Study") -> "FrozenTrial | None":
    """The best trial, of equals the first; None where none has a value."""
    from optuna.study import StudyDirection

    sign = 1 if study.direction == StudyDirection.MINIMIZE else -1
    return min(measured(study), key=lambda trial: (sign * value(trial), trial.number), default=None)


def best_value(study: "Study") -> float | None:
    """The value of the best trial; None where none has one."""
    trial = best(study)
    return None if trial is None else value(trial)


def value(trial: "FrozenTrial") -> float:
    """The value of a measured trial."""
    assert trial.value is not None
    return trial.value


def release(study: "Study") -> list[int]:
    """Mark trials left RUNNING as FAIL, so that they are done again; their numbers."""
    from optuna.trial import TrialState

    left = [trial.number for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))]
    for number in left:
        study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
    return left


def ask(study: "Study", point: Mapping[str, Any] | None) -> "Trial":
    """The next trial, at a point where one is given; a point that an ended process had put in waits there still."""
    from optuna.trial import TrialState

    if point is not None and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.enqueue_trial(dict(point))
    return study.ask()


def sampler(seed: int, index: int):
    """The sampler of one trial: a tree-structured Parzen estimator (Bergstra et al. 2011), over all parameters jointly.

    Seeded by the search's seed and the count of trials before this one: a search that is interrupted and goes on
    tries what it would have tried in one go.
    """
    import numpy as np
    import optuna

    (state,) = np.random.SeedSequence([seed, index]).generate_state(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=int(state), multivariate=True, group=True)
