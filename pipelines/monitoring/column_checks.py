"""The checks of a column: its distribution, and the shares of missing, unknown and unreadable values."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipelines.monitoring import statistics
from pipelines.monitoring.checks import WindowCheck
from pipelines.monitoring.counts import CategoryCounts, ColumnCounts
from registry.evidence.document import InputShare, ScoreProfile
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
    window: str, counts: ColumnCounts, rules: MonitorRules, *, moved: float | None, alpha: float
) -> Iterator[WindowCheck]:
    """The checks of a column in one window.

    Parameters
    ----------
    moved : how far the column moves the score, see ``ScoreShift``; None if the model does not use it, or its score is
        no sum of terms.
    alpha : the probability at which a single test of the report is certain, for the smallest PSI that can be seen.
    """
    of = rules.of_column(counts.name)
    if of.ignore:
        return
    enough = counts.rows >= rules.fewest
    for kind, before, now in _shares(counts):
        if not before[1]:
            continue
        old, new = before[0] / before[1], now[0] / max(now[1], 1)
        yield WindowCheck(
            window=window,
            kind=kind,
            subject=counts.name,
            reference=old,
            live=new,
            effect=abs(new - old),
            least=of.share,
            probability=statistics.shares(before, now),
            rows=now[1],
            unit="share",
            enough=enough,
        )
    known = int(counts.live.sum())
    if counts.reference.sum() and known >= rules.fewest:
        yield distribution(window, counts.name, counts, least=of.psi, alpha=alpha).with_score(moved, of.score)
    elif counts.reference.sum():
        yield _unseen(window, counts.name, known, of.psi)


def _shares(counts: ColumnCounts) -> Iterator[tuple[str, tuple[int, int], tuple[int, int]]]:
    total, missing = counts.profile.count, counts.profile.missing
    yield "missing", (missing, total), (counts.missing, counts.rows)
    if counts.unreadable:
        yield "unreadable", (0, total), (counts.unreadable, counts.rows)
    if isinstance(counts, CategoryCounts) and counts.unseen is not None:
        yield "unknown", (0, total - missing), (counts.unseen, counts.known)


def distribution(window: str, subject: str, counts: ColumnCounts, *, least: float, alpha: float) -> WindowCheck:
    """The check of a histogram; for the other parameters see :func:`checks`."""
    before, now, _ = counts.merged()
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
        probability=statistics.difference(counts.reference, counts.live, ordered=counts.ordered),
        rows=live,
        unit="PSI",
        detectable=max(statistics.psi_within_chance(reference, live, max(bins, 2), alpha) - chance, 0.0),
    )


def _unseen(window: str, subject: str, rows: int, least: float) -> WindowCheck:
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
