"""What a fitted estimator computes, and how it is read off one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..nodes import Calibrator, Label, Layer, Member, Threshold
from ..steps import Step
from .trace import Trace, TracedColumn, unsupported


@dataclass(frozen=True)
class CompiledEstimator:
    """What an estimator computes: scores of columns, and what becomes of them.

    ``weights`` has one list a score, each with a weight a column; ``layers`` takes its place for an MLP. ``members``
    are those of an ensemble, whose scores stand side by side.
    """

    task: str
    columns: list[TracedColumn]
    link: str
    weights: list[list[float]] = field(default_factory=list)
    intercepts: list[float] = field(default_factory=list)
    layers: list[Layer] | None = None
    activation: str | None = None
    calibration: tuple[Calibrator, ...] | None = None
    target: tuple[Step, ...] = ()
    classes: list[Label] | None = None
    threshold: Threshold | None = None
    members: tuple[Member, ...] | None = None

    @property
    def scored(self) -> bool:
        """Whether it is one linear model whose scores have not been turned into anything yet."""
        return not (self.layers or self.calibration or self.threshold or self.members or self.target)


#: (fitted estimator, columns, trace, path) to what it computes.
Convert = Callable[[Any, list[TracedColumn], Trace, str], CompiledEstimator]


def matrix(columns: list[TracedColumn], trace: Trace, path: str, step: object) -> list[TracedColumn]:
    """The columns of an estimator: numbers, none of them missing."""
    expected = getattr(step, "n_features_in_", len(columns))
    if expected != len(columns):
        raise unsupported(path, step, f"it was fitted on {expected} columns and gets {len(columns)}")
    return [trace.require(trace.numeric(column, path, step)) for column in columns]


def linear_scores(step: Any, path: str) -> dict[str, Any]:
    """Weights and intercepts of a fitted linear model, one score a row of ``coef_``."""
    coefficients = step.coef_.toarray() if hasattr(step.coef_, "toarray") else step.coef_
    coefficients = np.atleast_2d(np.asarray(coefficients, dtype=np.float64))
    intercepts = np.broadcast_to(np.ravel(np.asarray(step.intercept_, dtype=np.float64)), len(coefficients))
    if not (np.isfinite(coefficients).all() and np.isfinite(intercepts).all()):
        raise unsupported(path, step, "its fitted coefficients are not all finite")
    return {"weights": coefficients.tolist(), "intercepts": intercepts.tolist()}


def labels(step: Any, path: str) -> list[Label]:
    """The classes of a fitted classifier, in the order of its probabilities."""
    classes = step.classes_
    binarizer = getattr(step, "_label_binarizer", None)
    if isinstance(classes, list) or np.ndim(classes) != 1 or "multilabel" in getattr(binarizer, "y_type_", ""):
        raise unsupported(path, step, "it predicts several labels at once")
    found = [str(label) if isinstance(label, str) else label for label in np.asarray(classes).tolist()]
    if len(found) < 2:
        raise unsupported(path, step, "it knows one class only")
    if len({type(label) for label in found}) != 1 or type(found[0]) not in (str, int, float, bool):
        raise unsupported(
            path, step, f"its labels are {type(found[0]).__name__}, not text, numbers or booleans of one type"
        )
    return found
