"""Monitoring as a service: who is told of alerts and how often, what fails, who is elected, how it ends."""

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import mlflow
import pytest

from pipelines.errors import PipelineError
from pipelines.monitoring import command, service
from pipelines.monitoring.notifying import Monitored
from pipelines.planning import Settings
from pipelines.training import train
from registry import ledger, listing, policy
from registry.errors import RegistryError
from registry.last_report import TAG, LastReport
from tests import forked
from tests.command import run as run_command
from tests.logged import logged
from tests.patience import soon
from tests.pipelines import tables

QUICK = {"folds": 0, "resamples": 0, "suite": "none", "pictures": False}
#: Tells a file what it is told, a line each time.
NOTE = 'cat >> "$PWD/told"; echo >> "$PWD/told"'
X, PREDICTION = "distribution of x", "distribution of prediction"


def monitor(data: Path, **asked) -> Monitored:
    return command.monitor(model="made", data=str(data), **asked)


def hooks(*given: dict) -> None:
    Path("policy.yaml").write_text(json.dumps({"monitor": {"follow": list(given)}}))


def told() -> list[dict]:
    """What the hook was told since this was last asked."""
    path = Path("told")
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    path.unlink(missing_ok=True)
    return found


@pytest.fixture
def made(tracking: str, tmp_path: Path) -> dict[str, Path]:
    """A registered regression; a table like its training, one that has shifted, and one of too few rows."""
    train(Settings(str(tables.linear(tmp_path / "t.csv", rows=1000)), name="made", **QUICK))
    return {
        "same": tables.linear(tmp_path / "same.csv", rows=500, seed=5),
        "new": tables.linear(tmp_path / "new.csv", rows=500, seed=6, shift=0.7),
        "few": tables.linear(tmp_path / "few.csv", rows=50, seed=7),
    }


def test_hooks_are_told_of_each_report_with_an_alert(made: dict[str, Path]) -> None:
    variables = 'echo "$MODEL_NAME $MODEL_VERSION $MONITOR_EVENT $MONITOR_VERDICT $MONITOR_ALERTS" > variables; false'
    hooks({"name": "note", "command": NOTE}, {"name": "failing", "command": variables, "tries": 1})
    monitor(made["same"])
    assert told() == []
    with logged("pipelines") as said:
        found = monitor(made["new"], report="report.html")
    (one,) = told()
    assert (one["event"], one["model"], one["version"], one["over"]) == ("alert", "made", "1", [])
    assert [alert["subject"] for alert in one["alerts"]] == ["x", "prediction"]
    assert one["alerts"][0]["summary"].startswith("distribution of x: PSI ")
    assert (one["run_id"], one["report"]) == (found.recorded.run_id, found.recorded.page)
    assert one["file"] == str(Path("report.html").absolute())
    first, alerts = Path("variables").read_text().split(" [", 1)
    assert first == "made 1 alert 2 alerts"
    assert json.loads("[" + alerts) == one["alerts"]
    assert "failing could not be told (tried once): ended with 1" in said
    monitor(made["new"])
    assert len(told()) == 1


def test_a_service_tells_when_an_alert_begins_and_when_it_is_over(made: dict[str, Path]) -> None:
    hooks({"name": "note", "command": NOTE}, {"command": "test ! -e broken && echo x >> second", "tries": 1})
    second = Path("second")
    Path("broken").touch()
    monitor(made["new"], watched="w")
    assert [(one["event"], len(one["alerts"])) for one in told()] == [("alert", 2)]
    # The one that failed is told now, and the other one nothing new.
    Path("broken").unlink()
    monitor(made["new"], watched="w")
    assert told() == []
    assert second.read_text() == "x\n"
    # Too few rows end no alert, and another service knows nothing of this one's.
    monitor(made["few"], watched="w")
    monitor(made["same"], watched="other")
    assert told() == []
    monitor(made["same"], watched="w")
    (over,) = told()
    assert (over["event"], over["alerts"], over["over"], over["verdict"]) == ("over", [], [X, PREDICTION], "no alert")
    assert second.read_text() == "x\nx\n"
    # Whoever is told first is not told again because the next is interrupted.
    hooks({"name": "note", "command": NOTE}, {"command": "kill -TERM $PPID; sleep 60"})
    with pytest.raises(KeyboardInterrupt):
        monitor(made["new"], watched="w")
    hooks({"name": "note", "command": NOTE})
    monitor(made["new"], watched="w")
    assert [one["event"] for one in told()] == ["alert"]
    monitor(made["same"], watched="w")
    assert [one["event"] for one in told()] == ["over"]
    tags = mlflow.MlflowClient().get_model_version("made", "1").tags
    assert not [name for name in tags if name.startswith("monitor.told")]


def test_the_alerts_of_a_version_end_with_it(made: dict[str, Path], tmp_path: Path) -> None:
    hooks({"name": "note", "command": NOTE})
    monitor(made["new"], watched="w")
    train(Settings(str(tmp_path / "t.csv"), name="made", **QUICK))
    told()
    found = monitor(made["new"], watched="w")
    assert found.report.version == "2"
    over, begun = sorted(told(), key=lambda one: one["version"])
    assert (over["version"], over["event"], over["over"]) == ("1", "over", [X, PREDICTION])
    assert over["verdict"] == "no longer monitored: version 2 is"
    assert (begun["version"], begun["event"], len(begun["alerts"])) == ("2", "alert", 2)


def test_the_list_shows_the_last_verdict(made: dict[str, Path], tmp_path: Path) -> None:
    client = mlflow.MlflowClient()
    (row,) = listing.rows(client, policy.read(), "made")
    assert row.monitored is None
    monitor(made["new"])
    shown = run_command("list", folder=tmp_path, package="registry").out
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d, \d+ (s|min) ago: 2 alerts", shown), shown
    (row,) = listing.rows(client, policy.read(), "made")
    assert row.monitored is not None
    assert (row.monitored.alerts, row.monitored.rows) == (2, 500)
    monitor(made["few"])
    (row,) = listing.rows(client, policy.read(), "made")
    assert row.monitored is not None
    assert (row.monitored.alerts, row.monitored.short) == (None, "too few rows")
    for wrong in ("2 alerts", "{}", '{"time": "today", "alerts": 1, "verdict": "", "rows": 1, "run_id": ""}'):
        client.set_model_version_tag("made", "1", TAG, wrong)
        (row,) = listing.rows(client, policy.read(), "made")
        assert row.monitored is None
    assert LastReport.of({}) is None


def test_what_a_service_refuses(tracking: str, tmp_path: Path) -> None:
    done = run_command("monitor", "--data", "x", folder=tmp_path)
    assert (done.code, "only --watch takes all in Production" in done.err) == (2, True), done.err
    with ledger.open() as book:
        for every, given, expected in (
            ("10s", {}, "--watch: expected a length of time such as 1h"),
            ("1h", {"report": "r.html"}, "--report FILE is of one model"),
            ("1h", {"since": "yesterday"}, "--since: expected a time"),
            ("1h", {"outcomes": "o.csv"}, "--outcomes and --on go together"),
        ):
            with pytest.raises(PipelineError, match=expected):
                service.MonitorService(book, every, show=print, asked={"model": None, "data": "x", **given})
    Path("policy.yaml").write_text('{"monitor": {"follow": [{"command": "true", "stages": ["Production"]}]}}')
    with pytest.raises(RegistryError, match="unknown key"):
        policy.read()
    Path("policy.yaml").write_text(
        '{"monitor": {"follow": [{"command": "a", "name": "n"}, {"command": "b", "name": "n"}]}}'
    )
    with pytest.raises(RegistryError, match=r"monitor: follow: two are called 'n'"):
        policy.read()


@contextmanager
def running(name: str, *words: str) -> Iterator[tuple[forked.Program, Path]]:
    """``monitor --watch`` as a process, and its log."""
    log = Path(f"{name}.log").absolute()
    with log.open("wb") as out:
        both = {"out": out.fileno(), "err": out.fileno()}
        started = ("monitor", "--watch", "1h", *words)
        process = forked.Program("pipelines", started, folder=Path.cwd(), environment=os.environ, **both)
    try:
        yield process, log
    finally:
        process.kill()
        process.wait()


def said(log: Path, pattern: str) -> None:
    """Wait until a line of a log matches."""
    began = time.monotonic()
    while not re.search(pattern, log.read_text()):
        assert time.monotonic() - began < soon(30), f"{pattern!r} is not in:\n{log.read_text()}"
        time.sleep(0.05)


def test_of_several_services_one_works_and_another_takes_over(made: dict[str, Path]) -> None:
    client = mlflow.MlflowClient()
    for name in ("made", "without evidence", "not in Production"):
        if name != "made":
            client.create_registered_model(name)
            client.create_model_version(name, source="models:/made/1", model_id=None)
        if not name.startswith("not"):
            client.transition_model_version_stage(name, "1", "Production")
    hooks({"name": "note", "command": NOTE})
    with running("first", "--data", str(made["new"])) as (first, one):
        said(one, r"without evidence: .*; tried again at .*\d\d:\d\d UTC")
        said(one, r"ALERT: made version 1, 500 rows: 2 alerts; runs:/")
        with running("second", "--data", str(made["new"])) as (second, two):
            said(two, "another monitoring service of the same options is active; standing by")
            first.send_signal(signal.SIGTERM)
            assert first.wait(soon(10)) == 0
            assert one.read_text().endswith("stopped monitoring\n")
            said(two, r"ALERT: made version 1")
            second.send_signal(signal.SIGINT)
            assert second.wait(soon(10)) == 0
    assert "not in Production" not in one.read_text()
    assert "Traceback" not in one.read_text() + two.read_text()
    (only,) = told()
    assert only["event"] == "alert"


def test_what_fails_is_told_in_a_line_and_tried_again(made: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of the service is the test's: an interval passes when it would sleep."""
    shown: list[Monitored] = []
    moved = made["same"].rename("away.csv")
    passed = [0.0]

    def sleep(seconds: float) -> None:
        passed[0] += seconds
        if passed[0] > 30 and moved.exists():
            moved.rename(made["same"])
        if passed[0] > 110:
            raise KeyboardInterrupt

    monkeypatch.setattr(service, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: passed[0]))
    asked = {"model": "made", "data": str(made["same"])}
    with ledger.open() as book, logged("pipelines") as lines:
        watcher = service.MonitorService(book, "1m", show=shown.append, asked=asked)
        with pytest.raises(KeyboardInterrupt):
            watcher.run()
    assert [one.report.verdict for one in shown] == ["no alert"]
    (failed,) = [line for line in lines if "tried again at" in line]
    assert failed.startswith("made: ")
    assert "same.csv" in failed
