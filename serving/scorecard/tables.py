"""Scores of whole tables with NumPy, block by block so that the numbers stay in the processor's cache."""

import numpy as np

from . import arraysteps, frames, steps
from .inputs import InputError
from .plan import Plan
from .rows import OVERFLOW
from .scorecard import UNPREDICTABLE

#: Numbers in a block of the model's matrix: 1 MiB, about a second-level cache.
BLOCK = 131_072


class Tables:
    """A plan made ready to score tables."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self._model = plan.document["model"]
        self._decision = plan.document["decision"]
        if self._model["kind"] == "linear":
            outputs = len(self._model["intercepts"])
            self._weights = np.array(plan.weights, dtype=np.float64).reshape(len(plan.columns), outputs).T.copy()
            self._intercepts = np.array(self._model["intercepts"], dtype=np.float64)[:, None]
            self._tables = [np.array(table, dtype=np.float64) for _, table, _ in plan.groups]
        else:
            self._layers = [
                (np.array(layer["weights"], dtype=np.float64), np.array(layer["intercepts"], dtype=np.float64))
                for layer in self._model["layers"]
            ]

    def scores(self, table, *, sizes: bool = False, changed: int | None = None, change: float = 0.0):
        """The scores of a table, and the rows refused.

        Parameters
        ----------
        sizes : also give the size of each score's terms, by which two ways to sum them may differ.

        changed, change : the slot of an operation whose inexact functions are to be off by this much, relatively.

        Returns
        -------
        array (scores, rows), Refusals[, array (scores, rows)]
            A refused row's scores are not to be used. A size is 1 + the sum of the terms' absolute values; in an MLP
            that of a unit, and those of the units below it times the absolute weights.
        """
        known = set(frames.names(table))
        refusals = frames.Refusals()
        count = frames.length(table)
        plan, slots = self.plan, {}
        checks = [check for check in plan.checks if all(plan.inputs[place].name in known for place in check.places)]
        for place in sorted({*plan.reads, *(place for check in checks for place in check.places)}):
            item = plan.inputs[place]
            raw = frames.column(table, known, item.name)
            slots[place] = frames.read(item, raw, plan.cleaning, refusals)
        ops = list({op.slot: op for op in (*plan.ops, *(op for check in checks for op in check.ops))}.values())
        later = [op for op in ops if not self._coded(op, slots, refusals)]
        scores, found = self._blocks(slots, later, checks, count, refusals, sizes, (changed, change))
        return (scores, refusals, found) if sizes else (scores, refusals)

    def _coded(self, op, slots, refusals) -> bool:
        """Does an operation once a value of a coded column; False where it has to be done once a row."""
        source = slots.get(op.sources[0]) if op.sources else None
        if op.kind == "product" or not isinstance(source, frames.Coded):
            return False
        if op.kind == "hot":
            slots[op.slot] = frames.Coded(source.codes, [1.0 if code == op.place else 0.0 for code in source.values])
            return True
        calls = [steps.chain(op.steps, op.blame)]
        if op.kind == "code":
            calls.append(steps.codes(op.item, op.blame))
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
        for why, places in refused.items():
            refusals.add(np.flatnonzero(np.isin(source.codes, places)), *why)
        slots[op.slot] = frames.Coded(source.codes, values)
        return True

    def _blocks(self, slots, ops, checks, count, refusals, sizes, change):
        plan = self.plan
        width = len(plan.columns)
        rows = max(256, min(count, BLOCK // max(1, width)))
        matrix = np.empty((width, rows))
        places = {slot: place for place, (_, slot) in enumerate(plan.columns)}
        whole = {place for place, column in slots.items() if isinstance(column, np.ndarray) and _no_missing(column)}
        ready, constant = self._prepare(ops, places, whole, matrix, rows, *change)
        coded = {slot: _numbers(column) for slot, column in slots.items() if isinstance(column, frames.Coded)}
        groups = []
        if self._model["kind"] == "linear":
            for (slot, _, _), weights in zip(plan.groups, self._tables, strict=True):
                groups.append((slot, weights if slot not in coded else weights[coded[slot].astype(np.intp)].T.copy()))
            scores = np.empty((len(self._model["intercepts"]), count))
        else:
            scores = np.empty((len(self._layers[-1][1]), count))
        found = np.empty_like(scores) if sizes else None
        with np.errstate(all="ignore"):
            for start in range(0, count, rows):
                stop = min(count, start + rows)
                target = scores[:, start:stop]
                inputs, values = self._matrix(start, stop, slots, coded, ready, constant, matrix, places, refusals)
                hot = [
                    weights[:, slots[slot].codes[start:stop]] if slot in coded else weights[values(slot)].T
                    for slot, weights in groups
                ]
                self._score(inputs, hot, target)
                self._refuse(inputs, target, start, refusals)
                for check in checks:
                    bad = np.flatnonzero(~np.isfinite(values(check.slot)))
                    refusals.add(bad + start, check.blame, steps.UNUSABLE)
                if found is not None:
                    self._size(inputs, hot, found[:, start:stop])
        return scores, found

    def _prepare(self, ops, places, whole, matrix, rows, changed, by):
        """Operations with their functions and where they write; columns that are constant in this table."""
        ready: list[tuple] = []
        constant = set()
        for op in ops:
            target = matrix[places[op.slot]] if op.slot in places else np.empty(rows)
            change = by if op.slot == changed else 0.0
            if op.kind == "chain":
                asked = arraysteps.two_valued(op.steps)
                if asked and asked[0] is None and op.sources[0] in whole:
                    target[:] = asked[1]
                    constant.add(op.slot)
                    ready.append((op, "constant", None, target))
                elif asked and asked[0] is None:
                    ready.append((op, "missing", asked[1:], target))
                else:
                    items = op.steps
                    if op.sources[0] in whole and items and "impute" in items[0]:
                        items = items[1:]
                    ready.append((op, "chain", arraysteps.chain(items, change=change), target))
            elif op.kind == "code":
                inner = arraysteps.chain(op.steps, change=change)
                ready.append((op, "code", (inner, arraysteps.codes(op.item)), target))
            else:
                ready.append((op, op.kind, None, target))
        return ready, constant

    def _matrix(self, start, stop, slots, coded, ready, constant, matrix, places, refusals):
        """The model's matrix (columns, rows) for a block of rows, and the function from a slot to its values."""
        size = stop - start
        values: dict = {}

        def value(slot):
            if slot not in values:
                column = slots[slot]
                if isinstance(column, frames.Coded):
                    values[slot] = coded[slot][column.codes[start:stop]]
                else:
                    values[slot] = column[start:stop]
            return values[slot]

        masks: dict = {}
        for op, kind, function, target in ready:
            target = target[:size]
            if kind == "missing":
                (source,) = op.sources
                if source not in masks:
                    masks[source] = np.isnan(value(source))
                no, yes = function
                target[:] = no
                np.copyto(target, yes, where=masks[source])
                values[op.slot] = target
            elif kind == "chain":
                values[op.slot] = function(value(op.sources[0]), target)
            elif kind == "code":
                inner, find = function
                found = find(inner(value(op.sources[0]), target))
                refused = np.flatnonzero(found == -2)
                if len(refused):
                    refusals.add(refused + start, op.blame, steps.UNKNOWN)
                    found[refused] = -1
                values[op.slot] = found
            elif kind == "hot":
                np.copyto(target, value(op.sources[0]) == op.place)
                values[op.slot] = target
            elif kind == "product":
                target[:] = 1.0
                for source in op.sources:
                    np.multiply(target, value(source), out=target)
                values[op.slot] = target
            else:
                values[op.slot] = target
        for _, slot in self.plan.columns:
            row = matrix[places[slot]][:size]
            if slot not in constant and not np.may_share_memory(value(slot), row):
                np.copyto(row, value(slot))
        if len(places) != len(self.plan.columns):  # one slot is several columns
            matrix = matrix[[places[slot] for _, slot in self.plan.columns]]
        return matrix[:, :size], value

    def _score(self, inputs, hot, target) -> None:
        if self._model["kind"] != "linear":
            self._forward(inputs, target)
            return
        if len(inputs):
            np.matmul(self._weights, inputs, out=target)
        else:
            target.fill(0.0)
        target += self._intercepts
        for part in hot:
            target += part

    def _size(self, inputs, hot, target) -> None:
        if self._model["kind"] == "linear":
            target[:] = 1.0 + np.abs(self._weights) @ np.abs(inputs) + np.abs(self._intercepts)
            for part in hot:
                target += np.abs(part)
            return
        activate = ACTIVATIONS[self._model["activation"]]
        current, below = inputs, np.zeros_like(inputs)
        for place, (weights, intercepts) in enumerate(self._layers):
            size = 1.0 + np.abs(weights) @ np.abs(current) + np.abs(intercepts)[:, None]
            below = size + np.abs(weights) @ below
            current = weights @ current + intercepts[:, None]
            if place < len(self._layers) - 1 and activate is not None:
                activate(current)
        target[:] = below

    def _forward(self, inputs, target) -> None:
        activate = ACTIVATIONS[self._model["activation"]]
        current, spoiled = inputs, np.zeros(inputs.shape[1], dtype=bool)
        for place, (weights, intercepts) in enumerate(self._layers):
            current = weights @ current
            current += intercepts[:, None]
            spoiled |= ~np.isfinite(current).all(axis=0)
            if place < len(self._layers) - 1 and activate is not None:
                activate(current)
        target[:] = current
        target[:, spoiled] = np.nan

    def _refuse(self, inputs, target, start, refusals) -> None:
        """Refuses the rows of a block whose scores are not finite, each by the input that spoils it."""
        if frames.finite_sum(target):
            return
        bad = np.flatnonzero(~np.isfinite(target).all(axis=0))
        if not len(bad):
            return
        names = [name for name, _ in self.plan.columns]
        if not names:
            refusals.add(bad + start, self.plan.inputs[0].name, OVERFLOW)
            return
        spoiled = ~np.isfinite(inputs[:, bad])
        culprit = np.where(spoiled.any(axis=0), spoiled.argmax(axis=0), np.abs(inputs[:, bad]).argmax(axis=0))
        reason = spoiled.any(axis=0)
        for place in np.unique(culprit).tolist():
            for flag, text in ((True, steps.UNUSABLE), (False, OVERFLOW)):
                rows = bad[(culprit == place) & (reason == flag)]
                refusals.add(rows + start, self.plan.blame(names[place]), text)

    def _scores(self, table):
        scores, refusals = self.scores(table)
        error = refusals.first()
        if error is not None:
            raise error
        return scores

    def rows(self, table):
        """Each row of a table as a mapping of input name to raw value."""
        known = set(frames.names(table))
        present = [item.name for item in self.plan.inputs if item.name in known]
        columns = [frames.cells(frames.column(table, known, name)) for name in present]
        for place in range(frames.length(table)):
            yield {name: column[place] for name, column in zip(present, columns, strict=True)}

    def predict(self, table):
        """See ``Scorecard.predict``."""
        scores = self._scores(table)
        if self._decision is not None:
            return self.labels(scores)
        values = self.predicted(scores)
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            name = self.plan.blame(self.plan.columns[0][0]) if self.plan.columns else "the model"
            raise InputError(name, UNPREDICTABLE, int(bad[0]))
        return values

    def predicted(self, scores):
        """The predictions of a regression from its scores; not finite where they are out of range."""
        values = scores[0].copy()
        with np.errstate(all="ignore"):
            if self._model["link"] == "log":
                np.exp(values, out=values)
            return arraysteps.chain(self._model["target"])(values, values)

    def probabilities(self, table):
        """See ``Scorecard.probabilities``."""
        return self.likelihoods(self._scores(table))

    def decision(self, table):
        """See ``Scorecard.decision``."""
        scores = self._scores(table)
        return scores[0] if len(scores) == 1 else np.ascontiguousarray(scores.T)

    def margins(self, scores):
        """The scores after calibration."""
        calibration = self._model["calibration"]
        if calibration is None:
            return scores
        slopes = np.array([item["slope"] for item in calibration], dtype=np.float64)
        offsets = np.array([item["offset"] for item in calibration], dtype=np.float64)
        return slopes[:, None] * scores + offsets[:, None]

    def likelihoods(self, scores):
        """The probabilities (rows, classes) from scores (scores, rows)."""
        margins, link = self.margins(scores), self._model["link"]
        with np.errstate(all="ignore"):
            if link == "softmax":
                powers = np.exp(margins - margins.max(axis=0))
                return np.ascontiguousarray((powers / powers.sum(axis=0)).T)
            p = _logistic(margins)
            if link == "logistic":
                return np.column_stack([1.0 - p[0], p[0]])
            total = p.sum(axis=0)
            found = np.divide(p, total, out=np.full_like(p, 1.0 / len(p)), where=total > 0.0)
            return np.ascontiguousarray(found.T)

    def labels(self, scores):
        """The labels of scores, in an array of their type."""
        classes, threshold = self._decision["classes"], self._decision["threshold"]
        if threshold is not None:
            second = threshold["positive"] == classes[1]
            if threshold["on"] == "probability":
                values = self.likelihoods(scores)[:, 1 if second else 0]
            else:
                values = scores[0] if second else -scores[0]
            chosen = ((values >= threshold["value"]) == second).astype(np.intp)
        elif len(scores) == 1:
            chosen = (self.margins(scores)[0] > 0.0).astype(np.intp)
        elif self._model["calibration"] is not None:
            chosen = self.likelihoods(scores).argmax(axis=1)
        else:
            chosen = scores.argmax(axis=0)
        return np.array(classes, dtype=object if isinstance(classes[0], str) else None)[chosen]


def _numbers(column: frames.Coded):
    """The values of a coded column as an array to take from; text gives none."""
    if any(isinstance(value, str) for value in column.values):
        return None
    return np.array([np.nan if value is None else value for value in column.values], dtype=np.float64)


def _no_missing(column) -> bool:
    return frames.finite_sum(column) or not np.isnan(column).any()


def _logistic(z):
    e = np.exp(-np.abs(z))
    return np.where(z >= 0.0, 1.0 / (1.0 + e), e / (1.0 + e))


def _activate_logistic(block):
    block[:] = _logistic(block)


ACTIVATIONS = {
    "identity": None,
    "logistic": _activate_logistic,
    "tanh": lambda block: np.tanh(block, out=block),
    "relu": lambda block: np.maximum(block, 0.0, out=block),
}
