"""The way back: what a server answers is recorded, and monitoring finds what has changed since training."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.monitoring import command
from pipelines.planning import Settings
from pipelines.training import train
from serving import batch, models
from serving.batch import ScoreRequest
from tests.pipelines import tables
from tests.serving.server.servers import Server


def test_requests_that_a_server_recorded_are_monitored(tracking: str, tmp_path: Path) -> None:
    quick = {"folds": 0, "resamples": 0, "suite": "none", "pictures": False}
    train(Settings(str(tables.linear(tmp_path / "t.csv", rows=2000)), name="made", **quick))
    log, random = tmp_path / "log", np.random.default_rng(7)
    rows = pd.DataFrame({"x": random.normal(0.6, 1, 800), "colour": random.choice(["red", "blue"], 800)})
    with Server(["models:/made/1", "--record", str(log)], tmp_path) as server:
        server.ready("made")
        for start in range(0, len(rows), 200):
            part = rows.iloc[start : start + 200].to_dict(orient="split")
            asked = {"dataframe_split": {"columns": part["columns"], "data": part["data"]}}
            assert server.post("/invocations", asked, {"X-Request-Id": f"request-{start}"}).status == 200
        assert server.post("/invocations", {"dataframe_records": [{"x": "unreadable"}]}).status == 400
        assert server.stop() == 0
    # The truth comes later: as the model expects it, for all but the last request.
    card = models.find("models:/made/1").scorecard
    assert card is not None
    outcomes = pd.DataFrame(
        {
            "request_id": [f"request-{place // 200 * 200}" for place in range(600)],
            "row": [place % 200 for place in range(600)],
            "target": card.predict(rows.iloc[:600]),
        }
    )
    outcomes.to_csv(tmp_path / "outcomes.csv", index=False)

    found = command.monitor(
        model="made", data=str(log), outcomes=str(tmp_path / "outcomes.csv"), on=("request_id", "row")
    )

    assert {(one.kind, one.subject) for one in found.report.alerts} == {
        ("distribution", "x"),
        ("distribution", "prediction"),
    }
    (window,) = found.report.windows
    assert window.rows == 800
    assert window.service["requests"] == 5
    assert window.service["refused"] == 1
    assert window.scores[0].mean == pytest.approx(float(np.mean(card.predict(rows))), abs=1e-9)
    assert window.outcomes is not None
    assert window.outcomes.metrics["rmse"].value == pytest.approx(0.0, abs=1e-9)

    # A batch job that scores the same rows tells the same.
    rows.to_csv(tmp_path / "rows.csv", index=False)
    batch_log = tmp_path / "batch"
    batch.score(
        ScoreRequest("models:/made/1", str(tmp_path / "rows.csv"), str(tmp_path / "out.csv"), record=str(batch_log))
    )
    scored = command.monitor(model="made", data=str(batch_log)).report
    assert {(one.kind, one.subject) for one in scored.alerts} == {
        (one.kind, one.subject) for one in found.report.alerts
    }
    assert scored.windows[0].scores[0].mean == pytest.approx(window.scores[0].mean, abs=1e-9)
