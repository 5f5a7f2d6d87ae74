"""Standard errors of a fitted linear estimator's weights, from the second derivatives of its loss.

Without a penalty they are the classical ones (McCullagh and Nelder 1989, sections 2.4 and 4.4): dispersion times the
inverse of the information. With one they are those of the penalised estimate, of which its bias is no part: H^-1 I H^-1
with the penalised second derivatives H and the information I (Gray 1992).
"""

import warnings
from typing import Any

import numpy as np

from pipelines import solving
from pipelines.solving import Block, IteratedBlocks, SolvingError, objectives
from pipelines.solving.problem import MOST_PARAMETERS

# More numbers than these take seconds, or do not fit into memory a second time.
_MOST_CELLS = 20_000_000


def covariance(estimator: Any, matrix: Any, target: np.ndarray) -> np.ndarray | None:
    """The covariance of intercept and weights, shape (1 + columns, 1 + columns); None where none is known.

    Parameters
    ----------
    estimator : fitted.
    matrix : (n, columns) what it was fitted on, dense or sparse.
    target : (n,)
    """
    if matrix.shape[0] * matrix.shape[1] > _MOST_CELLS or matrix.shape[1] >= MOST_PARAMETERS:
        return None
    classes, weights = getattr(estimator, "classes_", None), None
    if classes is not None:
        if len(classes) != 2:
            return None
        target = np.searchsorted(classes, target)
        by_class = objectives.class_weights(estimator.class_weight, classes, np.bincount(target))
        weights = None if by_class is None else by_class[target]
    dense = np.ascontiguousarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, dtype="float64")
    block = Block(dense, target.astype("float64"), weights)
    try:
        objective = objectives.of(estimator, 0 if classes is None else 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return solving.fit(IteratedBlocks(lambda: iter([block])), objective).covariance
    except (objectives.NotCovered, SolvingError):
        return None


def errors(covariance: np.ndarray, centre: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Standard errors in raw units, shape (1 + columns,): of the intercept, then of the weights.

    Parameters
    ----------
    covariance : shape (1 + columns, 1 + columns).
    centre, scale : shape (columns,), of the scaled columns: a raw weight is w / scale.
    """
    to_intercept = np.concatenate([[1.0], -centre / scale])
    with np.errstate(all="ignore"):
        squares = np.concatenate([[to_intercept @ covariance @ to_intercept], np.diag(covariance)[1:] / scale**2])
        return np.sqrt(np.maximum(squares, 0.0))
