"""One test of a report, and the verdict on it: certain, and large enough to matter."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipelines.monitoring.statistics import holm

#: Verdicts. ``SMALL`` is certain and below the stated effect; ``HARMLESS`` is large and does not move the score.
OK, SMALL, HARMLESS, TOO_FEW, ALERT = "ok", "small", "harmless", "too few rows", "alert"


@dataclass(frozen=True)
class WindowCheck:
    """A comparison of one window with the reference.

    Parameters
    ----------
    window : the window's name.
    kind : what is compared: ``distribution``, ``missing``, ``outside``, ``unknown``, ``unreadable``, ...
    subject : the column, or ``prediction``.
    reference, live : the two values; None for a whole distribution.
    effect, least : how large the change is, and how large it has to be: a PSI, a difference of shares.
    probability : of such a change by chance; None of a rule that was checked, which has its verdict already.
    rows : how many live rows it is of.
    unit : of the effect: ``PSI``, ``points``, ``share``.
    detectable : the smallest PSI that so few rows could show; None if that was not computed.
    moved, least_moved : how far the column moves the score, and how far it has to, as a share of the score's standard
        deviation in the reference; None if the check does not ask.
    either : whether it is large if the column moves the score, however small the effect is.
    remark : what else a person should know: the groups of a gap.
    verdict : see this module.
    """

    window: str
    kind: str
    subject: str
    reference: float | None
    live: float | None
    effect: float
    least: float
    probability: float | None
    rows: int
    unit: str
    detectable: float | None = None
    moved: float | None = None
    least_moved: float | None = None
    either: bool = False
    remark: str = ""
    enough: bool = True
    certain: bool = False
    verdict: str = OK

    @property
    def tested(self) -> bool:
        """Whether it is a test of its own, and so counts for the rate of false alarms."""
        return self.enough and self.probability is not None

    @property
    def large(self) -> bool:
        """Whether the change is at least as large as the effect that matters."""
        return self.effect >= self.least or (self.either and self.moves is True)

    @property
    def moves(self) -> bool | None:
        """Whether the column moves the score; None if the check does not ask."""
        return None if self.moved is None or self.least_moved is None else self.moved >= self.least_moved

    def with_score(self, moved: float | None, least: float) -> "WindowCheck":
        """The check of a column that moves the score so far; ``moved`` is None if it is not to be asked."""
        return self if moved is None else replace(self, moved=moved, least_moved=least)


def judged(checks: Sequence[WindowCheck], rate: float) -> list[WindowCheck]:
    """The checks with their verdicts.

    Parameters
    ----------
    checks : all of a report.
    rate : the probability that a report has a false alarm at all (by Holm's procedure).
    """
    tested = [(id(check), check.probability) for check in checks if check.tested and check.probability is not None]
    certain = dict(zip([place for place, _ in tested], holm([chance for _, chance in tested], rate), strict=True))
    return [_judged(check, certain.get(id(check), False)) for check in checks]


def _judged(check: WindowCheck, certain: bool) -> WindowCheck:
    if not check.enough:
        return replace(check, verdict=TOO_FEW)
    if not check.tested:
        return check
    verdict = OK
    if certain:
        verdict = ALERT if check.large else SMALL if check.effect > 0 else OK
        if verdict == ALERT and not check.either and check.moves is False:
            verdict = HARMLESS
    return replace(check, certain=certain, verdict=verdict)


def persisting(checks: Sequence[WindowCheck], windows: Sequence[str], k: int, n: int) -> list[WindowCheck]:
    """The alerts of those comparisons that alert in at least ``k`` of the ``n`` windows that end with theirs.

    So the first window of a change is none yet, whatever comes after it. Alerts of rules count at once, and those of
    several windows together.

    Parameters
    ----------
    windows : the names of all windows with rows, in order.
    """
    alerts = [check for check in checks if check.verdict == ALERT]
    if k <= 1:
        return alerts
    places = {name: place for place, name in enumerate(windows)}
    of: dict[tuple[str, str], list[int]] = {}
    for check in alerts:
        if check.tested and check.window in places:
            of.setdefault((check.kind, check.subject), []).append(places[check.window])

    def persists(check: WindowCheck) -> bool:
        if not check.tested or check.window not in places:
            return True
        number, others = places[check.window], of[check.kind, check.subject]
        return sum(number - n < other <= number for other in others) >= k

    return [check for check in alerts if persists(check)]


@dataclass(frozen=True)
class Alert:
    """What alerts, in one window or in several.

    Parameters
    ----------
    checks : those that alert, of one comparison, in the order of their windows.
    """

    checks: tuple[WindowCheck, ...]

    @property
    def worst(self) -> WindowCheck:
        """The one with the largest effect."""
        return max(self.checks, key=lambda check: check.effect)

    @property
    def last(self) -> WindowCheck:
        """That of the newest window."""
        return self.checks[-1]


def by_comparison(alerts: Sequence[WindowCheck], newest: str) -> list[Alert]:
    """Alerts by what they are of: those of the newest window first, then those of most windows.

    Parameters
    ----------
    newest : the name of the last window.
    """
    found: dict[tuple[str, str], list[WindowCheck]] = {}
    for check in alerts:
        found.setdefault((check.kind, check.subject), []).append(check)
    of = [Alert(tuple(checks)) for checks in found.values()]
    return sorted(of, key=lambda alert: (alert.last.window != newest, -len(alert.checks)))
