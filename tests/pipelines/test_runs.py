"""Runs that always end, and the marking of those that could not say that they did."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

from pipelines import runs
from pipelines.errors import PipelineError
from registry import client as registry_client

ROOT = Path(__file__).parents[2]


@pytest.fixture
def client(tracking: str):
    return registry_client.connect()


def status(client, run_id: str) -> str:
    return client.get_run(run_id).info.status


@pytest.mark.parametrize(
    ("error", "ends"), [(None, "FINISHED"), (PipelineError("no"), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_a_run_ends_as_its_block_does(client, error: BaseException | None, ends: str):
    def work() -> Iterator[str]:
        with runs.run(client, experiment=None, name="one", tags={"colour": "red"}) as run:
            yield run.info.run_id
            if error:
                raise error

    working = work()
    run_id = next(working)
    assert status(client, run_id) == "RUNNING"
    with pytest.raises(type(error) if error else StopIteration):
        next(working)
    found = client.get_run(run_id)
    assert found.info.status == ends
    assert found.info.run_name == "one"
    assert found.data.tags["colour"] == "red"


def test_a_run_that_is_told_to_stop_is_killed_though_a_library_made_another_error_of_it(client):
    one = runs.run(client, experiment=None, name="one", tags={})
    with pytest.raises(ImportError), runs.interruptible(), one as run:  # noqa: PT012
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt:
            raise ImportError("cannot be imported") from None
    assert status(client, run.info.run_id) == "KILLED"


def test_no_run_begins_once_the_process_was_told_to_stop(client):
    with runs.interruptible():
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt), runs.run(client, experiment=None, name="one", tags={}):
            pytest.fail("it began")
    assert client.search_runs(["0"]) == []


def test_a_run_within_a_run_is_its_child(client):
    with runs.run(client, experiment="parents", name="outer", tags={}) as outer:
        with runs.run(client, experiment=None, name="inner", tags={}) as inner:
            pass
        assert status(client, outer.info.run_id) == "RUNNING"
    found = client.get_run(inner.info.run_id)
    assert found.data.tags["mlflow.parentRunId"] == outer.info.run_id
    assert found.info.experiment_id == outer.info.experiment_id


def test_an_error_in_a_child_fails_both(client):
    with (
        pytest.raises(PipelineError),
        runs.run(client, experiment=None, name="outer", tags={}) as outer,
        runs.run(client, experiment=None, name="inner", tags={}) as inner,
    ):
        raise PipelineError("no")
    assert (status(client, outer.info.run_id), status(client, inner.info.run_id)) == ("FAILED", "FAILED")


def test_a_project_run_is_adopted_and_its_children_are_their_own(client, monkeypatch: pytest.MonkeyPatch):
    project = client.create_run("0", run_name="as mlflow named it")
    monkeypatch.setenv("MLFLOW_RUN_ID", project.info.run_id)
    with (
        runs.run(client, experiment=None, name="train one", tags={"colour": "red"}) as outer,
        runs.run(client, experiment=None, name="inner", tags={}) as inner,
    ):
        assert inner.info.run_id != project.info.run_id
    assert outer.info.run_id == project.info.run_id
    found = client.get_run(project.info.run_id)
    assert (found.info.status, found.info.run_name, found.data.tags["colour"]) == ("FINISHED", "train one", "red")


@pytest.mark.parametrize(("named", "adopted"), [("the project's", True), ("another", False)])
def test_a_project_run_is_of_the_experiment_that_is_named(client, monkeypatch, named: str, adopted: bool):
    project = client.create_run(client.create_experiment("the project's"))
    monkeypatch.setenv("MLFLOW_RUN_ID", project.info.run_id)
    with runs.run(client, experiment=named, name="one", tags={}) as run:
        pass
    assert (run.info.run_id == project.info.run_id) is adopted
    assert client.get_experiment(run.info.experiment_id).name == named
    assert "MLFLOW_RUN_ID" not in os.environ


def kind(client, experiment_id: str) -> str | None:
    return client.get_experiment(experiment_id).tags.get("mlflow.experimentKind")


def test_a_model_has_an_experiment_of_its_own_of_the_machine_learning_kind(client):
    with runs.run(client, experiment=None, name="one", tags={}, model="a model") as run:
        pass
    with runs.run(client, experiment=None, name="two", tags={}, model="a model") as again:
        pass
    experiment = client.get_experiment(run.info.experiment_id)
    assert experiment.name == "a model"
    assert again.info.experiment_id == run.info.experiment_id
    assert kind(client, run.info.experiment_id) == "custom_model_development"


@pytest.mark.parametrize(
    ("tags", "now"),
    [
        ({}, "custom_model_development"),
        ({"mlflow.experimentKind": "genai_development_inferred"}, "custom_model_development"),
        ({"mlflow.experimentKind": "genai_development"}, "genai_development"),
    ],
)
def test_an_experiment_that_is_there_is_of_machine_learning_unless_somebody_chose_otherwise(client, tags, now):
    made = client.create_experiment("there", tags=tags)
    with runs.run(client, experiment="there", name="one", tags={}, model="a model") as run:
        pass
    assert (run.info.experiment_id, kind(client, made)) == (made, now)


def test_an_experiment_that_was_chosen_by_mlflows_own_means_holds(client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "by a variable")
    for chosen in ("by a variable", "by a call"):
        with runs.run(client, experiment=None, name="one", tags={}, model="a model") as run:
            pass
        assert client.get_experiment(run.info.experiment_id).name == chosen
        mlflow.set_experiment("by a call")
    assert client.get_experiment_by_name("a model") is None


def test_an_experiment_that_was_deleted_is_refused_with_what_brings_it_back(client):
    made = client.create_experiment("a model")
    client.delete_experiment(made)
    one = runs.run(client, experiment=None, name="one", tags={}, model="a model")
    with pytest.raises(PipelineError, match=f"mlflow experiments restore --experiment-id {made}"), one:
        pytest.fail("it began")


def test_a_run_that_ended_tells_why_it_failed_and_no_longer_whose_it_was(client):
    one = runs.run(client, experiment=None, name="one", tags={}, model="a model")
    with pytest.raises(PipelineError), one as run:
        raise PipelineError("no column 'a_b'")
    tags = client.get_run(run.info.run_id).data.tags
    assert tags["mlflow.note.content"] == r"**Failed:** no column 'a\_b'"
    assert runs.PROCESS_TAG not in tags


ELSEWHERE = """
import sys
from pipelines import runs
from registry import client
with runs.run(client.connect(), experiment="elsewhere", name="elsewhere", tags={}) as run:
    print(run.info.run_id, flush=True)
    sys.stdin.read()
"""


def test_a_run_whose_process_was_killed_is_marked_at_the_next_start_and_not_before(client):
    other = subprocess.Popen(
        [sys.executable, "-c", ELSEWHERE], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    with other:
        run_id = other.stdout.readline().strip()
        assert runs.mark_killed(client) == []
        assert status(client, run_id) == "RUNNING"
        # Not yet waited for: a zombie.
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        assert status(client, run_id) == "RUNNING"
        with runs.run(client, experiment=None, name="next", tags={}) as run:
            assert status(client, run_id) == "KILLED"
            assert status(client, run.info.run_id) == "RUNNING"


def test_a_process_that_took_the_number_of_one_that_is_gone_does_not_keep_its_run(client):
    with runs.run(client, experiment=None, name="mine", tags={}) as run:
        mine = run.data.tags[runs.PROCESS_TAG]
    machine, number, _ = mine.split(":")
    left = client.create_run("0", tags={runs.PROCESS_TAG: f"{machine}:{number}:1"})
    live = client.create_run("0", tags={runs.PROCESS_TAG: mine})
    assert runs.mark_killed(client) == [left.info.run_id]
    assert status(client, live.info.run_id) == "RUNNING"


def test_runs_of_others_are_not_touched(client):
    with runs.run(client, experiment=None, name="mine", tags={}) as run:
        machine = run.data.tags[runs.PROCESS_TAG].split(":")[0]
    # An underscore stands for any character in the pattern that finds our own.
    named_alike = machine.replace("-", "_") if "-" in machine else machine + "_"
    others = [
        client.create_run("0", tags={runs.PROCESS_TAG: f"{name}:999999999:1"})
        for name in (f"other-{machine}", named_alike, socket.gethostname(), "localhost")
    ]
    others.append(client.create_run("0", tags={runs.PROCESS_TAG: f"{machine}:unreadable"}))
    others.append(client.create_run("0"))
    assert runs.mark_killed(client) == []
    assert {status(client, other.info.run_id) for other in others} == {"RUNNING"}


def test_a_folder_is_removed_with_its_block():
    with pytest.raises(PipelineError), runs.folder() as folder:  # noqa: PT012
        (folder / "evidence").mkdir()
        (folder / "evidence" / "evidence.json").write_text("{}")
        raise PipelineError("no")
    assert not folder.exists()
