"""Monitoring of registered versions: tables and prediction logs, windows, outcomes, and what is refused."""

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from pipelines.dataset import Roles
from pipelines.errors import PipelineError
from pipelines.evaluation.evaluate import EvaluationRequest, evaluate
from pipelines.monitoring import command
from pipelines.monitoring.command import Monitored
from pipelines.planning import Settings
from pipelines.training import train
from serving import models
from serving.scorecard import Scorecard
from tests.pipelines import tables
from tests.pipelines.monitoring import recorded

QUICK = {"folds": 0, "resamples": 0, "suite": "none", "pictures": False}


def alerts(found: Monitored) -> set[tuple[str, str, str]]:
    return {(one.window, one.kind, one.subject) for one in found.report.alerts}


def monitor(data: Path, **asked) -> Monitored:
    return command.monitor(model="made", data=str(data), **asked)


@pytest.fixture
def made(tracking: str, tmp_path: Path) -> Scorecard:
    """A regression of ``x`` and ``colour``."""
    train(Settings(str(tables.linear(tmp_path / "t.csv", rows=2000)), name="made", **QUICK))
    card = models.find("models:/made/1").scorecard
    assert card is not None
    return card


def rows(count: int, seed: int, **shift: float) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {"x": random.normal(size=count) + shift.get("x", 0.0), "colour": random.choice(["red", "blue"], count)}
    )


def test_a_table_like_the_training_has_no_alert_and_a_shifted_one_has(made: Scorecard, tmp_path: Path) -> None:
    same = monitor(tables.linear(tmp_path / "same.csv", rows=1000, seed=5))
    assert alerts(same) == set()
    assert same.report.verdict.startswith("no alert")

    page = tmp_path / "report.html"
    found = monitor(tables.linear(tmp_path / "new.csv", rows=1000, seed=6, shift=0.5), report=str(page))
    assert alerts(found) == {("all rows", "distribution", "x"), ("all rows", "distribution", "prediction")}
    (window,) = found.report.windows
    assert window.shifts[0].inputs == ("x",)
    # The shifts of the columns are the change of the mean score.
    total = sum(one.shift for one in window.shifts)
    assert total == pytest.approx(window.scores[0].mean - window.before[0].mean, abs=1e-9)
    table = pd.read_csv(tmp_path / "new.csv")
    assert window.scores[0].mean == pytest.approx(float(np.mean(made.predict(table[["x", "colour"]]))), abs=1e-9)

    html = page.read_text()
    assert html.count("data:image/png;base64,") == 2
    assert "http:" not in html.replace("http-equiv", "")
    run = mlflow.get_run(found.recorded.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["alerts"] == 2
    assert run.data.metrics["shift/x"] == pytest.approx(window.shifts[0].shift)
    kept = Path(mlflow.artifacts.download_artifacts(found.recorded.page))
    assert kept.read_text() == html
    data = Path(mlflow.artifacts.download_artifacts(found.recorded.page.replace(".html", ".json")))
    assert json.loads(data.read_text())["alerts"][0]["subject"] == "x"


def test_what_breaks_is_found_in_the_first_window(made: Scorecard, tmp_path: Path) -> None:
    unit, gone, swapped, text = (rows(400, seed) for seed in range(4))
    unit["x"] *= 1000
    gone.loc[::2, "x"] = np.nan
    swapped["colour"] = swapped["colour"].replace("blue", "azure")
    broken = text.astype({"x": object})
    broken.loc[::3, "x"] = "n/k"
    expected = {
        "unit": ("distribution", "x"),
        "gone": ("missing", "x"),
        "swapped": ("unknown", "colour"),
        "text": ("unreadable", "x"),
    }
    for name, table in {"unit": unit, "gone": gone, "swapped": swapped, "text": broken}.items():
        path = tmp_path / f"{name}.csv"
        table.to_csv(path, index=False)
        found = monitor(path)
        assert ("all rows", *expected[name]) in alerts(found), name
        assert "azure" not in json.dumps(found.report.plain())


def test_wild_values_are_an_alert_if_they_are_many_or_move_the_score(made: Scorecard, tmp_path: Path) -> None:
    for wild in (30, 15):
        table = rows(1000, 5)
        table.loc[: wild - 1, "x"] *= 1000
        table.to_csv(tmp_path / "new.csv", index=False)
        found = monitor(tmp_path / "new.csv", report=str(tmp_path / "report.html"))
        # So few that no bin of the distribution changes.
        assert alerts(found) == {("all rows", "outside", "x")}
        assert mlflow.get_run(found.recorded.run_id).data.metrics["outside/x"] == pytest.approx(wild / 1000, abs=0.002)
        assert "Values outside the range of x" in (tmp_path / "report.html").read_text()
        (check,) = found.report.plain()["alerts"]
        assert check["moved"] > 1


def test_a_column_that_the_policy_names_and_the_model_lacks_is_told(made: Scorecard, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("monitor: {columns: {X: {ignore: true}, x: {psi: 0.2}}}")
    found = monitor(tables.linear(tmp_path / "new.csv", rows=200, seed=6), policy=str(tmp_path / "policy.yaml"))
    assert "policy: monitor: columns: no column 'X'; the model has 'x', 'colour'" in found.report.notes


def test_a_log_is_compared_window_by_window_in_one_run(made: Scorecard, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    for day in range(4):
        recorded.log(folder, rows(300, day, x=1.0 if day == 3 else 0.0), made, name="made", day=day)
    recorded.log(folder, rows(50, 9), made, name="made", version="2", day=2)

    found = monitor(folder, window="1d", until="2020-11-23")
    assert alerts(found) == set()
    assert [one.name for one in found.report.windows] == ["2020-11-20", "2020-11-21", "2020-11-22"]
    assert [one.rows for one in found.report.windows] == [300] * 3
    assert found.report.windows[0].service["requests"] == 300
    assert any("made version 2 (50 rows)" in note for note in found.report.notes)

    later = monitor(folder, window="1d", since="2020-11-23")
    assert alerts(later) >= {("2020-11-23", "distribution", "x")}
    assert later.recorded.run_id == found.recorded.run_id
    client = mlflow.MlflowClient()
    history = client.get_metric_history(found.recorded.run_id, "psi/x")
    assert len(history) == 4
    assert [one.step for one in history] == sorted(one.step for one in history)
    assert [one.timestamp for one in history] == [(18_587 + day) * 86_400_000 for day in range(4)]

    # Numbers of another log would stand among them.
    recorded.log(tmp_path / "other's", rows(300, 7), made, name="made")
    runs = [monitor(tmp_path / "other's", window="1d").recorded.run_id for _ in range(2)]
    assert runs == [runs[0]] * 2
    assert runs[0] != found.recorded.run_id

    with pytest.raises(PipelineError, match="no answered row of made version 1 in that period"):
        monitor(folder, since="2030-01-01")


def test_outcomes_that_are_late_repeated_and_strange(made: Scorecard, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    table = rows(400, 0)
    ids = recorded.log(folder, table, made, name="made")
    truth = made.predict(table) + np.random.default_rng(0).normal(scale=0.1, size=400)
    outcomes = pd.DataFrame({"request_id": ids[:300], "target": truth[:300]})
    strange = pd.DataFrame(
        {"request_id": ["elsewhere", ids[0], ids[301], ids[302]], "target": [1.0, truth[0], "inf", "pending"]}
    )
    pd.concat([outcomes.assign(target=outcomes["target"] + (outcomes.index == 0) * 99), strange]).to_csv(
        tmp_path / "outcomes.csv", index=False
    )

    found = monitor(folder, outcomes=str(tmp_path / "outcomes.csv"), on=("request_id",))
    metrics = found.report.windows[0].outcomes
    assert metrics is not None
    assert len(metrics.answers) == 300
    assert metrics.metrics["rmse"].value == pytest.approx(
        float(np.sqrt(np.mean((truth - made.predict(table))[:300] ** 2)))
    )
    assert alerts(found) == set()
    notes = " ".join(found.report.notes)
    assert "1 outcomes are repeated" in notes
    assert "1 of 303 outcomes are of no row" in notes
    assert "2 outcomes are no finite numbers" in notes

    outcomes.assign(target=lambda frame: frame["target"] + 1).to_csv(tmp_path / "worse.csv", index=False)
    worse = monitor(folder, outcomes=str(tmp_path / "worse.csv"), on=("request_id",))
    assert alerts(worse) == {(worse.report.windows[0].name, "metric", "rmse")}


def test_outcomes_are_written_as_people_write_numbers(made: Scorecard, tmp_path: Path) -> None:
    folder, table = tmp_path / "log", rows(200, 0)
    ids = recorded.log(folder, table, made, name="made")
    truth = 1000 * made.predict(table)
    for name, written in {"comma": "{:,.3f}", "point": "{:.3f}", "english": "{:,.3f}"}.items():
        texts = [written.format(value) for value in truth]
        if name == "comma":
            texts = [text.translate(str.maketrans(",.", ".,")) for text in texts]
        frame = pd.DataFrame({"request_id": ids, "target": [*texts[:-1], "n/a yet"]})
        frame.to_csv(tmp_path / f"{name}.csv", index=False, sep=";")
        found = monitor(folder, outcomes=str(tmp_path / f"{name}.csv"), on=("request_id",))
        metrics = found.report.windows[0].outcomes
        assert metrics is not None
        assert metrics.answers.target == pytest.approx(truth[:-1], abs=0.001), name


def test_rows_of_the_future_are_told_and_in_no_window(made: Scorecard, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    recorded.log(folder, rows(300, 0), made, name="made")
    recorded.log(folder, rows(200, 1), made, name="made", day=100_000)
    found = monitor(folder, since="2020-11-01", window="1d")
    assert [(window.name, window.rows) for window in found.report.windows] == [("2020-11-20", 300)]
    assert "200 rows are of the future, and left out: a clock was wrong" in found.report.notes


def test_a_damaged_file_of_a_log_is_left_out_and_one_of_a_table_refused(made: Scorecard, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    recorded.log(folder, rows(300, 0), made, name="made")
    for name in ("cut", "empty"):
        damaged = folder / "model=made" / "date=2020-11-20" / f"{name}.parquet"
        damaged.write_bytes((folder / damaged.parent / "1.parquet").read_bytes()[:-50] if name == "cut" else b"")
    found = monitor(folder)
    assert found.report.rows == 300
    (note,) = [note for note in found.report.notes if "cannot be read" in note]
    assert note.endswith("cut.parquet' and 1 more")
    with pytest.raises(PipelineError, match=r"expected Parquet files, found one that is damaged: .*cut\.parquet"):
        monitor(folder, reference=str(folder))

    (tmp_path / "tables").mkdir()
    rows(300, 0).to_parquet(tmp_path / "tables" / "good.parquet")
    (tmp_path / "tables" / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(PipelineError, match=r"found one that is damaged: 'bad\.parquet'; write it anew, or move it"):
        monitor(tmp_path / "tables")


def test_a_classifier_expects_its_accuracy(tracking: str, tmp_path: Path) -> None:
    path = tables.hostile(tmp_path / "t.csv", rows=3000)
    train(Settings(str(path), name="made", roles=Roles(target="outcome"), **QUICK))
    found = monitor(tables.hostile(tmp_path / "new.csv", rows=1500, seed=3))
    window = found.report.windows[0]
    assert alerts(found) == set()
    assert window.expected is not None
    judged = evaluate(EvaluationRequest("models:/made/1", str(tmp_path / "new.csv"), resamples=0))
    accuracy = judged.metrics["accuracy"].value
    assert accuracy is not None
    assert window.expected.low <= accuracy <= window.expected.high
    assert window.near is not None
    assert 0 < window.near < 0.5


def test_a_column_that_a_table_lacks_is_an_alert_and_one_that_a_log_leaves_out_is_none(
    made: Scorecard, tmp_path: Path
) -> None:
    table = rows(500, 3)
    table[["x"]].to_csv(tmp_path / "new.csv", index=False)
    assert ("all rows", "missing", "colour") in alerts(monitor(tmp_path / "new.csv"))

    folder = tmp_path / "log"
    recorded.log(folder, table, made, name="made")
    (file,) = folder.rglob("*.parquet")
    logged = pd.read_parquet(file)
    hashes = [f"{place:032x}" for place in range(len(logged))]
    for changed in (logged.drop(columns="feature_colour"), logged.assign(feature_colour=hashes)):
        changed.to_parquet(file)
        found = monitor(folder)
        assert alerts(found) == set()
        assert "columns that the data lack: 'colour'" in found.report.notes
    assert "columns of which the log has hashes: 'colour'" in found.report.notes


@pytest.mark.parametrize("time", ["1795694400", "1795694400000", "20261126", "26.11.2026 00:00", "2026-11-26T00:00Z"])
def test_times_are_found_in_several_forms(time: str, made: Scorecard, tmp_path: Path) -> None:
    rows(120, 0).assign(at=time).to_csv(tmp_path / "t.csv", index=False)
    found = monitor(tmp_path / "t.csv", time="at", window="1d")
    assert [window.name for window in found.report.windows] == ["2026-11-26"]


def test_few_rows_are_a_verdict(made: Scorecard, tmp_path: Path) -> None:
    found = monitor(tables.linear(tmp_path / "few.csv", rows=40, shift=3.0))
    assert found.report.verdict == "not enough rows to tell: 40, 100 a window are needed"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"window": "1d"}, "--since, --until and --window need times"),
        ({"time": "when"}, "--time: no column 'when'"),
        ({"time": "colour"}, "--time colour: expected times"),
        ({"outcomes": "t.csv"}, "--outcomes and --on go together"),
        ({"outcomes": "t.csv", "on": ("request_id",)}, "--outcomes: no column .request_id."),
        ({"report": "nowhere/r.html"}, "--report nowhere/r.html: expected the name of a file"),
    ],
)
def test_what_cannot_be_is_refused_on_one_line(made: Scorecard, tmp_path: Path, asked: dict, told: str) -> None:
    with pytest.raises(PipelineError, match=told):
        monitor(tables.linear(tmp_path / "new.csv"), **asked)
    found = mlflow.search_runs(search_all_experiments=True, filter_string="tags.`monitor.model` LIKE '%'")
    assert not len(found)
