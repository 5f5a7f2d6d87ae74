"""What a user types of times, as a period."""

from datetime import UTC, datetime

import pytest

from pipelines.errors import PipelineError
from pipelines.monitoring.windows import Period, moment, period

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def test_times_are_utc_unless_they_say_otherwise() -> None:
    found = period("2026-11-01", "2026-11-02T01:00+01:00", "1d", NOW)
    assert found.since is not None
    assert found.until is not None
    assert (moment(found.since), moment(found.until)) == (
        datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC),
    )  # fmt: skip
    assert found.days() == [(">=", "2026-10-31"), ("<=", "2026-11-03")]


def test_how_long_ago() -> None:
    found = period("7d", "12h", None, NOW)
    assert found.since is not None
    assert found.until is not None
    assert moment(found.since) == datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert moment(found.until) == datetime(2026, 11, 30, tzinfo=UTC)


def test_windows_have_names() -> None:
    day = period(None, None, "1d", NOW)
    assert day.window is not None
    assert day.name(20_787, (0, 1)) == "2026-11-30"
    assert Period().name(0, None) == "all rows"
    hour = period(None, None, "1h", NOW)
    assert hour.name(20_787 * 24 + 7, (0, 1)) == "2026-11-30 07:00"


def test_months_are_those_of_the_calendar() -> None:
    month = period(None, None, "month", NOW)
    number = (2024 - 1970) * 12 + 1
    assert month.name(number, (0, 1)) == "2024-02"
    assert moment(month.start(number, (0, 1))) == datetime(2024, 2, 1, tzinfo=UTC)
    assert moment(month.end(number, (0, 1))) == datetime(2024, 3, 1, tzinfo=UTC)
    assert moment(month.begin(-1)) == datetime(1969, 12, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "until", "window", "told"),
    [
        (
            "yesterday",
            None,
            None,
            "--since: expected a time such as 2026-11-30, or how long ago: 7d, found 'yesterday'",
        ),
        (None, None, "0d", "--window: expected a length of time"),
        (None, None, "day", "--window: expected a length of time"),
        ("2026-11-02", "2026-11-02", None, "is not before --until"),
    ],
)
def test_what_is_no_time_is_refused(since: str | None, until: str | None, window: str | None, told: str) -> None:
    with pytest.raises(PipelineError, match=told):
        period(since, until, window, NOW)
