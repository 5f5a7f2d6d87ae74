"""What is measured of the rows of a table as they come in parts: answers, samples for profiles and pictures, groups."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines import columns, profile
from pipelines.evaluation.groups import GroupNames, GroupSums
from pipelines.planning import TrainingPlan
from pipelines.streaming.scan import HELD, Scan, StreamedTable
from pipelines.streaming.typed import Part
from registry.evidence.document import CategoryProfile, Fairness, NumberProfile
from registry.metrics import CodedAnswers
from serving.scorecard.inputs import Input


class Spread:
    """Every so many-th of rows that come in parts: evenly spread over all of them.

    Parameters
    ----------
    rows : how many there will be.
    most : how many are chosen of more.

    Attributes
    ----------
    count : how many will be chosen.
    """

    def __init__(self, rows: int, most: int) -> None:
        self._step = max(-(-rows // most), 1)
        self.count = -(-rows // self._step)
        self._seen = 0

    def next(self, rows: int) -> slice:
        """Those of the next rows, a part of so many."""
        chosen = slice(-self._seen % self._step, None, self._step)
        self._seen += rows
        return chosen


class CollectedAnswers:
    """Answers that come in parts, evenly spread over all of them.

    Parameters
    ----------
    rows : how many there will be.
    most : how many are kept of more.
    """

    def __init__(self, rows: int, most: int) -> None:
        self._spread = Spread(rows, most)
        self._filled = 0
        self._truth = np.empty(self._spread.count)
        self._numbers: np.ndarray | None = None

    def add(self, truth: np.ndarray, numbers: np.ndarray) -> None:
        """Add the truth of some rows, shape (n,), and predictions or probabilities, shape (n,) or (n, n_classes)."""
        chosen = self._spread.next(len(truth))
        if self._numbers is None:
            self._numbers = np.empty((self._spread.count, *numbers.shape[1:]))
        rows = slice(self._filled, self._filled + len(truth[chosen]))
        self._truth[rows], self._numbers[rows] = truth[chosen], numbers[chosen]
        self._filled = rows.stop

    def joined(self) -> tuple[np.ndarray, np.ndarray]:
        """The truth and the numbers of those that were kept."""
        assert self._numbers is not None
        return self._truth[: self._filled], self._numbers[: self._filled]


class ProfileSamples:
    """Values of the training rows for their profile: as many, and the same, as are taken of a table in memory."""

    def __init__(self, table: StreamedTable, scan: Scan) -> None:
        self._table, self._scan = table, scan
        self._summaries = [*scan.numbers, *([scan.target] if scan.target else [])]
        self._steps = [max(profile.step(each.count), 1) for each in self._summaries]
        self._seen = [0] * len(self._steps)
        self._found: list[list[np.ndarray]] = [[] for _ in self._steps]

    def add(self, part: Part) -> None:
        """Add training rows."""
        values = [*part.numbers, *([part.target] if self._scan.target else [])]
        for place, (column, step) in enumerate(zip(values, self._steps, strict=True)):
            known = column[~np.isnan(column)]
            self._found[place].append(known[-self._seen[place] % step :: step].copy())
            self._seen[place] += len(known)

    def profiles(self, plan: TrainingPlan) -> dict[str, NumberProfile | CategoryProfile]:
        """The profile of each input, and of the target."""
        reader, scan = self._table.reader, self._scan
        found: dict[str, NumberProfile | CategoryProfile] = {}
        names = [item.name for item in reader.numbers] + ([plan.dataset.target_name] if scan.target else [])
        for name, summary, values in zip(names, self._summaries, self._found, strict=True):
            known = summary.count > 0
            found[name] = profile.of_numbers(
                summary.count + summary.missing,
                summary.missing,
                np.concatenate(values) if values else np.zeros(0),
                summary.mean if known else None,
                math.sqrt(summary.variance) if known else None,
                (summary.least, summary.most) if known else (None, None),
            )
        for item, levels, counts in zip(reader.categories, reader.levels, scan.counts, strict=True):
            texts = pd.Series(counts[1:], index=levels.texts[1 : len(counts)])
            found[item.name] = profile.of_texts(
                int(counts.sum()), int(counts[0]), texts[texts > 0].sort_values(ascending=False)
            )
        if scan.labels is not None:
            labels = pd.Series(plan.dataset.classes).map(str)
            counts = pd.Series(scan.labels[0], index=labels).sort_values(ascending=False)
            found[plan.dataset.target_name] = profile.of_texts(scan.training, 0, counts)
        order = [*(item.name for item in plan.dataset.inputs), plan.dataset.target_name]
        return {name: found[name] for name in order}


class SampledRows:
    """Held-out rows, evenly spread over all of them.

    Parameters
    ----------
    rows : how many there will be.
    most : how many are kept of more.
    """

    def __init__(self, rows: int, most: int) -> None:
        self._spread = Spread(rows, most)
        self._parts: list[Part] = []

    def add(self, part: Part) -> None:
        """Add held-out rows."""
        self._parts.append(part.take(np.arange(len(part))[self._spread.next(len(part))]))

    def joined(self) -> Part:
        """All of them."""
        return Part(
            np.concatenate([part.numbers for part in self._parts], axis=1),
            np.concatenate([part.categories for part in self._parts], axis=1),
            np.concatenate([part.target for part in self._parts]),
        )


class SensitiveGroups:
    """The metrics of the groups of sensitive columns, whose names are found in a pass over these columns alone.

    Parameters
    ----------
    centre : see :class:`registry.metrics.MetricSums`.

    Attributes
    ----------
    columns : the names of the sensitive columns.
    """

    def __init__(self, plan: TrainingPlan, table: StreamedTable, centre: float) -> None:
        sample = table.sample
        self.columns = list(dict.fromkeys(plan.settings.roles.sensitive))
        self._cleaning = sample.cleaning
        self._inputs: dict[str, Input] = {
            name: columns.infer(name, sample.columns[name], sample.cleaning, sample.marks_of(name)).as_input()
            for name in self.columns
        }
        self._sums = {
            name: GroupSums(name, GroupNames.of_all(self._held(name, table)), centre) for name in self.columns
        }

    def _held(self, name: str, table: StreamedTable) -> Iterator[pd.Series]:
        return table.mapped(
            lambda raw, part, side: self._values(name, raw, side == HELD), label="looking at groups", more=[name]
        )

    def _values(self, name: str, raw: pa.Table, rows: np.ndarray) -> pd.Series:
        return columns.convert(raw[name], self._inputs[name], self._cleaning)[rows]

    def add(self, raw: pa.Table, rows: np.ndarray, answers: CodedAnswers) -> None:
        """Add the answers to held-out rows of a raw part, by a mask."""
        for name, sums in self._sums.items():
            sums.add(answers, self._values(name, raw, rows))

    def fairness(self) -> list[Fairness]:
        """The metrics of each group."""
        return [sums.fairness() for sums in self._sums.values()]
