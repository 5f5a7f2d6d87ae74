"""A search through its public door: what it tries, what it keeps, and how it goes on after it was ended."""

import contextlib
import hashlib
import itertools
import json
import logging
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import optuna
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.entities import Run

from pipelines import estimators, fitting, planning
from pipelines.dataset import Roles
from pipelines.errors import PipelineError
from pipelines.estimators import CATALOGUE, EstimatorEntry
from pipelines.planning import Settings
from pipelines.tuning import search_plan, space_options, studies, trials
from pipelines.tuning.default_spaces import Scale
from pipelines.tuning.search import Tuned, tune
from pipelines.tuning.search_plan import Search
from pipelines.tuning.spaces import Choices, Range, SearchSpace
from registry import evidence
from tests import command
from tests.pipelines import tables

TUNABLE = [entry for entry in CATALOGUE if entry.name != "linear"]
SCALES = [Scale(300), Scale(20, 1e-9, 3e-9), Scale(1_000_000, 4e12, 1e13), Scale(12, 1e90, 1e90)]


def quick(data: Path | str, **more) -> Settings:
    return Settings(str(data), **{"folds": 3, "resamples": 0, "suite": "none", "pictures": False, **more})


def labelled(path: Path, *, rows: int = 240) -> Path:
    """Two classes, of which ``yes`` is the rarer, that two of six numbers tell apart in part."""
    draw = np.random.default_rng(3)
    numbers = draw.normal(size=(rows, 6))
    names = [f"n{place}" for place in range(6)]
    score = numbers[:, 0] - numbers[:, 1] + draw.normal(size=rows)
    frame = pd.DataFrame(numbers, columns=names).assign(target=np.where(score > 0.7, "yes", "no"))
    frame.to_csv(path, index=False)
    return path


def study_of(tuned: Tuned) -> optuna.Study:
    return optuna.load_study(study_name=tuned.search.study, storage=tuned.search.storage)


def outcomes(study: optuna.Study) -> list[tuple]:
    """What each trial that counts tried, and what came of it."""
    return [(trial.params, trial.state, trial.value, trial.intermediate_values) for trial in studies.done(study)]


def every_run(client: mlflow.MlflowClient) -> list[Run]:
    return client.search_runs([one.experiment_id for one in client.search_experiments()])


def children(run_id: str) -> list[Run]:
    client = mlflow.MlflowClient()
    experiment = client.get_run(run_id).info.experiment_id
    return client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}'", order_by=["start_time ASC"])


def corners(space: SearchSpace) -> Iterator[tuple[EstimatorEntry, dict[str, str]]]:
    """The parameters at all corners of a space of one estimator, as typed."""
    (candidate,) = space.candidates
    ends = [
        dimension.texts if isinstance(dimension, Choices) else (dimension.low, dimension.high)
        for dimension in candidate.space.values()
    ]
    for point in itertools.product(*ends):
        yield candidate.entry, candidate.texts(dict(zip(candidate.space, point, strict=True)))


@pytest.mark.parametrize("scale", SCALES, ids=str)
@pytest.mark.parametrize("entry", TUNABLE, ids=lambda entry: entry.name)
def test_all_that_is_tried_of_an_estimator_is_what_scikit_learn_takes(entry: EstimatorEntry, scale: Scale) -> None:
    found = list(corners(space_options.build([entry], scale=scale, fixed={}, narrowed={})))

    assert len(found) >= 2
    for _, texts in found:
        estimators.build(entry, estimators.parameters(entry, texts), seed=0)


def test_an_estimator_without_parameters_has_nothing_to_tune() -> None:
    with pytest.raises(PipelineError, match=r"linear has nothing to tune .*; use train, or tune one of ridge, lasso"):
        space_options.build([estimators.find("linear")], scale=Scale(100), fixed={}, narrowed={})


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_a_parameter_is_trained_as_it_was_tried_to_the_last_bit(value: float) -> None:
    entry = estimators.find("ridge")
    (candidate,) = space_options.build([entry], scale=Scale(100), fixed={"tol": "1e-5"}, narrowed={}).candidates

    assert estimators.parameters(entry, candidate.texts({"alpha": value})) == {"alpha": value, "tol": 1e-5}


def test_a_user_narrows_a_space_and_adds_to_it() -> None:
    narrowed = space_options.parse(
        ["alpha=0.5:2 max_iter=100:300:log", "elastic-net.l1_ratio=0.2,0.8", "selection=cyclic,random"]
    )
    entries = [estimators.find(name) for name in ("ridge", "elastic-net")]
    ridge, net = space_options.build(entries, scale=Scale(100), fixed={"tol": "1e-3"}, narrowed=narrowed).candidates

    assert ridge.space == {"alpha": Range(0.5, 2.0), "max_iter": Range(100, 300, log=True, whole=True)}
    assert net.space["l1_ratio"] == Choices(("0.2", "0.8"))
    assert net.space["selection"] == Choices(("cyclic", "random"))
    assert "selection" not in ridge.space
    assert ridge.fixed == net.fixed == {"tol": "1e-3"}


def test_values_with_commas_of_their_own_are_kept_whole() -> None:
    narrowed = space_options.parse(["hidden_layer_sizes=(8,),(16, 4) alpha=1e-4:1"])
    entry = estimators.find("mlp-regressor")
    (candidate,) = space_options.build([entry], scale=Scale(100), fixed={}, narrowed=narrowed).candidates

    assert candidate.space["hidden_layer_sizes"] == Choices(("(8,)", "(16, 4)"))
    assert estimators.parameters(entry, candidate.texts({"hidden_layer_sizes": "(16, 4)"})) == {
        "hidden_layer_sizes": (16, 4)
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alhpa=1:2", r"--search alhpa: ridge has no such parameter; did you mean 'alpha'\?"),
        ("lasso.alpha=1:2", "--search lasso.alpha: lasso is not searched; it is one of ridge"),
        ("alpha=2:1", "--search alpha=2:1: expected low < high"),
        ("alpha=0:1:log", "--search alpha=0:1:log: expected low < high, both above 0"),
        ("alpha=-1:1", "--search: The 'alpha' parameter of Ridge must be .* Got -1.0"),
        ("alpha=1:x", "--search alpha=1:x: expected low:high, low:high:log, or values"),
        ("alpha=1:inf", "--search alpha=1:inf: expected low:high"),
        ("alpha=1:2:linear", "--search alpha=1:2:linear: expected low:high"),
        ("alpha=1", "--search alpha=1: expected low:high"),
        ("solver=svd,best", "--search: The 'solver' parameter of Ridge must be a str among .* Got 'best'"),
        ("alpha", "--search: expected alpha=0.001:10:log or C=0.1,1,10, found 'alpha'"),
        ("tol=1e-4:1e-2", "tol is fixed by --param and searched by --search; give one of them"),
        ("random_state=1,2", "--search random_state is set by --seed"),
    ],
)
def test_a_search_that_cannot_be_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(PipelineError, match=said) as refused:
        space_options.build(
            [estimators.find("ridge")], scale=Scale(100), fixed={"tol": "1e-3"}, narrowed=space_options.parse([text])
        )
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metric": "accuracy"}, "--metric accuracy: a regression has mse, rmse, r2, mae"),
        ({"trials": 0}, "--trials: expected 1 or more, found 0"),
        ({"storage": "tuning.db"}, "--storage: expected a database such as sqlite:///tuning.db .*found 'tuning.db'"),
        (
            {"storage": "sqlite:///no/such/folder/t.db"},
            "--storage sqlite:///no/such/folder/t.db failed: unable to open",
        ),
        ({"storage": "sqlite:///damaged.db"}, "--storage sqlite:///damaged.db failed: file is not a database"),
        ({"storage": "sqlite:///mlflow.db"}, "--storage sqlite:///mlflow.db holds the tables of another program"),
        ({"storage": "postgresql://me:secret@127.0.0.1:9/x"}, r"--storage postgresql://me:\*\*\*@127.0.0.1:9/x failed"),
    ],
)
def test_what_cannot_be_searched_or_stored_is_refused_before_a_run_begins(
    tracking: str, tmp_path: Path, changes: dict, said: str
) -> None:
    (tmp_path / "damaged.db").write_bytes(b"not a database at all" * 100)
    search = Search(quick(tables.linear(tmp_path / "made.csv"), estimator="ridge"), trials=1)

    with pytest.raises(PipelineError, match=said) as refused:
        tune(replace(search, **changes))

    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)
    assert every_run(mlflow.MlflowClient()) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"folds": 1}, "expected --folds of 2 or more, found 1"),
        ({"estimator": "ridge,logistic"}, "ridge is for regression, logistic is for classification"),
        ({"estimator": "ridge,rigde"}, "--estimator rigde is not in the catalogue; did you mean '[rR]idge'"),
        ({"estimator": "ridge,poisson"}, "--estimator poisson needs a target of 0 or more"),
        ({"parameters": {"l1_ratio": "0.5"}, "estimator": "ridge"}, "--param l1_ratio: ridge has no such parameter"),
    ],
)
def test_settings_that_do_not_go_with_a_search_are_refused(
    tracking: str, tmp_path: Path, changes: dict, said: str
) -> None:
    with pytest.raises(PipelineError, match=said):
        tune(Search(quick(tables.linear(tmp_path / "made.csv"), **changes), trials=1))


def test_the_winner_is_registered_and_every_trial_is_a_run(
    tracking: str, tmp_path: Path, steps: pytest.LogCaptureFixture
) -> None:
    tuned = tune(Search(Settings("diabetes", resamples=0, suite="none"), trials=14))

    client, found, study = mlflow.MlflowClient(), tuned.search, study_of(tuned)
    search = client.get_run(found.run_id)
    ran = [run for run in children(found.run_id) if "tuning.trial" in run.data.tags]
    (trained,) = [run for run in children(found.run_id) if "tuning.trial" not in run.data.tags]
    complete = studies.measured(study)
    states = [run.data.tags["tuning.state"] for run in ran]

    assert found.value == min(trial.value for trial in complete)
    assert (found.trials, found.pruned, found.failed) == (14, 14 - len(complete), 0)
    assert found.pruned == sum(state.startswith("pruned after ") for state in states) > 0
    assert {run.info.status for run in [search, trained, *ran]} == {"FINISHED"}
    assert [int(run.data.tags["tuning.trial"]) for run in ran] == list(range(14))
    winner = ran[found.trial]
    assert winner.data.metrics["cv/rmse"] == found.value
    assert winner.data.params["estimator.alpha"] == found.parameters["alpha"] == search.data.params["best.alpha"]
    assert search.data.metrics["cv/rmse"] == found.value
    assert len(client.get_metric_history(found.run_id, "cv/rmse")) == 14
    assert f"The best is trial {found.trial}: `{found.estimator}`" in search.data.tags["mlflow.note.content"]
    (logged,) = search.inputs.dataset_inputs
    assert [tag.value for tag in logged.tags if tag.key == "mlflow.data.context"] == ["tuning"]

    # The winner is trained as it was measured, by train's own way.
    assert trained.info.run_id == tuned.trained.run_id
    assert trained.data.metrics["cv/rmse"] == pytest.approx(found.value, rel=1e-12)
    assert trained.data.params["estimator.alpha"] == found.parameters["alpha"]
    version = client.get_model_version("diabetes", tuned.trained.version)
    assert version.tags["tuning.search_run"] == found.run_id
    assert version.tags["tuning.study"] == found.study == search.data.tags["tuning.study"]

    files = Path(mlflow.artifacts.download_artifacts(run_id=found.run_id, dst_path=str(tmp_path / "search")))
    for picture in ("optimization_history", "parameter_importances"):
        assert (files / "pictures" / f"{picture}.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((files / "search" / "found.json").read_text())["parameters"] == found.parameters
    listed = pd.read_csv(files / "search" / "trials.csv")
    assert listed["state"].tolist() == [trial.state.name.lower() for trial in study.get_trials()]
    assert listed["run"].tolist() == [run.info.run_id for run in ran]

    # A count, which is not taken for the number of a trial.
    assert any(line.startswith("1 of 14 trials: best ") for line in steps.messages)

    # Again, it has all its trials: the winner is trained anew, and nothing is tried.
    again = tune(Search(Settings("diabetes", resamples=0, suite="none"), trials=14))
    assert any("has its 14 trials: none is added" in line for line in steps.messages)
    assert (again.trained.version, again.search.parameters) == ("2", found.parameters)
    assert len(study_of(again).get_trials()) == 14
    assert client.get_run(again.search.run_id).data.tags["tuning.continues"] == found.run_id


def test_a_database_of_studies_leaves_the_programs_logging_alone(tmp_path: Path) -> None:
    """Optuna's migrations configure logging, and would disable our loggers and any other."""
    before = logging.getLogger("before"), logging.getLogger("pipelines.before")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    try:
        studies.connect(f"sqlite:///{tmp_path}/tuning.db")
        assert not any(logger.disabled for logger in before)
        assert (root.handlers, root.level) == ([], level)
    finally:
        root.handlers[:] = handlers


def test_the_table_is_read_once(tracking: str, tmp_path: Path) -> None:
    """A pipe can be read once only: the winner is trained on what the search has read."""
    content = tables.linear(tmp_path / "made.csv").read_bytes()
    pipe = tmp_path / "made.pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(content,), daemon=True)
    writer.start()

    tuned = tune(Search(replace(quick(pipe), suite="auto"), trials=2))

    writer.join()
    document = evidence.read(
        Path(mlflow.artifacts.download_artifacts(f"runs:/{tuned.trained.run_id}/evidence/training"))
    )
    assert document.lineage.data.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert document.model.estimator == estimators.find(tuned.search.estimator).class_name
    assert document.suite.evaluated > 0


def test_the_first_trial_of_each_estimator_is_what_train_would_fit(tracking: str, tmp_path: Path) -> None:
    tuned = tune(Search(quick("diabetes", estimator="ridge,lasso,linear"), trials=6))

    first = [trial.params for trial in study_of(tuned).get_trials()][:3]
    assert first == [
        {"estimator": "ridge", "ridge.alpha": 1.0},
        {"estimator": "lasso", "lasso.alpha": 1.0},
        {"estimator": "linear"},
    ]


def test_the_held_out_rows_are_never_looked_at(tracking: str, tmp_path: Path) -> None:
    """Two tables that differ in their held-out rows alone: every trial is the same in both."""
    table = pd.read_csv(tables.linear(tmp_path / "made.csv")).assign(row=lambda frame: [f"r{n}" for n in frame.index])
    table.to_csv(tmp_path / "one.csv", index=False)
    settings = quick(tmp_path / "one.csv", roles=Roles(id=["row"]), estimator="elastic-net,huber")
    held = planning.plan_training(replace(settings, estimator="huber")).split.holdout
    assert len(held) > 20
    table.loc[held, "target"] = table.loc[held, "target"] * -1e6 - 5
    table.loc[held, "x"] = 1e9
    table.loc[held, "colour"] = "purple"
    table.to_csv(tmp_path / "two.csv", index=False)

    one = tune(Search(settings, trials=8))
    two = tune(Search(replace(settings, data=str(tmp_path / "two.csv")), trials=8))

    assert one.search.study != two.search.study
    assert outcomes(study_of(one)) == outcomes(study_of(two))
    assert one.trained.metrics["rmse"].value < 1e3 < two.trained.metrics["rmse"].value


def test_features_made_once_a_fold_are_those_of_the_whole_pipeline(tracking: str, tmp_path: Path) -> None:
    settings = quick(tables.hostile(tmp_path / "made.csv"), roles=Roles(target="outcome"), estimator="logistic")
    with search_plan.prepared(Search(settings)) as plan:
        for once, each in zip(trials.Folds(plan), trials.Folds(plan, most=0), strict=True):
            assert (once.ready, each.ready) == (True, False)
            build = estimators.build(plan.training.entry, {}, seed=0)
            whole = fitting.pipeline(plan.training.dataset, estimators.build(plan.training.entry, {}, seed=0))
            fitting.fit(build, once.table, once.target)
            fitting.fit(whole, each.table, each.target)
            assert np.array_equal(build.predict_proba(once.judged), whole.predict_proba(each.judged))


def words(data: Path, *more: str) -> list[str]:
    """Of a command that searches quickly."""
    quickly = ["--folds", "3", "--suite", "none", "--intervals", "0", "--pictures", "no"]
    return ["tune", "--data", str(data), *quickly, *more]


def wait_for(trials_done: int, running: command.Command, storage: str) -> optuna.Study:
    """The study of a command, once it has done some trials."""
    until = time.monotonic() + 120
    while running.process.poll() is None and time.monotonic() < until:
        # Optuna itself would make the tables that the process is about to make.
        with contextlib.suppress(sqlite3.Error):
            path = Path(storage.removeprefix("sqlite:///")).resolve()
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
                ((ended,),) = database.execute("SELECT COUNT(*) FROM trials WHERE state IN ('COMPLETE', 'PRUNED')")
            if ended >= trials_done:
                (name,) = optuna.get_all_study_names(storage)
                return optuna.load_study(study_name=name, storage=storage)
        time.sleep(0.05)
    running.process.kill()
    raise AssertionError(f"no {trials_done} trials: {running.done()}")


def test_a_search_that_was_killed_goes_on_as_if_it_had_not_been(
    tracking: str, tmp_path: Path, steps: pytest.LogCaptureFixture
) -> None:
    data, settings = labelled(tmp_path / "made.csv"), quick(tmp_path / "made.csv")
    with command.Command(*words(data, "--trials", "500"), folder=tmp_path) as running:
        killed = wait_for(12, running, "sqlite:///tuning.db")
        running.signal(signal.SIGKILL)
    before = outcomes(killed)
    assert 12 <= len(before) < 100
    # Whatever the moment of the end was, here is a trial that was begun and not finished.
    killed.ask()

    total = len(before) + 6
    tuned = tune(Search(settings, trials=total))
    in_one_go = tune(Search(settings, trials=total, storage="sqlite:///other.db"))

    resumed = study_of(tuned)
    assert any(f"goes on: {len(before)} of {total} trials are done" in line for line in steps.messages)
    assert resumed.study_name == killed.study_name
    assert outcomes(resumed)[: len(before)] == before
    assert outcomes(resumed) == outcomes(study_of(in_one_go))
    assert len(outcomes(resumed)) == total
    assert not resumed.get_trials(states=[optuna.trial.TrialState.RUNNING])
    assert (
        "interrupted"
        in pd.read_csv(
            mlflow.artifacts.download_artifacts(run_id=tuned.search.run_id, artifact_path="search/trials.csv")
        )["reason"].to_list()
    )

    client = mlflow.MlflowClient()
    earlier = client.get_run(client.get_run(tuned.search.run_id).data.tags["tuning.continues"])
    assert earlier.info.status == "KILLED"
    assert {run.info.status for run in every_run(client)} == {"FINISHED", "KILLED"}
    assert [version.version for version in client.search_model_versions("name = 'made'")]


def test_ctrl_c_ends_a_search_with_one_line_that_says_how_to_go_on(tracking: str, tmp_path: Path) -> None:
    data = labelled(tmp_path / "made.csv")
    with command.Command(*words(data, "--trials", "500", "--json"), folder=tmp_path) as running:
        study = wait_for(2, running, "sqlite:///tuning.db")
        running.signal(signal.SIGINT)
        interrupted = running.done()

    assert interrupted.code == 2
    done = len(studies.done(study))
    assert interrupted.line == (
        f"error: interrupted after {done} of 500 trials, no version is registered; the same command goes on with "
        f"study {study.study_name} in sqlite:///tuning.db"
    )
    assert "Traceback" not in interrupted.err
    client = mlflow.MlflowClient()
    (search,) = [run for run in every_run(client) if "mlflow.parentRunId" not in run.data.tags]
    assert search.info.status == "KILLED"
    assert "RUNNING" not in {run.info.status for run in every_run(client)}
    assert not study.get_trials(states=[optuna.trial.TrialState.RUNNING])
    assert client.search_registered_models() == []

    # The same command, with the trials that there are: the winner, as JSON.
    ended = command.run(*words(data, "--trials", str(done), "--json"), folder=tmp_path)
    assert ended.code == 0, ended.err
    (printed,) = json.loads(ended.out)
    assert printed["search"]["study"] == study.study_name
    assert printed["search"]["trials"] == done
    assert printed["version"] == "1"


def test_a_study_of_another_search_is_refused(tracking: str, tmp_path: Path) -> None:
    data = tables.linear(tmp_path / "made.csv")
    search = Search(quick(data, estimator="ridge"), trials=2, study="mine")
    tune(search)
    kept = outcomes(optuna.load_study(study_name="mine", storage=search.storage))

    for other, said in (
        (replace(search, metric="mae"), r"study 'mine' is of another search \(metric rmse, now mae\); give --study"),
        (replace(search, space={"alpha": "1:2"}), r"\(alpha 0\.001:\S+:log, now 1\.0:2\.0\)"),
        (replace(search, settings=replace(search.settings, seed=7)), r"\(seed 0, now 7\)"),
        (replace(search, settings=replace(search.settings, estimator="lasso")), "estimator ridge, now lasso"),
        (
            replace(search, settings=quick(tables.linear(tmp_path / "more.csv", rows=310), estimator="ridge")),
            "data sha256:.*, now sha256",
        ),
    ):
        with pytest.raises(PipelineError, match=said):
            tune(other)
    assert outcomes(optuna.load_study(study_name="mine", storage=search.storage)) == kept
    optuna.create_study(study_name="theirs", storage=search.storage).ask()
    with pytest.raises(PipelineError, match="study 'theirs' was made by another program; give --study another name"):
        tune(replace(search, study="theirs"))


def test_a_study_that_a_running_search_works_on_is_refused(tracking: str, tmp_path: Path) -> None:
    search = Search(quick(tables.linear(tmp_path / "made.csv"), estimator="ridge"), trials=2)
    study, client = study_of(tune(search)), mlflow.MlflowClient()
    # On another machine: of this one's processes it is known which are gone.
    elsewhere = client.create_run("0", tags={"lifecycle.process": "elsewhere:1:2"})
    study.set_user_attr("search_run", elsewhere.info.run_id)

    with pytest.raises(PipelineError, match=r"is being searched by run .* \(process elsewhere:1\); wait for it"):
        tune(search)
    client.delete_run(elsewhere.info.run_id)
    assert tune(search).search.trials == 2


def test_a_trial_that_fails_is_kept_with_its_reason_and_the_search_goes_on(tracking: str, tmp_path: Path) -> None:
    settings = quick(labelled(tmp_path / "made.csv"), parameters={"solver": "lbfgs"})
    tuned = tune(Search(settings, space={"C": "0.1,1", "l1_ratio": "0.0,1.0"}))

    failed = [run for run in children(tuned.search.run_id) if run.info.status == "FAILED"]
    assert (tuned.search.trials, tuned.search.failed, len(failed)) == (4, 2, 2)
    for run in failed:
        assert run.data.params["estimator.l1_ratio"] == "1.0"
        assert run.data.tags["tuning.state"] == "failed"
        assert "lbfgs supports only" in run.data.tags["tuning.reason"]
    assert tuned.search.parameters["l1_ratio"] == "0.0"


def test_a_model_that_does_not_converge_is_not_measured(tracking: str, tmp_path: Path) -> None:
    settings = quick(labelled(tmp_path / "made.csv"), parameters={"max_iter": "1"})

    with pytest.raises(
        PipelineError, match=r"none of the 3 trials of study .* could be measured: did not converge"
    ) as refused:
        tune(Search(settings, space={"C": "0.1,1,10"}))

    assert "\n" not in str(refused.value)
    client = mlflow.MlflowClient()
    assert {run.info.status for run in every_run(client)} == {"FAILED"}
    assert client.search_registered_models() == []


def test_a_search_without_time_for_a_trial_says_so(tracking: str, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="--timeout 0: no trial was begun in that time; give more"):
        tune(Search(quick(labelled(tmp_path / "made.csv")), timeout=0))


def test_few_points_are_tried_once_each_and_no_more(tracking: str, tmp_path: Path) -> None:
    settings = quick(labelled(tmp_path / "made.csv"))
    tuned = tune(Search(settings, trials=30, space={"C": "0.1,1,10"}))

    assert sorted(trial.params["C"] for trial in study_of(tuned).get_trials()) == ["0.1", "1", "10"]


def test_the_same_point_is_not_measured_twice(tracking: str, tmp_path: Path) -> None:
    tuned = tune(Search(quick("diabetes", estimator="linear,ridge"), trials=12))

    same = [trial for trial in study_of(tuned).get_trials() if trial.params == {"estimator": "linear"}]
    told = {
        int(run.data.tags.get("tuning.trial", -1)): run.data.tags.get("tuning.state")
        for run in children(tuned.search.run_id)
    }
    assert len(same) > 1
    assert len({trial.value for trial in same}) == 1
    assert {told[trial.number] for trial in same[1:]} == {f"as trial {same[0].number}"}


def test_a_metric_of_which_more_is_better_is_maximised(tracking: str, tmp_path: Path) -> None:
    tuned = tune(Search(quick(labelled(tmp_path / "made.csv")), trials=6, metric="roc_auc"))

    assert tuned.search.value == max(trial.value for trial in studies.measured(study_of(tuned)))


def test_a_threshold_is_chosen_in_each_trial_as_in_training(tracking: str, tmp_path: Path) -> None:
    settings = quick(labelled(tmp_path / "made.csv"), positive="yes", threshold="recall=0.9")
    tuned = tune(Search(settings, trials=6, metric="precision"))

    trained = mlflow.MlflowClient().get_run(tuned.trained.run_id)
    assert trained.data.metrics["cv/recall"] >= 0.85
    assert trained.data.metrics["cv/precision"] == pytest.approx(tuned.search.value, rel=1e-12)


def test_a_search_goes_on_in_postgresql(tracking: str, tmp_path: Path, new_database: Callable[[], str]) -> None:
    search = Search(quick(tables.linear(tmp_path / "made.csv"), estimator="ridge"), trials=3, storage=new_database())
    first = tune(search)
    more = tune(replace(search, trials=5))

    assert (first.search.trials, more.search.trials) == (3, 5)
    kept = tune(replace(search, trials=5, storage="sqlite:///tuning.db"))
    study = optuna.load_study(study_name=more.search.study, storage=search.storage)
    assert outcomes(study) == outcomes(study_of(kept))
