"""What the windows of a report are compared with: the training, other rows, or earlier windows of the same data."""

import contextlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipelines.errors import PipelineError
from pipelines.evaluation.metrics import Answers
from pipelines.monitoring import live
from pipelines.monitoring.counting import RowCounts, RowReader, usable_card
from pipelines.monitoring.known import of_reference
from pipelines.monitoring.live import LiveRows
from pipelines.monitoring.outcomes import Outcomes
from pipelines.monitoring.version import MonitoredVersion
from pipelines.monitoring.windows import ALL, Period, moment
from registry.cli.text import listed
from registry.redaction import url

TRAINING, PREVIOUS = "training", "previous"
SAME_HOUR, SAME_WEEKDAY, SAME_MONTH = "same-hour", "same-weekday", "same-month"

_HOUR = 3600 * 1_000_000
_DAY = 24 * _HOUR
#: After how long a season returns, and how far back its windows count.
_SEASONS = {SAME_HOUR: (_DAY, 28 * _DAY), SAME_WEEKDAY: (7 * _DAY, 56 * _DAY)}
# The same month of at most five years; rows of this year's are none.
_MONTHS, _ANOTHER_YEAR = 1830 * _DAY, 183 * _DAY
#: At most so many windows lie between a window and the one before that has rows.
_GAP = 28
#: The words of ``--reference``; all else is a table or a log.
WORDS = (TRAINING, PREVIOUS, SAME_HOUR, SAME_WEEKDAY, SAME_MONTH)


class Reference:
    """What windows are compared with.

    Attributes
    ----------
    title : what messages call it.
    notes : what a person should look at, a sentence each.
    facts : what it is.
    """

    title = "the training"

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.facts: list[str] = []

    def choose_bins(self, reader: RowReader) -> None:
        """Let the bins of the reader suit the rows of the reference; those of the training do."""

    def counts(self, reader: RowReader, numbers: Sequence[int]) -> Mapping[int, RowCounts]:
        """What each window is compared with, by the window's number; of none where there is nothing."""
        whole = reader.training()
        return dict.fromkeys(numbers, whole)

    def answers(self, reader: RowReader, table: Outcomes, numbers: Sequence[int]) -> Mapping[int, Answers]:
        """The answers that each window is compared with and whose outcome is known, by the window's number.

        Of the training there are none but the held-out rows, which the evidence has.
        """
        return {}


class OtherRows(Reference):
    """The rows of another table or log.

    Parameters
    ----------
    rows : of any version of the model; the scorecard answers them.
    """

    def __init__(self, rows: LiveRows) -> None:
        super().__init__()
        self._rows = rows
        self.title = url(rows.source)

    def choose_bins(self, reader: RowReader) -> None:
        """By a sample of the rows."""
        reader.choose_bins(self._rows, ALL)

    def counts(self, reader: RowReader, numbers: Sequence[int]) -> Mapping[int, RowCounts]:
        """All rows, for each window."""
        whole = reader.count(self._rows, ALL, score=True).get(0, reader.empty())
        self.facts.append(f"compared with {whole.rows:,} rows of {self.title}")
        return dict.fromkeys(numbers, whole)

    def answers(self, reader: RowReader, table: Outcomes, numbers: Sequence[int]) -> Mapping[int, Answers]:
        """Those of all rows, for each window."""
        _, whole = of_reference(reader.version, reader, self._rows, ALL, table)
        return dict.fromkeys(numbers, whole)


class EarlierWindows(Reference):
    """Earlier windows of the same data, whichever version answered them: the scorecard answers them anew.

    Parameters
    ----------
    rows : of any version of the model.
    period : from the first window that may count.
    places : the windows that each window is compared with, by their numbers.
    """

    def __init__(self, kind: str, rows: LiveRows, period: Period, places: Mapping[int, Sequence[int]]) -> None:
        super().__init__()
        self._rows, self._period, self._places = rows, period, places
        self._wanted = sorted({number for found in places.values() for number in found})
        self.title = {
            PREVIOUS: "the window before",
            SAME_HOUR: "the same hour of the 28 days before",
            SAME_WEEKDAY: "the same weekday of the 8 weeks before",
            SAME_MONTH: "the same month of earlier years",
        }[kind]

    def choose_bins(self, reader: RowReader) -> None:
        """By a sample of all windows that count for any window."""
        if self._wanted:
            reader.choose_bins(self._rows, self._period, self._wanted)

    def counts(self, reader: RowReader, numbers: Sequence[int]) -> Mapping[int, RowCounts]:
        """The windows of the past that belong to each window, together."""
        found = reader.count(self._rows, self._period, self._wanted, score=True) if self._wanted else {}
        whole = {}
        for number in numbers:
            whole[number] = reader.empty()
            for place in self._places.get(number, ()):
                if place in found:
                    whole[number].merge(found[place])
        if lacking := sum(not one.rows for one in whole.values()):
            self.notes.append(f"{lacking} of {len(numbers)} windows have nothing to be compared with: {self.title}")
        return whole

    def answers(self, reader: RowReader, table: Outcomes, numbers: Sequence[int]) -> Mapping[int, Answers]:
        """Those of the windows of the past that belong to each window."""
        windows, found = of_reference(reader.version, reader, self._rows, self._period, table)
        return {number: found[np.isin(windows, self._places.get(number, []))] for number in numbers}


@contextlib.contextmanager
def opened(
    asked: str, version: MonitoredVersion, rows: LiveRows, period: Period, *, memory: int
) -> Iterator[Reference]:
    """The reference that ``--reference`` asks for, while the block runs.

    Parameters
    ----------
    asked : one of ``WORDS``, or a table or a log as ``live.opened`` takes it.
    rows, period : those of the report.

    Raises
    ------
    PipelineError, ServingError
        if there is nothing to read, or the windows have no such past.
    """
    if asked == TRAINING:
        yield Reference()
    elif asked in WORDS:
        yield _earlier(asked, version, rows, period)
    else:
        with _other(asked, version, rows, memory) as other:
            yield other


@contextlib.contextmanager
def _other(asked: str, version: MonitoredVersion, live_rows: LiveRows, memory: int) -> Iterator[Reference]:
    with contextlib.ExitStack() as stack:
        try:
            of = None if usable_card(version, live_rows) else version.version
            rows = stack.enter_context(
                live.opened(asked, model=version.name, version=of, period=ALL, memory=memory, whole=True)
            )
        except PipelineError as error:
            words = ", ".join(WORDS)
            raise PipelineError(f"--reference: expected {words}, a table or a log; {error}") from None
        found = _of_any_version(version, rows, ALL) if of is None else rows
        compared = [item.name for item in version.inputs if live_rows.name_of(item.name)]
        if lacking := [name for name in compared if not found.name_of(name)]:
            raise PipelineError(
                f"--reference {url(asked)}: no column {listed(lacking)}, which the data have; it has "
                f"{listed(found.features)}"
            )
        yield OtherRows(found)


def _of_any_version(version: MonitoredVersion, rows: LiveRows, period: Period) -> LiveRows:
    return rows.of_any_version(
        version.name, period, [name for item in version.inputs if (name := rows.name_of(item.name))]
    )


def _earlier(kind: str, version: MonitoredVersion, rows: LiveRows, period: Period) -> Reference:
    _check(kind, period)
    assert period.window is not None
    numbers = rows.windows(period)
    reach = _reach(kind, period.window) // period.window + 1
    first, last = (numbers[0], numbers[-1]) if numbers else (0, 0)
    past = replace(period, since=period.begin(first - reach), until=period.begin(last + 1))
    # Answers of another version are none of this one's, so they have to be the scorecard's.
    of_one = rows.of_version(version.name, version.version)
    before = _of_any_version(version, rows, past) if usable_card(version, rows) else of_one
    places = _places(kind, numbers, before.windows(past), period)
    return EarlierWindows(kind, before, past, places)


def _check(kind: str, period: Period) -> None:
    """Refuse windows that have no such past."""
    if period.window is None:
        raise PipelineError(f"--reference {kind} goes with --window: a window is compared with earlier ones")
    most, word = {SAME_HOUR: (_HOUR, "an hour"), SAME_WEEKDAY: (_DAY, "a day")}.get(kind, (31 * _DAY, "31 days"))
    if kind != PREVIOUS and (period.window > most or (kind in _SEASONS and most % period.window)):
        whole = " that it is a multiple of" if kind in _SEASONS else ""
        raise PipelineError(f"--reference {kind} takes a --window of at most {word}{whole}")


def _reach(kind: str, window: int) -> int:
    """How long before a window an earlier one may be."""
    if kind == PREVIOUS:
        return _GAP * window
    return _MONTHS if kind == SAME_MONTH else _SEASONS[kind][1]


def _places(kind: str, numbers: Sequence[int], there: Sequence[int], period: Period) -> dict[int, list[int]]:
    """The windows that each one is compared with.

    Parameters
    ----------
    there : the numbers of all windows that have rows, in order.
    """
    window = period.window
    assert window is not None
    alike: dict[int, list[int]] = {}
    for place in there:
        alike.setdefault(_season(kind, place, period), []).append(place)
    reach = _reach(kind, window) // window
    # The last one of this season that is early enough; of a month that is one of another year.
    gap = _ANOTHER_YEAR // window if kind == SAME_MONTH else 1
    found = {}
    for number in numbers:
        same = alike.get(_season(kind, number, period), [])
        first, last = bisect_left(same, number - reach), bisect_right(same, number - gap)
        found[number] = same[first:last][-1:] if kind == PREVIOUS else same[first:last]
    return found


def _season(kind: str, number: int, period: Period) -> int:
    """What windows have to have in common: the hour, the hour of the week, or the month that their middle is in."""
    assert period.window is not None
    if kind == SAME_MONTH:
        return moment((period.begin(number) + period.begin(number + 1)) // 2).month
    return 0 if kind == PREVIOUS else number % (_SEASONS[kind][0] // period.window)
