"""With outcomes: challengers in the shadow, the champion before, groups, outcomes that come late; and the suite."""

import json
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, ttest_rel

from pipelines.errors import PipelineError
from pipelines.monitoring import outcomes, page, wording
from pipelines.monitoring import version as monitored
from pipelines.monitoring.monitor import MonitorRequest, compare
from pipelines.monitoring.report import MonitorReport
from pipelines.monitoring.windows import period
from registry import client
from serving.scorecard import Scorecard
from serving.scorecard.inputs import Input
from tests.pipelines import tables
from tests.pipelines.monitoring import recorded
from tests.pipelines.monitoring.test_monitor import rows


def report(
    data: Path, name: str = "made", window: str | None = None, since: str | None = None, **asked
) -> MonitorReport:
    request = MonitorRequest(name, str(data), period=period(since, None, window), **{"suite": "none", **asked})
    return compare(client.connect(), request)


def drawn(found: MonitorReport, folder: Path) -> str:
    return page.render(found, folder)


def test_a_challenger_in_the_shadow_is_compared_row_by_row(regression: Scorecard, tmp_path: Path) -> None:
    table = rows(600, 1)
    ours = regression.predict(table)
    theirs = ours + np.random.default_rng(1).normal(scale=0.2, size=600)
    ids = recorded.log(tmp_path / "log", table, regression, name="made")
    recorded.log(tmp_path / "log", table[:500], regression, name="made", version="2", role="shadow", ids=ids[:500],
                 answers=theirs[:500])  # fmt: skip
    without = report(tmp_path / "log")
    (one,) = without.challengers
    assert (one.version, one.role, one.rows, one.outcomes) == ("2", "shadow", 500, None)
    assert one.distance == pytest.approx(np.abs(theirs - ours)[:500].mean())
    assert one.difference == pytest.approx((theirs - ours)[:500].mean())
    assert one.spread == pytest.approx(ours[:500].std())

    truth = ours + np.random.default_rng(2).normal(scale=0.1, size=600)
    pd.DataFrame({"request_id": ids[:400], "target": truth[:400]}).to_csv(tmp_path / "o.csv", index=False)
    found = report(tmp_path / "log", outcomes=str(tmp_path / "o.csv"), on=("request_id",))
    measured = found.challengers[0].outcomes
    assert measured is not None
    losses = [((answers - truth)[:400]) ** 2 for answers in (ours, theirs)]
    assert measured.rows == 400
    assert measured.other - measured.here == pytest.approx(np.sqrt(losses[1].mean()) - np.sqrt(losses[0].mean()))
    assert measured.probability == pytest.approx(ttest_rel(losses[1], losses[0]).pvalue)
    assert measured.low > 0
    assert "version 2 (shadow) answered 500 of the same rows" in wording.others(found)[0]
    assert "version 2 (shadow)" in drawn(found, tmp_path)
    assert found.metrics(found.windows[-1])["version_2/rmse_difference"] == pytest.approx(measured.difference)
    assert json.loads(json.dumps(found.plain()))["challengers"][0]["rows"] == 500
    # Seen from the challenger, the champion is the other.
    (back,) = report(tmp_path / "log", name="made").challengers
    assert back == without.challengers[0]


def test_labels_are_compared_by_mcnemars_test_and_by_group(classifier: Scorecard, tmp_path: Path) -> None:
    data = tables.hostile(tmp_path / "new.csv", rows=1200, seed=8)
    table = pd.read_csv(data)[lambda frame: frame["outcome"].notna()].reset_index(drop=True)
    inputs = table[[item.name for item in classifier.inputs]]
    ours = np.array(classifier.predict(inputs))
    random = np.random.default_rng(0)
    theirs = np.where(random.random(len(table)) < 0.1, np.where(ours == "yes", "no", "yes"), ours)
    ids = recorded.log(tmp_path / "log", inputs, classifier, name="judged")
    recorded.log(
        tmp_path / "log", inputs, classifier, name="judged", version="2", role="shadow", ids=ids, answers=theirs
    )
    region = np.where(random.random(len(table)) < 0.5, "north", "south")
    # In the south the truth is often another one.
    truth = np.where((region == "south") & (random.random(len(table)) < 0.45), theirs == "no", ours == "yes")
    known = pd.DataFrame({"request_id": ids, "outcome": np.where(truth, "yes", "no"), "place": region})
    known.to_csv(tmp_path / "o.csv", index=False)

    asked = {"outcomes": str(tmp_path / "o.csv"), "on": ("request_id",), "name": "judged"}
    found = report(tmp_path / "log", **asked, group=("place",))
    (one,) = found.challengers
    assert one.disagree == pytest.approx((ours != theirs).mean())
    right, other = ours == known["outcome"], theirs == known["outcome"]
    gained, lost = int((other & ~right).sum()), int((right & ~other).sum())
    assert one.outcomes is not None
    assert one.outcomes.test == "McNemar"
    assert one.outcomes.probability == pytest.approx(binomtest(gained, gained + lost).pvalue)

    by_group = {group.group: group for group in found.groups}
    assert by_group["south"].value.value == pytest.approx(right[region == "south"].mean())
    assert by_group["south"].rows == (region == "south").sum()
    (gap,) = [check for check in found.alerts if check.kind == "gap"]
    assert gap.subject == "accuracy by place"
    assert gap.remark == "north to south"
    assert gap.effect == pytest.approx(right[region == "north"].mean() - right[region == "south"].mean())
    assert "place" in drawn(found, tmp_path)
    with pytest.raises(PipelineError, match="--group: no column 'nowhere' in the data"):
        report(tmp_path / "log", **asked, group=("nowhere",))

    # Groups that differ by chance alone are no alert; a column of the data cuts numbers into quarters.
    fair = report(tmp_path / "log", **asked, group=("age",))
    assert len(fair.groups) >= 4
    assert [check for check in fair.alerts if check.kind == "gap"] == []


def test_outcomes_that_come_late_are_told_by_their_age(regression: Scorecard, tmp_path: Path) -> None:
    parts = []
    for day in range(3):
        table = rows(300, day)
        ids = recorded.log(tmp_path / "log", table, regression, name="made", day=day)
        hours = np.where(np.arange(300) < 150, 12, 60)
        parts.append(pd.DataFrame({"request_id": ids, "target": regression.predict(table), "hours": hours, "day": day}))
    known = pd.concat(parts)
    known["came"] = [
        (recorded.FIRST + pd.Timedelta(days=int(day), hours=int(hours))).isoformat()
        for day, hours in zip(known["day"], known["hours"], strict=True)
    ]
    # The table is of the fourth day: of the last one only the early half is there.
    known = known[(known["day"] < 2) | (known["hours"] == 12)]
    known = pd.concat([known, pd.DataFrame({"request_id": ["x"], "target": [0.0], "came": ["2020-11-23T13:00:00Z"]})])
    known[["request_id", "target", "came"]].to_csv(tmp_path / "o.csv", index=False)
    asked = {"outcomes": str(tmp_path / "o.csv"), "on": ("request_id",), "window": "1d"}
    found = report(tmp_path / "log", **asked, outcome_time="came")
    assert [window.known for window in found.windows] == [1.0, 1.0, 0.5]
    day = [window.ages[0] for window in found.windows]
    assert [(one.age, one.reached, one.share) for one in day] == [("1d", True, 0.5)] * 2 + [("1d", False, 0.5)]
    assert [window.ages[1].reached for window in found.windows] == [False] * 3
    assert any("fewer outcomes are known of '2020-11-22' than of other windows (50" in note for note in found.notes)
    assert "Outcomes by age" in drawn(found, tmp_path)
    assert found.metrics(found.windows[0])["within_1d/share"] == 0.5
    with pytest.raises(PipelineError, match="--outcome-time target: expected times"):
        report(tmp_path / "log", **asked, outcome_time="target")


def test_the_champion_before_is_measured_on_its_own_rows(regression: Scorecard, tmp_path: Path) -> None:
    table, known = rows(300, 0), []
    truth = regression.predict(table)
    for day, version, off in ((-3, "0", 0.5), (0, "1", 0.0)):
        ids = recorded.log(
            tmp_path / "log", table, regression, name="made", day=day, version=version, answers=truth + off
        )
        known.append(pd.DataFrame({"request_id": ids, "target": truth}))
    pd.concat(known).to_csv(tmp_path / "o.csv", index=False)
    found = report(tmp_path / "log", outcomes=str(tmp_path / "o.csv"), on=("request_id",))
    assert found.former is not None
    assert (found.former.version, found.former.rows) == ("0", 300)
    assert found.former.metrics["rmse"].value == pytest.approx(0.5)
    assert wording.others(found)[-1].startswith("The champion before, version 0: rmse 0.5")


def test_the_suite_of_the_training_holds_for_live_rows_or_not(regression: Scorecard, tmp_path: Path) -> None:
    recorded.log(tmp_path / "log", rows(300, 0), regression, name="made")
    same = report(tmp_path / "log", suite="auto")
    assert [check for check in same.checks if check.kind == "expectation"]
    assert same.alerts == ()
    assert "expectations met" in same.facts[-1]
    assert same.facts[-1] in same.plain()["notes"]
    assert "expectations met" in drawn(same, tmp_path).partition('class="facts"')[2]

    broken = rows(300, 1)
    broken["x"] *= 1000
    broken["colour"] = broken["colour"].replace("blue", "azure")
    recorded.log(tmp_path / "log", broken, regression, name="made", day=1)
    found = report(tmp_path / "log", suite="auto", window="1d")
    failed = [check for check in found.alerts if check.kind == "expectation"]
    assert {check.window for check in failed} == {"2020-11-21"}
    assert any(check.subject.startswith("x: between") for check in failed)
    assert "azure" not in json.dumps(found.plain())
    assert "expectation of x" in drawn(found, tmp_path)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (["1.234", "2.000"], ["1234.0", "2000.0"]),  # as the model's own table
        (["1.234", "2.5", "n/a yet"], ["1.234", "2.5", "n/a yet"]),
        (["1,5", "2,25", "3"], ["1.5", "2.25", "3.0"]),
        ([1.234, 2.0], ["1.234", "2"]),  # no text
    ],
)
def test_the_truth_is_read_as_the_training_was(
    regression: Scorecard, tmp_path: Path, written: list, expected: list[str]
) -> None:
    found = monitored.fetch(mlflow.MlflowClient(), "made")
    inputs = tuple(Input(one.name, one.type, decimal=",", thousands=".") for one in found.inputs if one.name == "x")
    table = pd.DataFrame({"id": [f"r{place}" for place in range(len(written))], "target": written})
    if isinstance(written[0], str):
        table.to_csv(tmp_path / "o.csv", index=False, sep=";")
    else:
        table.to_parquet(tmp_path / "o.parquet")
    read = outcomes.fetch(
        str(next(tmp_path.glob("o.*"))), ["id"], "target", logged=False, version=replace(found, inputs=inputs)
    )
    assert read.table["outcome"].to_pylist() == expected
