"""The model's matrix, a block of a table's rows at a time, so that the numbers stay in the processor's cache."""

import numpy as np

from . import arraysteps, steps
from .frames import Coded, Refusals, finite_sum
from .inputs import InputError
from .plan import Check, Op, Plan

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
    changed, change : see ``Tables.scores``.

    Attributes
    ----------
    rows : how many rows a block has.
    """

    def __init__(
        self,
        plan: Plan,
        columns: dict,
        checks: list[Check],
        count: int,
        refusals: Refusals,
        *,
        changed: int | None = None,
        change: float = 0.0,
    ):
        self._plan, self._columns, self._refusals = plan, dict(columns), refusals
        self._places = {slot: place for place, (_, slot) in enumerate(plan.columns)}
        self.rows = max(256, min(count, SIZE // max(1, len(plan.columns))))
        self._matrix = np.empty((len(plan.columns), self.rows))
        self._whole = {
            place
            for place, column in columns.items()
            if isinstance(column, np.ndarray) and (finite_sum(column) or not np.isnan(column).any())
        }
        ops = {op.slot: op for op in (*plan.ops, *(op for check in checks for op in check.ops))}
        self._work = [
            self._prepared(op, change if op.slot == changed else 0.0) for op in ops.values() if not self._by_value(op)
        ]
        self._coded = {slot: _numbers(column) for slot, column in self._columns.items() if isinstance(column, Coded)}
        self._block = slice(0, 0)
        self._values: dict = {}
        self._masks: dict = {}

    def codes(self, slot: int):
        """For a one-hot group of a coded column, the place of each of its values; None for one of numbers."""
        found = self._coded.get(slot)
        return None if found is None else found.astype(np.intp)

    def places(self, slot: int):
        """For a one-hot group, what to take for each row of the block: a value of ``codes``, or else a place."""
        column = self._columns.get(slot)
        return self._values[slot] if column is None else column.codes[self._block]

    def value(self, slot: int):
        """What is in a slot, for the rows of the block."""
        if slot not in self._values:
            column = self._columns[slot]
            coded = isinstance(column, Coded)
            self._values[slot] = self._coded[slot][column.codes[self._block]] if coded else column[self._block]
        return self._values[slot]

    def matrix(self, block: slice):
        """The columns of the model (columns, rows) for a block of rows; overwritten by the next call."""
        size = block.stop - block.start
        self._block, self._values, self._masks = block, {}, {}
        for op, work, target in self._work:
            self._values[op.slot] = target[:size] if work is None else work(op, target[:size])
        for _, slot in self._plan.columns:
            row = self._matrix[self._places[slot]][:size]
            if not np.may_share_memory(self.value(slot), row):
                np.copyto(row, self.value(slot))
        if len(self._places) == len(self._plan.columns):
            return self._matrix[:, :size]
        return self._matrix[[self._places[slot] for _, slot in self._plan.columns], :size]  # one slot, several columns

    def _by_value(self, op: Op) -> bool:
        """Does an operation once a value of a coded column; False where it has to be done once a row."""
        source = self._columns.get(op.sources[0]) if op.sources else None
        if op.kind == "product" or not isinstance(source, Coded):
            return False
        calls = [steps.chain(op.steps, op.blame)]
        if op.kind == "code":
            calls.append(steps.codes(op.item, op.blame))
        elif op.kind == "hot":
            calls = [lambda code: 1.0 if code == op.place else 0.0]
        values: list = []
        refused: dict[tuple, list] = {}
        for place, value in enumerate(source.values):
            try:
                for call in calls:
                    value = value if call is None else call(value)
            except InputError as error:
                refused.setdefault((error.column, error.reason), []).append(place)
                value = -1 if op.kind == "code" else np.nan
            values.append(value)
        for (name, reason), places in refused.items():
            self._refusals.add(np.flatnonzero(np.isin(source.codes, places)), name, reason)
        self._columns[op.slot] = Coded(source.codes, values)
        return True

    def _prepared(self, op: Op, change: float) -> tuple:
        """(operation, function from it and a target to its values, target); no function where nothing changes."""
        target = self._matrix[self._places[op.slot]] if op.slot in self._places else np.empty(self.rows)
        if op.kind in ("hot", "product"):
            return op, self._hot if op.kind == "hot" else self._product, target
        (source,) = op.sources
        items = op.steps
        asked = arraysteps.two_valued(items) if op.kind == "chain" else None
        if asked is not None and asked[0] is None:
            _, no, yes = asked
            if source in self._whole:
                target[:] = no
                return op, None, target
            return op, lambda op, target: self._missing(op, target, no, yes), target
        if source in self._whole and items and "impute" in items[0]:
            items = items[1:]
        run = arraysteps.chain(items, change=change)
        if op.kind == "chain":
            return op, lambda op, target: run(self.value(source), target, self._refuse(op)), target
        find = arraysteps.codes(op.item)
        return op, lambda op, target: self._code(op, run, find, target), target

    def _refuse(self, op: Op):
        return lambda rows, reason: self._refusals.add(rows + self._block.start, op.blame, reason)

    def _missing(self, op, target, no, yes):
        """An indicator: one number where its source is missing, another where it is not."""
        (source,) = op.sources
        if source not in self._masks:
            self._masks[source] = np.isnan(self.value(source))
            if source >= len(self._plan.inputs):  # what is computed may be infinite
                self._refuse(op)(np.flatnonzero(np.isinf(self.value(source))), steps.UNUSABLE)
        target[:] = no
        np.copyto(target, yes, where=self._masks[source])
        return target

    def _code(self, op, run, find, target):
        refuse = self._refuse(op)
        found = find(run(self.value(op.sources[0]), target, refuse))
        refuse(np.flatnonzero(found == arraysteps.UNKNOWN), steps.UNKNOWN)
        refuse(np.flatnonzero(found == arraysteps.UNUSABLE), steps.UNUSABLE)
        found[found < -1] = -1
        return found

    def _hot(self, op, target):
        np.copyto(target, self.value(op.sources[0]) == op.place)
        return target

    def _product(self, op, target):
        target[:] = 1.0
        for source in op.sources:
            np.multiply(target, self.value(source), out=target)
        return target


def _numbers(column: Coded):
    """The values of a coded column as an array to take from; text gives none."""
    if any(isinstance(value, str) for value in column.values):
        return None
    return np.array([np.nan if value is None else value for value in column.values], dtype=np.float64)
