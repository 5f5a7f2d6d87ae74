"""One coefficient or importance with its interval."""

import math
from dataclasses import dataclass
from statistics import NormalDist

#: The name of the coefficient that belongs to no column.
INTERCEPT = "(intercept)"

#: The level of every interval.
LEVEL = 0.95
#: The quantiles at its ends.
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
#: The same of a normal distribution, in standard deviations.
NORMAL = NormalDist().inv_cdf(TAILS[1])


@dataclass(frozen=True)
class Coefficient:
    """How the score moves when one thing about a row changes.

    Parameters
    ----------
    class_label : the class whose score moves; None for a regressor.
    feature : what changes, for people: ``bmi``, ``sex = Male``, ``bill_length_mm missing``, ``(intercept)``.
    value : change of the score per unit of the raw column, or from "not so" to "so".
    low, high : 95 % interval, low <= value <= high; None where there is none.
    column : the raw column behind it; None for the intercept.
    deviation : standard deviation of the feature over the rows given, in the units of the raw column.
    error : standard error of the value; None where none is known.
    """

    class_label: object | None
    feature: str
    value: float
    low: float | None
    high: float | None
    column: str | None
    deviation: float
    error: float | None = None

    @property
    def z(self) -> float | None:
        """The value in standard errors; None where none is known."""
        return self.value / self.error if self.error else None

    @property
    def p(self) -> float | None:
        """The two-sided p of the value by the normal distribution (Wald 1943); None where no error is known."""
        return None if self.z is None else math.erfc(abs(self.z) / math.sqrt(2))

    @property
    def effect(self) -> float:
        """Change of the score per standard deviation of the feature: what makes features comparable."""
        return self.value * self.deviation


def ends(low: float, high: float) -> tuple[float | None, float | None]:
    """Both ends of an interval; None and None where one of them is not finite."""
    return (float(low), float(high)) if math.isfinite(low) and math.isfinite(high) else (None, None)


def known(number: float) -> float | None:
    """The number; None where it is not finite."""
    return float(number) if math.isfinite(number) else None
