"""The losses: each with its derivatives by the linear predictor, and the values that a target may have.

Half unit deviances with a log link, mu = exp(eta), as in scikit-learn's ``_loss`` (constants left out):

- Poisson: mu - y eta
- gamma: y / mu + eta
- Tweedie of power p, 1 < p < 2: mu^(2-p) / (2-p) - y mu^(1-p) / (1-p)

Source: Jorgensen (1997), The Theory of Dispersion Models; McCullagh and Nelder (1989), Generalized Linear Models.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from pipelines.solving.problem import Objective, SolvingError

#: Loss of each row, shape (n,); its first derivative, shape (n,) or (n, K); its second derivative, shape (n,),
#: or the K probabilities that it is made of, shape (n, K).
Derivatives = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Constant:
    """A predictor that is the same for all rows.

    Parameters
    ----------
    eta, mean : shape (k,), the predictor and the mean that it is of.
    slope : the first derivative of a row's loss is ``slope * (mean - target)``.
    curvature : shape (k, k), the expected second derivative.
    """

    eta: np.ndarray
    mean: np.ndarray
    slope: float
    curvature: np.ndarray


class Family(ABC):
    """A loss of one linear predictor."""

    #: Columns of the target in the moments.
    columns = 1
    #: Sets of coefficients that a point is made of: shape (columns, sets), see :class:`Multinomial`.
    contrasts = np.ones((1, 1))
    #: Values that a target may have.
    values = "numbers"
    #: Whether the loss may have no minimum, without a penalty.
    separable = False
    #: The dispersion is estimated (Pearson), and not 1.
    dispersed = False
    #: The power of the mean that the variance is.
    power = 0.0

    def allowed(self, target: np.ndarray) -> bool:
        """Whether the loss is defined for a target, shape (n,), n > 0."""
        return bool(np.isfinite(target).all())

    def check(self, target: np.ndarray) -> None:
        """Raise SolvingError where the loss is not defined for a target."""
        if not self.allowed(target):
            raise SolvingError(
                f"the target must be {self.values}, found {np.nanmin(target):.6g} to {np.nanmax(target):.6g}"
                + (", and values that are no numbers" if not np.isfinite(target).all() else "")
            )

    def indicators(self, target: np.ndarray) -> np.ndarray:
        """The target as columns of the moments, shape (n, k)."""
        return target[:, None]

    @abstractmethod
    def null(self, mean: np.ndarray) -> "Constant":
        """The best constant predictor for a target of a mean, shape (k,)."""

    def origin(self) -> "Constant":
        """The constant predictor 0."""
        return Constant(np.zeros(1), np.ones(1), 1.0, np.ones((1, 1)))

    def constant_loss(self, constant: "Constant", mean: np.ndarray) -> float:
        """The mean loss of a constant predictor for a target of a mean, shape (k,): it is linear in the target."""
        losses = self.derivatives(np.full(2, constant.eta[0]), np.array([0.0, 1.0]))[0]
        return float(losses[0] + mean[0] * (losses[1] - losses[0]))

    @abstractmethod
    def derivatives(self, eta: np.ndarray, target: np.ndarray) -> Derivatives:
        """Of the loss by eta, shape (n,)."""

    def parameters(self, columns: int) -> int:
        """Numbers that make up a point, for so many columns of the matrix."""
        return columns * self.contrasts.shape[1]

    def width(self, parameters: int) -> int:
        """Numbers a row that the derivatives need."""
        return 6

    def predictor(self, matrix: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """eta of rows, at a point or in a direction, shape (q,)."""
        return matrix @ theta

    def gradient(self, matrix: np.ndarray, residual: np.ndarray) -> np.ndarray:
        """By the point, shape (q,), of first derivatives by eta."""
        return residual @ matrix

    def hessian(self, matrix: np.ndarray, curvature: np.ndarray) -> np.ndarray:
        """By the point, shape (q, q), of second derivatives by eta; the matrix is overwritten."""
        matrix *= np.sqrt(curvature)[:, None]
        return matrix.T @ matrix

    def slack(self, target: np.ndarray, change: np.ndarray) -> np.ndarray:
        """For a change of eta, shape (n,): 0 or more where no step in its direction, however far, raises the loss."""
        return np.full(len(target), -np.inf)

    def pearson(self, eta: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Squared Pearson residuals, shape (n,)."""
        mean = np.exp(eta)
        return (target - mean) ** 2 / mean**self.power


class Squared(Family):
    """``(y - eta)^2 / 2``."""

    dispersed = True

    def null(self, mean):
        return Constant(mean, mean, 1.0, np.ones((1, 1)))

    def origin(self):
        return self.null(np.zeros(1))

    def pearson(self, eta, target):
        return (target - eta) ** 2

    def derivatives(self, eta, target):
        residual = eta - target
        return residual * residual / 2, residual, np.ones_like(eta)


class Logistic(Family):
    """``log(1 + exp(-s eta))``, s = 1 for a target of 1 and -1 for 0."""

    values = "0 or 1, the places of two classes"
    separable = True

    def allowed(self, target):
        return bool(((target == 0) | (target == 1)).all())

    def null(self, mean):
        share = float(mean[0])
        if not 0 < share < 1:
            raise SolvingError("expected rows of both classes, found rows of one")
        eta = np.array([np.log(share) - np.log1p(-share)])
        return Constant(eta, mean, 1.0, np.full((1, 1), share * (1 - share)))

    def origin(self):
        return Constant(np.zeros(1), np.full(1, 0.5), 1.0, np.full((1, 1), 0.25))

    def derivatives(self, eta, target):
        sign = 2 * target - 1
        margin = sign * eta
        small = np.exp(-np.abs(margin))
        inverse = 1 / (1 + small)
        loss = np.log1p(small) - np.minimum(margin, 0)
        share = small * inverse
        slope = np.where(margin >= 0, share, inverse)
        slope *= sign
        return loss, np.negative(slope, out=slope), share * inverse

    def slack(self, target, change):
        return (2 * target - 1) * change


class Poisson(Family):
    """``mu - y eta``."""

    values = "0 or more"
    separable = True
    power = 1.0

    def allowed(self, target):
        return bool((target >= 0).all() and np.isfinite(target).all())

    def null(self, mean):
        if not mean[0] > 0:
            raise SolvingError("expected a target above 0 in some rows, found 0 in all: the mean has no logarithm")
        return Constant(np.log(mean), mean, 1.0, mean[:, None])

    def derivatives(self, eta, target):
        mean = np.exp(eta)
        return mean - target * eta, mean - target, mean

    def slack(self, target, change):
        return np.where(target > 0, -np.abs(change), -change)


class Gamma(Family):
    """``y / mu + eta``."""

    values = "above 0"
    dispersed = True
    power = 2.0

    def allowed(self, target):
        return bool((target > 0).all() and np.isfinite(target).all())

    def null(self, mean):
        return Constant(np.log(mean), mean, float(1 / mean[0]), np.ones((1, 1)))

    def derivatives(self, eta, target):
        ratio = target * np.exp(-eta)
        return ratio + eta, 1 - ratio, ratio


class Tweedie(Poisson):
    """``mu^(2-p) / (2-p) - y mu^(1-p) / (1-p)``, 1 < p < 2."""

    dispersed = True

    def __init__(self, power: float) -> None:
        self.power = power

    def null(self, mean):
        eta = super().null(mean).eta
        return Constant(eta, mean, float(mean[0] ** (1 - self.power)), mean[:, None] ** (2 - self.power))

    def derivatives(self, eta, target):
        above, below = 2 - self.power, 1 - self.power
        mean, rest = np.exp(above * eta), target * np.exp(below * eta)
        return mean / above - rest / below, mean - rest, above * mean - below * rest


class Multinomial(Family):
    """``log(sum(exp(eta))) - eta[y]`` of K predictors.

    A point has K - 1 sets of coefficients; those of the classes are orthonormal contrasts of them, and add up to zero.
    So do those of the over-parametrised model with an l2 penalty, where this one has its minimum, too.
    """

    separable = True

    def __init__(self, classes: int) -> None:
        self.columns = classes
        self.values = f"0 to {classes - 1}, the places of the classes"
        self.contrasts = linalg.helmert(classes).T

    def allowed(self, target):
        return bool(((target >= 0) & (target < self.columns) & (target == np.floor(target))).all())

    def indicators(self, target):
        found = np.zeros((len(target), self.columns))
        found[np.arange(len(target)), target.astype(np.intp)] = 1.0
        return found

    def null(self, mean):
        missing = np.flatnonzero(mean <= 0).tolist()
        if missing:
            raise SolvingError(f"expected rows of all {self.columns} classes, found none of {missing}")
        eta = np.log(mean)
        return Constant(eta - eta.mean(), mean, 1.0, np.diag(mean) - np.outer(mean, mean))

    def origin(self):
        even = np.full(self.columns, 1 / self.columns)
        return Constant(np.zeros(self.columns), even, 1.0, np.diag(even) - np.outer(even, even))

    def constant_loss(self, constant, mean):
        return float(np.log(np.exp(constant.eta).sum()) - mean @ constant.eta)

    def width(self, parameters):
        return 2 * parameters + 4 * self.columns

    def predictor(self, matrix, theta):
        return matrix @ (self.contrasts @ theta.reshape(self.contrasts.shape[1], -1)).T

    def gradient(self, matrix, residual):
        return ((residual @ self.contrasts).T @ matrix).ravel()

    def hessian(self, matrix, curvature):
        """Of ``diag(p) - p p'``: the curvature is p times the row's weight, which is the sum of it."""
        columns, classes = matrix.shape[1], self.columns
        root = np.sqrt(curvature.sum(axis=1))[:, None]
        shares = np.divide(curvature, root, out=np.zeros_like(curvature), where=root > 0)
        stacked = (shares[:, :, None] * matrix[:, None, :]).reshape(len(matrix), classes * columns)
        found = -(stacked.T @ stacked).reshape(classes, columns, classes, columns)
        for place in range(classes):
            scaled = matrix * np.sqrt(curvature[:, place])[:, None]
            found[place, :, place] += scaled.T @ scaled
        sets = self.contrasts.shape[1]
        half = np.tensordot(self.contrasts, found, axes=(0, 0))
        whole = np.tensordot(half, self.contrasts, axes=(2, 0)).transpose(0, 1, 3, 2)
        return whole.reshape(sets * columns, sets * columns)

    def derivatives(self, eta, target):
        largest = eta.max(axis=1, keepdims=True)
        shares = np.exp(eta - largest)
        total = shares.sum(axis=1, keepdims=True)
        shares /= total
        rows, places = np.arange(len(target)), target.astype(np.intp)
        loss = np.log(total[:, 0]) + largest[:, 0] - eta[rows, places]
        residual = shares.copy()
        # 1 - p by the other classes' shares, so that a small difference keeps its digits.
        residual[rows, places] = 0
        residual[rows, places] = -residual.sum(axis=1)
        return loss, residual, shares

    def slack(self, target, change):
        rows, places = np.arange(len(target)), target.astype(np.intp)
        others = change.copy()
        others[rows, places] = -np.inf
        return change[rows, places] - others.max(axis=1)


def family(objective: Objective) -> Family:
    """The family of an objective's loss."""
    if objective.loss == "tweedie" and 1 < objective.power < 2:
        return Tweedie(objective.power)
    named: dict[str, Callable[[], Family]] = {
        "squared": Squared,
        "logistic": Logistic,
        "poisson": Poisson,
        "gamma": Gamma,
    }
    if objective.loss == "tweedie":
        return Poisson() if objective.power == 1 else Gamma()
    if objective.loss == "multinomial":
        return Multinomial(objective.classes)
    if objective.loss not in named:
        raise SolvingError(f"a loss must be one of {', '.join(named)}, multinomial, tweedie; found {objective.loss}")
    return named[objective.loss]()
