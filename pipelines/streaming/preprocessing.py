"""The features of a scan as a fitted ColumnTransformer, and the matrix that it makes of a part."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer

from pipelines import features
from pipelines.streaming.scan_sums import Scan
from pipelines.streaming.summaries import NumberSummary
from pipelines.streaming.typed import Levels, Part
from serving.scorecard.inputs import CATEGORY, Input

_CACHED_ROWS = 1024


def fitted(inputs: Sequence[Input], scan: Scan, levels: Sequence[Levels]) -> ColumnTransformer:
    """The transformer that :func:`features.build` makes, as if it had been fitted on all training rows.

    It is fitted on a small table that has the same missing values and the same rare categories, and then told the
    medians, means and scales of all rows.
    """
    numbers = [item.name for item in inputs if item.type != CATEGORY]
    categories = [item.name for item in inputs if item.type == CATEGORY]
    small: dict[str, pd.Series] = {}
    texts = [_known(each.texts, counts) for each, counts in zip(levels, scan.counts, strict=True)]
    # Where each of 100 texts has its hundredth of the rows, these are to be whole hundreds.
    rows = 100 * math.ceil(max([2, *(_rows_needed(counts) for _, counts in texts)]) / 100)
    while features.RARE * rows > rows // 100:
        rows += 100
    for name, (known, counts) in zip(categories, texts, strict=True):
        small[name] = pd.Series(_small(known, counts, rows), dtype="str")
    for name, summary in zip(numbers, scan.numbers, strict=True):
        values = np.zeros(rows)
        values[0] = np.nan if summary.missing else 0.0
        small[name] = pd.Series(values)
    transformer = features.build(inputs).fit(pd.DataFrame(small)[[item.name for item in inputs]])
    if numbers:
        _told(transformer.named_transformers_["numbers"], scan)
    return transformer


def _known(texts: Sequence[str | None], counts: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The different texts of the training rows with their counts; a missing one is called as the imputer calls it."""
    found: dict[str, int] = {}
    for text, count in zip(texts, counts.tolist(), strict=False):
        if count:
            name = features.MISSING if text is None else text
            found[name] = found.get(name, 0) + count
    return list(found), np.array(list(found.values()), dtype="int64")


def _is_rare(counts: np.ndarray) -> np.ndarray:
    return counts < features.RARE * counts.sum()


def _rows_needed(counts: np.ndarray) -> int:
    """From how many rows on a table can have these texts, the same ones rare."""
    rare = int(_is_rare(counts).sum())
    often = len(counts) - rare
    share = 1 - features.RARE * often
    if not often:  # all alike often
        return max(rare, math.ceil(rare / (features.RARE * rare - 1)) + 1)
    if not rare:
        return often
    # One row of each rare text; of the others, alike often, each has its share.
    return max(math.floor(1 / features.RARE) + 1, math.ceil((rare + often) / share) + 1)


def _small(texts: Sequence[str], counts: np.ndarray, rows: int) -> np.ndarray:
    """So many rows of the texts, in which the same ones are rare."""
    rare = _is_rare(counts)
    often = np.flatnonzero(~rare) if not rare.all() else np.flatnonzero(rare)
    once = np.flatnonzero(rare)
    return np.array(texts, dtype=object)[np.concatenate([once, np.resize(often, rows - len(once))])]


def _told(numbers, scan: Scan) -> None:
    """Give the steps of a fitted pipeline of numbers the statistics of all training rows."""
    imputer, scaler = numbers.named_steps["impute"], numbers.named_steps["scale"]
    imputer.statistics_ = np.array(scan.medians)
    filled = [_filled(each, median) for each, median in zip(scan.numbers, scan.medians, strict=True)]
    gaps = imputer.indicator_.features_ if imputer.indicator_ is not None else []
    rows = scan.training
    shares = [scan.numbers[place].missing / rows for place in gaps]
    mean = np.array([mean for mean, _ in filled] + shares)
    variance = np.array([variance for _, variance in filled] + [share * (1 - share) for share in shares])
    scaler.mean_, scaler.var_, scaler.n_samples_seen_ = mean, variance, np.int64(rows)
    # As scikit-learn tells a constant column: its variance is what rounding makes of nothing.
    eps = np.finfo("float64").eps
    constant = variance <= rows * eps * variance + (rows * mean * eps) ** 2
    scaler.scale_ = np.where(constant | (variance == 0), 1.0, np.sqrt(variance))


def _filled(column: NumberSummary, median: float) -> tuple[float, float]:
    """Mean and variance of a column whose missing values are its median."""
    rows = column.count + column.missing
    share = column.missing / rows
    away = median - column.mean if column.missing else 0.0
    variance = (1 - share) * column.variance + share * (1 - share) * away**2
    return column.mean + share * away, variance


class Design:
    """Makes the matrix of a part that a fitted transformer would make of its table: equal to the last bit.

    Attributes
    ----------
    width : how many columns it has.
    """

    def __init__(self, transformer: ColumnTransformer, inputs: Sequence[Input], levels: Sequence[Levels]) -> None:
        self._levels = levels
        self._gaps: np.ndarray = np.zeros(0, dtype="intp")
        self._fill = self._mean = self._scale = np.zeros(0)
        if "numbers" in transformer.named_transformers_:
            steps = transformer.named_transformers_["numbers"].named_steps
            self._fill = steps["impute"].statistics_
            if steps["impute"].indicator_ is not None:
                self._gaps = steps["impute"].indicator_.features_
            self._mean, self._scale = steps["scale"].mean_, steps["scale"].scale_
        self._categories = [item.name for item in inputs if item.type == CATEGORY]
        self._encoder = transformer.named_transformers_.get("categories")
        self._places = [np.zeros(0, dtype="intp") for _ in levels]
        self.width = len(self._mean) + (len(self._encoder.get_feature_names_out()) if self._encoder else 0)

    def matrix(self, part: Part) -> np.ndarray:
        """Shape (n_rows, width), float64, C order."""
        numbers, columns = len(self._fill), len(self._mean)
        values = part.numbers
        gaps = np.isnan(values)
        if gaps.any():
            values = np.where(gaps, self._fill[:, None], values)
        found = np.zeros((len(part), self.width))
        # Rows by the thousand: a column of few rows is written within the cache.
        for start in range(0, len(part), _CACHED_ROWS):
            rows = slice(start, start + _CACHED_ROWS)
            block = found[rows, :columns]
            block[:, :numbers] = values[:, rows].T
            if len(self._gaps):
                block[:, numbers:] = gaps[self._gaps, rows].T
            block -= self._mean
            block /= self._scale
        if self._encoder is not None:
            self._see_levels()
            for places, codes in zip(self._places, part.categories, strict=True):
                chosen = places[codes]
                known = np.flatnonzero(chosen >= 0)
                found[known, chosen[known]] = 1.0
        return found

    def _see_levels(self) -> None:
        """Ask the encoder for the column of each level that is new; -1 of one that training never saw."""
        if all(len(places) == len(each.texts) for places, each in zip(self._places, self._levels, strict=True)):
            return
        count = max(len(each.texts) for each in self._levels)
        table = pd.DataFrame(
            {
                name: pd.Series([*each.texts, *[None] * (count - len(each.texts))], dtype="str")
                for name, each in zip(self._categories, self._levels, strict=True)
            }
        )
        hot = self._encoder.transform(table).tocsc()
        start = 0
        for place, (each, width) in enumerate(zip(self._levels, self._widths(), strict=True)):
            columns = np.full(count, -1, dtype="intp")
            for column in range(start, start + width):
                columns[hot.indices[hot.indptr[column] : hot.indptr[column + 1]]] = column + len(self._mean)
            self._places[place] = columns[: len(each.texts)]
            start += width

    def _widths(self) -> list[int]:
        encoder = self._encoder.named_steps["encode"]
        rare = encoder.infrequent_categories_
        return [
            len(categories) - (0 if few is None else len(few) - 1)
            for categories, few in zip(encoder.categories_, rare, strict=True)
        ]

    def frame(self, part: Part, inputs: Sequence[Input]) -> pd.DataFrame:
        """The rows as the features of a table in memory."""
        numbers = iter(part.numbers)
        categories = iter(zip(self._levels, part.categories, strict=True))
        found = {}
        for item in inputs:
            if item.type == CATEGORY:
                levels, codes = next(categories)
                found[item.name] = levels.series(codes)
            else:
                found[item.name] = pd.Series(next(numbers), copy=False)
        return pd.DataFrame(found, copy=False)
