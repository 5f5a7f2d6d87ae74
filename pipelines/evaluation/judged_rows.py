"""The rows of a table that a version is judged on, and what is true of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipelines.errors import PipelineError
from pipelines.evaluation.asking import Version
from pipelines.evaluation.judged_table import JudgedTable
from pipelines.evaluation.truth import UNKNOWN, Truth
from pipelines.evaluation.version_split import VersionSplit, key_columns
from pipelines.sources import Table
from registry.holdout import GIVEN, TIME, HoldoutRule
from serving.scorecard.inputs import InputError

#: Which rows of a table are judged: ``auto`` is ``holdout`` where the version was trained on rows of it, else ``all``.
ROWS = ("auto", "all", "holdout")

# What is noted of each row, as bits of a byte: it has a value of the target; this version and the other one held it
# out. What is true of rows is true of all that have the same side.
_KNOWN, _OURS, _THEIRS = 1, 2, 4
_SIDES = np.arange(8)


@dataclass(frozen=True)
class JudgedPart:
    """Some of the rows that are judged.

    Parameters
    ----------
    table : the rows.
    places : shape (n_rows,): of each row in the whole table.
    keys, truth : shape (n_rows,): each row's key, and its number or label.
    unseen : shape (n_rows,): which of them neither version was trained on, as far as that is known or declared.
    """

    table: Table
    places: np.ndarray
    keys: np.ndarray
    truth: np.ndarray
    unseen: np.ndarray


@dataclass(frozen=True)
class JudgedRows:
    """The rows of a table that are judged.

    Parameters
    ----------
    count : how many there are.
    rule : what the keys are made of: the candidate's own rule where it has one.
    labels : of a classification, how many of them each class has; shape (n_classes,).
    mean : of a regression, the mean of their truth.
    declared : that the version was not trained on these rows is declared by the user, and nothing else tells.
    notes : what a person should know.
    """

    table: JudgedTable
    truth: Truth
    count: int
    rule: HoldoutRule
    labels: np.ndarray
    mean: float
    declared: bool
    notes: tuple[str, ...]
    _judged: np.ndarray
    _unseen: np.ndarray
    _folder: Path

    def parts(self, names: Sequence[str], label: str) -> Iterator[JudgedPart]:
        """The rows, part by part.

        Parameters
        ----------
        names : of further columns that are wanted.
        label : what is done with them, for the progress bar.
        """
        first = 0
        with _sides(self._folder).open("rb") as sides, _keys(self._folder).open("rb") as keys:
            for part in self.table.parts([self.truth.target, *names], label):
                rows = part.columns.num_rows
                side = np.frombuffer(sides.read(rows), dtype="uint8")
                key = np.frombuffer(keys.read(8 * rows), dtype="uint64")
                chosen = np.flatnonzero(self._judged[side])
                if len(chosen):
                    if len(chosen) < rows:
                        part, side, key = part.rows(chosen), side[chosen], key[chosen]
                    yield JudgedPart(part, first + chosen, key, self._truth_of(part), self._unseen[side])
                first += rows

    def _truth_of(self, part: Table) -> np.ndarray:
        values = self.truth.values(part)
        if self.truth.classes:
            return self.truth.labels(self.truth.codes(values)[0])
        return values.to_numpy(dtype="float64")


def choose(
    table: JudgedTable,
    version: Version,
    other: Version | None,
    *,
    which: str,
    target: str,
    folder: Path,
    declared: bool = False,
) -> JudgedRows:
    """Choose the rows: read each of them once.

    Parameters
    ----------
    other : the version that is judged beside, on the same rows.
    which : one of ``ROWS``.
    target : the column that holds the truth.
    folder : for what is noted of each row.
    declared : the user declares that no version was trained on these rows of which that cannot be told.

    Raises
    ------
    Contradiction
        if rows are not of the types that the sample of a table has.
    PipelineError
        where there are none, the truth is nothing that the version could answer, or the declaration is known to be
        wrong or needless.
    """
    truth = Truth.find(table.sample, target, version)
    if not truth.text:
        table = table.typed_by_sample([*table.sample.types, target])
    ours = VersionSplit.of(table, version, _OURS)
    theirs = VersionSplit.of(table, other, _THEIRS) if other else None
    for split in (ours, theirs):
        if split and which == "holdout" and not split.tells:
            raise PipelineError(
                f"--rows holdout: {split.title} does not tell which of them it held out; use --rows all"
            )
    counts = _Counts(table, truth, ours, theirs)
    counts.count(folder)
    seen = counts.sides
    notes = []
    if absent := int(seen[_SIDES & _KNOWN == 0].sum()):
        notes.append(f"{absent} rows without a value of {target!r} are left out")
    if declared:
        _check_declared([ours, theirs] if theirs else [ours])
    judged = (_SIDES & _KNOWN > 0) & _allowed(ours, counts, which, notes, declared=declared)
    unseen, named = np.zeros(len(_SIDES), dtype=bool), counts.named
    if theirs:
        judged &= _allowed(theirs, counts, which, notes, declared=declared)
        unseen = _unseen(ours, declared) & _unseen(theirs, declared)
    count = int(seen[judged].sum())
    if count < 2:
        raise PipelineError(
            f"expected rows to judge, found {count} of {table.rows} "
            f"({'; '.join(notes) or 'none is held out'}); give more rows, or --rows all"
        )
    if unknown := sorted(label for label, sides in counts.unknown.items() if judged[list(sides)].any()):
        raise truth.unknown(unknown, version)
    rule = named.rule
    if version.registered.rule is None:
        rule = HoldoutRule(GIVEN, rule.key_columns, scheme=rule.scheme)
    return JudgedRows(
        table=table,
        truth=truth,
        count=count,
        rule=rule,
        labels=counts.labels[judged].sum(axis=0),
        mean=truth.middle + float(counts.sums[judged].sum()) / count,
        declared=declared and not named.tells,
        notes=tuple(notes),
        _judged=judged,
        _unseen=unseen,
        _folder=folder,
    )


def _sides(folder: Path) -> Path:
    return folder / "sides"


def _keys(folder: Path) -> Path:
    return folder / "keys"


class _Counts:
    """What is counted of all rows of a table.

    Attributes
    ----------
    named : the split whose keys name the rows.
    sides : how many rows have each side, shape (n_sides,).
    labels, sums : of each side, how many rows each class has, shape (n_sides, n_classes), and the sum of a regression's
        truth beyond its middle, shape (n_sides,).
    unknown : each label that the version does not know, with the sides of its rows.
    """

    def __init__(self, table: JudgedTable, truth: Truth, ours: VersionSplit, theirs: VersionSplit | None) -> None:
        self._table, self._truth, self._ours, self._theirs = table, truth, ours, theirs
        # A version that has no names of its own for rows can be compared by those of the other.
        self.named = theirs if theirs and theirs.tells and ours.version.registered.rule is None else ours
        self.sides = np.zeros(len(_SIDES), dtype="int64")
        self.labels = np.zeros((len(_SIDES), len(truth.classes)), dtype="int64")
        self.sums = np.zeros(len(_SIDES))
        self.unknown: dict[str, set[int]] = {}

    def count(self, folder: Path) -> None:
        """Read all rows, and note the side and the key of each in a folder."""
        sample = self._table.sample
        splits = [split for split in (self._ours, self._theirs) if split and (split.tells or split is self.named)]
        names = [self._truth.target, *(name for split in splits for name in split.needed(sample))]
        with _sides(folder).open("wb") as sides, _keys(folder).open("wb") as keys:
            for part in self._table.parts(names, "choosing"):
                values = self._values(part)
                side = np.where(values.notna(), np.uint8(_KNOWN), np.uint8(0))
                column = key_columns(part)
                for split in splits:
                    key, held = split.held_out(part, column)
                    if held is not None:
                        side |= np.where(held, np.uint8(split.bit), np.uint8(0))
                    if split is self.named:
                        keys.write(key.tobytes())
                sides.write(side.tobytes())
                self.sides += np.bincount(side, minlength=len(_SIDES))
                if self._truth.classes:
                    self._count_labels(part, values, side)
                else:
                    beyond = values.to_numpy(dtype="float64") - self._truth.middle
                    for each in np.unique(side[side & _KNOWN > 0]):
                        self.sums[each] += beyond[side == each].sum()

    def _values(self, part: Table) -> pd.Series:
        try:
            return self._truth.values(part)
        except InputError as error:
            row = error.row or 0
            # As many rows were counted as there are before this part.
            told = error.at(int(self.sides.sum()) + row)
            raise self._table.disagreement(part.columns.slice(row, 1), told) from None

    def _count_labels(self, part: Table, values: pd.Series, side: np.ndarray) -> None:
        codes, unknown = self._truth.codes(values)
        if unknown:
            rows = np.flatnonzero(codes == UNKNOWN)
            texts = values.iloc[rows].map(str)
            if self._truth.by_table:
                new = rows[~texts.duplicated().to_numpy()]
                raise self._table.disagreement(part.columns.take(new), self._truth.unknown(unknown, self._ours.version))
            for label, sides in pd.Series(side[rows]).groupby(texts.to_numpy()):
                self.unknown.setdefault(str(label), set()).update(sides.unique().tolist())
        classes = len(self._truth.classes)
        there = codes >= 0
        found = np.bincount(side[there].astype("intp") * classes + codes[there], minlength=len(_SIDES) * classes)
        self.labels += found.reshape(len(_SIDES), classes)


def _held(split: VersionSplit) -> np.ndarray:
    """Which rows, by their side, a version would have held out."""
    return _SIDES & split.bit > 0


def _unseen(split: VersionSplit, declared: bool) -> np.ndarray:
    """Which rows, by their side, a version was not trained on, as far as that is known or declared."""
    return _held(split) if split.tells else np.full(len(_SIDES), declared)


def _check_declared(splits: Sequence[VersionSplit]) -> None:
    """Raise if a declaration that these rows are unseen is known to be wrong, or tells nothing that is not known."""
    for split in splits:
        if split.here and not split.tells:
            raise PipelineError(f"--unseen yes: {split.title} was trained on rows of this table; leave it out")
    if all(split.tells for split in splits):
        known = " and ".join(split.title for split in splits)
        raise PipelineError(f"--unseen yes: of {known} it is known which rows were held out; leave it out")


def _allowed(split: VersionSplit, counts: _Counts, rows: str, notes: list[str], *, declared: bool) -> np.ndarray:
    """Which rows, by their side, may be judged by: all, or those that the version's training held out."""
    title, total = split.title, int(counts.sides.sum())
    held_out = int(counts.sides[_held(split)].sum())
    if split.tells and (rows == "holdout" or (rows == "auto" and split.here)):
        notes.append(f"{title} held out {held_out} of these {total} rows; the others are not judged")
        return _held(split)
    if split.here:
        which = "" if split.tells else ", and which of them it held out is not known"
        notes.append(f"{title} was trained on rows of this table{which}: its metrics flatter it")
    elif not split.tells and declared:
        notes.append(f"these rows are declared to be unseen by {title}")
    elif not split.tells:
        notes.append(f"{title} does not tell what it was trained on: these rows may be among it")
    elif split.rule.by == TIME and held_out < total:
        notes.append(
            f"{total - held_out} of these {total} rows are not later than {split.rule.cut}, up to where "
            f"{title} was trained: they may be among it"
        )
    return np.ones(len(_SIDES), dtype=bool)
