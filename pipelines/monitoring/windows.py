"""The period that a report is about, and its windows: in microseconds of UTC since 1970."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipelines.errors import PipelineError

_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_EXAMPLES = "1h, 1d or 7d"
#: The window that is a month of the calendar.
MONTH = "month"
# The mean length of a month, in microseconds.
_MONTH = 2_629_746 * 1_000_000


@dataclass(frozen=True)
class Period:
    """From when to when, and how long a window is.

    Parameters
    ----------
    since, until : microseconds; ``until`` itself is outside. None for no bound.
    window : the length of a window in microseconds; None for one window. Windows begin at whole multiples of it.
    monthly : whether windows are months of the calendar instead; ``window`` is their mean length.
    """

    since: int | None = None
    until: int | None = None
    window: int | None = None
    monthly: bool = False

    def begin(self, number: int) -> int:
        """When the window of a number begins: the first is that of 1970-01-01."""
        assert self.window is not None
        if not self.monthly:
            return number * self.window
        years, months = divmod(number, 12)
        return micros(datetime(1970 + years, 1 + months, 1, tzinfo=UTC))

    def days(self) -> list[tuple[str, str]]:
        """The days that the period touches, as comparisons: ``(">=", "2026-11-30")``; a day of room at both ends."""
        found = []
        if self.since is not None:
            found.append((">=", f"{moment(self.since) - timedelta(days=1):%Y-%m-%d}"))
        if self.until is not None:
            found.append(("<=", f"{moment(self.until) + timedelta(days=1):%Y-%m-%d}"))
        return found

    def name(self, number: int, span: tuple[int, int] | None) -> str:
        """What a window is called: when it begins; the whole period by its ends; ``all`` without times.

        Parameters
        ----------
        span : the first and the last time of the rows; None without times.
        """
        if span is None:
            return "all rows"
        if self.window is None:
            return f"{_shown(self.start(number, span))} to {_shown(self.end(number, span))}"
        return f"{moment(self.begin(number)):%Y-%m}" if self.monthly else _shown(self.begin(number))

    def start(self, number: int, span: tuple[int, int]) -> int:
        """When a window begins."""
        return self.begin(number) if self.window else self.since if self.since is not None else span[0]

    def end(self, number: int, span: tuple[int, int]) -> int:
        """When a window ends."""
        return self.begin(number + 1) if self.window else self.until if self.until is not None else span[1]


#: All rows as one window.
ALL = Period()


def period(since: str | None, until: str | None, window: str | None, now: datetime | None = None) -> Period:
    """A period from what a user typed.

    Parameters
    ----------
    since, until : ``2026-11-30``, ``2026-11-30T12:00`` (UTC unless it says otherwise), or how long ago: ``7d``.
    window : how long: ``1d``, or ``month``.

    Raises
    ------
    PipelineError
        if one is nothing of that, or the period is empty.
    """
    now = now or datetime.now(UTC)
    begin, end = (_bound(name, given, now) for name, given in (("--since", since), ("--until", until)))
    if begin is not None and end is not None and begin >= end:
        raise PipelineError(f"--since {since} is not before --until {until}; exchange them")
    if window == MONTH:
        return Period(begin, end, _MONTH, monthly=True)
    return Period(begin, end, None if window is None else _length("--window", window, f", or {MONTH}"))


def moment(micros: int) -> datetime:
    """Microseconds since 1970 as a time."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def _bound(name: str, given: str | None, now: datetime) -> int | None:
    if given is None:
        return None
    if re.fullmatch(r"\d+[mhdw]", given):
        return micros(now) - _length(name, given)
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        raise PipelineError(
            f"{name}: expected a time such as 2026-11-30, or how long ago: 7d, found {given!r}"
        ) from None
    return micros(found if found.tzinfo else found.replace(tzinfo=UTC))


def seconds(name: str, given: str) -> int:
    """A length of time such as ``1h`` in seconds.

    Parameters
    ----------
    name : of the option, for the error.

    Raises
    ------
    PipelineError
        if it is none.
    """
    return _length(name, given) // 1_000_000


def _length(name: str, given: str, others: str = "") -> int:
    found = re.fullmatch(r"(\d{1,6})([mhdw])", given)
    if not found or not int(found[1]):
        raise PipelineError(f"{name}: expected a length of time such as {_EXAMPLES}{others}, found {given!r}")
    return int(found[1]) * _SECONDS[found[2]] * 1_000_000


def micros(when: datetime) -> int:
    """A time in microseconds since 1970."""
    return (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _shown(micros: int) -> str:
    when = moment(micros)
    return f"{when:%Y-%m-%d}" if not (when.hour or when.minute or when.second) else f"{when:%Y-%m-%d %H:%M}"
