"""What windows are compared with: earlier windows, seasons, another table; and that a season is no alert."""

import re
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from pipelines.errors import PipelineError
from pipelines.monitoring.monitor import MonitorRequest, compare
from pipelines.monitoring.report import MonitorReport
from pipelines.monitoring.windows import period
from registry import client
from serving.scorecard import Scorecard
from tests.pipelines import tables
from tests.pipelines.monitoring import recorded
from tests.pipelines.monitoring.test_monitor import rows


def report(data: Path, *, since: str | None = None, window: str | None = None, **asked) -> MonitorReport:
    request = MonitorRequest("made", str(data), period=period(since, None, window), **asked)
    return compare(client.connect(), request)


def alerts(found: MonitorReport) -> set[tuple[str, str]]:
    return {(one.window, one.subject) for one in found.alerts}


def test_a_winter_like_the_last_one_is_no_alert_whichever_version_met_that(
    regression: Scorecard, tmp_path: Path
) -> None:
    for day, version in ((-365, "7"), (-364, "7"), (-100, "1"), (0, "1")):
        winter = 0.0 if day == -100 else 2.0
        recorded.log(tmp_path, rows(400, day + 400, x=winter), regression, name="made", version=version, day=day)
    asked = {"since": "2020-11-01", "window": "7d"}
    assert ("2020-11-19", "x") in alerts(report(tmp_path, **asked))

    found = report(tmp_path, reference="same-month", **asked)
    assert alerts(found) == set()
    (window,) = found.windows
    assert window.columns["x"].reference.rows == 800
    # The scorecard answers the rows of the other version, so the score is compared with its own.
    assert window.before[0].mean == pytest.approx(window.scores[0].mean, abs=0.6)
    assert sum(one.shift for one in window.shifts) == pytest.approx(
        window.scores[0].mean - window.before[0].mean, abs=1e-9
    )

    recorded.log(tmp_path, rows(400, 9, x=3.0), regression, name="made", day=1)
    later = report(tmp_path, reference="same-month", since="2020-11-21", window="1d")
    assert alerts(later) == {("2020-11-21", "x"), ("2020-11-21", "prediction")}


def test_a_window_is_compared_with_the_one_before_it_and_with_its_weekday(
    regression: Scorecard, tmp_path: Path
) -> None:
    # 2020-11-20 is a Friday: on weekends x is larger, and on the last Sunday it is not.
    for day in range(17):
        larger = 1.0 if day % 7 in (1, 2) and day != 16 else 0.0
        recorded.log(tmp_path, rows(250, day, x=larger), regression, name="made", day=day)
    weekdays = report(tmp_path, window="1d", since="2020-11-27", reference="same-weekday")
    assert alerts(weekdays) == {("2020-12-06", "x"), ("2020-12-06", "prediction")}
    previous = report(tmp_path, window="1d", since="2020-11-27", reference="previous")
    assert {day for day, subject in alerts(previous) if subject == "x"} == {
        "2020-11-28", "2020-11-30", "2020-12-05", "2020-12-06",
    }  # fmt: skip
    assert previous.windows[0].columns["x"].reference.rows == 250

    first = report(tmp_path, window="1d", reference="previous")
    assert "1 of 17 windows have nothing to be compared with: the window before" in first.notes
    assert not any(check.enough for check in first.checks if check.window == "2020-11-20")


def test_a_window_is_compared_with_another_table_or_log(regression: Scorecard, tmp_path: Path) -> None:
    moved = tables.linear(tmp_path / "moved.csv", rows=1000, seed=3, shift=2.0)
    again = tables.linear(tmp_path / "again.csv", rows=1000, seed=4, shift=2.0)
    assert alerts(report(again)) == {("all rows", "x"), ("all rows", "prediction")}
    found = report(again, reference=str(moved))
    assert alerts(found) == set()
    assert "compared with 1,000 rows of" in " ".join(found.facts)
    # Its own quantiles are the bins: a change beyond the edge of the training is seen, too.
    further = report(tables.linear(tmp_path / "further.csv", rows=1000, seed=5, shift=2.5), reference=str(moved))
    assert alerts(further) == {("all rows", "x"), ("all rows", "prediction")}

    log = tmp_path / "log"
    recorded.log(log, rows(500, 1, x=2.0), regression, name="made", version="7")
    assert alerts(report(again, reference=str(log))) == set()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"reference": "previous"}, "--reference previous goes with --window"),
        ({"reference": "same-hour", "window": "1d"}, "--reference same-hour takes a --window of at most an hour"),
        ({"reference": "same-weekday", "window": "7d"}, "--reference same-weekday takes a --window of at most a day"),
        ({"reference": "nowhere.csv"}, "--reference: expected training, previous, same-hour,"),
        ({"reference": "other.csv"}, "--reference other.csv: no column 'colour', which the data have"),
    ],
)
def test_what_is_no_reference_is_refused(regression: Scorecard, tmp_path: Path, asked: dict, told: str) -> None:
    recorded.log(tmp_path / "log", rows(100, 0), regression, name="made")
    Path("other.csv").write_text("x,y\n1,2\n")
    with pytest.raises(PipelineError, match=re.escape(told)):
        report(tmp_path / "log", **asked)


def test_answers_of_another_version_are_no_reference_where_the_score_is_not_known(
    regression: Scorecard, tmp_path: Path
) -> None:
    """A log without a column that the scorecard needs: the version's own answers count, at any time."""
    for day, version in ((0, "1"), (1, "7"), (2, "1"), (9, "1")):
        table = rows(300, day)
        answers = regression.predict(table) + (50 if version == "7" else 0)
        recorded.log(tmp_path, table, regression, name="made", version=version, day=day, answers=answers)
    for file in tmp_path.rglob("*.parquet"):
        parquet.write_table(parquet.ParquetFile(file).read().drop_columns("feature_x"), file)
    found = report(tmp_path, since="2020-11-28", window="1d", reference="previous")
    assert found.alerts == ()
    reference = found.windows[0].answers.numbers
    assert reference is not None
    assert reference.reference.rows == 300
    assert "columns that the data lack: 'x'" in found.notes
