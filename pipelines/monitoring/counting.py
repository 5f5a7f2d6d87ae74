"""Rows as they are counted: their columns, their scores and their answers, read once and in parts."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines import profile
from pipelines.evaluation.metrics import Answers
from pipelines.monitoring import answers as live_answers
from pipelines.monitoring import counts
from pipelines.monitoring.answers import AnswerCounts
from pipelines.monitoring.counts import ColumnCounts
from pipelines.monitoring.live import LiveRows
from pipelines.monitoring.version import MonitoredVersion
from pipelines.monitoring.windows import Period
from pipelines.score_sums import ScoreSums, part_rows, pooled
from registry.evidence.document import ScoreProfile
from serving.prediction_log.schema import PREDICTION, PROBABILITY
from serving.scorecard import Scorecard, frames
from serving.scorecard.contributions import Contributions
from serving.scorecard.inputs import Input

#: So many rows are read at a time where no scorecard says otherwise.
_ROWS = 100_000
#: At most so many rows, and so many values, choose the bins.
_SAMPLE, _VALUES = 100_000, 20_000_000


class RowCounts:
    """What is counted of some rows.

    Attributes
    ----------
    scores : of the rows; empty if the score is no sum of terms.
    """

    def __init__(self, columns: dict[str, ColumnCounts], answers: AnswerCounts, scores: list[ScoreProfile]) -> None:
        self.rows = 0
        self.columns, self.answers, self.scores = columns, answers, scores

    def compare_with(self, reference: "RowCounts") -> None:
        """Count from here on what is beyond the reference, too."""
        for name, column in self.columns.items():
            column.compare_with(reference.columns[name])

    def merge(self, other: "RowCounts") -> None:
        """Add other rows that were counted in the same bins."""
        self.rows += other.rows
        for name, column in self.columns.items():
            column.merge(other.columns[name])
        self.answers.merge(other.answers)
        self.scores = pooled(self.scores, other.scores)


def usable_card(version: MonitoredVersion, rows: LiveRows) -> Scorecard | None:
    """The version's scorecard, if it has one and the data have the columns that it needs."""
    card = version.card
    lacking = (item.name for item in version.inputs if not rows.name_of(item.name))
    return card if card and all(name in card.optional for name in lacking) else None


class RowReader:
    """Reads rows as the version does, and counts them.

    Parameters
    ----------
    names : the version's inputs that are compared.
    card : answers rows that have no answer with them; None if it cannot.
    terms : of its score; None if a column's share in it is not known.
    """

    def __init__(
        self,
        version: MonitoredVersion,
        names: Collection[str],
        card: Scorecard | None,
        terms: Contributions | None,
    ) -> None:
        self.card = card
        self.version, self._terms = version, terms
        self._inputs = [item for item in version.inputs if item.name in names]
        known = version.document.profile
        self._columns = {item.name: counts.of(item, known[item.name]) for item in self._inputs}
        self._answers = AnswerCounts(version, version.answers)

    def training(self) -> RowCounts:
        """What the evidence tells of the training rows, and of the answers to the held-out rows."""
        known, version = self.version.document.profile, self.version
        columns = {item.name: counts.of_training(item, known[item.name]) for item in self._inputs}
        found = RowCounts(columns, AnswerCounts.held_out(version), version.scores)
        found.rows = max((column.rows for column in columns.values()), default=0)
        return found

    def empty(self) -> RowCounts:
        """No rows."""
        columns = {name: column.empty() for name, column in self._columns.items()}
        return RowCounts(columns, self._answers.empty(), [])

    def choose_bins(self, rows: LiveRows, period: Period, only: Collection[int] | None = None) -> None:
        """Let the quantiles of some rows be the bins from here on."""
        wanted = self._wanted(rows, logged=self.card is None)
        most = min(_SAMPLE, _VALUES // max(len(wanted), 1))
        sample = rows.sample(period, wanted, most, only)
        if not len(sample):
            return
        known = self.version.document.profile
        found = profile.of(self.typed(rows, sample))
        self._columns = {item.name: counts.of(item, known[item.name], found[item.name]) for item in self._inputs}
        given = self.answered(rows, sample, logged=self.card is None)
        if given is not None and len(given[0]):
            self._answers = AnswerCounts(self.version, given[0])

    def count(
        self,
        rows: LiveRows,
        period: Period,
        only: Collection[int] | None = None,
        *,
        score: bool = False,
        reference: Mapping[int, RowCounts] | None = None,
    ) -> dict[int, RowCounts]:
        """Read the rows of a period once, and count them by window.

        Parameters
        ----------
        reference : what each window is compared with, by its number.
        score : whether the scorecard answers the rows though a log has answers, which may be another version's.
        """
        logged = self.is_answered(rows) and not (score and self.card)
        wanted = self._wanted(rows, logged=logged)
        found: dict[int, RowCounts] = {}
        sums: dict[int, ScoreSums] = {}
        for number, batch in rows.batches(period, wanted, part_rows(self._terms) if self._terms else _ROWS, only):
            if number not in found:
                found[number] = self.empty()
                if reference is not None:
                    found[number].compare_with(reference[number])
                if self._terms:
                    sums[number] = ScoreSums(self._terms)
            counted = found[number]
            counted.rows += len(batch)
            batch = _encoded(batch)
            table = self._raw(rows, batch)
            for name, column in counted.columns.items():
                column.add(table[name], self.version.cleaning)
            with np.errstate(all="ignore"):
                if number in sums:
                    sums[number].add(table)
                if (given := self.answered(rows, batch, logged=logged)) is not None:
                    counted.answers.add(*given)
        for number, of_window in sums.items():
            found[number].scores = of_window.profiles()
        return found

    def typed(self, rows: LiveRows, batch: pa.Table) -> pd.DataFrame:
        """The inputs as training reads them: float64 or text, missing and unreadable values as NaN."""
        table = self._raw(rows, batch)
        return pd.DataFrame({item.name: self._typed(item, table[item.name]) for item in self._inputs})

    def _typed(self, column: Input, raw: pa.ChunkedArray) -> pd.Series:
        refusals = frames.Refusals()
        read = frames.read(counts.lenient(column), raw, self.version.cleaning, refusals)
        if isinstance(read, frames.Coded):
            values = pd.Series(np.array(read.values, dtype=object)[read.codes], dtype="str")
        else:
            values = pd.Series(read, dtype="float64", copy=True)
        values[refusals.rows()] = np.nan
        return values

    def is_answered(self, rows: LiveRows) -> bool:
        """Whether the answers stand beside the rows: in a log, and in a table that no scorecard answers."""
        return rows.prediction and (rows.is_log or self.card is None)

    def answered(self, rows: LiveRows, batch: pa.Table, *, logged: bool) -> tuple[Answers, np.ndarray] | None:
        """The answers to some rows, and which rows have one; None if they are not known."""
        if logged:
            return live_answers.logged(self.version, batch) if rows.prediction else None
        return live_answers.scored(self.version, self.card, self._raw(rows, batch)) if self.card else None

    def answer_columns(self, rows: LiveRows) -> list[str]:
        """The columns of the answers that stand beside the rows."""
        return [PREDICTION, *(f"{PROBABILITY}{label}" for label in self.version.classes if str(label) in rows.labels)]

    def needed(self, rows: LiveRows, *, logged: bool) -> list[str]:
        """The columns that tell the answers."""
        return self.answer_columns(rows) if logged else list(self.names(rows).values())

    def _wanted(self, rows: LiveRows, *, logged: bool) -> list[str]:
        answers: Sequence[str] = self.answer_columns(rows) if logged and rows.prediction else ()
        return list(dict.fromkeys([*self.names(rows).values(), *answers]))

    def names(self, rows: LiveRows) -> dict[str, str]:
        """What the relation calls each input."""
        return {item.name: found for item in self._inputs if (found := rows.name_of(item.name))}

    def _raw(self, rows: LiveRows, batch: pa.Table) -> pa.Table:
        """The inputs by their own names."""
        names = self.names(rows)
        return batch.select(list(names.values())).rename_columns(list(names)).combine_chunks()


def _encoded(table: pa.Table) -> pa.Table:
    """A table with each text once, which is looked at several times."""
    for place, column in enumerate(table.columns):
        if pa.types.is_string(column.type):
            table = table.set_column(place, table.column_names[place], column.dictionary_encode())
    return table
