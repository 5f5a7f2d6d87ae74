"""How many rows have each value of a column that comes in parts."""

import pandas as pd

# Counts of parts are merged when there are so many of them that those before take no longer to be merged again.
_FEWEST = 100_000


class ValueCounts:
    """Counts of the values so far, missing ones too; an integer or two for each different value are kept."""

    def __init__(self) -> None:
        self._merged = pd.Series(dtype="int64")
        self._waiting: list[pd.Series] = []

    def add(self, values: pd.Series) -> None:
        """Add a part, shape (n_rows,)."""
        self.add_counts(values.value_counts(dropna=False, sort=False))

    def add_counts(self, counts: pd.Series) -> None:
        """Add how many rows of a part have each value, by the value."""
        self._waiting.append(counts)
        if sum(map(len, self._waiting)) > max(len(self._merged), _FEWEST):
            self._merge()

    def __len__(self) -> int:
        """How many different values there are, as far as they are merged."""
        return len(self._merged)

    def counts(self) -> pd.Series:
        """How many rows have each value, by the value."""
        self._merge()
        return self._merged

    def _merge(self) -> None:
        parts = [part for part in (self._merged, *self._waiting) if len(part)]
        if len(parts) > 1:
            self._merged = pd.concat(parts).groupby(level=0, dropna=False, sort=False).sum()
        elif parts:
            self._merged = parts[0]
        self._waiting.clear()
