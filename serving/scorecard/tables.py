"""Scores of whole tables with NumPy, block by block so that the numbers stay in the processor's cache."""

import numpy as np

from . import arraysteps, frames, steps
from .blocks import Blocks
from .plan import Plan
from .rows import OVERFLOW, UNPREDICTABLE


class Tables:
    """A plan made ready to score tables."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self._model = plan.document["model"]
        self._decision = plan.document["decision"]
        self._target = arraysteps.chain(self._model["target"])
        self._magnitudes = np.array(plan.magnitudes() or [0.0])[:, None]
        if self._model["kind"] == "linear":
            self._outputs = len(self._model["intercepts"])
            self._weights = np.array(plan.weights, dtype=np.float64).reshape(len(plan.columns), self._outputs).T.copy()
            self._intercepts = np.array(self._model["intercepts"], dtype=np.float64)[:, None]
            self._groups = [(slot, np.array(table, dtype=np.float64)) for slot, table, _ in plan.groups]
        else:
            self._groups = []
            self._layers = [
                (np.array(layer["weights"], dtype=np.float64), np.array(layer["intercepts"], dtype=np.float64))
                for layer in self._model["layers"]
            ]
            self._outputs = len(self._layers[-1][1])

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
        plan = self.plan
        table = frames.named(table, plan.inputs)
        known = frames.spelled(table, plan.names)
        count = frames.length(table)
        refusals = frames.Refusals()
        checks = [check for check in plan.checks if all(plan.inputs[place].name in known for place in check.places)]
        columns = {}
        for place in sorted({*plan.reads, *(place for check in checks for place in check.places)}):
            item = plan.inputs[place]
            columns[place] = frames.read(item, frames.column(table, known, item.name), plan.cleaning, refusals)
        scores = np.empty((self._outputs, count))
        found = np.empty_like(scores) if sizes else None
        with np.errstate(all="ignore"):
            blocks = Blocks(plan, columns, checks, count, refusals, changed=changed, change=change)
            tables = [weights if (c := blocks.codes(slot)) is None else weights[c] for slot, weights in self._groups]
            for start in range(0, count, blocks.rows):
                block = slice(start, min(count, start + blocks.rows))
                inputs, target = blocks.matrix(block), scores[:, block]
                hot = [weights[blocks.places(slot)].T for (slot, _), weights in zip(self._groups, tables, strict=True)]
                self._score(inputs, hot, target)
                self._refuse(inputs, target, start, refusals)
                for check in checks:
                    refusals.add(
                        np.flatnonzero(~np.isfinite(blocks.value(check.slot))) + start, check.blame, steps.UNUSABLE
                    )
                if found is not None:
                    self._size(inputs, hot, found[:, block])
        return (scores, refusals, found) if sizes else (scores, refusals)

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
        """Refuses the rows of a block whose answer is not finite, each by the input that spoils it."""
        answers = self.predicted(target) if self._decision is None else target
        if frames.finite_sum(answers) and frames.finite_sum(target):
            return
        overflown = ~np.isfinite(target).all(axis=0)
        bad = np.flatnonzero(overflown | ~np.isfinite(answers.reshape(-1, target.shape[1])).all(axis=0))
        names = [self.plan.blame(name) for name, _ in self.plan.columns] or [item.name for item in self.plan.inputs]
        if not self.plan.columns:
            inputs = np.zeros((1, target.shape[1]))
        unusable = ~np.isfinite(inputs[:, bad])
        largest = (np.abs(inputs[:, bad]) * self._magnitudes).argmax(axis=0)
        culprits = np.where(unusable.any(axis=0), unusable.argmax(axis=0), largest)
        reasons = np.where(unusable.any(axis=0), 0, np.where(overflown[bad], 1, 2))
        for place in np.unique(culprits).tolist():
            for reason, text in enumerate((steps.UNUSABLE, OVERFLOW, UNPREDICTABLE)):
                refusals.add(bad[(culprits == place) & (reasons == reason)] + start, names[place], text)

    def _scores(self, table):
        scores, refusals = self.scores(table)
        error = refusals.first()
        if error is not None:
            raise error
        return scores

    def rows(self, table):
        """Each row of a table as a mapping of input name to raw value."""
        table = frames.named(table, self.plan.inputs)
        known = frames.spelled(table, self.plan.names)
        present = [item.name for item in self.plan.inputs if item.name in known]
        columns = [frames.cells(frames.column(table, known, name)) for name in present]
        for place in range(frames.length(table)):
            yield {name: column[place] for name, column in zip(present, columns, strict=True)}

    def predict(self, table):
        """See ``Scorecard.predict``."""
        scores = self._scores(table)
        return self.predicted(scores) if self._decision is None else self.labels(scores)

    def predicted(self, scores):
        """The predictions of a regression from its scores; not finite where they are out of range."""
        values = scores[0].copy()
        with np.errstate(all="ignore"):
            if self._model["link"] == "log":
                np.exp(values, out=values)
            return self._target(values, values, None)

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
