"""The checks of a column: its distribution, and the shares of missing, wild, unknown and unreadable values."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipelines.formatting import readable
from pipelines.monitoring import statistics
from pipelines.monitoring.checks import ALERT, OK, WindowCheck
from pipelines.monitoring.counts import CategoryCounts, ColumnComparison, NumberCounts
from registry.evidence.document import CategoryProfile, InputShare, NumberProfile, ScoreProfile
from registry.policy import MonitorRules


@dataclass(frozen=True)
class ScoreShift:
    """How the mean score moved because of some inputs.

    Parameters
    ----------
    label : the class that the score speaks for; None for a regression.
    inputs : whose terms.
    reference, live : the mean of their share of the score.
    moved : the change of the share's mean, or of its spread if that is larger, as a share of the score's standard
        deviation in the reference.
    """

    label: str | None
    inputs: tuple[str, ...]
    reference: float
    live: float
    moved: float

    @property
    def shift(self) -> float:
        """The change of the mean, in units of the score. Over all inputs they sum to that of the mean score."""
        return self.live - self.reference


def shifts(reference: Sequence[ScoreProfile], live: Sequence[ScoreProfile]) -> list[ScoreShift]:
    """How each input's share of each score moved, the strongest first; empty if the two are not of the same terms."""
    found = []
    for before, now in zip(reference, live, strict=False):
        if [share.inputs for share in before.shares] != [share.inputs for share in now.shares]:
            return []
        for old, new in zip(before.shares, now.shares, strict=True):
            label = None if before.label is None else str(before.label)
            moved = _moved(old, new, before.std)
            found.append(ScoreShift(label, tuple(old.inputs), old.mean, new.mean, moved))
    return sorted(found, key=lambda one: -abs(one.shift))


def _moved(old: InputShare, new: InputShare, std: float) -> float:
    change = max(abs(new.mean - old.mean), abs(new.std - old.std))
    return change / std if std > 0 else float(change > 0)


def checks(
    window: str, column: ColumnComparison, rules: MonitorRules, *, moved: float | None, alpha: float
) -> Iterator[WindowCheck]:
    """The checks of a column in one window.

    Parameters
    ----------
    moved : how far the column moves the score, see ``ScoreShift``; None if the model does not use it, or its score is
        no sum of terms.
    alpha : the probability at which a single test of the report is certain, for the smallest PSI that can be seen.
    """
    of, live = rules.of_column(column.name), column.live
    if of.ignore:
        return
    enough = live.rows >= rules.fewest and column.reference.rows > 0
    for kind, before, now in _shares(column):
        old, new = before[0] / max(before[1], 1), now[0] / max(now[1], 1)
        yield WindowCheck(
            window=window,
            kind=kind,
            subject=column.name,
            reference=old,
            live=new,
            effect=abs(new - old) if before[1] else 0.0,
            least=of.share,
            probability=statistics.shares(before, now),
            rows=now[1],
            unit="share",
            enough=enough and before[1] > 0,
        )
    if isinstance(live, NumberCounts) and isinstance(column.reference, NumberCounts) and column.reference.known:
        yield outside(window, column.name, column.reference, live, least=of.share, enough=enough).with_score(
            moved, of.score
        )
    known = int(live.histogram.sum())
    if column.reference.histogram.sum() and known >= rules.fewest:
        yield distribution(window, column.name, column, least=of.psi, alpha=alpha).with_score(moved, of.score)
    elif column.reference.histogram.sum() or not column.reference.rows:
        yield unseen(window, column.name, known, of.psi)


def lacking(
    window: str, name: str, profile: NumberProfile | CategoryProfile, rows: int, rules: MonitorRules
) -> WindowCheck:
    """The check of a column that a table does not have: all of its values are missing, which is no matter of chance."""
    of, before = rules.of_column(name), profile.missing / max(profile.count, 1)
    return WindowCheck(
        window=window,
        kind="missing",
        subject=name,
        reference=before,
        live=1.0,
        effect=1.0 - before,
        least=of.share,
        probability=None,
        rows=rows,
        unit="share",
        verdict=ALERT if 1.0 - before >= of.share and not of.ignore else OK,
    )


def _shares(column: ColumnComparison) -> Iterator[tuple[str, tuple[int, int], tuple[int, int]]]:
    before, now = column.reference, column.live
    yield "missing", (before.missing, before.rows), (now.missing, now.rows)
    if now.unreadable:
        yield "unreadable", (before.unreadable, before.rows), (now.unreadable, now.rows)
    if isinstance(now, CategoryCounts) and isinstance(before, CategoryCounts) and now.unseen is not None:
        yield "unknown", (before.unseen or 0, before.known), (now.unseen, now.known)


def outside(
    window: str, subject: str, reference: NumberCounts, live: NumberCounts, *, least: float, enough: bool
) -> WindowCheck:
    """The check of the live values that are less than all of the reference, or larger.

    They are large if there are many, or if the column moves the score: a wrong unit in one row of a hundred does.
    """
    count = live.below + live.above
    share = count / max(live.known, 1)
    sides = ((live.below, "below", reference.least), (live.above, "above", reference.most))
    return WindowCheck(
        window=window,
        kind="outside",
        subject=subject,
        reference=0.0,
        live=share,
        effect=share,
        least=least,
        probability=statistics.beyond(reference.known, live.known, count),
        rows=live.known,
        unit="share",
        remark=", ".join(f"{number:,} {side} {readable(end)}" for number, side, end in sides if number),
        enough=enough,
        either=True,
    )


def distribution(window: str, subject: str, column: ColumnComparison, *, least: float, alpha: float) -> WindowCheck:
    """The check of a histogram; for the other parameters see :func:`checks`."""
    before, now, _ = column.merged()
    bins, reference, live = len(before), int(before.sum()), int(now.sum())
    chance = statistics.psi_by_chance(reference, live, bins)
    return WindowCheck(
        window=window,
        kind="distribution",
        subject=subject,
        reference=None,
        live=None,
        # What two samples of one distribution differ by is no effect.
        effect=max(statistics.psi(before, now) - chance, 0.0),
        least=least,
        probability=statistics.difference(
            column.reference.histogram, column.live.histogram, ordered=column.live.ordered
        ),
        rows=live,
        unit="PSI",
        detectable=max(statistics.psi_within_chance(reference, live, max(bins, 2), alpha) - chance, 0.0),
    )


def unseen(window: str, subject: str, rows: int, least: float) -> WindowCheck:
    """The check of a histogram of too few rows."""
    return WindowCheck(
        window=window,
        kind="distribution",
        subject=subject,
        reference=None,
        live=None,
        effect=0.0,
        least=least,
        probability=1.0,
        rows=rows,
        unit="PSI",
        enough=False,
    )
