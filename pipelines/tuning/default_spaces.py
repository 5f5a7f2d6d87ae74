"""Default search spaces, whose penalties scale with the number of rows and the units of the target."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.estimators import EstimatorEntry
from pipelines.tuning.spaces import Choices, Range

if TYPE_CHECKING:
    import numpy as np

#: What ``auto`` tries. The elastic net is the lasso at one end; ridge is what it only comes near at the other.
AUTO = {"regression": ("ridge", "elastic-net"), "classification": ("logistic",)}
_MLP_LAYERS = ("(16,)", "(64,)", "(100,)", "(32, 16)", "(100, 50)")


@dataclass(frozen=True)
class Scale:
    """What sensible penalties of a regression depend on, measured on the training rows.

    Parameters
    ----------
    rows : number of training rows.
    spread, level : standard deviation and mean absolute value of the target, in its units.
    """

    rows: int
    spread: float = 1.0
    level: float = 1.0

    @classmethod
    def of(cls, target: "np.ndarray") -> "Scale":
        """The scale of a numeric target, shape (n_rows,)."""
        import numpy as np

        return cls.bounded(len(target), float(np.std(target)), float(np.mean(np.abs(target))))

    @classmethod
    def bounded(cls, rows: int, spread: float, level: float) -> "Scale":
        """The scale of a target; a spread or level that is zero, or beyond measure, counts as 1."""
        return cls(rows, *(value if 1e-100 < value < 1e100 else 1.0 for value in (spread, level)))


def sensible(entry: EstimatorEntry, scale: Scale) -> dict[str, Range | Choices]:
    """Return the default space of an estimator on standardised features; empty if there is nothing to tune.

    scikit-learn weighs a penalty against a sum or a mean of losses, each in the target's units or in units of its own;
    the bounds follow, so that they span from next to no penalty to one that leaves next to no model.
    """
    rows, spread, level = scale.rows, scale.spread, scale.level
    spaces: dict[str, dict[str, Range | Choices]] = {
        # Against a sum of squares: as many as rows.
        "ridge": {"alpha": _log(1e-3, 10 * max(rows, 10))},
        # Against a mean of squares, on the magnitude of coefficients: beyond the target's spread all are zero.
        "lasso": {"alpha": _log(1e-4 * spread, spread)},
        "elastic-net": {"alpha": _log(1e-4 * min(spread, 1), max(spread, 1)), "l1_ratio": Range(0.05, 1.0)},
        # Against a sum of squares over a scale of its own.
        "huber": {"epsilon": Range(1.05, 3.0), "alpha": _log(1e-6 * rows / spread, rows / spread)},
        # Against a mean deviance, which grows as the counts do.
        "poisson": {"alpha": _log(1e-5 * level, 10 * level)},
        "gamma": {"alpha": _log(1e-5, 10)},
        # Its deviance grows with the target to the power of 2 - 1.5.
        "tweedie": {"alpha": _log(1e-5 * level**0.5, 10 * level**0.5)},
        # A sum of absolute errors against squares of coefficients.
        "linear-svr": {
            "C": _log(1e-2 * spread / rows, 1e3 * spread / rows),
            "epsilon": Range(0.0, _rounded(spread / 2)),
        },
        "logistic": {"C": _log(1e-4, 1e3)},
        "linear-svm": {"C": _log(1e-4, 1e2)},
    }
    layers: dict[str, Range | Choices] = {
        "hidden_layer_sizes": Choices(_MLP_LAYERS),
        "alpha": _log(1e-6, 10),
        "learning_rate_init": _log(1e-4, 3e-2),
    }
    return (spaces | {"mlp-regressor": layers, "mlp-classifier": layers}).get(entry.name, {})


def _log(low: float, high: float) -> Range:
    return Range(_rounded(low), _rounded(high), log=True)


def _rounded(value: float) -> float:
    """To two significant digits, which people can read and type."""
    return float(f"{value:.1e}")
