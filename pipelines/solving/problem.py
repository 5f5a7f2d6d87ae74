"""What is solved, and what comes out: blocks of rows, an objective, a fit."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import numpy as np

Loss = Literal["squared", "logistic", "multinomial", "poisson", "gamma", "tweedie"]

#: Parameters at most, of a Newton step and of least squares: the matrix has the square of it, again for each fold.
MOST_PARAMETERS, MOST_COLUMNS = 1000, 4000


class SolvingError(ValueError):
    """The fit does not exist, or the blocks are not what the objective needs.

    Parameters
    ----------
    columns : the indices of the columns that are the reason, where columns are.
    """

    def __init__(self, message: str, columns: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.columns = columns


@dataclass(frozen=True)
class Block:
    """Some rows of a table.

    Parameters
    ----------
    matrix : shape (n, d), float64, C order: numbers best standardised, one-hots 0 and 1.
    target : shape (n,), float64: the numbers of a regression; 0 to K - 1, the places of the classes, otherwise.
    weights : shape (n,), 0 or more; None is 1 for each row.
    folds : shape (n,), whole numbers: which fold judges the row; None without cross-validation.
    """

    matrix: np.ndarray
    target: np.ndarray
    weights: np.ndarray | None = None
    folds: np.ndarray | None = None


Result = TypeVar("Result")


class Blocks(Protocol):
    """A table in blocks of rows."""

    def map(self, work: Callable[[Block], Result], merged: Callable[[Result, Result], Result]) -> Iterator[Result]:
        """One pass: what is made of each block, always of the same blocks, in the same order.

        Parameters
        ----------
        work : may run in several threads, or be pickled and run elsewhere.
        merged : what is made of two blocks, of what is made of each; where it saves sending both, blocks that follow
            each other are merged.
        """


class IteratedBlocks:
    """Blocks that come one by one; each call of ``make`` begins anew."""

    def __init__(self, make: Callable[[], Iterator[Block]]) -> None:
        self._make = make

    def map(self, work: Callable[[Block], Result], merged: Callable[[Result, Result], Result]) -> Iterator[Result]:
        """One pass, block after block."""
        return map(work, self._make())


#: Gives what was found when the same was asked before, or finds it now: ``(asked, find) -> found``, both pickled.
Remember = Callable[[object, Callable[[], Result]], Result]


def forget(asked: object, find: Callable[[], Result]) -> Result:
    """Find it now."""
    return find()


#: Told after each pass: how many were made, and the relative gradient (NaN where it is not known yet).
Progress = Callable[[int, float], None]


@dataclass(frozen=True)
class Objective:
    """``S + l1 |w|_1 + l2/2 |w|_2^2``, where S is the weighted sum of the rows' losses, or their weighted mean.

    The intercept is not penalised. The class methods give scikit-learn's objectives, up to a constant factor.

    Parameters
    ----------
    loss : ``squared`` is ``(y - eta)^2 / 2``, ``logistic`` and ``multinomial`` the negative log likelihood, the
        others half the unit deviance with a log link.
    average : S is the mean, not the sum.
    power : of the variance, for ``tweedie``: from 1 to 2.
    classes : K, for ``multinomial``.
    """

    loss: Loss
    l1: float = 0.0
    l2: float = 0.0
    average: bool = False
    fit_intercept: bool = True
    power: float = 1.5
    classes: int = 2

    def __post_init__(self) -> None:
        if not (self.l1 >= 0 and self.l2 >= 0):
            raise SolvingError(f"penalties must be 0 or more, found l1={self.l1}, l2={self.l2}")
        if self.l1 and self.loss != "squared":
            raise SolvingError(f"an l1 penalty is solved for the squared loss alone, not for {self.loss}; use l2")
        if self.loss == "tweedie" and not 1 <= self.power <= 2:
            raise SolvingError(f"the power of a tweedie loss must be from 1 to 2, found {self.power}")
        if self.classes < 2:
            raise SolvingError(f"a classification needs 2 classes or more, found {self.classes}")

    @classmethod
    def linear(cls, *, fit_intercept: bool = True) -> "Objective":
        """LinearRegression's: ``|y - Xw|^2``."""
        return cls("squared", fit_intercept=fit_intercept)

    @classmethod
    def ridge(cls, alpha: float = 1.0, *, fit_intercept: bool = True) -> "Objective":
        """Ridge's: ``|y - Xw|^2 + alpha |w|^2``."""
        return cls("squared", l2=alpha, fit_intercept=fit_intercept)

    @classmethod
    def elastic_net(cls, alpha: float = 1.0, l1_ratio: float = 0.5, *, fit_intercept: bool = True) -> "Objective":
        """ElasticNet's: ``|y - Xw|^2 / 2n + alpha l1_ratio |w|_1 + alpha (1 - l1_ratio) / 2 |w|^2``."""
        return cls("squared", l1=alpha * l1_ratio, l2=alpha * (1 - l1_ratio), average=True, fit_intercept=fit_intercept)

    @classmethod
    def lasso(cls, alpha: float = 1.0, *, fit_intercept: bool = True) -> "Objective":
        """Lasso's: ``|y - Xw|^2 / 2n + alpha |w|_1``."""
        return cls.elastic_net(alpha, 1.0, fit_intercept=fit_intercept)

    @classmethod
    def logistic(cls, C: float = 1.0, *, classes: int = 2, fit_intercept: bool = True) -> "Objective":
        """LogisticRegression's: ``C sum(loss) + |w|^2 / 2``; of three classes or more the multinomial loss."""
        loss: Loss = "logistic" if classes == 2 else "multinomial"
        return cls(loss, l2=0.0 if float("inf") == C else 1 / C, fit_intercept=fit_intercept, classes=classes)

    @classmethod
    def poisson(cls, alpha: float = 1.0, *, fit_intercept: bool = True) -> "Objective":
        """PoissonRegressor's: mean half deviance ``+ alpha / 2 |w|^2``."""
        return cls("poisson", l2=alpha, average=True, fit_intercept=fit_intercept)

    @classmethod
    def gamma(cls, alpha: float = 1.0, *, fit_intercept: bool = True) -> "Objective":
        """GammaRegressor's: mean half deviance ``+ alpha / 2 |w|^2``."""
        return cls("gamma", l2=alpha, average=True, fit_intercept=fit_intercept)

    @classmethod
    def tweedie(cls, power: float, alpha: float = 1.0, *, fit_intercept: bool = True) -> "Objective":
        """TweedieRegressor's with a log link: mean half deviance ``+ alpha / 2 |w|^2``."""
        return cls("tweedie", l2=alpha, average=True, fit_intercept=fit_intercept, power=power)

    @property
    def outputs(self) -> int:
        """Rows of the coefficients: K for ``multinomial``, else 1."""
        return self.classes if self.loss == "multinomial" else 1


@dataclass(frozen=True)
class Fit:
    """A fitted linear model.

    Parameters
    ----------
    coefficients : shape (K, d), in the units of the blocks; K is 1 but for ``multinomial``.
    intercepts : shape (K,).
    passes : passes over the table that were made, those for other fits of the same call included.
    gradient : relative norm of the objective's gradient, see :func:`pipelines.solving.solve.fit`.
    converged : the gradient is as small as was demanded.
    rank : of the centred matrix (of the matrix, without an intercept).
    condition : its condition number, columns scaled to norm 1; exactly collinear directions are left out.
    collinear : the columns that are exact linear combinations of others (and the intercept).
    covariance : shape (1 + d, 1 + d), of the intercept and the coefficients; None where it is not known.
    dispersion : the residual variance of ``squared``, Pearson's estimate for ``gamma`` and ``tweedie``, else 1.
    rows : rows with a weight above 0.
    folds : the fits without each fold's rows.
    notes : what a user should know, one sentence each.
    """

    coefficients: np.ndarray
    intercepts: np.ndarray
    passes: int
    gradient: float
    converged: bool
    rank: int
    condition: float
    collinear: tuple[int, ...] = ()
    covariance: np.ndarray | None = None
    dispersion: float = 1.0
    rows: int = 0
    folds: tuple["Fit", ...] = ()
    notes: tuple[str, ...] = ()
