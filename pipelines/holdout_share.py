"""How many of the rows are held out, and whether so few different rows can be split as they were asked to be.

Equal rows stay on one side, so that a hash does not hold out single rows but *units*: all rows of one key, id or group.
If each of k units of n_1, ..., n_k rows is held out with the probability p, the share of rows held out has the mean p
and the standard deviation sqrt(p (1 - p) sum(n_i^2)) / n: that of ``n_eff`` = n^2 / sum(n_i^2) rows which are held out
one by one, Kish's effective sample size (Kish, Survey Sampling, 1965).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from registry.cli.text import argument, listed
from registry.holdout import GROUP, ROW, TIME, HoldoutRule

# The share is far from the one asked for if they differ by more than this part of the smaller side: 15 or 25 % of the
# rows in place of 20 % change neither the model nor the width of an interval by much.
_FAR = 0.25
# And by more than this many standard deviations of rows held out one by one, which chance reaches in 3 of 1,000 splits.
_DEVIATIONS = 3
# Equal rows are to blame if they at least double the variance of the share; else the table has few rows.
_BLAMED = 0.5


@dataclass(frozen=True)
class HoldoutShare:
    """The share of rows that a rule holds out of a table.

    Parameters
    ----------
    sizes, held : how many rows each unit has, and whether it is held out; shape (n_units,).
    """

    rule: HoldoutRule
    sizes: np.ndarray
    held: np.ndarray

    @classmethod
    def of(cls, rule: HoldoutRule, units: np.ndarray, held: np.ndarray) -> "HoldoutShare":
        """The share of the rows of a table.

        Parameters
        ----------
        units, held : shape (n_rows,): the rows of one unit have one value; whether a row is held out.
        """
        codes, distinct = pd.factorize(units)
        chosen = np.zeros(len(distinct), dtype=bool)
        chosen[codes[held]] = True
        return cls(rule, np.bincount(codes, minlength=len(distinct)), chosen)

    @property
    def share(self) -> float:
        """The share of rows that are held out."""
        return float(self.sizes[self.held].sum() / self.sizes.sum())

    @property
    def doubtful(self) -> bool:
        """Whether the share is far from the one asked for, or could as well be, because units have many rows."""
        asked, rows = self.rule.share, self.sizes.sum()
        effective = rows**2 / (self.sizes.astype("float64") ** 2).sum()
        if effective > _BLAMED * rows:
            return False
        variance, far = asked * (1 - asked), _FAR * min(asked, 1 - asked)
        is_far = abs(self.share - asked) > max(far, _DEVIATIONS * np.sqrt(variance / rows))
        # The units are too few to promise any share: by chance it is that far off in every third split.
        is_coarse = self.rule.by != TIME and np.sqrt(variance / effective) > far
        return bool(is_far or is_coarse)

    def note(self, ids: Sequence[str]) -> str:
        """What a person should know of the share, and what to do about it.

        Parameters
        ----------
        ids : columns that have a value of its own in each row and are no features.
        """
        rule, units = self.rule, len(self.sizes)
        if rule.by == ROW:
            are, together = f"are {units:,} different", "equal rows"
        else:
            are, together = f"have {units:,} {rule.by}{'s'[: units != 1]}", f"rows of one {rule.by}"
        held, share = int(self.held.sum()), 100 * self.share
        return (
            f"the table's {self.sizes.sum():,} rows {are} (by {listed(rule.columns)}), and {together} stay on one "
            f"side: {held:,} of the {units:,}, {share:.0f} % of the rows, are held out, where "
            f"{100 * rule.share:.0f} % was asked for; {self._remedy(ids)}"
        )

    def _remedy(self, ids: Sequence[str]) -> str:
        if self.rule.by == TIME:
            return "give --time a column of finer times, or choose another --test-size"
        if self.rule.by == GROUP:
            return "give --group a column of more groups, or choose another --test-size"
        if ids:
            return f"--id {argument(ids[:1])} holds rows out one by one"
        return "to hold rows out one by one, add a column that numbers them and name it with --id"
