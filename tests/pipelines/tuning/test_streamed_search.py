"""A search on a table that is read in parts: exact trials, few passes, and all that a search in memory keeps."""

import contextlib
import json
import logging
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import optuna
import pandas as pd
import pytest
from sklearn.linear_model import ElasticNet, LogisticRegression, PoissonRegressor, Ridge
from sklearn.metrics import log_loss, mean_absolute_error, r2_score, root_mean_squared_error

from pipelines.dataset import Roles
from pipelines.errors import PipelineError
from pipelines.planning import Settings
from pipelines.streaming import raw
from pipelines.training import train
from pipelines.tuning import search_plan, studies
from pipelines.tuning.search import Tuned, tune
from pipelines.tuning.search_plan import Search, SearchPlan
from registry import evidence
from registry.logs import Progress
from tests import command

TARGETS = ("churn", "grade", "amount", "claims")
NEWTON: dict[str, Any] = {"solver": "newton-cholesky", "tol": 1e-12, "max_iter": 10_000}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw, "ROWS", 97)


def made(path: Path, *, rows: int = 700) -> Path:
    """Numbers with gaps, categories, and a target of each kind."""
    draw = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "age": draw.integers(18, 90, rows),
            "income": 1e4 * draw.normal(size=rows),
            "debt": np.where(draw.random(rows) < 0.1, np.nan, draw.exponential(size=rows)),
            "city": draw.choice(["paris", "rome", "oslo"], rows),
        }
    )
    score = 0.04 * (frame.age - 50) + (frame.city == "rome") - frame.debt.fillna(1)
    frame["churn"] = np.where(draw.random(rows) < 1 / (1 + np.exp(-score)), "yes", "no")
    frame["grade"] = pd.cut(score + draw.normal(size=rows), 3, labels=["a", "b", "c"]).astype("str")
    frame["amount"] = 10 * score + 5 * draw.normal(size=rows)
    frame["claims"] = draw.poisson(np.exp(score / 3))
    frame.to_parquet(path)
    return path


def search(data: Path, target: str, *, trials: int = 3, metric: str | None = None, **given: Any) -> Search:
    """A quick search with the engine for tables that are read in parts."""
    quick: dict[str, Any] = {"folds": 3, "resamples": 0, "suite": "none", "pictures": False, "engine": "stream"}
    roles = Roles(target=target, drop=[name for name in TARGETS if name != target])
    about = {name: given.pop(name) for name in ("space", "timeout", "storage") if name in given}
    return Search(Settings(str(data), **{"roles": roles, **quick, **given}), trials=trials, metric=metric, **about)


def study_of(tuned: Tuned) -> optuna.Study:
    return optuna.load_study(study_name=tuned.search.study, storage=tuned.search.storage)


def every_run() -> list[mlflow.entities.Run]:
    client = mlflow.MlflowClient()
    return client.search_runs([one.experiment_id for one in client.search_experiments()])


@contextlib.contextmanager
def heard(hear: Callable[[logging.LogRecord], None]) -> Iterator[None]:
    """Every record of the platform's log, while the block runs."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            hear(record)

    logger, handler = logging.getLogger("model_lifecycle"), Handler()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def directly(plan: SearchPlan, model: Any, metric: Callable[[np.ndarray, Any], float]) -> float:
    """The mean of a metric over the plan's folds, by scikit-learn."""
    blocks = list(plan.engine.blocks().map(lambda block: block, lambda *_: None))  # type: ignore[attr-defined]
    matrix, target, folds = (np.concatenate([getattr(b, n) for b in blocks]) for n in ("matrix", "target", "folds"))
    assert len(target) == plan.engine.sizes[0]
    values = []
    for fold in range(3):
        model.fit(matrix[folds != fold], target[folds != fold])
        judged = matrix[folds == fold]
        predicted = model.predict_proba(judged) if hasattr(model, "predict_proba") else model.predict(judged)
        values.append(metric(target[folds == fold], predicted))
    return float(np.mean(values))


def ridge(alpha: float) -> Ridge:
    return Ridge(alpha, solver="svd")


def elastic_net(alpha: float, l1_ratio: float) -> ElasticNet:
    return ElasticNet(alpha=alpha, l1_ratio=l1_ratio, tol=1e-15, max_iter=1_000_000)


def logistic(C: float) -> LogisticRegression:
    return LogisticRegression(C=C, **NEWTON)


def poisson(alpha: float) -> PoissonRegressor:
    return PoissonRegressor(alpha=alpha, **NEWTON)


def passes(asked: Search) -> tuple[Tuned, list[str]]:
    """A search, and what was done in each pass over the table."""
    found: list[str] = []

    def hear(record: logging.LogRecord) -> None:
        progress = Progress.of(record)
        if progress and progress.what.endswith(", rows") and progress.done == progress.total:
            found.append(progress.what.removesuffix(", rows"))

    with heard(hear):
        return tune(asked), found


@pytest.mark.parametrize(
    ("target", "estimator", "given", "make", "measure"),
    [
        ("amount", "ridge", {}, ridge, root_mean_squared_error),
        ("amount", "ridge", {"metric": "mae"}, ridge, mean_absolute_error),
        ("amount", "elastic-net", {"metric": "r2"}, elastic_net, r2_score),
        ("churn", "logistic", {"space": {"C": "1,1.1,1.2"}}, logistic, log_loss),
        ("grade", "logistic", {}, logistic, log_loss),
        ("claims", "poisson", {}, poisson, root_mean_squared_error),
    ],
)
def test_a_trial_is_what_scikit_learn_gives_on_the_same_folds(
    tracking: str,
    tmp_path: Path,
    target: str,
    estimator: str,
    given: dict[str, Any],
    make: Callable[..., Any],
    measure: Callable[..., float],
) -> None:
    asked = search(made(tmp_path / "t.parquet"), target, estimator=estimator, trials=3, **given)
    tuned, made_passes = passes(asked)

    measured = studies.measured(study_of(tuned))
    assert len(measured) == tuned.search.trials == 3
    with search_plan.prepared(asked) as plan:
        for trial in measured:
            point = {name: float(value) for name, value in trial.params.items()}
            assert trial.value == pytest.approx(directly(plan, make(**point), measure), rel=1e-8)

    # The table is scanned once, and the first pass is made once: least squares need no other to be fitted, and none to
    # be judged by their squares; the others begin at the nearest fit.
    assert made_passes.count("scanning") == 1
    fitting = [made_passes.count(f"trial {number}, fitting") for number in range(3)]
    judging = [made_passes.count(f"trial {number}, cross-validating") for number in range(3)]
    assert judging == ([0, 0, 0] if tuned.search.metric in ("rmse", "r2") and target == "amount" else [1, 1, 1])
    if target == "amount":
        assert fitting == [1, 0, 0]
    elif target == "churn":
        assert fitting[1] < fitting[0] > fitting[2]

    # The winner is trained and cross-validated as it was tried.
    trained = mlflow.get_run(tuned.trained.run_id)
    assert trained.data.params["fit.engine"] == "stream"
    assert trained.data.metrics[f"cv/{tuned.search.metric}"] == pytest.approx(tuned.search.value, rel=1e-9)
    for name, text in tuned.search.parameters.items():
        assert trained.data.params[f"estimator.{name}"] == text


def test_a_search_keeps_what_a_search_in_memory_keeps(tracking: str, tmp_path: Path) -> None:
    data = made(tmp_path / "t.parquet")
    tuned, made_passes = passes(search(data, "amount", estimator="ridge,lasso,elastic-net", trials=7, pictures=True))

    found, client = tuned.search, mlflow.MlflowClient()
    run = client.get_run(found.run_id)
    ran = [one for one in every_run() if "tuning.trial" in one.data.tags]
    assert [label for label in made_passes if label.startswith("trial ")] == ["trial 0, fitting"]
    assert (found.trials, found.pruned, found.failed) == (7, 0, 0)
    assert run.data.params["search.engine"] == "stream"
    assert run.data.metrics["cv/rmse"] == found.value
    assert {one.data.tags["mlflow.parentRunId"] for one in ran} == {found.run_id}
    assert {one.data.tags["tuning.state"] for one in ran} == {"complete"}
    assert sorted(ran[0].data.metrics) == [f"cv/{name}{end}" for name in ("mse", "r2", "rmse") for end in ("", "_std")]
    version = client.get_model_version("t", tuned.trained.version)
    assert version.tags["tuning.search_run"] == found.run_id
    files = Path(mlflow.artifacts.download_artifacts(run_id=found.run_id, dst_path=str(tmp_path / "search")))
    listed = pd.read_csv(files / "search" / "trials.csv")
    assert listed["state"].tolist() == ["complete"] * 7
    assert listed["cv/rmse"].min() == found.value
    for picture in ("optimization_history", "parameter_importances"):
        assert (files / "pictures" / f"{picture}.png").read_bytes().startswith(b"\x89PNG")


def test_both_engines_search_the_same_space_and_studies_in_memory_are_called_as_before(
    tracking: str, tmp_path: Path
) -> None:
    data = made(tmp_path / "t.parquet")
    for target, estimator in (("amount", "auto"), ("claims", "poisson,tweedie"), ("churn", "auto")):
        asked = search(data, target, estimator=estimator)
        with search_plan.prepared(asked) as streamed:
            pass
        with search_plan.prepared(replace(asked, settings=replace(asked.settings, engine="memory"))) as memory:
            pass
        assert streamed.space.described() == memory.space.described()
        told = streamed.searched()
        assert told.pop("engine") == "stream"
        assert told == memory.searched()


@pytest.mark.parametrize(
    ("target", "given", "said"),
    [
        (
            "amount",
            {"estimator": "huber"},
            "--engine stream does not fit HuberRegressor; choose ridge, or use --engine",
        ),
        ("amount", {"estimator": "mlp"}, "--engine stream does not fit MLPRegressor; choose ridge, or"),
        (
            "amount",
            {"estimator": "ridge,linear-svr"},
            "linear-svr: --engine stream does not fit LinearSVR; choose ridge, or use --engine memory",
        ),
        ("churn", {"space": {"l1_ratio": "0:0.5"}}, "logistic: --engine stream fits .* with an l2 penalty"),
        ("amount", {"space": {"positive": "false,true"}}, "ridge: --engine stream takes no --param positive=true"),
        ("amount", {"metric": "accuracy"}, "--metric accuracy: a regression has"),
        ("amount", {"folds": 1}, "expected --folds of 2 or more, found 1"),
        ("amount", {"folds": 255}, "--folds: --engine stream makes 254 at most, found 255; give fewer"),
        (
            "amount",
            {"roles": Roles(target="amount", time="age")},
            "which --engine stream does not make where rows are held out by time; hold rows out by --id or --group",
        ),
    ],
)
def test_what_is_not_searched_in_parts_is_refused_before_the_table_is_scanned(
    tracking: str, tmp_path: Path, target: str, given: dict[str, Any], said: str
) -> None:
    told: list[str] = []
    with heard(lambda record: told.append(record.getMessage())), pytest.raises(PipelineError, match=said) as refused:
        tune(search(made(tmp_path / "t.parquet"), target, **given))

    assert "\n" not in str(refused.value)
    assert not any("scanning" in line for line in told)
    assert every_run() == []


def test_an_automatic_search_leaves_out_what_is_not_fitted_in_parts(
    tracking: str, tmp_path: Path, steps: pytest.LogCaptureFixture
) -> None:
    data = made(tmp_path / "t.parquet")
    tuned = tune(search(data, "amount", parameters={"ridge.positive": "true"}))

    assert tuned.search.estimator == "elastic-net"
    assert "not tried: ridge: --engine stream takes no --param positive=true; leave it out" in steps.messages
    with pytest.raises(PipelineError, match="ridge: --engine stream takes no --param positive=true; leave it out"):
        tune(search(data, "amount", parameters={"positive": "true"}))


def test_a_threshold_is_chosen_in_each_trial_as_in_training(tracking: str, tmp_path: Path) -> None:
    asked = search(made(tmp_path / "t.parquet"), "churn", metric="precision", threshold="recall=0.9")
    tuned = tune(asked)

    metrics = mlflow.get_run(tuned.trained.run_id).data.metrics
    assert metrics["cv/recall"] >= 0.85
    assert metrics["cv/precision"] == pytest.approx(tuned.search.value, rel=1e-9)


def test_classes_may_be_weighed_anew_in_each_trial(tracking: str, tmp_path: Path) -> None:
    asked = search(
        made(tmp_path / "t.parquet"), "churn", space={"class_weight": "none,balanced"}, parameters={"C": "1"}
    )
    tuned = tune(asked)

    values = {trial.params["class_weight"]: trial.value for trial in studies.measured(study_of(tuned))}
    with search_plan.prepared(asked) as plan:
        target = np.concatenate([block.target for block in plan.engine.blocks().map(lambda one: one, lambda *_: None)])  # type: ignore[attr-defined]
        weights = dict(enumerate(len(target) / (2 * np.bincount(target.astype(int)))))
        for name, given in (("none", None), ("balanced", weights)):
            expected = directly(plan, LogisticRegression(class_weight=given, **NEWTON), log_loss)
            assert values[name] == pytest.approx(expected, rel=1e-8)


def test_a_trial_that_has_no_minimum_fails_by_itself(tracking: str, tmp_path: Path) -> None:
    frame = pd.read_parquet(made(tmp_path / "t.parquet"))
    frame.assign(churn=np.where(frame.age > 50, "yes", "no")).to_parquet(tmp_path / "t.parquet")
    tuned = tune(search(tmp_path / "t.parquet", "churn", space={"C": "1,inf"}))

    failed = [run for run in every_run() if run.data.tags.get("tuning.state") == "failed"]
    assert (tuned.search.trials, tuned.search.failed, len(failed)) == (2, 1, 1)
    assert "there is no minimum without a penalty" in failed[0].data.tags["tuning.reason"]
    assert "age" in failed[0].data.tags["tuning.reason"]
    assert tuned.search.parameters == {"C": "1"}


def test_what_no_penalty_helps_is_looked_at_once(tracking: str, tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    frame = pd.DataFrame(draw.normal(size=(90, 1001)), columns=[f"x{place}" for place in range(1001)])
    frame.assign(churn=np.where(draw.random(90) < 0.5, "yes", "no")).to_parquet(tmp_path / "t.parquet")
    asked = search(tmp_path / "t.parquet", "churn", roles=Roles(target="churn"))

    told: list[str] = []
    with (
        heard(lambda record: told.append(record.getMessage())),
        pytest.raises(PipelineError, match=r"none of the 3 trials .*: the model cannot be fitted: expected 1000 param"),
    ):
        tune(asked)
    assert [line for line in told if "fitting: all" in line] == ["trial 0, fitting: all 90 rows"]


def test_a_table_that_changes_ends_the_search_and_no_trial_is_counted(tracking: str, tmp_path: Path) -> None:
    data = made(tmp_path / "t.parquet")

    def hear(record: logging.LogRecord) -> None:
        if record.getMessage().startswith("1 of 9 trials"):
            made(data, rows=600)

    with (
        heard(hear),
        pytest.raises(PipelineError, match=r"t\.parquet has changed since it was first read; start again"),
    ):
        tune(search(data, "churn", trials=9))

    (name,) = optuna.get_all_study_names("sqlite:///tuning.db")
    study = optuna.load_study(study_name=name, storage="sqlite:///tuning.db")
    assert len(studies.done(study)) == 1
    assert "RUNNING" not in {run.info.status for run in every_run()}
    assert mlflow.MlflowClient().search_registered_models() == []


def test_a_version_registered_during_the_search_is_taken_into_account(tracking: str, tmp_path: Path) -> None:
    data = made(tmp_path / "t.parquet")
    asked = search(data, "amount", estimator="ridge")
    with search_plan.prepared(asked) as plan:
        train(replace(asked.settings, engine="memory"))
        train(replace(asked.settings, engine="memory", roles=replace(asked.settings.roles, group="age")))
        trained = train(plan.engine)

    path = mlflow.artifacts.download_artifacts(f"runs:/{trained.run_id}/{evidence.TRAINING}")
    earlier = evidence.read(Path(path)).holdout.earlier
    assert (trained.version, earlier.unseen, earlier.unknown) == ("3", ["1"], ["2"])


def test_a_file_that_would_not_fit_is_searched_in_parts_and_goes_on_after_ctrl_c(tracking: str, tmp_path: Path) -> None:
    data = made(tmp_path / "t.parquet")
    words = ["tune", "--data", str(data), "--target", "churn", "--drop", "grade,amount,claims", "--memory", "50K"]
    words += ["--folds", "3", "--suite", "none", "--intervals", "0", "--pictures", "no", "--json"]
    asked = search(data, "churn", engine="auto", memory=50_000)
    with command.Command(*words, "--trials", "500", folder=tmp_path) as running:
        until = time.monotonic() + 60
        while running.process.poll() is None and time.monotonic() < until and not _ended(tmp_path, 3):
            time.sleep(0.05)
        running.signal(signal.SIGINT)
        interrupted = running.done()

    assert interrupted.code == 2, interrupted.err
    assert "trials, no version is registered; the same command goes on with study" in interrupted.line
    assert "RUNNING" not in {run.info.status for run in every_run()}
    (name,) = optuna.get_all_study_names("sqlite:///tuning.db")
    total = len(studies.done(optuna.load_study(study_name=name, storage="sqlite:///tuning.db"))) + 2
    ended = command.run(*words, "--trials", str(total), folder=tmp_path)
    assert ended.code == 0, ended.err
    (printed,) = json.loads(ended.out)
    assert (printed["search"]["study"], printed["search"]["trials"], printed["version"]) == (name, total, "1")
    assert mlflow.get_run(printed["search"]["run_id"]).data.params["search.engine"] == "stream"

    at_once = tune(replace(asked, trials=total, storage="sqlite:///other.db"))
    for one, other in zip(
        studies.done(optuna.load_study(study_name=name, storage="sqlite:///tuning.db")),
        studies.done(study_of(at_once)),
        strict=True,
    ):
        assert one.params == other.params
        assert one.value == pytest.approx(other.value, rel=1e-9)


def _ended(folder: Path, trials: int) -> bool:
    """Whether a search in a folder has measured so many trials."""
    if not (folder / "tuning.db").exists():
        return False
    with contextlib.suppress(sqlite3.Error):
        with contextlib.closing(sqlite3.connect(f"file:{folder / 'tuning.db'}?mode=ro", uri=True)) as database:
            ((ended,),) = database.execute("SELECT COUNT(*) FROM trials WHERE state = 'COMPLETE'")
        return ended >= trials
    return False
