"""A training on a table that Spark reads is the training in parts: the same rows, coefficients and evidence."""

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import msgspec
import numpy as np
import pandas as pd
import psutil
import pytest

from pipelines import engines, solving
from pipelines.dataset import Roles
from pipelines.errors import PipelineError
from pipelines.planning import Settings
from pipelines.streaming import planning
from pipelines.training import Trained, train
from registry.client import connect
from serving.batch.spark.settings import SparkSettings
from tests.command import BARE, Command, failed, run
from tests.pipelines.streaming.test_streamed import EXACT, OWN, QUICK, TARGETS, alike, table, written
from tests.serving import sparks

sparks.need()

pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")


@pytest.fixture(scope="module")
def port() -> int:
    return sparks.free_port()


@pytest.fixture(scope="module", autouse=True)
def spark(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator:
    with sparks.server(tmp_path_factory.mktemp("spark"), port) as session:
        yield session


def saved(frame: pd.DataFrame, folder: Path, ending: str = "parquet", files: int = 3) -> Path:
    """The rows in several files of a folder, each of which is a partition."""
    folder.mkdir(parents=True)
    for place in range(files):
        part = frame.iloc[place * len(frame) // files : (place + 1) * len(frame) // files]
        path = folder / f"{place}.{ending}"
        part.to_parquet(path, index=False) if ending == "parquet" else part.to_csv(path, index=False)
    return folder


def settings(data: object, target: str, **given: Any) -> Settings:
    roles = Roles(target=target, drop=tuple(name for name in TARGETS if name != target), **given.pop("roles", {}))
    return Settings(str(data), roles=roles, **{**QUICK, **given})


def both(data: Path, target: str, **given: Any) -> tuple[Trained, Trained]:
    """The same training in parts and by Spark."""
    plan = settings(data, target, **given)
    return train(replace(plan, name="m", engine="stream")), train(replace(plan, name="s", engine="spark"))


def assert_same(pair: tuple[Trained, Trained], tmp_path: Path) -> None:
    (stream, answers), (spark, of_spark) = (written(trained, tmp_path) for trained in pair)
    one, other = (msgspec.to_builtins(document) for document in (stream, spark))
    for name in OWN:
        one.pop(name), other.pop(name)
    one["model"].pop("name"), other["model"].pop("name")
    alike(one, other)
    assert spark.parity is not None
    assert spark.parity.passed
    answers, of_spark = (each.sort_values(list(each)[:3]).reset_index(drop=True) for each in (answers, of_spark))
    pd.testing.assert_frame_equal(of_spark, answers, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("target", "estimator", "more"),
    [
        ("amount", "linear", {"roles": {"group": "age"}}),
        ("churn", "logistic", {"class_weight": "balanced", "threshold": "recall=0.9", "parameters": EXACT}),
    ],
)
def test_the_evidence_is_that_of_a_training_in_parts(
    tracking: str, tmp_path: Path, target: str, estimator: str, more: dict
) -> None:
    data = saved(table(), tmp_path / "t")
    roles = {"sensitive": ("city",), **more.pop("roles", {})}
    pair = both(data, target, estimator=estimator, folds=3, roles=roles, **more)
    assert_same(pair, tmp_path)
    assert mlflow.get_run(pair[1].run_id).data.params["fit.engine"] == "spark"


@pytest.mark.parametrize(
    ("target", "estimator", "parameters"),
    [
        ("amount", "ridge", {"alpha": "30"}),
        ("amount", "lasso", {"alpha": "0.1"}),
        ("amount", "elastic-net", {"alpha": "0.1"}),
        ("grade", "logistic", {}),
        ("claims", "poisson", {}),
        ("cost", "gamma", {}),
        ("cost", "tweedie", {}),
    ],
)
def test_the_coefficients_are_those_of_a_training_in_parts(
    tracking: str, tmp_path: Path, target: str, estimator: str, parameters: dict[str, str]
) -> None:
    frame = table()
    frame["cost"] = np.random.default_rng(1).gamma(2.0, np.exp(frame.age / 100))
    asked = settings(saved(frame, tmp_path / "t"), target, estimator=estimator, parameters=parameters)
    found = []
    for engine in (engines.STREAM, engines.SPARK):
        with engines.prepared(replace(asked, engine=engine), connect) as prepared:
            model = prepared.fit().pipeline[-1]
            found.append(np.column_stack([model.coef_.reshape(-1, model.coef_.shape[-1]), np.ravel(model.intercept_)]))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9, atol=1e-12)


def test_rows_that_contradict_the_sample_are_found(
    tracking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fraction among whole numbers, a gap where none was, a new category and a column that is no constant."""
    monkeypatch.setattr(planning, "SAMPLE", 100)
    frame = table().astype({"age": object, "same": object})
    frame.loc[455, "age"], frame.loc[555, "age"], frame.loc[655, "city"] = 40.5, None, "lima"
    frame.loc[[70, 755], "same"] = 8.5
    assert_same(both(saved(frame, tmp_path / "t", "csv"), "churn", estimator="logistic", parameters=EXACT), tmp_path)
    frame.loc[500:502, "age"] = "old"
    with pytest.raises(PipelineError, match="column 'age' cannot be read as one type: 98 values are numbers and"):
        train(settings(saved(frame, tmp_path / "bad", "csv"), "churn", engine="spark"))


def test_a_table_of_the_catalog(tracking: str, tmp_path: Path, spark: Any) -> None:
    spark.read.parquet(str(saved(table(), tmp_path / "t"))).write.saveAsTable("customers")
    trained = train(settings("table:customers", "amount", estimator="ridge", engine="spark"))
    document, answers = written(trained, tmp_path)
    assert (trained.name, len(answers)) == ("customers", document.holdout.rows)
    assert document.lineage is not None
    assert (document.lineage.data.source, document.lineage.data.rows) == ("table:customers", 900)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"estimator": "huber"}, "--engine spark does not fit HuberRegressor; choose ridge"),
        ({"pipeline": "features:build"}, "--pipeline: --engine spark fits the platform's own pipeline alone"),
        ({"roles": {"time": "age"}}, "--time age: --engine spark holds rows out by their keys or a --group"),
        ({"query": "SELECT 1"}, "--query is for databases; name a table or a view of Spark's catalog"),
        ({"data": "nowhere.parquet"}, "nowhere.parquet: there is no such file or folder"),
        ({"data": "table:nowhere"}, "table:nowhere: there is no such table"),
        ({"engine": "stream", "spark": SparkSettings(remote="sc://host")}, "are for --engine spark"),
    ],
)
def test_what_spark_does_not_do_is_refused(tracking: str, tmp_path: Path, given: dict, told: str) -> None:
    data = given.pop("data", None) or saved(table(300), tmp_path / "t")
    with pytest.raises(PipelineError, match=told):
        train(settings(data, "amount", **{"engine": "spark", **given}))


def test_a_table_that_changes_during_the_training_is_told(
    tracking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, fit = saved(table(), tmp_path / "t"), solving.fit

    def slow(*given: Any, **more: Any) -> solving.Fit:
        table(290).to_parquet(data / "1.parquet", index=False)
        return fit(*given, **more)

    monkeypatch.setattr(solving, "fit", slow)
    with pytest.raises(PipelineError, match=r"t has changed since the training began; start again|damaged or gone"):
        train(settings(data, "churn", engine="spark"))


def test_spark_connect(tracking: str, tmp_path: Path, port: int) -> None:
    data = saved(table(), tmp_path / "t")
    where = ("--engine", "spark", "--spark-remote", f"sc://127.0.0.1:{port}")
    drop = ("--target", "amount", "--drop", "churn,grade,claims", "--estimator", "ridge")
    done = run("train", "--data", str(data), *drop, *where, *BARE, "--name", "remote", folder=tmp_path)
    assert done.code == 0, done.err
    here = train(settings(data, "amount", estimator="ridge", engine="stream"))
    (one, _), (other, _) = (
        written(replace(here, run_id=run_id), tmp_path)
        for run_id in (here.run_id, mlflow.MlflowClient().get_model_version("remote", "1").run_id)
    )
    alike(*(msgspec.to_builtins(document.metrics) for document in (one, other)))


def test_a_training_that_is_interrupted_leaves_nothing_running(tracking: str, tmp_path: Path) -> None:
    data = saved(table(3000), tmp_path / "t")
    command = ("train", "--data", str(data), "--target", "churn", "--engine", "spark", *BARE)
    conf = ("--spark-conf", f"spark.master=local[1] {sparks.QUICK}")
    with Command(*command, *conf, folder=tmp_path) as training:
        training.wait_for("fitting")
        children = psutil.Process(training.process.pid).children(recursive=True)
        training.signal(signal.SIGINT)
        failed(training.done(), says="interrupted by SIGINT")
    assert children
    assert psutil.wait_procs(children, 30)[1] == []
    (experiment,) = [each.experiment_id for each in mlflow.search_experiments() if each.name == "t"]
    (found,) = mlflow.search_runs([experiment], output_format="list")
    assert found.info.status == "KILLED"
