"""Scores of one row with the standard library alone."""

import math

from . import steps
from .inputs import ABSENT, InputError, named
from .plan import Plan

try:
    from _operator import mul
except ImportError:
    from operator import mul

OVERFLOW = "expected numbers whose score is finite, found one too large"
UNPREDICTABLE = "expected numbers whose prediction is finite, found some outside of the model's range"


class Rows:
    """A plan made ready to score one mapping of column name to raw value after another.

    Everything that does not depend on the row is done here, once.
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        readers = [item.reader(plan.cleaning) for item in plan.inputs]
        self._reads = [(plan.inputs[place].name, place, readers[place]) for place in plan.reads]
        # A row of as many columns as these, if it lacks none, has each under its own name.
        self._width = -1 if plan.optional else len(plan.inputs)
        self._ops = [self._operation(op) for op in plan.ops]
        self._tail = [None] * plan.slots
        self._checks = [
            (
                check.slot,
                [(plan.inputs[place].name, place, readers[place]) for place in check.places],
                [self._operation(op) for op in check.ops],
                check.blame,
            )
            for check in plan.checks
        ]
        model = plan.document["model"]
        self._slots = [slot for _, slot in plan.columns]
        if model["kind"] == "linear":
            self.scores = self._linear(model)
        else:
            self.scores = self._mlp(model)

    def fill(self, row) -> list:
        """The value of every slot for a row.

        Raises
        ------
        InputError
            where a value cannot be taken, or a column is not there, or twice.
        """
        if len(row) != self._width:
            row = named(row, self.plan.names)
        values = self._tail[:]
        for name, place, read in self._reads:
            try:
                raw = row[name]
            except KeyError:
                renamed = named(row, self.plan.names)
                if renamed is row:
                    raise InputError(name, ABSENT) from None
                return self.fill(renamed)
            values[place] = read(raw)
        for kind, slot, source, call in self._ops:
            values[slot] = call(values[source]) if kind else call(values)
        if self._checks:
            self._check(row, values)
        return values

    def _operation(self, op):
        """(whether the call takes one value rather than all, slot to fill, slot to take, call)."""
        if op.kind == "product":
            sources = op.sources

            def product(values):
                result = 1.0
                for source in sources:
                    result *= values[source]
                return result

            return False, op.slot, 0, product
        (source,) = op.sources
        if op.kind == "hot":
            place = op.place
            return True, op.slot, source, lambda code: 1.0 if code == place else 0.0
        run = steps.chain(op.steps, op.blame)
        if op.kind == "code":
            find = steps.codes(op.item, op.blame)
            return True, op.slot, source, find if run is None else lambda x: find(run(x))
        return True, op.slot, source, run

    def _check(self, row, values) -> None:
        for slot, reads, calls, blame in self._checks:
            if any(name not in row for name, _, _ in reads):
                continue
            for name, place, read in reads:
                values[place] = read(row[name])
            for kind, target, source, call in calls:
                values[target] = call(values[source]) if kind else call(values)
            value = values[slot]
            if value - value != 0.0:
                raise InputError(blame, steps.UNUSABLE)

    def refuse(self, values) -> InputError:
        """Why these values give no finite score, as an error that names a column."""
        for name, slot in self.plan.columns:
            if values[slot] - values[slot] != 0.0:
                return InputError(self.plan.blame(name), steps.UNUSABLE)
        return InputError(self.largest(values), OVERFLOW)

    def largest(self, values) -> str:
        """The input that the largest term is computed from."""
        terms = zip(self.plan.columns, self.plan.magnitudes(), strict=True)
        sizes = [(abs(values[slot]) * most, name) for (name, slot), most in terms]
        if not sizes:
            return self.plan.inputs[0].name
        return self.plan.blame(max(sizes, key=lambda item: item[0])[1])

    def _linear(self, model):
        """The function from a row to its scores: the exactly rounded sum of the terms."""
        fill, fsum, slots, plan = self.fill, math.fsum, self._slots, self.plan
        groups = [(slot, table) for slot, table, _ in plan.groups]
        outputs = [
            (float(intercept), [weights[k] for weights in plan.weights], k)
            for k, intercept in enumerate(model["intercepts"])
        ]
        if len(outputs) == 1:
            intercept, weights, _ = outputs[0]
            tables = [(slot, [weights[0] for weights in table]) for slot, table in groups]

            def scores(row):
                values = fill(row)
                terms = list(map(mul, [values[slot] for slot in slots], weights))
                terms.append(intercept)
                for slot, table in tables:
                    terms.append(table[values[slot]])
                try:
                    total = fsum(terms)
                except (OverflowError, ValueError):
                    total = math.nan
                if total - total != 0.0:
                    raise self.refuse(values)
                return (total,)

            return scores

        def several(row):
            values = fill(row)
            inputs = [values[slot] for slot in slots]
            hot = [table[values[slot]] for slot, table in groups]
            found = []
            for intercept, weights, k in outputs:
                terms = list(map(mul, inputs, weights))
                terms.append(intercept)
                for chosen in hot:
                    terms.append(chosen[k])
                try:
                    total = fsum(terms)
                except (OverflowError, ValueError):
                    total = math.nan
                if total - total != 0.0:
                    raise self.refuse(values)
                found.append(total)
            return found

        return several

    def _mlp(self, model):
        """The function from a row through the layers to the scores before the last link."""
        fill, fsum, slots = self.fill, math.fsum, self._slots
        activate = ACTIVATIONS[model["activation"]]
        layers = [
            [
                (list(map(float, row)), float(offset))
                for row, offset in zip(layer["weights"], layer["intercepts"], strict=True)
            ]
            for layer in model["layers"]
        ]
        last = len(layers) - 1

        def scores(row):
            values = fill(row)
            current = [values[slot] for slot in slots]
            for place, units in enumerate(layers):
                try:
                    current = [fsum(map(mul, current, weights)) + offset for weights, offset in units]
                except (OverflowError, ValueError):
                    raise self.refuse(values) from None
                for unit in current:
                    if unit - unit != 0.0:
                        raise self.refuse(values)
                if place < last and activate is not None:
                    current = [activate(unit) for unit in current]
            return current

        return scores


def logistic(z: float) -> float:
    """1 / (1 + exp(-z)) without overflow."""
    if z >= 0.0:
        return 1.0 / (1.0 + math.exp(-z))
    e = math.exp(z)
    return e / (1.0 + e)


def softmax(scores) -> list[float]:
    """Probabilities in proportion to exp(score), shifted by the largest so that none overflows."""
    largest = max(scores)
    powers = [math.exp(score - largest) for score in scores]
    total = math.fsum(powers)
    return [power / total for power in powers]


ACTIVATIONS = {
    "identity": None,
    "logistic": logistic,
    "tanh": math.tanh,
    "relu": lambda x: x if x > 0.0 else 0.0,
}
