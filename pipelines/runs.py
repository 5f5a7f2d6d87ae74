"""An MLflow run that always ends: finished, failed or killed, and marked later where it could not say so itself."""

import contextlib
import hashlib
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines import experiments, lineage, markdown
from pipelines.errors import PipelineError
from registry import redaction
from registry.cli import interrupts, training_command
from registry.cli.interrupts import interruptible
from registry.client import one_try, speaking
from registry.errors import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["PROCESS_TAG", "folder", "interruptible", "mark_killed", "run", "tags", "tidy"]

# How often a database that is busy is told how a run ended; a server is asked once, for it may be gone.
_TRIES = 3

#: Tag of a run while it is running: the process that writes it, as ``machine:pid:start``.
PROCESS_TAG = "lifecycle.process"


def tags() -> dict[str, str]:
    """What every run of ours is tagged with: the command that made it."""
    return {training_command.TAG: lineage.command_line()}


@contextmanager
def run(
    client: "MlflowClient",
    *,
    experiment: str | None,
    name: str,
    tags: dict[str, str],
    model: str | None = None,
    resumed: str | None = None,
) -> Iterator["Run"]:
    """An active run for the block; a child of the active one where there is one.

    Under ``mlflow run`` it is the project's own run (``MLFLOW_RUN_ID``), unless an experiment is named that differs.
    A run left behind by a process that is gone is marked KILLED first. The run ends with the block: FINISHED, FAILED
    where it raises, KILLED where it is interrupted.

    Parameters
    ----------
    experiment : the experiment's name; None for that of the run around it, else the one that the user chose by MLflow's
        own means (`pipelines.experiments.chosen`), else the model's own.
    model : the model's name, by which its own experiment goes; None for MLflow's default.
    resumed : the id of a run that goes on, unless there is a run around this one, or ``mlflow run`` began one.
    """
    tidy(client)
    interrupts.reopen()
    # Held, so that no run is begun by the server and unknown to us.
    interrupts.hold()
    try:
        with speaking():
            active = _start(client, experiment, name, tags, model, resumed)
    except BaseException:
        interrupts.release(deliver=False)
        raise
    status, reason = "FAILED", ""
    try:
        interrupts.release()
        yield active
        status = "FINISHED"
    except BaseException as error:
        status = "KILLED" if isinstance(error, KeyboardInterrupt) or interrupts.asked() else "FAILED"
        # Ours are of one line and hold no data; what others say is not known.
        reason = str(error) if status == "FAILED" and isinstance(error, (PipelineError, RegistryError)) else ""
        raise
    finally:
        with interrupts.held():
            _end(client, active.info.run_id, status, reason)


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for the block's files, removed with the block, also where it is interrupted.

    Raises
    ------
    OSError
        where none can be made.
    """
    made = tempfile.TemporaryDirectory(prefix="lifecycle-", ignore_cleanup_errors=True)
    try:
        yield Path(made.name)
    finally:
        with interrupts.held():
            made.cleanup()


def _start(
    client: "MlflowClient",
    experiment: str | None,
    name: str,
    tags: dict[str, str],
    model: str | None,
    resumed: str | None,
) -> "Run":
    import mlflow

    _shield()
    outer = mlflow.active_run()
    run_id = None if outer else _project_run(client, experiment) or resumed
    experiment_id = outer.info.experiment_id if outer else None
    if experiment and not run_id:
        experiment_id = experiments.named(client, experiment)
    elif model and not outer and not run_id:
        experiment_id = experiments.chosen() or experiments.named(client, model)
    # Once taken, or passed over: else MLflow would take it for the next run that is started, a child say.
    os.environ.pop("MLFLOW_RUN_ID", None)
    active = mlflow.start_run(
        run_id=run_id,
        experiment_id=experiment_id,
        run_name=None if run_id else name,
        nested=outer is not None,
        tags={**tags, PROCESS_TAG: _process(os.getpid())},
    )
    if experiment or not outer:
        experiments.set_kind(client, active.info.experiment_id)
    if run_id:
        client.set_tag(run_id, "mlflow.runName", name)
        # Of those that `mlflow run` gave it; the command says what to do about its parameters.
        for tag, value in _changed(active.data.tags).items():
            client.set_tag(run_id, tag, value)
    return active


@cache
def _shield() -> None:
    """Redact the tags that MLflow finds by itself: of runs, and of logged models; the git remote may hold a token."""
    from mlflow.tracking.context import registry as contexts
    from mlflow.tracking.context.abstract_context import RunContextProvider

    # What comes later overrides what came before.
    providers = list(contexts._run_context_provider_registry)

    class Redacted(RunContextProvider):
        def in_context(self) -> bool:
            return True

        def tags(self) -> dict[str, str]:
            merged: dict[str, str] = {}
            for provider in providers:
                if provider.in_context():
                    merged |= provider.tags()
            return _changed(merged)

    contexts._run_context_provider_registry.register(Redacted)


def _changed(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that hold a secret, without it."""
    shown = {name: redaction.url(value) for name, value in tags.items() if isinstance(value, str)}
    return {name: text for name, text in shown.items() if text != tags[name]}


def _end(client: "MlflowClient", run_id: str, status: str, reason: str) -> None:
    import mlflow

    if status == "FINISHED":
        with speaking():
            mlflow.end_run(status)
        _clear(client, run_id)
        return
    # What made the run fail is worth more than a server that cannot be told of it now; the next start marks it.
    for attempt in range(_TRIES):
        with contextlib.suppress(RegistryError), speaking(), one_try():
            # MLflow forgets the run before it tells the store: a second `end_run` would end the run around this one.
            if attempt == 0:
                mlflow.end_run(status)
            run = client.get_run(run_id)
            if run.info.status == "RUNNING":
                client.set_terminated(run_id, status)
            if reason and markdown.NOTE_TAG not in run.data.tags:
                client.set_tag(run_id, markdown.NOTE_TAG, f"**Failed:** {markdown.plain(reason)}")
            _clear(client, run_id)
            return
        if mlflow.get_tracking_uri().startswith("http"):
            return


def _clear(client: "MlflowClient", run_id: str) -> None:
    """Take the mark of the process from a run that has ended, where it tells nobody anything."""
    with contextlib.suppress(RegistryError), speaking(), one_try():
        client.delete_tag(run_id, PROCESS_TAG)


def of_project() -> bool:
    """Whether ``mlflow run`` began a run for the project, which the next run of ours is going to be."""
    return bool(os.environ.get("MLFLOW_RUN_ID"))


def _project_run(client: "MlflowClient", experiment: str | None) -> str | None:
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if not run_id or not experiment:
        return run_id
    project_run = client.get_run(run_id)
    return run_id if client.get_experiment(project_run.info.experiment_id).name == experiment else None


def tidy(client: "MlflowClient") -> None:
    """:func:`mark_killed`, for a command that has other things to do: what cannot be marked stays as it is."""
    with contextlib.suppress(RegistryError):
        mark_killed(client)


def mark_killed(client: "MlflowClient") -> list[str]:
    """Mark every RUNNING run of this machine whose process is gone as KILLED; the ids of those.

    Raises
    ------
    RegistryError
        where the tracking server refuses.
    """
    # The text is a pattern, in which an underscore is any character: what it finds is looked at again.
    running = f"attributes.status = 'RUNNING' and tags.`{PROCESS_TAG}` LIKE '{_machine()}:%'"
    marked = []
    with speaking():
        for experiments in _experiments(client):
            for run in client.search_runs(experiments, filter_string=running, max_results=1000):
                machine, _, rest = run.data.tags[PROCESS_TAG].partition(":")
                pid = rest.partition(":")[0]
                if machine == _machine() and pid.isdigit() and f"{machine}:{rest}" != _process(int(pid)):
                    client.set_terminated(run.info.run_id, "KILLED")
                    marked.append(run.info.run_id)
    return marked


def _experiments(client: "MlflowClient") -> Iterator[list[str]]:
    token = None
    while True:
        page = client.search_experiments(page_token=token)
        yield [experiment.experiment_id for experiment in page]
        token = page.token
        if not token:
            return


def _process(pid: int) -> str:
    """``machine:pid:start``; the start tells a process from a later one of the same number."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        # A zombie is over, though nobody has asked how it ended.
        start = "gone" if state in "ZX" else rest[18]
    except OSError:
        start = _alive(pid)
    return f"{_machine()}:{pid}:{start}"


@cache
def _machine() -> str:
    """The host's name, and a mark of what else decides whose process numbers these are: machine and container.

    Two machines, or two containers, may have one name.
    """
    told = [socket.gethostname()]
    for path in ("/etc/machine-id", "/proc/self/ns/pid"):
        with contextlib.suppress(OSError):
            told.append(str(os.stat(path).st_ino) if path.startswith("/proc") else Path(path).read_text().strip())
    return f"{told[0]}-{hashlib.sha256(' '.join(told).encode()).hexdigest()[:8]}"


def _alive(pid: int) -> str:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return "gone"
    except OSError:
        pass
    return "alive"
