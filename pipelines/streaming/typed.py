"""Parts of a raw table -> numbers, places of categories, and the target, by types that were found on a sample."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import columns, raw_values, row_keys, targets
from pipelines.dataset import Dataset
from pipelines.errors import PipelineError
from pipelines.sources import Table
from pipelines.sources.table import USUAL
from serving.scorecard.errors import InputError, kind
from serving.scorecard.inputs import CATEGORY, Cleaning, Input
from serving.scorecard.scalars import scalar_text

#: More different texts than these are no categories of a linear model, and do not fit into memory.
MOST_LEVELS = 2_000_000


class Contradiction(Exception):
    """A part has rows that are not of the types found so far.

    Parameters
    ----------
    rows : these rows.
    """

    def __init__(self, rows: pa.Table) -> None:
        super().__init__("the table holds what its sample did not")
        self.rows = rows


class Levels:
    """The different texts of a column of categories, each with its place; place 0 is a missing value.

    Attributes
    ----------
    texts : by place, cleaned; None at 0.
    """

    def __init__(self, wanted: Input, cleaning: Cleaning) -> None:
        self._input, self._cleaning = wanted, cleaning
        self.texts: list[str | None] = [None]
        self._places: dict[str | None, int] = {None: 0}
        self._raw: pa.Array | None = None
        self._of_raw = np.array([0], dtype="int32")
        self._bits = np.zeros(0, dtype="uint64")

    def places(self, raw: pa.ChunkedArray) -> np.ndarray:
        """The place of each row's text, shape (n_rows,), int32.

        Raises
        ------
        InputError
            if a value is none that such a column may hold, naming the first row that has it.
        PipelineError
            if there are too many.
        """
        raw = _as_text(raw_values.decoded(raw), self._input)
        found = self._known(raw)
        if found.null_count > raw.null_count:
            self._learn(raw.filter(pc.and_(pc.is_null(found), pc.is_valid(raw))), raw)
            found = self._known(raw)
        return self._of_raw[found.fill_null(-1).to_numpy(zero_copy_only=False)]

    def _known(self, raw: pa.ChunkedArray) -> pa.Array:
        if self._raw is None or not len(self._raw):
            return pa.nulls(len(raw), pa.int32())
        return pc.index_in(raw, value_set=self._raw).combine_chunks()

    def _learn(self, unknown: pa.ChunkedArray, raw: pa.ChunkedArray) -> None:
        new = pc.unique(unknown)
        places = []
        for value in new.to_pylist():
            try:
                text = self._input.read(value, self._cleaning)
            except InputError as error:
                raise error.at(pc.index(raw, pa.scalar(value, raw.type)).as_py()) from None
            assert text is None or isinstance(text, str)
            if text not in self._places:
                self._places[text] = len(self.texts)
                self.texts.append(text)
            places.append(self._places[text])
        if len(self.texts) > MOST_LEVELS:
            raise PipelineError(
                f"column {self._input.name!r} has more than {MOST_LEVELS:,} different texts; leave it out with --drop"
            )
        self._raw = new if self._raw is None else pa.concat_arrays([self._raw, new])
        # The last place is that of a null.
        self._of_raw = np.concatenate([self._of_raw[:-1], np.array(places, dtype="int32"), np.zeros(1, "int32")])

    def merge(self, other: "Levels") -> np.ndarray:
        """Learn the texts of another of the same column, and return the place here of each of its places."""
        places = np.zeros(len(other.texts), dtype="int32")
        if other._raw is not None:
            places[other._of_raw[:-1]] = self.places(pa.chunked_array([other._raw]))
        return places

    def key_bits(self, places: np.ndarray) -> np.ndarray:
        """What :func:`row_keys.bits` gives of the texts at these places."""
        known = self._bits  # several threads may ask
        if len(known) < len(self.texts):
            new = pd.Series(self.texts[len(known) :], dtype="str")
            self._bits = known = np.concatenate([known, row_keys.bits(new)])
        return known[places]

    def series(self, places: np.ndarray) -> pd.Series:
        """The texts at these places, as a feature's."""
        return raw_values.strings(pa.chunked_array([pa.array(self.texts, pa.large_string()).take(pa.array(places))]))


@dataclass(frozen=True)
class Part:
    """Rows by their types.

    Parameters
    ----------
    numbers : shape (n_numbers, n_rows), float64, NaN missing: the inputs that are no categories, in order.
    categories : shape (n_categories, n_rows), int32: the place of each category's text among its levels.
    target : shape (n_rows,), float64: numbers, or the places of the labels among the classes; NaN missing.
    """

    numbers: np.ndarray
    categories: np.ndarray
    target: np.ndarray

    def __len__(self) -> int:
        return len(self.target)

    def of(self, rows: np.ndarray) -> "Part":
        """The part of some rows, by a mask of shape (n_rows,)."""
        return self if rows.all() else self.take(np.flatnonzero(rows))

    def take(self, places: np.ndarray) -> "Part":
        """The rows at these places, in this order."""
        return Part(self.numbers.take(places, axis=1), self.categories.take(places, axis=1), self.target[places])


class TypedReader:
    """Reads parts by the types of a sample.

    Attributes
    ----------
    columns : the names of the raw columns that it needs: the inputs' and the target.
    numbers, categories : the inputs of each kind, in order.
    levels : of each category.
    """

    def __init__(self, sample: Table, dataset: Dataset) -> None:
        self._cleaning, self._target_name = dataset.cleaning, dataset.target_name
        self.numbers = [item for item in dataset.inputs if item.type != CATEGORY]
        self.categories = [item for item in dataset.inputs if item.type == CATEGORY]
        self.levels = [Levels(item, dataset.cleaning) for item in self.categories]
        self.columns = [*(item.name for item in dataset.inputs), dataset.target_name]
        target = targets.read(dataset.target_name, sample, dataset.task)
        self._target = target.as_input()
        self._classes = np.array(dataset.classes) if dataset.classes else None
        self._target_levels = Levels(self._target, dataset.cleaning) if target.type == CATEGORY else None
        self._watched = {
            name: set(pc.unique(sample.columns[name]).to_pylist())
            for name, why in dataset.left_out.items()
            if why.startswith(("constant", "one number", "missing throughout"))
        }

    @property
    def learned(self) -> list[Levels]:
        """The levels of all columns of categories, the target among them, as they were found so far."""
        return [*self.levels, *([self._target_levels] if self._target_levels else [])]

    def learn(self, found: Sequence[Levels]) -> None:
        """Take over what another reader of the same columns has learned."""
        self.levels[:] = found[: len(self.levels)]
        if self._target_levels:
            self._target_levels = found[-1]

    def read(self, raw: pa.Table) -> Part:
        """The rows of a part; raises Contradiction if some are not of these types."""
        bad: list[int] = []
        numbers = np.empty((len(self.numbers), raw.num_rows))
        for place, item in enumerate(self.numbers):
            values = self._tried(bad, self._numbers, raw[item.name], item)
            if values is not None:
                numbers[place] = values
        categories = np.empty((len(self.categories), raw.num_rows), dtype="int32")
        for place, (item, levels) in enumerate(zip(self.categories, self.levels, strict=True)):
            places = self._tried(bad, levels.places, raw[item.name])
            if places is not None:
                categories[place] = places
        target = self._tried(bad, self._target_of, raw[self._target_name])
        if bad or target is None:
            raise Contradiction(raw.take(sorted(set(bad))))
        return Part(numbers, categories, target)

    def has_target(self, raw: pa.ChunkedArray) -> pa.Array:
        """Whether each row has a target, of its raw column alone."""
        try:
            return pa.array(~np.isnan(self._target_of(raw)))
        except InputError:  # the scan tells which rows these are
            return pc.is_valid(raw).combine_chunks()

    def check(self, raw: pa.Table) -> None:
        """Raise Contradiction if a column that was left out as constant is not."""
        for name, known in self._watched.items():
            for value in pc.unique(raw[name]).to_pylist():
                # Where files write a column differently, the sample has it as text.
                if value == value and value not in known and str(value) not in known:
                    raise Contradiction(raw.slice(raw[name].to_pylist().index(value), 1))

    @staticmethod
    def _tried(bad: list[int], read: Callable[..., np.ndarray], *given: object) -> np.ndarray | None:
        try:
            return read(*given)
        except InputError as error:
            bad.append(error.row or 0)
            return None

    def _numbers(self, raw: pa.ChunkedArray, item: Input) -> np.ndarray:
        values = columns.convert(raw, item, self._cleaning).to_numpy()
        _check_size(values, item)
        return values

    def _target_of(self, raw: pa.ChunkedArray) -> np.ndarray:
        if self._target_levels is not None:
            places = self._target_levels.places(raw)
            texts = self._target_levels.texts
            assert self._classes is not None
            known = {label: place for place, label in enumerate(self._classes.tolist())}
            of_place = np.array([np.nan if text is None else known.get(text, -1) for text in texts])
            return _known_labels(of_place[places], self._target)
        values = columns.convert(raw, self._target, self._cleaning).to_numpy()
        if self._classes is None:
            _check_size(values, self._target)
            return values
        labels = self._classes.astype("float64")
        places = np.minimum(np.searchsorted(labels, values), len(labels) - 1)
        return _known_labels(
            np.where(np.isnan(values), np.nan, np.where(labels[places] == values, places, -1)), self._target
        )


def _as_text(raw: pa.ChunkedArray, item: Input) -> pa.ChunkedArray:
    """A column of categories as one type of text; other scalars as the text that they have where they are scored.

    Raises
    ------
    InputError
        if it holds lists or objects.
    """
    if raw_values.is_text(raw.type) or pa.types.is_null(raw.type):
        return raw.cast(pa.large_string())
    texts = []
    for row, value in enumerate(raw.to_pylist()):
        try:
            texts.append(None if value is None or value != value else scalar_text(value))
        except TypeError:
            raise InputError(item.name, f"expected text, found {kind(value)}").at(row) from None
    return pa.chunked_array([pa.array(texts, pa.large_string())])


def _known_labels(places: np.ndarray, target: Input) -> np.ndarray:
    if (unknown := places < 0).any():
        raise InputError(target.name, "a new label").at(int(np.argmax(unknown)))
    return places


def _check_size(values: np.ndarray, item: Input) -> None:
    with np.errstate(invalid="ignore"):
        large = np.abs(values) > targets.LARGEST
    if large.any():
        raise InputError(item.name, "too large a number").at(int(np.argmax(large)))


class KeyReader:
    """The hash of each row's key, part by part, as it is for whole tables."""

    def __init__(self, names: Sequence[str], sample: Table, reader: TypedReader) -> None:
        self._names = tuple(names)
        self._marks = {name: sample.marks_of(name) for name in names}
        # Words that are missing values for the model alone tell rows apart all the same: then the raw values count.
        plain = sample.cleaning == USUAL
        self._numbers = {item.name: place for place, item in enumerate(reader.numbers) if plain}
        self._categories = {item.name: place for place, item in enumerate(reader.categories) if plain}
        self._levels = reader.levels

    def keys(self, raw: pa.Table, part: Part) -> np.ndarray:
        """The hashes of a part's rows, shape (n_rows,), uint64."""
        return row_keys.combined({name: self._bits(name, raw, part) for name in self._names}, len(part))

    def _bits(self, name: str, raw: pa.Table, part: Part) -> np.ndarray:
        if name in self._numbers:
            return row_keys.bits(pd.Series(part.numbers[self._numbers[name]], copy=False))
        if name in self._categories:
            place = self._categories[name]
            return self._levels[place].key_bits(part.categories[place])
        return row_keys.bits(columns.infer_key(name, raw[name], USUAL, self._marks[name]).values)
