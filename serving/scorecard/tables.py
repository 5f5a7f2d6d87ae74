"""Scores of whole tables with NumPy, block by block so that the numbers stay in the processor's cache."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from . import arrayresponses, arraysteps, frames
from .blocks import Blocks
from .handlers import handler
from .nodes import Document, Ensemble, Estimator, Linear, Network, decision_rule
from .program import Program
from .rows import OVERFLOW, UNPREDICTABLE
from .steps import UNUSABLE


class LinearScores:
    """The scores of a linear model from its matrix (columns, rows) and the weights that categories choose."""

    def __init__(self, model: Linear, program: Program) -> None:
        shape = len(program.columns), model.outputs
        self._weights = np.array(program.weights, dtype=np.float64).reshape(shape).T.copy()
        self._intercepts = np.array(model.intercepts, dtype=np.float64)[:, None]

    def score(self, inputs: np.ndarray, hot: Sequence[np.ndarray], target: np.ndarray) -> None:
        """Writes the scores (scores, rows) to the target."""
        if len(inputs):
            np.matmul(self._weights, inputs, out=target)
        else:
            target.fill(0.0)
        target += self._intercepts
        for weights in hot:
            target += weights

    def size(self, inputs: np.ndarray, hot: Sequence[np.ndarray], target: np.ndarray) -> None:
        """Writes the sizes of the scores, as ``TableScorer.scores`` defines them, to the target."""
        target[:] = 1.0 + np.abs(self._weights) @ np.abs(inputs) + np.abs(self._intercepts)
        for weights in hot:
            target += np.abs(weights)


class NetworkScores:
    """The scores of a multi-layer perceptron from its matrix (columns, rows)."""

    def __init__(self, model: Network, program: Program) -> None:
        self._layers = [
            (np.array(layer.weights, dtype=np.float64), np.array(layer.intercepts, dtype=np.float64)[:, None])
            for layer in model.layers
        ]
        self._activate = ACTIVATIONS[model.activation]

    def score(self, inputs: np.ndarray, hot: Sequence[np.ndarray], target: np.ndarray) -> None:
        """Writes the scores (scores, rows) to the target; NaN where a unit on the way is not finite."""
        current, spoiled = inputs, np.zeros(inputs.shape[1], dtype=bool)
        for place, (weights, intercepts) in enumerate(self._layers):
            current = weights @ current
            current += intercepts
            spoiled |= ~np.isfinite(current).all(axis=0)
            if place < len(self._layers) - 1:
                self._activate(current)
        target[:] = current
        target[:, spoiled] = np.nan

    def size(self, inputs: np.ndarray, hot: Sequence[np.ndarray], target: np.ndarray) -> None:
        """Writes the sizes of the scores, as ``TableScorer.scores`` defines them, to the target."""
        current, below = inputs, np.zeros_like(inputs)
        for place, (weights, intercepts) in enumerate(self._layers):
            size = 1.0 + np.abs(weights) @ np.abs(current) + np.abs(intercepts)
            below = size + np.abs(weights) @ below
            current = weights @ current + intercepts
            if place < len(self._layers) - 1:
                self._activate(current)
        target[:] = below


class TableScorer:
    """A program made ready to score tables."""

    def __init__(self, document: Document, program: Program) -> None:
        self.program, self._model, self._decision = program, document.model, document.decision
        decision = document.decision
        self._rule = None if decision is None else decision_rule(document.model, decision)
        self._finish = arraysteps.chain(document.model.after_score)
        self._magnitudes = np.array(program.magnitudes() or [0.0])[:, None]
        self._groups = [(group.slot, np.array(group.weights, dtype=np.float64)) for group in program.groups]
        self._scorer: LinearScores | NetworkScores = handler(_SCORES, self._model, "a table of rows")(
            self._model, program
        )

    def scores(
        self, table: Any, *, changed: int | None = None, change: float = 0.0
    ) -> tuple[np.ndarray, frames.Refusals]:
        """The scores of a table, shape (n_scores, n_rows), and the rows refused, whose scores are not to be used.

        Parameters
        ----------
        changed, change : the slot of an operation whose inexact functions are to be off by this much, relatively.
        """
        scores, refusals, _ = self._score(table, sizes=False, changed=changed, change=change)
        return scores, refusals

    def sized_scores(self, table: Any) -> tuple[np.ndarray, frames.Refusals, np.ndarray]:
        """The scores of a table, the rows refused, and the size of each score, by which two ways to sum it may differ.

        A size is 1 + the sum of the absolute values of a score's terms; in an MLP that of a unit, and those of the
        units below it times the absolute weights.
        """
        return self._score(table, sizes=True)

    def blocks(
        self, table: Any, each: Callable[[slice, np.ndarray, list[np.ndarray]], None]
    ) -> tuple[np.ndarray, frames.Refusals]:
        """As :meth:`scores`, and calls ``each`` for each block of rows on the way.

        Parameters
        ----------
        each : takes the rows of the block, the model's matrix, shape (n_columns, n_rows), and for each one-hot group
            the weights that its categories choose, shape (n_scores, n_rows). They are overwritten after the call.
        """
        scores, refusals, _ = self._score(table, sizes=False, each=each)
        return scores, refusals

    def _score(
        self,
        table: Any,
        *,
        sizes: bool,
        changed: int | None = None,
        change: float = 0.0,
        each: Callable[[slice, np.ndarray, list[np.ndarray]], None] | None = None,
    ) -> tuple[np.ndarray, frames.Refusals, np.ndarray]:
        program = self.program
        table = frames.named(table, program.inputs)
        known = frames.spelled(table, program.names)
        count = frames.length(table)
        refusals = frames.Refusals()
        checks = [check for check in program.checks if all(program.inputs[p].name in known for p in check.places)]
        columns = {}
        for place in sorted({*program.reads, *(place for check in checks for place in check.places)}):
            item = program.inputs[place]
            columns[place] = frames.read(item, frames.column(table, known, item.name), program.cleaning, refusals)
        scores = np.empty((self._model.outputs, count))
        found = np.empty_like(scores) if sizes else scores
        with np.errstate(all="ignore"):
            blocks = Blocks(program, columns, checks, count, refusals, changed=changed, change=change)
            tables = [weights if (c := blocks.codes(slot)) is None else weights[c] for slot, weights in self._groups]
            for start in range(0, count, blocks.rows):
                block = slice(start, min(count, start + blocks.rows))
                inputs, target = blocks.matrix(block), scores[:, block]
                hot = [weights[blocks.places(slot)].T for (slot, _), weights in zip(self._groups, tables, strict=True)]
                self._scorer.score(inputs, hot, target)
                if each is not None:
                    each(block, inputs, hot)
                self._refuse(inputs, target, start, refusals)
                for check in checks:
                    refusals.add(np.flatnonzero(~np.isfinite(blocks.value(check.slot))) + start, check.blame, UNUSABLE)
                if sizes:
                    self._scorer.size(inputs, hot, found[:, block])
        return scores, refusals, found

    def _refuse(self, inputs: np.ndarray, target: np.ndarray, start: int, refusals: frames.Refusals) -> None:
        """Refuses the rows of a block whose answer is not finite, each by the input that spoils it."""
        answers = self.predicted(target) if self._decision is None else target
        if frames.finite_sum(answers) and frames.finite_sum(target):
            return
        overflown = ~np.isfinite(target).all(axis=0)
        bad = np.flatnonzero(overflown | ~np.isfinite(answers.reshape(-1, target.shape[1])).all(axis=0))
        names = [self.program.blame(name) for name, _ in self.program.columns] or [
            item.name for item in self.program.inputs
        ]
        if not self.program.columns:
            inputs = np.zeros((1, target.shape[1]))
        unusable = ~np.isfinite(inputs[:, bad])
        largest = (np.abs(inputs[:, bad]) * self._magnitudes).argmax(axis=0)
        culprits = np.where(unusable.any(axis=0), unusable.argmax(axis=0), largest)
        reasons = np.where(unusable.any(axis=0), 0, np.where(overflown[bad], 1, 2))
        for place in np.unique(culprits).tolist():
            for reason, text in enumerate((UNUSABLE, OVERFLOW, UNPREDICTABLE)):
                refusals.add(bad[(culprits == place) & (reasons == reason)] + start, names[place], text)

    def _accepted(self, table: Any) -> np.ndarray:
        """The scores of a table of which no row is refused."""
        scores, refusals = self.scores(table)
        error = refusals.first()
        if error is not None:
            raise error
        return scores

    def rows(self, table: Any) -> Iterator[dict[str, Any]]:
        """Each row of a table as a mapping of input name to raw value."""
        table = frames.named(table, self.program.inputs)
        known = frames.spelled(table, self.program.names)
        present = [item.name for item in self.program.inputs if item.name in known]
        columns = [frames.cells(frames.column(table, known, name)) for name in present]
        for place in range(frames.length(table)):
            yield {name: column[place] for name, column in zip(present, columns, strict=True)}

    def predict(self, table: Any) -> np.ndarray:
        """See ``Scorecard.predict``."""
        scores = self._accepted(table)
        return self.predicted(scores) if self._decision is None else self.labels(scores)

    def predicted(self, scores: np.ndarray) -> np.ndarray:
        """The predictions of a regression from its scores; not finite where they are out of range."""
        values = scores[0].copy()
        with np.errstate(all="ignore"):
            return self._finish(values, values, lambda rows, reason: None)

    def probabilities(self, table: Any) -> np.ndarray:
        """See ``Scorecard.probabilities``."""
        return self.likelihoods(self._accepted(table))

    def decision(self, table: Any) -> np.ndarray:
        """See ``Scorecard.decision``."""
        scores = self._accepted(table)
        return scores[0] if len(scores) == 1 else np.ascontiguousarray(scores.T)

    def likelihoods(self, scores: np.ndarray) -> np.ndarray:
        """The probabilities (rows, classes) from scores (scores, rows)."""
        if self._decision is None:
            raise TypeError("a regression has no probabilities")
        found = arrayresponses.probabilities(self._model, len(self._decision.classes), scores)
        return np.ascontiguousarray(found.T)

    def labels(self, scores: np.ndarray) -> np.ndarray:
        """The labels of scores, in an array of their type."""
        rule, decision = self._rule, self._decision
        if rule is None or decision is None:
            raise TypeError("a regression has no labels")
        numbers = scores
        if rule.of == "margins":
            numbers = arrayresponses.margins(self._model, scores)
        elif rule.of == "probabilities":
            numbers = self.likelihoods(scores).T
        if rule.place is None:
            chosen = numbers.argmax(axis=0)
        else:
            value = -numbers[rule.place] if rule.negative else numbers[rule.place]
            reached = value > 0.0 if rule.least is None else value >= rule.least
            chosen = (reached if rule.yes else ~reached).astype(np.intp)
        return np.array(decision.classes, dtype=object if isinstance(decision.classes[0], str) else None)[chosen]


_SCORES: dict[type[Estimator], Callable[[Any, Program], LinearScores | NetworkScores]] = {
    Linear: LinearScores,
    Network: NetworkScores,
    Ensemble: LinearScores,
}


def _activate_logistic(block: np.ndarray) -> None:
    block[:] = arrayresponses.logistic(block)


#: Each works in place.
ACTIVATIONS: dict[str, Callable[[np.ndarray], object]] = {
    "identity": lambda block: None,
    "logistic": _activate_logistic,
    "tanh": lambda block: np.tanh(block, out=block),
    "relu": lambda block: np.maximum(block, 0.0, out=block),
}
