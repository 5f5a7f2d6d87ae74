"""Fits over blocks are the optimum of scikit-learn's objectives, however the rows are cut, with folds beside it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import (
    ElasticNet,
    GammaRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    TweedieRegressor,
)

from pipelines.solving import Fit, Objective, Solver, SolvingError, fit, fit_path
from tests.effort import times
from tests.pipelines.solving.tables import Rows, made

NEWTON = {"solver": "newton-cholesky", "tol": 1e-12}


def tweedie(power: float, alpha: float) -> TweedieRegressor:
    return TweedieRegressor(power=power, alpha=alpha, link="log", **NEWTON)


PEERS: list[tuple[Objective, Callable[[], Any]]] = [
    (Objective.linear(), LinearRegression),
    (Objective.linear(fit_intercept=False), lambda: LinearRegression(fit_intercept=False)),
    (Objective.ridge(3.0), lambda: Ridge(3.0, solver="svd")),
    (Objective.ridge(1e3, fit_intercept=False), lambda: Ridge(1e3, solver="svd", fit_intercept=False)),
    (Objective.lasso(0.1), lambda: Lasso(0.1, tol=1e-14, max_iter=100_000)),
    (Objective.elastic_net(0.1, 0.3), lambda: ElasticNet(0.1, l1_ratio=0.3, tol=1e-14, max_iter=100_000)),
    (Objective.logistic(1.0), lambda: LogisticRegression(**NEWTON)),
    (Objective.logistic(1e-2), lambda: LogisticRegression(C=1e-2, **NEWTON)),
    (Objective.logistic(np.inf), lambda: LogisticRegression(C=np.inf, **NEWTON)),
    (Objective.logistic(1.0, fit_intercept=False), lambda: LogisticRegression(fit_intercept=False, **NEWTON)),
    (Objective.logistic(1.0, classes=3), lambda: LogisticRegression(**NEWTON)),
    (Objective.logistic(1e-2, classes=3), lambda: LogisticRegression(C=1e-2, **NEWTON)),
    (
        Objective.logistic(0.1, classes=3, fit_intercept=False),
        lambda: LogisticRegression(C=0.1, fit_intercept=False, **NEWTON),
    ),
    (Objective.poisson(0.0), lambda: PoissonRegressor(alpha=0.0, **NEWTON)),
    (Objective.poisson(0.5), lambda: PoissonRegressor(alpha=0.5, **NEWTON)),
    (Objective.poisson(0.1, fit_intercept=False), lambda: PoissonRegressor(alpha=0.1, fit_intercept=False, **NEWTON)),
    (Objective.gamma(0.1), lambda: GammaRegressor(alpha=0.1, **NEWTON)),
    (Objective.tweedie(1.5, 0.1), lambda: tweedie(1.5, 0.1)),
    (Objective.tweedie(1.0, 0.1), lambda: tweedie(1.0, 0.1)),
]


def assert_same(found: Fit, coefficients: np.ndarray, intercepts: Any, tolerance: float) -> None:
    size = np.abs(coefficients).max()
    assert np.abs(found.coefficients - coefficients).max() <= tolerance * size
    assert np.abs(found.intercepts - intercepts).max() <= tolerance * max(size, np.abs(intercepts).max())


@pytest.mark.parametrize(("objective", "peer"), PEERS, ids=lambda value: str(value) if "Obj" in str(value) else "")
def test_a_fit_and_its_folds_are_the_optimum_of_scikit_learns_objective(objective: Objective, peer: Callable[[], Any]):
    rows = made(objective.loss)
    found = fit(rows.blocks(7, 400), objective, folds=3)
    assert found.converged
    assert found.gradient <= 1e-10
    expected = peer().fit(rows.matrix, rows.target, sample_weight=rows.weights)
    assert_same(found, np.atleast_2d(expected.coef_), expected.intercept_, 1e-8)
    assert len(found.folds) == 3
    for fold, without in enumerate(found.folds):
        assert without.converged
        rest = rows.where(rows.folds != fold)
        expected = peer().fit(rest.matrix, rest.target, sample_weight=rest.weights)
        assert_same(without, np.atleast_2d(expected.coef_), expected.intercept_, 3e-8)


#: One of each loss; the penalised ones have the dispersion of their mean.
ONE_OF_EACH = [
    Objective.linear(),
    Objective.elastic_net(0.1, 0.5),
    Objective.logistic(0.1),
    Objective.logistic(1.0, classes=3),
    Objective.poisson(0.1),
    Objective.gamma(0.0),
    Objective.tweedie(1.3, 0.01),
]
each_loss = pytest.mark.parametrize("objective", ONE_OF_EACH, ids=lambda one: one.loss + ("-l1" if one.l1 else ""))


@each_loss
def test_how_the_rows_are_cut_does_not_matter(objective: Objective):
    rows = made(objective.loss, rows=300, seed=3)
    whole = fit(rows.blocks(), objective, folds=3)

    @settings(max_examples=times(40), deadline=None)
    @given(st.lists(st.integers(0, 300), max_size=6).map(sorted))
    def law(cuts: list[int]) -> None:
        cut = fit(rows.blocks(*cuts), objective, folds=3)
        for one, other in zip([cut, *cut.folds], [whole, *whole.folds], strict=True):
            assert_same(one, other.coefficients, other.intercepts, 1e-10 if one is cut else 1e-8)

    law()


@each_loss
def test_a_weight_is_a_row_so_many_times(objective: Objective):
    rows = made(objective.loss, rows=200, seed=4)
    counts = np.random.default_rng(0).integers(0, 4, 200)
    weighted = fit(replace(rows, weights=counts.astype(float)).blocks(90), objective)
    repeated = fit(replace(rows, weights=None).where(np.repeat(np.arange(200), counts)).blocks(50), objective)
    assert_same(weighted, repeated.coefficients, repeated.intercepts, 1e-9)


@each_loss
def test_columns_far_from_zero_and_columns_that_are_constant_change_nothing(objective: Objective):
    rows = made(objective.loss, seed=5)
    near = fit(rows.blocks(100), objective)
    moved = np.hstack([rows.matrix + 1e6, np.full((len(rows.target), 1), 0.1)])
    far = fit(replace(rows, matrix=moved).blocks(100), objective)
    assert far.converged
    # The numbers themselves are rounded at 1e6.
    assert np.abs(far.coefficients[:, :-1] - near.coefficients).max() <= 1e-8 * np.abs(near.coefficients).max()
    assert (far.coefficients[:, -1] == 0).all()
    assert far.rank == near.rank == 8


@pytest.mark.parametrize("objective", [Objective.linear(), Objective.logistic(np.inf), Objective.poisson(0.0)])
def test_dependent_columns_share_the_least_norm_and_are_named(objective: Objective):
    """As the smallest penalty would choose; for least squares as LinearRegression does."""
    rows = made(objective.loss, seed=6)
    levels = rows.matrix[:, 5:]
    full = np.hstack([rows.matrix, 1 - levels.sum(axis=1, keepdims=True), rows.matrix[:, :1] - rows.matrix[:, 1:2]])
    rows = replace(rows, matrix=full)
    found = fit(rows.blocks(400), objective, folds=3)
    assert found.converged
    assert all(fold.converged for fold in found.folds)
    assert found.rank == 8
    assert found.collinear == (0, 1, 5, 6, 7, 8, 9)
    assert "5, 6, 7, 8" in found.notes[0]
    if objective.loss == "squared":
        expected = LinearRegression().fit(rows.matrix, rows.target, sample_weight=rows.weights)
        assert_same(found, expected.coef_[None], expected.intercept_, 1e-9)
    else:
        nearly = fit(rows.blocks(), replace(objective, l2=1e-7), start=found)
        assert_same(found, nearly.coefficients, nearly.intercepts, 1e-5)


def test_longleys_data_has_the_certified_coefficients():
    """NIST, Statistical Reference Datasets: Longley (1967); all certified values, to 9 digits."""
    table = np.array(LONGLEY).reshape(16, 7)
    rows = Rows(np.ascontiguousarray(table[:, 1:]), table[:, 0])
    found = fit(rows.blocks(5, 11), Objective.linear())
    certified = [15.0618722713733, -0.0358191792925910, -2.02022980381683, -1.03322686717359, -0.0511041056535807,
                 1829.15146461355]  # fmt: skip
    deviations = [890420.383607373, 84.9149257747669, 0.334910077722432e-01, 0.488399681651699, 0.214274163161675,
                  0.226073200069370, 455.478499142212]  # fmt: skip
    assert found.coefficients[0] == pytest.approx(certified, rel=1e-9)
    assert found.intercepts[0] == pytest.approx(-3482258.63459582, rel=1e-9)
    assert np.sqrt(np.diag(found.covariance)) == pytest.approx(deviations, rel=1e-8)
    assert np.sqrt(found.dispersion) == pytest.approx(304.854073561965, rel=1e-9)
    assert found.rank == 6


# fmt: off
LONGLEY = [
    60323, 83.0, 234289, 2356, 1590, 107608, 1947, 61122, 88.5, 259426, 2325, 1456, 108632, 1948,
    60171, 88.2, 258054, 3682, 1616, 109773, 1949, 61187, 89.5, 284599, 3351, 1650, 110929, 1950,
    63221, 96.2, 328975, 2099, 3099, 112075, 1951, 63639, 98.1, 346999, 1932, 3594, 113270, 1952,
    64989, 99.0, 365385, 1870, 3547, 115094, 1953, 63761, 100.0, 363112, 3578, 3350, 116219, 1954,
    66019, 101.2, 397469, 2904, 3048, 117388, 1955, 67857, 104.6, 419180, 2822, 2857, 118734, 1956,
    68169, 108.4, 442769, 2936, 2798, 120445, 1957, 66513, 110.8, 444546, 4681, 2637, 121950, 1958,
    68655, 112.6, 482704, 3813, 2552, 123366, 1959, 69564, 114.2, 502601, 3931, 2514, 125368, 1960,
    69331, 115.7, 518173, 4806, 2572, 127852, 1961, 70551, 116.9, 554894, 4007, 2827, 130081, 1962,
]
# fmt: on


@pytest.mark.parametrize(
    ("apart", "dependent"), [(1e-4, False), (1e-7, False), (1e-9, False), (1e-11, False), (1e-4, True), (1e-7, True)]
)
def test_columns_that_are_nearly_dependent_are_solved_as_by_singular_values(apart: float, dependent: bool):
    rows = replace(made("squared", seed=13), weights=None)
    draw = np.random.default_rng(1)
    near = rows.matrix[:, :1] + rows.matrix[:, 1:2] + apart * draw.normal(size=(900, 1))
    last = 1 - rows.matrix[:, 5:].sum(axis=1, keepdims=True)
    matrix = np.hstack([rows.matrix, near, last]) if dependent else np.hstack([rows.matrix, near])
    # Without noise: of a noisy target, the exact coefficients depend on the last digits of the matrix.
    target = matrix @ np.linspace(-1, 1, matrix.shape[1])
    rows = replace(rows, matrix=matrix, target=target)
    found = fit(rows.blocks(11, 500), Objective.linear(), folds=3)
    assert found.converged
    assert found.rank == 9
    assert found.collinear == ((5, 6, 7, 9) if dependent else ())
    assert 1 < found.condition * apart < 30
    centred = matrix - matrix.mean(axis=0)
    expected = np.linalg.lstsq(centred, target - target.mean(), rcond=1e-13)[0]
    for one in [found, *found.folds]:
        assert one.converged
        assert np.abs(one.coefficients[0] - expected).max() <= 1e-14 / apart + 1e-11
    deviation = np.sqrt(np.diag(np.linalg.pinv(centred, rcond=1e-13) @ np.linalg.pinv(centred, rcond=1e-13).T))
    noisy = replace(rows, target=target + draw.normal(size=900))
    found = fit(noisy.blocks(), Objective.linear())
    assert found.converged
    assert np.sqrt(np.diag(found.covariance)[1:] / found.dispersion) == pytest.approx(deviation, rel=1e-3)


@pytest.mark.parametrize(
    "objective", [Objective.logistic(np.inf), Objective.logistic(np.inf, classes=3), Objective.poisson(0.0)]
)
def test_columns_that_are_nearly_dependent_predict_as_the_columns_that_they_are_made_of(objective: Objective):
    rows = replace(made(objective.loss, seed=14), weights=None)
    extra = np.random.default_rng(2).normal(size=(900, 1))
    last = 1 - rows.matrix[:, 5:].sum(axis=1, keepdims=True)
    plain = np.hstack([rows.matrix, extra])
    near = np.hstack([rows.matrix, rows.matrix[:, :1] + 1e-8 * extra, last])
    expected = fit(replace(rows, matrix=plain).blocks(300), objective, folds=3)
    found = fit(replace(rows, matrix=near).blocks(300), objective, folds=3)
    assert found.converged
    assert found.rank == expected.rank == 9
    assert found.collinear == (5, 6, 7, 9)
    for one, other in zip([found, *found.folds], [expected, *expected.folds], strict=True):
        eta = near @ one.coefficients.T + one.intercepts
        assert np.abs(eta - (plain @ other.coefficients.T + other.intercepts)).max() <= 1e-6
    if objective.classes == 2:
        # By the coefficient of what is added in a hundred-millionth.
        assert found.covariance[9, 9] * 1e-16 == pytest.approx(expected.covariance[9, 9], rel=1e-5)


def test_a_perfect_fit_is_found_and_has_converged():
    rows = made("squared", seed=7)
    exact = replace(rows, target=rows.matrix @ np.arange(1.0, 9.0) + 1e3)
    found = fit(exact.blocks(300), Objective.linear())
    assert found.converged
    assert_same(found, np.arange(1.0, 9.0)[None], 1e3, 1e-11)
    assert found.dispersion < 1e-20


@pytest.mark.parametrize(
    ("objective", "peer"),
    [
        (Objective.logistic(np.inf), lambda y, x: sm.GLM(y, x, sm.families.Binomial())),
        (Objective.poisson(0.0), lambda y, x: sm.GLM(y, x, sm.families.Poisson())),
        (Objective.gamma(0.0), lambda y, x: sm.GLM(y, x, sm.families.Gamma(sm.families.links.Log()))),
        (Objective.linear(), sm.OLS),
    ],
    ids=lambda value: getattr(value, "loss", ""),
)
def test_standard_errors_are_those_of_statsmodels(objective: Objective, peer: Callable[[Any, Any], Any]):
    rows = replace(made(objective.loss, seed=8), weights=None)
    found = fit(rows.blocks(100), objective)
    model = peer(rows.target, sm.add_constant(rows.matrix, prepend=True))
    if objective.loss == "squared":
        expected = model.fit()
    else:
        expected = model.fit(tol=1e-14)
    scale = found.dispersion if objective.loss in ("squared", "gamma") else 1.0
    assert found.dispersion == pytest.approx(expected.scale, rel=1e-6)
    information = -model.hessian(expected.params, **({} if objective.loss == "squared" else {"observed": True}))
    if objective.loss == "squared":
        information = model.exog.T @ model.exog / scale
    assert found.covariance == pytest.approx(np.linalg.inv(information), rel=1e-5, abs=1e-9)


def test_the_covariance_of_a_penalised_fit_is_the_sandwich():
    rows = replace(made("logistic", seed=9), weights=None)
    found = fit(rows.blocks(), Objective.logistic(0.05))
    matrix = np.hstack([np.ones((900, 1)), rows.matrix])
    share = 1 / (1 + np.exp(-(matrix[:, 1:] @ found.coefficients[0] + found.intercepts[0])))
    information = (matrix * (share * (1 - share))[:, None]).T @ matrix
    inverse = np.linalg.inv(information + np.diag([0.0, *[20.0] * 8]))
    assert found.covariance == pytest.approx(inverse @ information @ inverse, rel=1e-8, abs=1e-12)


def test_a_path_is_the_fits_of_its_objectives_from_one_first_pass():
    rows = made("squared", seed=10)
    objectives = [Objective.lasso(alpha) for alpha in (1.0, 0.1, 0.01)]
    path = fit_path(rows.blocks(250), objectives, folds=3)
    for one, objective in zip(path, objectives, strict=True):
        alone = fit(rows.blocks(), objective, folds=3)
        assert_same(one, alone.coefficients, alone.intercepts, 1e-9)
        assert_same(one.folds[2], alone.folds[2].coefficients, alone.folds[2].intercepts, 1e-9)
    assert path[-1].passes == 1
    with pytest.raises(SolvingError, match="differ in their penalties alone"):
        fit_path(rows.blocks(), [Objective.linear(), Objective.linear(fit_intercept=False)])


@pytest.mark.parametrize("far", [0.0, 1e4])
def test_the_squares_of_each_folds_residuals_are_known_from_the_first_pass(far: float):
    rows = replace(made("squared", seed=12), weights=None)
    # The fourth indicator: columns that depend on each other.
    matrix = np.hstack([rows.matrix + far, 1 - rows.matrix[:, -3:].sum(axis=1, keepdims=True)])
    rows = replace(rows, matrix=matrix, target=rows.target + 7 * far, folds=np.where(rows.folds == 2, 3, rows.folds))
    told: list[float] = []
    solver = Solver(rows.blocks(250), Objective.ridge(), folds=4, progress=lambda made, gradient: told.append(gradient))
    for objective in (Objective.ridge(0.01), Objective.ridge(100), Objective.lasso(0.1), Objective.elastic_net(0.01)):
        found = solver.fit(objective, predictions=True)
        exact = fit(rows.blocks(), objective, folds=4)
        squares = solver.squares(found)
        # The third fold has no rows.
        for fold, one in zip((0, 1, 3), squares, strict=True):
            judged, each = rows.where(rows.folds == fold), exact.folds[fold]
            residuals = judged.target - judged.matrix @ each.coefficients[0] - each.intercepts[0]
            assert one is not None
            assert one.rows == len(residuals)
            assert one.residual == pytest.approx(residuals @ residuals, rel=1e-9)
            assert one.total == pytest.approx(len(residuals) * judged.target.var(), rel=1e-9)
    assert len(told) == 1


def test_squares_that_rounding_hides_are_not_told():
    rows = replace(made("squared", seed=13), weights=None)
    perfect = replace(rows, target=rows.matrix @ np.arange(8) + 1)
    constant = replace(rows, target=np.full(900, 0.1))
    for table in (perfect, constant):
        solver = Solver(table.blocks(250), Objective.ridge(), folds=3)
        assert solver.squares(solver.fit(Objective.ridge(1e-9), predictions=True)) == (None, None, None)


def test_a_start_saves_passes():
    rows = made("poisson", rows=5000, seed=11)
    cold = fit(rows.blocks(), Objective.poisson(0.1))
    told: list[tuple[int, float]] = []
    warm = fit(rows.blocks(), Objective.poisson(0.1001), start=cold, progress=lambda *now: told.append(now))
    assert warm.passes < cold.passes
    assert [place for place, _ in told] == list(range(1, warm.passes + 1))
    assert told[-1][1] == warm.gradient


def separated(kind: str) -> tuple[Rows, Objective]:
    """Column 2 is the reason that there is no minimum."""
    draw = np.random.default_rng(0)
    matrix = np.hstack([draw.normal(size=(400, 2)), (draw.uniform(size=(400, 1)) < 0.1).astype(float)])
    noise = draw.uniform(size=400) < 1 / (1 + np.exp(-matrix[:, 0]))
    if kind == "a number":
        matrix[:, 2] = np.where(noise, 1.0, -1.0) * draw.uniform(0.01, 1, 400)
        return Rows(matrix, noise.astype(float)), Objective.logistic(np.inf)
    if kind == "an indicator":
        return Rows(matrix, np.where(matrix[:, 2] == 1, 1.0, noise)), Objective.logistic(np.inf)
    if kind == "an indicator of three classes":
        target = np.where(matrix[:, 2] == 1, 2, noise + draw.integers(0, 2, 400))
        return Rows(matrix, target.astype(float)), Objective.logistic(np.inf, classes=3)
    return Rows(matrix, np.where(matrix[:, 2] == 1, 0.0, draw.poisson(2.0, 400))), Objective.poisson(0.0)


@pytest.mark.parametrize("kind", ["a number", "an indicator", "an indicator of three classes", "zeros of counts"])
def test_separated_rows_are_told_with_the_columns(kind: str):
    rows, objective = separated(kind)
    with pytest.raises(SolvingError, match="no minimum without a penalty") as told:
        fit(rows.blocks(150), objective)
    assert told.value.columns == (2,)
    assert fit(rows.blocks(150), replace(objective, l2=1e-3)).converged


def test_a_fold_without_which_rows_are_separated_has_a_note():
    rows, objective = separated("an indicator")
    target = rows.target.copy()
    target[np.flatnonzero(rows.matrix[:, 2])[0]] = 0
    folds = np.arange(400) % 3
    found = fit(replace(rows, target=target, folds=folds).blocks(200), objective, folds=3)
    assert found.converged
    odd = folds[np.flatnonzero(rows.matrix[:, 2])[0]]
    assert [fold.converged for fold in found.folds] == [place != odd for place in range(3)]
    assert f"without fold {odd}: there is no minimum" in found.folds[odd].notes[0]


@pytest.mark.parametrize(
    ("change", "objective", "message"),
    [
        (lambda x, y, w: (x, y - 5, w), Objective.poisson(), "must be 0 or more, found -5 to"),
        (lambda x, y, w: (x, y, w), Objective.gamma(), "must be above 0, found 0 to"),
        (lambda x, y, w: (x, y, w), Objective.logistic(), "must be 0 or 1, the places of two classes"),
        (lambda x, y, w: (x, y * 0, w), Objective.logistic(), "rows of both classes"),
        (lambda x, y, w: (x, y * 0, w), Objective.logistic(classes=3), r"all 3 classes, found none of \[1, 2\]"),
        (lambda x, y, w: (x, y * 0, w), Objective.poisson(), "above 0 in some rows"),
        (lambda x, y, w: (x * [1, 1, np.nan, 1, 1, 1, 1, 1], y, w), Objective.linear(), "found values in columns 2"),
        (lambda x, y, w: (x, y / 0, w), Objective.linear(), "and values that are no numbers"),
        (lambda x, y, w: (x, y, w - 1), Objective.linear(), "weights of rows must be 0 or more"),
        (lambda x, y, w: (x, y, w * 0), Objective.linear(), "rows with a weight above 0"),
        (lambda x, y, w: (x[:0], y[:0], w[:0]), Objective.linear(), "rows with a weight above 0"),
        (lambda x, y, w: (x[:, 0], y, w), Objective.linear(), r"a matrix of shape \(n, d\)"),
        (lambda x, y, w: (np.zeros((900, 1001)), y, w), Objective.poisson(), "1000 parameters at most, found 1002"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_cannot_be_fitted_is_refused(change: Callable, objective: Objective, message: str):
    rows = made("poisson", seed=12)
    matrix, target, weights = change(rows.matrix, rows.target, rows.weights)
    with pytest.raises(SolvingError, match=message):
        fit(Rows(matrix, target, weights).blocks(), objective)


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        (lambda y: np.zeros(900, dtype=int), "in two folds or more, found them all in fold 0"),
        (lambda y: y.astype(int), "without fold 0: expected rows of both classes"),
        (lambda y: np.full(900, 3), "folds of rows must be 0 to 2, found 3 to 3"),
        (lambda y: None, "found blocks without"),
    ],
)
def test_folds_that_leave_nothing_to_fit_to_are_refused(folds: Callable, message: str):
    rows = made("logistic", seed=15)
    with pytest.raises(SolvingError, match=message):
        fit(replace(rows, folds=folds(rows.target)).blocks(), Objective.logistic(), folds=3)


@pytest.mark.parametrize(
    ("loss", "settings", "message"),
    [
        ("squared", {"l2": -1.0}, "0 or more"),
        ("logistic", {"l1": 1.0}, "for the squared loss alone"),
        ("tweedie", {"power": 2.5}, "from 1 to 2"),
        ("multinomial", {"classes": 1}, "2 classes or more"),
    ],
)
def test_objectives_that_are_not_solved_are_refused(loss: Any, settings: dict[str, Any], message: str):
    with pytest.raises(SolvingError, match=message):
        Objective(loss, **settings)
