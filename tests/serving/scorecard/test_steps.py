"""Every function of a step is NumPy's, SciPy's or scikit-learn's of that name, on one number and on many."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import special, stats
from sklearn.preprocessing import PowerTransformer

from serving.scorecard import InputError, arraysteps, numeric, stepcheck, steps

# What is fitted here need not be a good model.
pytestmark = pytest.mark.filterwarnings("ignore")

NUMBERS = st.floats(width=64) | st.floats(-30, 30) | st.sampled_from((0.0, -0.0, 1.0, -1.0, 2.0, 710.0, -746.0))
LAMBDAS = st.floats(-4, 4) | st.sampled_from((0.0, 1.0, 2.0, 1e-17, 2.0 + 1e-16, -2.0))


def same(found: float, expected: float) -> bool:
    """The same number but for its last digits, or both no number, or the same infinity."""
    if math.isnan(expected) or math.isinf(expected):
        return (math.isnan(found) and math.isnan(expected)) or found == expected
    return found == pytest.approx(expected, rel=1e-13, abs=1e-300)


def many(step: steps.Step, x: float) -> float:
    """A step on a block of numbers."""
    with np.errstate(all="ignore"):
        return float(arraysteps.chain([step])(np.array([x, 1.0]), np.empty(2), None)[0])


@pytest.mark.parametrize("name", steps.FUNCTIONS)
@given(NUMBERS)
def test_functions_are_numpys(name, x):
    if name in ("sin", "cos") and 1e6 < abs(x) < math.inf:
        x = math.fmod(x, 1e6)  # so far out the last digits are a matter of taste
    with np.errstate(all="ignore"):
        expected = float(getattr(np, name)(np.float64(x)))
    assert same(steps.NumpyFunction(name).bind("c")(x), expected)
    assert same(many(steps.NumpyFunction(name), x), expected)


@given(NUMBERS, LAMBDAS)
def test_yeo_johnson_is_scipys(x, lmbda):
    with np.errstate(all="ignore"):
        expected = float(stats.yeojohnson(np.array([x]), lmbda)[0])
    if math.isfinite(x):
        assert same(numeric.yeo_johnson(x, lmbda), expected)
        assert same(many(steps.YeoJohnson(lmbda), x), expected)


@given(NUMBERS, LAMBDAS)
@example(1e-300, 3.0)
def test_box_cox_is_scipys_where_it_is_defined_and_infinite_elsewhere(x, lmbda):
    expected = float(special.boxcox(x, lmbda)) if not x <= 0 else math.inf
    if math.isfinite(x) and abs(lmbda) > 1e-9:
        assert same(numeric.box_cox(x, lmbda), expected)
        assert same(many(steps.BoxCox(lmbda), x), expected)


@pytest.mark.parametrize("kind", [steps.BoxCox, steps.YeoJohnson])
@pytest.mark.parametrize("lmbda", [-1.5, 0.0, 0.5, 2.0, 3.0])
def test_what_is_infinite_stays_so_and_what_is_missing_too(kind, lmbda):
    """scikit-learn refuses infinity here, and a negative power would make a number of it."""
    for x in (math.inf, -math.inf):
        assert math.isinf(kind(lmbda).bind("c")(x))
        assert math.isinf(many(kind(lmbda), x))
    assert math.isnan(kind(lmbda).bind("c")(math.nan))
    assert math.isnan(many(kind(lmbda), math.nan))


@given(st.floats(-20, 20), LAMBDAS)
def test_inverse_powers_are_scikit_learns(x, lmbda):
    transformer = PowerTransformer(standardize=False).fit(np.array([[1.0], [2.0], [4.0]]))
    transformer.lambdas_ = np.array([lmbda])
    with np.errstate(all="ignore"):
        expected = float(transformer.inverse_transform(np.array([[x]]))[0, 0])
    assert same(numeric.inverse_yeo_johnson(x, lmbda), expected)
    assert same(many(steps.InverseYeoJohnson(lmbda), x), expected)
    with np.errstate(all="ignore"):
        expected = float(special.inv_boxcox(x, lmbda))
    if abs(lmbda) > 1e-9 or lmbda == 0.0:
        assert same(many(steps.InverseBoxCox(lmbda), x), numeric.inverse_box_cox(x, lmbda))
        if math.isfinite(expected) and lmbda * x > -0.9:
            assert numeric.inverse_box_cox(x, lmbda) == pytest.approx(expected, rel=1e-9)


STEPS = st.one_of(
    st.builds(lambda v: {"impute": v}, st.floats(-5, 5)),
    st.builds(lambda a, b: {"replace": {"value": a, "by": b}}, st.sampled_from((0.0, 1.0, 5.0)), st.floats(-5, 5)),
    st.builds(lambda v: {"is": v}, st.sampled_from((None, 0.0, 1.0, 3.0))),
    *(st.builds(lambda v, n=name: {n: v}, st.floats(-5, 5)) for name in ("add", "subtract", "multiply")),
    st.builds(lambda v: {"divide": v}, st.floats(0.1, 5)),
    st.builds(lambda a, b: {"clip": sorted((a, b))}, st.floats(-3, 3), st.floats(-3, 3)),
    st.builds(lambda v: {"bin": sorted(v)}, st.lists(st.floats(-3, 3), max_size=4)),
    st.builds(
        lambda keys, other: {
            "lookup": {"keys": keys, "values": [1.5 * p for p in range(len(keys))], "otherwise": other}
        },
        st.lists(st.sampled_from((None, 0.0, 1.0, 2.0, -3.0)), unique=True, max_size=4),
        st.sampled_from((None, 7.0, "refuse")),
    ),
    st.builds(lambda name: {"function": name}, st.sampled_from(("sqrt", "abs", "square", "sign", "negative"))),
)


@given(st.lists(STEPS, min_size=1, max_size=5), NUMBERS)
def test_a_chain_does_to_one_number_what_it_does_to_many(chain, x):
    stepcheck.steps(chain, "steps", "number")
    chain = steps.read(chain)
    block = np.array([x, 1.0, np.nan])
    before = block.copy()
    refused = set()
    with np.errstate(all="ignore"):
        found = arraysteps.chain(chain)(block, np.empty(3), lambda rows, reason: refused.update(rows.tolist()))
        halves = arraysteps.two_valued(chain) if isinstance(chain[0], steps.Is) and not refuses(chain, 1.0) else None
    np.testing.assert_array_equal(block, before)
    for place, number in enumerate(before.tolist()):
        assert (place in refused) == refuses(chain, number)
        if place not in refused:
            expected = steps.chain(chain, "c")(number)
            assert same(float(found[place]), expected)
            if halves is not None and halves[0] is None:
                assert same(expected, halves[2] if math.isnan(number) else halves[1])


def refuses(chain, number) -> bool:
    """Whether steps refuse a number."""
    try:
        steps.chain(chain, "c")(number)
    except InputError:
        return True
    return False
