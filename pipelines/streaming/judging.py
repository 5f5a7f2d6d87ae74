"""What is measured of the rows of a table as they come in parts: answers, samples for profiles and pictures, groups."""

import copy
import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipelines import columns, profile
from pipelines.evaluation.groups import GroupNames, GroupSums
from pipelines.evaluation.value_counts import ValueCounts
from pipelines.planning import TrainingPlan
from pipelines.streaming.scan_sums import Scan
from pipelines.streaming.sides import HELD, Rows, SideCounts
from pipelines.streaming.tables import TableInParts
from pipelines.streaming.typed import Part, TypedReader
from registry.evidence.document import CategoryProfile, Fairness, NumberProfile
from registry.metrics import CodedAnswers
from serving.scorecard.inputs import Cleaning, Input


class CollectedAnswers:
    """Answers that come in parts.

    Parameters
    ----------
    rows : how many there will be.
    """

    def __init__(self, rows: int) -> None:
        self._filled, self._rows = 0, rows
        self._truth = np.empty(rows)
        self._numbers: np.ndarray | None = None

    def add(self, truth: np.ndarray, numbers: np.ndarray) -> None:
        """Add the truth of some rows, shape (n,), and predictions or probabilities, shape (n,) or (n, n_classes)."""
        if self._numbers is None:
            self._numbers = np.empty((self._rows, *numbers.shape[1:]))
        rows = slice(self._filled, self._filled + len(truth))
        self._truth[rows], self._numbers[rows] = truth, numbers
        self._filled = rows.stop

    def joined(self) -> tuple[np.ndarray, np.ndarray]:
        """The truth and the numbers of all."""
        assert self._numbers is not None
        return self._truth[: self._filled], self._numbers[: self._filled]


class ProfileSamples:
    """Values of the training rows for their profile: as many, and the same, as are taken of a table in memory."""

    def __init__(self, scan: Scan) -> None:
        self._summaries = [*scan.numbers, *([scan.target] if scan.target else [])]
        self._spreads = [profile.spread(each.count) for each in self._summaries]
        self._found: list[list[np.ndarray]] = [[] for _ in self._spreads]

    def begun(self, before: SideCounts) -> "ProfileSamples":
        """Fresh ones, of rows that begin behind so many."""
        other = copy.copy(self)
        seen = [*before.known, before.training][: len(self._spreads)]
        other._spreads = [spread.begun(rows) for spread, rows in zip(self._spreads, seen, strict=True)]
        other._found = [[] for _ in self._spreads]
        return other

    def merge(self, other: "ProfileSamples") -> None:
        """Add those of rows further on."""
        for own, theirs in zip(self._found, other._found, strict=True):
            own += theirs

    def add(self, part: Part) -> None:
        """Add training rows."""
        values = [*part.numbers, part.target][: len(self._spreads)]
        for column, spread, found in zip(values, self._spreads, self._found, strict=True):
            known = column[~np.isnan(column)]
            found.append(known[spread.next(len(known))].copy())

    def profiles(
        self, plan: TrainingPlan, reader: TypedReader, scan: Scan
    ) -> dict[str, NumberProfile | CategoryProfile]:
        """The profile of each input, and of the target."""
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


def joined(parts: list[Part]) -> Part:
    """The rows of all parts."""
    return Part(
        np.concatenate([part.numbers for part in parts], axis=1),
        np.concatenate([part.categories for part in parts], axis=1),
        np.concatenate([part.target for part in parts]),
    )


class SensitiveColumns:
    """The columns by which the metrics are broken down.

    Attributes
    ----------
    names : theirs.
    """

    def __init__(self, names: list[str], inputs: Mapping[str, Input], cleaning: Cleaning) -> None:
        self.names, self._inputs, self._cleaning = names, inputs, cleaning

    @classmethod
    def of(cls, plan: TrainingPlan, table: TableInParts) -> "SensitiveColumns":
        """Those of a plan, by the types that they have in the sample."""
        sample, names = table.sample, list(dict.fromkeys(plan.settings.roles.sensitive))
        inputs = {
            name: columns.infer(name, sample.columns[name], sample.cleaning, sample.marks_of(name)).as_input()
            for name in names
        }
        return cls(names, inputs, sample.cleaning)

    def values(self, rows: Rows) -> dict[str, pd.Series]:
        """Of the held-out rows, by column."""
        held = rows.side == HELD
        return {name: columns.convert(rows.raw[name], self._inputs[name], self._cleaning)[held] for name in self.names}

    def counted(self, rows: Rows) -> dict[str, pd.Series]:
        """How many of the held-out rows have each value, by column."""
        return {name: values.value_counts(dropna=False, sort=False) for name, values in self.values(rows).items()}


class SensitiveGroups:
    """The metrics of the groups of sensitive columns, whose names are found in a pass over these columns alone.

    Parameters
    ----------
    centre : see :class:`registry.metrics.MetricSums`.

    """

    def __init__(self, sensitive: SensitiveColumns, table: TableInParts, centre: float) -> None:
        counts = {name: ValueCounts() for name in sensitive.names}
        if counts:
            for found in table.mapped(sensitive.counted, label="looking at groups", more=sensitive.names):
                for name, each in found.items():
                    counts[name].add_counts(each)
        self._sums = {
            name: GroupSums(name, GroupNames.of_counts(seen.counts()), centre) for name, seen in counts.items()
        }

    def add(self, values: Mapping[str, pd.Series], answers: CodedAnswers) -> None:
        """Add the answers to held-out rows with their values of the sensitive columns."""
        for name, each in values.items():
            self._sums[name].add(answers, each)

    def fairness(self) -> list[Fairness]:
        """The metrics of each group."""
        return [sums.fairness() for sums in self._sums.values()]
