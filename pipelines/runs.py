"""An MLflow run that always ends: finished, failed or killed, and marked later where it could not say so itself."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipelines import lineage
from registry.client import speaking

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

#: Tag of a run: the process that writes it, as ``host:pid:start``.
PROCESS_TAG = "lifecycle.process"


class Interrupted(KeyboardInterrupt):
    """The process was told to stop (SIGINT or SIGTERM)."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, so that a run is closed either way."""

    def stop(number, frame):
        raise Interrupted(f"stopped by {signal.Signals(number).name}")

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread, where no handler can be set
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def tags() -> dict[str, str]:
    """What every run of ours is tagged with: the command that made it."""
    return {"lifecycle.command": lineage.command_line()}


@contextmanager
def run(client: "MlflowClient", *, experiment: str | None, name: str, tags: dict[str, str]) -> Iterator["Run"]:
    """An active run for the block; a child of the active one where there is one.

    Under ``mlflow run`` it is the project's own run (``MLFLOW_RUN_ID``), unless an experiment is named that differs.
    A run left behind by a process that is gone is marked KILLED first.

    Parameters
    ----------
    experiment : the experiment's name; None for the project run's, or MLflow's default.
    """
    import mlflow

    mark_killed(client)
    with speaking():
        outer = mlflow.active_run()
        run_id = None if outer else _project_run(client, experiment)
        experiment_id = None
        if experiment and not run_id:
            experiment_id = mlflow.set_experiment(experiment).experiment_id
        # Once taken, or passed over: else MLflow would take it for the next run that is started, a child say.
        os.environ.pop("MLFLOW_RUN_ID", None)
        tags = {**tags, PROCESS_TAG: _process(os.getpid())}
        active = mlflow.start_run(
            run_id=run_id,
            experiment_id=experiment_id or (outer.info.experiment_id if outer else None),
            run_name=None if run_id else name,
            nested=outer is not None,
            tags=tags,
        )
        if run_id:
            client.set_tag(run_id, "mlflow.runName", name)
    status = "FAILED"
    try:
        yield active
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        _end(status, failing=sys.exc_info()[0] is not None)


def _end(status: str, *, failing: bool) -> None:
    import mlflow

    try:
        with speaking():
            mlflow.end_run(status)
    except Exception:
        # The cause that made the run fail is worth more than a server that cannot be told of it now.
        if not failing:
            raise


def _project_run(client: "MlflowClient", experiment: str | None) -> str | None:
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if not run_id or not experiment:
        return run_id
    found = client.get_run(run_id)
    return run_id if client.get_experiment(found.info.experiment_id).name == experiment else None


def mark_killed(client: "MlflowClient") -> list[str]:
    """Mark every RUNNING run of this machine whose process is gone as KILLED; the ids of those."""
    with speaking():
        experiments = [found.experiment_id for found in client.search_experiments()]
        here = f"attributes.status = 'RUNNING' and tags.`{PROCESS_TAG}` LIKE '{socket.gethostname()}:%'"
        marked = []
        for found in client.search_runs(experiments, filter_string=here, max_results=1000):
            said = found.data.tags[PROCESS_TAG]
            if said != _process(int(said.split(":")[1])):
                client.set_terminated(found.info.run_id, "KILLED")
                marked.append(found.info.run_id)
    return marked


def _process(pid: int) -> str:
    """``host:pid:start``; the start tells a process from a later one of the same number."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            start = file.read().rpartition(")")[2].split()[19]
    except OSError:
        start = _alive(pid)
    return f"{socket.gethostname()}:{pid}:{start}"


def _alive(pid: int) -> str:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return "gone"
    except OSError:
        pass
    return "alive"
