"""The model's matrix, a block of a table's rows at a time, so that the numbers stay in the processor's cache."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from . import arraysteps
from .frames import Coded, Refusals, finite_sum
from .inputs import InputError
from .program import ApplySteps, Check, CombineSources, Encode, Indicate, MultiplySources, Operation, Program
from .rows import encoder
from .steps import UNKNOWN, UNUSABLE, Impute, chain

#: Numbers in a block of the matrix: 1 MiB, about a second-level cache.
SIZE = 131_072


class Blocks:
    """A table's columns and what to do to them.

    Operations on coded columns are done here, once a value; the others by ``matrix``, once a row.

    Parameters
    ----------
    columns : for each input that is read its place and its column, a float64 array or ``Coded`` text.
    checks : what has to be usable and carries no weight.
    count : how many rows there are.
    refusals : takes the rows that are refused.
    changed, change : see ``TableScorer.scores``.

    Attributes
    ----------
    rows : how many rows a block has.
    """

    def __init__(
        self,
        program: Program,
        columns: Mapping[int, np.ndarray | Coded],
        checks: Sequence[Check],
        count: int,
        refusals: Refusals,
        *,
        changed: int | None = None,
        change: float = 0.0,
    ) -> None:
        self._program, self._columns, self._refusals = program, dict(columns), refusals
        self._places = {slot: place for place, (_, slot) in enumerate(program.columns)}
        combined = [len(one.sources) for one in program.operations if isinstance(one, CombineSources)]
        self.rows = max(256, min(count, SIZE // max(1, len(program.columns), *combined)))
        self._matrix = np.empty((len(program.columns), self.rows))
        self._whole = {
            place
            for place, column in columns.items()
            if isinstance(column, np.ndarray) and (finite_sum(column) or not np.isnan(column).any())
        }
        operations = {
            one.slot: one for one in (*program.operations, *(one for check in checks for one in check.operations))
        }
        self._work = [
            self._prepared(one, change if one.slot == changed else 0.0)
            for one in operations.values()
            if not self._by_value(one)
        ]
        self._coded = {slot: _numbers(column) for slot, column in self._columns.items() if isinstance(column, Coded)}
        self._block = slice(0, 0)
        self._values: dict[int, np.ndarray] = {}
        self._masks: dict[int, np.ndarray] = {}
        self._stacks: dict[tuple[int, ...], np.ndarray] = {}

    def codes(self, slot: int) -> np.ndarray | None:
        """For a one-hot group of a coded column, the place of each of its values; None for one of numbers."""
        found = self._coded.get(slot)
        return None if found is None else found.astype(np.intp)

    def places(self, slot: int) -> np.ndarray:
        """For a one-hot group, what to take for each row of the block: a value of ``codes``, or else a place."""
        column = self._columns.get(slot)
        return column.codes[self._block] if isinstance(column, Coded) else self._values[slot]

    def value(self, slot: int) -> np.ndarray:
        """What is in a slot, for the rows of the block."""
        if slot not in self._values:
            column, numbers = self._columns[slot], self._coded.get(slot)
            if isinstance(column, Coded):
                if numbers is None:
                    raise TypeError("a text is no number")
                self._values[slot] = numbers[column.codes[self._block]]
            else:
                self._values[slot] = column[self._block]
        return self._values[slot]

    def matrix(self, block: slice) -> np.ndarray:
        """The columns of the model (columns, rows) for a block of rows; overwritten by the next call."""
        size = block.stop - block.start
        self._block, self._values, self._masks, self._stacks = block, {}, {}, {}
        for slot, work, target in self._work:
            self._values[slot] = target[:size] if work is None else work(self, target[:size])
        for _, slot in self._program.columns:
            row = self._matrix[self._places[slot]][:size]
            if not np.may_share_memory(self.value(slot), row):
                np.copyto(row, self.value(slot))
        if len(self._places) == len(self._program.columns):
            return self._matrix[:, :size]
        return self._matrix[
            [self._places[slot] for _, slot in self._program.columns], :size
        ]  # one slot, several columns

    def _by_value(self, operation: Operation) -> bool:
        """Does an operation once a value of a coded column; False where it has to be done once a row."""
        source = self._columns.get(operation.sources[0]) if operation.sources else None
        if isinstance(operation, (MultiplySources, CombineSources)) or not isinstance(source, Coded):
            return False
        calls: list[Callable] = []
        if isinstance(operation, Indicate):
            calls.append(lambda code: 1.0 if code == operation.place else 0.0)
        elif (run := chain(operation.steps, operation.blame)) is not None:
            calls.append(run)
        if isinstance(operation, Encode):
            calls.append(encoder(operation.one_hot, operation.blame))
        values: list = []
        refused: dict[tuple[str, str], list[int]] = {}
        for place, value in enumerate(source.values):
            try:
                for call in calls:
                    value = call(value)
            except InputError as error:
                refused.setdefault((error.column, error.reason), []).append(place)
                value = -1 if isinstance(operation, Encode) else np.nan
            values.append(value)
        for (name, reason), places in refused.items():
            self._refusals.add(np.flatnonzero(np.isin(source.codes, places)), name, reason)
        self._columns[operation.slot] = Coded(source.codes, values)
        return True

    def _prepared(self, operation: Operation, change: float) -> "tuple[int, _Work | None, np.ndarray]":
        """(slot, function from a target to the slot's values, target); no function where nothing changes."""
        slot = operation.slot
        target = self._matrix[self._places[slot]] if slot in self._places else np.empty(self.rows)
        if isinstance(operation, Indicate):
            return slot, lambda own, target: own._indicate(operation, target), target
        if isinstance(operation, MultiplySources):
            return slot, lambda own, target: own._product(operation, target), target
        if isinstance(operation, CombineSources):
            weights = np.array(operation.weights, dtype=np.float64)
            return slot, lambda own, target: own._combine(operation, weights, target, change), target
        (source,) = operation.sources
        items = operation.steps
        asked = arraysteps.two_valued(items) if isinstance(operation, ApplySteps) else None
        if asked is not None and asked[0] is None:
            _, no, yes = asked
            if source in self._whole:
                target[:] = no
                return slot, None, target
            return slot, lambda own, target: own._missing(operation, target, no, yes), target
        if source in self._whole and items and isinstance(items[0], Impute):
            items = items[1:]
        run = arraysteps.chain(items, change=change)
        if isinstance(operation, Encode):
            find = arraysteps.encoder(operation.one_hot)
            return slot, lambda own, target: own._encode(operation, find, run, target), target
        return slot, lambda own, target: run(own.value(source), target, own._refuse(operation)), target

    def _refuse(self, operation: Operation) -> arraysteps.Refuse:
        return lambda rows, reason: self._refusals.add(rows + self._block.start, operation.blame, reason)

    def _missing(self, operation: Operation, target: np.ndarray, no: float, yes: float) -> np.ndarray:
        """An indicator: one number where its source is missing, another where it is not."""
        (source,) = operation.sources
        if source not in self._masks:
            self._masks[source] = np.isnan(self.value(source))
            if source >= len(self._program.inputs):  # what is computed may be infinite
                self._refuse(operation)(np.flatnonzero(np.isinf(self.value(source))), UNUSABLE)
        target[:] = no
        np.copyto(target, yes, where=self._masks[source])
        return target

    def _encode(
        self,
        operation: Encode,
        find: Callable[[np.ndarray], np.ndarray],
        run: arraysteps.BlockFunction,
        target: np.ndarray,
    ) -> np.ndarray:
        refuse = self._refuse(operation)
        found = find(run(self.value(operation.sources[0]), target, refuse))
        refuse(np.flatnonzero(found == arraysteps.UNKNOWN_PLACE), UNKNOWN)
        refuse(np.flatnonzero(found == arraysteps.UNUSABLE_PLACE), UNUSABLE)
        found[found < -1] = -1
        return found

    def _indicate(self, operation: Indicate, target: np.ndarray) -> np.ndarray:
        np.copyto(target, self.value(operation.sources[0]) == operation.place)
        return target

    def _combine(self, operation: CombineSources, weights: np.ndarray, target: np.ndarray, change: float) -> np.ndarray:
        sources = operation.sources
        if sources not in self._stacks:  # the components of one decomposition have the same columns
            values = [self.value(source) for source in sources]
            self._stacks[sources] = np.array(values).reshape(len(sources), len(target))
        stack = self._stacks[sources]
        np.matmul(weights, stack, out=target)
        target += operation.offset
        if change:
            target += change * (np.abs(weights) @ np.abs(stack) + abs(operation.offset))
        return target

    def _product(self, operation: Operation, target: np.ndarray) -> np.ndarray:
        target[:] = 1.0
        for source in operation.sources:
            np.multiply(target, self.value(source), out=target)
        return target


# What is done for a block: a function of the blocks and of the target. It holds no blocks: such a circle would keep the
# columns until Python collects garbage.
_Work = Callable[[Blocks, np.ndarray], np.ndarray]


def _numbers(column: Coded) -> np.ndarray | None:
    """The values of a coded column as an array to take from; text gives none."""
    if any(isinstance(value, str) for value in column.values):
        return None
    return np.array([np.nan if value is None else value for value in column.values], dtype=np.float64)
