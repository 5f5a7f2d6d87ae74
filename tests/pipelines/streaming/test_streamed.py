"""A training in parts is the training in memory: the same rows, features, coefficients and evidence."""

import math
import os
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipelines import engines, solving
from pipelines.dataset import Roles
from pipelines.errors import PipelineError
from pipelines.evaluation import metrics, sections
from pipelines.planning import Settings
from pipelines.streaming import planning, raw
from pipelines.training import Trained, train
from registry import evidence
from tests import forked
from tests.registry.killing import PATIENCE

QUICK: dict[str, Any] = {"folds": 0, "resamples": 0, "suite": "none", "pictures": False}
EXACT = {"solver": "newton-cholesky", "tol": "1e-12"}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw, "ROWS", 97)


def table(rows: int = 900, seed: int = 3) -> pd.DataFrame:
    """Numbers far from zero, constant, with gaps; categories, some rare or missing; a target of each kind."""
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": draw.integers(18, 90, rows),
            "income": 1e6 + 1e4 * draw.normal(size=rows),
            "debt": np.where(draw.random(rows) < 0.1, np.nan, draw.exponential(size=rows)),
            "same": 7.5,
            "city": draw.choice(["paris", "rome", "oslo", "bern"], rows, p=[0.5, 0.3, 0.195, 0.005]),
            "vip": draw.random(rows) < 0.3,
        }
    )
    frame.loc[draw.random(rows) < 0.05, "city"] = None
    score = 0.04 * (frame.age - 50) + (frame.city == "rome") - frame.debt.fillna(1) + 0.5 * frame.vip
    frame["churn"] = np.where(draw.random(rows) < 1 / (1 + np.exp(-score)), "yes", "no")
    noise = draw.gumbel(size=(3, rows)) * [[1], [2], [1]]
    frame["grade"] = np.array(["a", "b", "c"])[(score.to_numpy() * [[-1], [0], [1]] + noise).argmax(axis=0)]
    frame["amount"] = 10 * score + draw.normal(size=rows)
    frame["claims"] = draw.poisson(np.exp(score / 3))
    return frame


TARGETS = ("churn", "grade", "amount", "claims")


def both(path: Path, target: str, **given: Any) -> tuple[Trained, Trained]:
    """The same training in memory and in parts."""
    roles = Roles(target=target, drop=[name for name in TARGETS if name != target], **given.pop("roles", {}))
    settings = Settings(str(path), roles=roles, **{**QUICK, **given})
    return train(replace(settings, name="m", engine="memory")), train(replace(settings, name="s", engine="stream"))


def written(trained: Trained, tmp_path: Path) -> tuple[evidence.Evidence, pd.DataFrame]:
    """The evidence of a training, and its answers to the held-out rows."""
    folder = Path(
        mlflow.artifacts.download_artifacts(
            run_id=trained.run_id, artifact_path=evidence.TRAINING, dst_path=str(tmp_path / trained.run_id)
        )
    )
    return evidence.read(folder), pd.read_parquet(folder / evidence.HOLDOUT)


def alike(one: Any, other: Any, where: str = "") -> None:
    """Two documents are equal, their numbers to 1e-10."""
    if isinstance(one, dict) and isinstance(other, dict):
        assert one.keys() == other.keys(), where
        for name in one:
            alike(one[name], other[name], f"{where}.{name}")
    elif isinstance(one, list) and isinstance(other, list):
        assert len(one) == len(other), where
        for place, pair in enumerate(zip(one, other, strict=True)):
            alike(*pair, f"{where}[{place}]")
    elif isinstance(one, float) or isinstance(other, float):
        # A score is a sum of coefficients, which scikit-learn's own solver leaves a little off.
        tolerance = 1e-7 if where.startswith(".model.scores") else 1e-10
        assert math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance), (where, one, other)
    else:
        assert one == other, (where, one, other)


#: What of the evidence tells of the run, or of rounding.
OWN = ("lineage", "parity")


@pytest.mark.parametrize(
    ("target", "estimator", "parameters"),
    [
        ("amount", "linear", {}),
        ("amount", "ridge", {"alpha": "30", "solver": "svd"}),
        ("amount", "lasso", {"alpha": "0.1", "tol": "1e-14", "max_iter": "100000"}),
        ("amount", "elastic-net", {"alpha": "0.1", "tol": "1e-14", "max_iter": "100000"}),
        ("churn", "logistic", EXACT),
        ("churn", "logistic", {**EXACT, "C": "0.01"}),
        ("grade", "logistic", EXACT),
        ("claims", "poisson", EXACT),
    ],
)
def test_the_evidence_is_that_of_a_training_in_memory(
    tracking: str, tmp_path: Path, target: str, estimator: str, parameters: dict[str, str]
) -> None:
    path = tmp_path / "t.parquet"
    table().to_parquet(path, row_group_size=250)
    pair = both(path, target, estimator=estimator, parameters=parameters, resamples=50, roles={"sensitive": ["city"]})
    (memory, answers), (stream, streamed) = (written(trained, tmp_path) for trained in pair)
    one, other = (msgspec.to_builtins(document) for document in (memory, stream))
    for name in OWN:
        one.pop(name), other.pop(name)
    one["model"].pop("name"), other["model"].pop("name")
    alike(one, other)
    assert stream.parity is not None
    assert stream.parity.passed
    assert answers.key.tolist() == streamed.key.tolist()
    numbers = [name for name in answers if answers[name].dtype.kind == "f"]
    np.testing.assert_allclose(streamed[numbers], answers[numbers], rtol=1e-8, atol=1e-9)
    plain = mlflow.sklearn.load_model(pair[1].model_uri)
    ours = mlflow.pyfunc.load_model(pair[1].model_uri)
    frame = pd.read_parquet(path).head(50)
    inputs = [column.name for column in stream.schema.inputs]
    rows = frame[inputs].astype({"age": "float64"})
    expected = plain.predict(rows)
    found = ours.predict(rows.assign(vip=rows.vip))
    if target in ("amount", "claims"):
        np.testing.assert_allclose(found, expected, rtol=1e-10)
    else:
        assert list(found) == list(expected)


@pytest.mark.parametrize(("target", "estimator"), [("amount", "linear"), ("churn", "logistic")])
def test_of_many_held_out_rows_the_same_are_resampled_and_kept(
    tracking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, estimator: str
) -> None:
    monkeypatch.setattr(metrics, "BOOTSTRAP_ROWS", 60)
    monkeypatch.setattr(sections, "MOST_WRITTEN", 50)
    path = tmp_path / "t.parquet"
    table().to_parquet(path)
    parameters = EXACT if target == "churn" else {}
    pair = both(path, target, estimator=estimator, parameters=parameters, resamples=50, roles={"sensitive": ["age"]})
    (memory, answers), (stream, streamed) = (written(trained, tmp_path) for trained in pair)
    for section in ("metrics", "baseline", "fairness"):
        alike(*(msgspec.to_builtins(getattr(document, section)) for document in (memory, stream)))
    assert stream.holdout.rows == memory.holdout.rows > 150
    assert 30 < len(answers) < 70
    assert answers.key.tolist() == streamed.key.tolist()


def _rare(place: int, value: object, column: str = "age", *, times: int = 1):
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame[column] = frame[column].astype(object)
        frame.loc[place : place + times - 1, column] = value
        return frame

    return change


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "jsonl"])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda frame: frame, id="nothing"),
        pytest.param(_rare(555, 40.5), id="a fraction among whole numbers"),
        pytest.param(_rare(555, None), id="a gap where none was"),
        pytest.param(_rare(555, 8.5, "same"), id="a constant column that is not"),
        pytest.param(_rare(555, "perhaps", "churn", times=20), id="a new label"),
        pytest.param(_rare(555, "lima", "city"), id="a new category"),
    ],
)
def test_rows_that_contradict_the_sample_are_found(
    tracking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, ending: str
) -> None:
    monkeypatch.setattr(planning, "SAMPLE", 100)
    path, frame = tmp_path / f"t.{ending}", change(table())
    if ending == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False)
    (memory, answers), (stream, streamed) = (
        written(trained, tmp_path) for trained in both(path, "churn", estimator="logistic", parameters=EXACT)
    )
    one, other = (msgspec.to_builtins(document) for document in (memory, stream))
    for name in ("schema", "profile", "holdout", "metrics"):
        alike(one[name], other[name], f".{name}")
    assert answers.key.tolist() == streamed.key.tolist()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_rare(555, "old"), "column 'age' cannot be read as one type: .* are numbers and 2 are text"),
        (_rare(555, np.inf, "income"), "column 'income' holds 2 infinite values"),
        (_rare(555, 1e200, "income"), "column 'income' holds numbers beyond 1e\\+150"),
    ],
)
def test_what_training_in_memory_refuses_is_refused(
    tracking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, told: str
) -> None:
    monkeypatch.setattr(planning, "SAMPLE", 100)
    path = tmp_path / "t.csv"
    change(table()).to_csv(path, index=False)
    with pytest.raises(PipelineError, match=told):
        train(Settings(str(path), roles=Roles(target="churn"), engine="stream", **QUICK))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"estimator": "huber"}, "--engine stream does not fit HuberRegressor; choose ridge"),
        ({"estimator": "logistic", "parameters": {"l1_ratio": "1", "solver": "saga"}}, "l2 penalty, or with none"),
        ({"pipeline": "features:build"}, "--pipeline: --engine stream fits the platform's own pipeline alone"),
        (
            {"roles": Roles(target="churn", time="age"), "threshold": "recall=0.9"},
            "--threshold recall=0.9 is chosen by cross-validation",
        ),
        ({"data": "nowhere.csv"}, "--data nowhere.csv: there is no such file"),
    ],
)
def test_what_is_not_fitted_in_parts_is_refused(tracking: str, tmp_path: Path, given: dict, told: str) -> None:
    path = tmp_path / "t.parquet"
    table().drop(columns=["grade", "amount", "claims"]).to_parquet(path)
    settings = {"data": str(path), "roles": Roles(target="amount" if "estimator" in given else "churn"), **given}
    if given.get("estimator") == "huber":
        table().to_parquet(path)
    if given.get("estimator") == "logistic":
        settings["roles"] = Roles(target="churn")
    with pytest.raises(PipelineError, match=told):
        train(Settings(**settings, engine="stream", **QUICK))


@pytest.mark.parametrize("written_as", ["moment", "iso", "german", "number"])
def test_rows_are_held_out_by_time(tracking: str, tmp_path: Path, written_as: str) -> None:
    frame = table()
    days = pd.Timestamp("2025-11-25") + pd.to_timedelta(np.random.default_rng(1).integers(0, 60, len(frame)), unit="D")
    frame["day"] = {
        "moment": days,
        "iso": days.strftime("%Y-%m-%d"),
        "german": days.strftime("%d.%m.%Y"),
        "number": days.dayofyear,
    }[written_as]
    path = tmp_path / ("t.parquet" if written_as == "moment" else "t.csv")
    frame.to_parquet(path, row_group_size=250) if written_as == "moment" else frame.to_csv(path, index=False)
    roles = {"time": "day"}
    for later in ("first", "second"):
        pair = both(path, "amount", estimator="linear", roles=roles)
        (memory, answers), (stream, streamed) = (written(trained, tmp_path) for trained in pair)
        one, other = (msgspec.to_builtins(document) for document in (memory, stream))
        for name in ("schema", "profile", "holdout", "metrics"):
            alike(one[name], other[name], f"{later}.{name}")
        assert answers.key.tolist() == streamed.key.tolist()
        roles = {}


def test_a_file_that_changes_during_the_training_is_told(
    tracking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.parquet"
    table().to_parquet(path)
    fit = solving.fit

    def slow(*given: Any, **more: Any) -> solving.Fit:
        table(800).to_parquet(path)
        return fit(*given, **more)

    monkeypatch.setattr(solving, "fit", slow)
    with pytest.raises(PipelineError, match=r"t\.parquet has changed since the training began; start again"):
        train(Settings(str(path), roles=Roles(target="churn"), engine="stream", **QUICK))


def test_a_folder_is_one_table_with_the_columns_that_its_folders_tell(tracking: str, tmp_path: Path) -> None:
    frame, folder = table(), tmp_path / "sales"
    for region, part in frame.groupby(np.arange(len(frame)) % 3):
        (folder / f"region=r{region}").mkdir(parents=True)
        # Each form of a file has its own type of text.
        if region:
            part.to_parquet(folder / f"region=r{region}" / "part.parquet", index=False)
        else:
            part.to_csv(folder / "region=r0" / "part.csv", index=False)
    trained = train(Settings(str(folder), roles=Roles(target="churn", drop=TARGETS[1:]), **QUICK))
    document, answers = written(trained, tmp_path)
    assert (trained.name, len(answers)) == ("sales", document.holdout.rows)
    assert document.lineage is not None
    assert document.lineage.data.rows == len(frame)
    assert "region" in [column.name for column in document.schema.inputs]
    assert mlflow.get_run(trained.run_id).data.params["fit.engine"] == "stream"


def test_files_of_other_columns_are_no_table(tracking: str, tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    table().to_parquet(tmp_path / "t" / "a.parquet")
    table().drop(columns="age").to_csv(tmp_path / "t" / "b.csv", index=False)
    with pytest.raises(PipelineError, match=r"b\.csv lacks the column 'age', which \S*a\.parquet has"):
        train(Settings(str(tmp_path / "t"), roles=Roles(target="churn"), **QUICK))


def test_a_file_is_streamed_where_it_would_take_a_third_of_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    table().to_csv(path, index=False)
    size = path.stat().st_size
    assert engines.choose(Settings(str(path), memory=10 * size)) == engines.STREAM
    assert engines.choose(Settings(str(path), memory=20 * size)) == engines.MEMORY
    assert (
        engines.choose(Settings(str(tmp_path / "*.csv"))) == engines.choose(Settings(str(tmp_path))) == engines.STREAM
    )
    assert engines.choose(Settings("diabetes", memory=1)) == engines.MEMORY


def test_a_small_table_may_have_a_fold_without_rows(tracking: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    table(40).to_csv(path, index=False)
    roles = Roles(target="amount", drop=("churn", "grade", "claims"))
    trained = train(Settings(str(path), roles=roles, estimator="ridge", engine="stream", **{**QUICK, "folds": 30}))
    document, _ = written(trained, tmp_path)
    assert document.cross_validation is not None
    assert 2 <= document.cross_validation.folds <= 30
    assert all(fold.mean is not None for fold in document.cross_validation.metrics.values())


def _dies(settings: Settings, passes: int, tracking: str, temporary: str) -> None:
    """Train in this process, which is killed once so many passes are done and the next is under way."""
    made = 0
    parts = raw.RawTable.parts

    def counted(self: raw.RawTable, columns: Any = None) -> Iterator[pa.Table]:
        nonlocal made
        made += 1
        for place, part in enumerate(parts(self, columns)):
            if made > passes and place == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            yield part

    raw.ROWS, raw.RawTable.parts = 97, counted  # type: ignore[method-assign]
    tempfile.tempdir = temporary
    mlflow.set_tracking_uri(tracking)
    train(settings)


@pytest.mark.parametrize("passes", [1, 2, 5])
def test_a_training_that_was_killed_goes_on_where_it_was(
    tracking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passes: int
) -> None:
    """After so many passes: the sample, the scan, steps of the fit, and cross-validation."""
    path, temporary = tmp_path / "t.parquet", tmp_path / "temporary"
    temporary.mkdir()
    table().to_parquet(path)
    roles = Roles(target="churn", drop=["grade", "amount", "claims"])
    settings = Settings(
        str(path), roles=roles, estimator="logistic", **{**QUICK, "folds": 3, "resamples": 20, "engine": "stream"}
    )
    process = forked.context().Process(target=_dies, args=(settings, passes, tracking, str(temporary)))
    process.start()
    process.join(PATIENCE)
    assert process.exitcode == -signal.SIGKILL
    made: list[int] = []
    parts = raw.RawTable.parts
    monkeypatch.setattr(raw.RawTable, "parts", lambda *given: made.append(1) or parts(*given))
    with monkeypatch.context() as there:
        there.setattr(tempfile, "tempdir", str(temporary))
        went_on, other_answers = written(train(settings), tmp_path / "went on")
    left = len(made)
    made.clear()
    again, answers = written(train(settings), tmp_path / "alone")
    assert left == len(made) - passes
    one, other = msgspec.to_builtins(again), msgspec.to_builtins(went_on)
    for name in ("metrics", "cross_validation", "baseline", "profile", "model", "parity"):
        assert one[name] == other[name], name
    pd.testing.assert_frame_equal(answers, other_answers)
    assert not list(temporary.glob("lifecycle-training-*/*/"))
