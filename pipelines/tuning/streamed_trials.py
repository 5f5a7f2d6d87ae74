"""Trials on a table that is read in parts: all folds of a trial are fitted exactly, and judged, in the same passes."""

import math
from collections.abc import Iterator
from dataclasses import replace

from pipelines.planning import TrainingPlan
from pipelines.solving import Fit, Objective, Solver, SolvingError, Squares, objectives
from pipelines.streaming.engine import Streamed
from pipelines.tuning import trials
from pipelines.tuning.search_plan import SearchPlan
from pipelines.tuning.trials import Failed, JudgedFold

#: Metrics that the squares of the residuals give.
_OF_SQUARES = ("mse", "rmse", "r2")


class StreamedFolds:
    """Fits and judges all folds of a trial in the same passes.

    Of objectives that differ in their penalties alone the first pass is made once, and each is fitted from the nearest
    that has been: least squares need no further pass. If all trials are least squares and the metric is one of squares,
    they are judged by the sums of that pass, too.
    """

    stepwise = False

    def __init__(self, plan: SearchPlan) -> None:
        assert isinstance(plan.engine, Streamed)
        self._engine = plan.engine
        self._by_squares = plan.metric in _OF_SQUARES and all(
            _is_squared(plan.training.with_estimator(one.entry.name, one.fixed)) for one in plan.space.candidates
        )
        self._solvers: dict[tuple[Objective, tuple[float, ...] | None], Solver | SolvingError] = {}
        self._fits: dict[Solver, list[tuple[Objective, Fit]]] = {}
        self._name = ""

    def __len__(self) -> int:
        return self._engine.plan.settings.folds

    def judged(self, tried: TrainingPlan, name: str) -> Iterator[list[JudgedFold]]:
        """See :class:`trials.TrialFolds`."""
        engine, self._name = self._engine.with_plan(tried), name
        objective = engine.objective
        with engine.solving():
            solver = self._solver(engine, objective)
            fit = self._fitted(solver, objective)
        for one in fit.folds:
            if not one.converged:
                raise Failed("; ".join(one.notes))
        if self._by_squares and None not in (squares := solver.squares(fit)):
            yield [_judged(one) for one in squares if one]
            return
        yield trials.measured(tried, engine.cross_validated(fit, f"{name}, cross-validating").folds)

    def _solver(self, engine: Streamed, objective: Objective) -> Solver:
        """The solver of all objectives that differ in their penalties alone, on rows of the same weights."""
        weights = engine.class_weights()
        like = replace(objective, l1=0, l2=0, average=False)
        key = like, None if weights is None else tuple(weights.tolist())
        if key not in self._solvers:
            try:
                self._solvers[key] = Solver(engine.blocks(lambda: f"{self._name}, fitting"), objective, folds=len(self))
            except SolvingError as error:
                # No other penalty helps: the pass is not made again.
                self._solvers[key] = error
        found = self._solvers[key]
        if isinstance(found, SolvingError):
            raise found
        return found

    def _fitted(self, solver: Solver, objective: Objective) -> Fit:
        fits = self._fits.setdefault(solver, [])
        nearest = min(fits, key=lambda one: abs(_size(one[0]) - _size(objective)), default=None)
        fit = solver.fit(objective, start=nearest[1] if nearest else None, predictions=True)
        if fit.converged:
            fits.append((objective, replace(fit, covariance=None, folds=())))
        return fit


def _is_squared(plan: TrainingPlan) -> bool:
    return objectives.of(plan.build(), len(plan.dataset.classes)).loss == "squared"


def _size(objective: Objective) -> float:
    """How large the penalties are, as a logarithm."""
    return math.log(max(objective.l1 + objective.l2, 1e-300))


def _judged(squares: Squares) -> JudgedFold:
    mse = squares.residual / squares.rows
    return JudgedFold({"mse": mse, "rmse": math.sqrt(mse), "r2": 1 - squares.residual / squares.total}, varies=True)
