"""Bins after a function: their edges are drawn through training rows, and each such row keeps its bin everywhere."""

import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    StandardScaler,
)

from serving.scorecard import InputError, Unsupported, arraysteps, compile, exports, numeric, steps
from serving.scorecard.parity import measure

# What is fitted here need not be a good model.
pytestmark = pytest.mark.filterwarnings("ignore")

BINS = KBinsDiscretizer(6, quantile_method="averaged_inverted_cdf")
FUNCTIONS = {name: FunctionTransformer(getattr(np, name)) for name in ("log1p", "log", "log10", "cbrt", "exp", "tanh")}
FUNCTIONS |= {"yeo-johnson": PowerTransformer(), "box-cox": PowerTransformer("box-cox", standardize=False)}
#: By how many units in the last place another machine's functions may differ from this one's.
ULPS = (-2, -1, 0, 1, 2)


def off_by(ulps: int, call):
    """A function whose answers are off by some units in the last place, as those of another library are."""

    def moved(*values, out=None, **others):
        found = np.asarray(call(*values, **others), dtype=np.float64)
        for _ in range(abs(ulps)):
            found = np.nextafter(found, np.copysign(np.inf, ulps))
        if out is None:
            return found if found.ndim else float(found)
        np.copyto(out, found)
        return out

    return moved


def on_another_machine(patch: pytest.MonkeyPatch, ulps: int) -> None:
    """From now on, what a scorecard computes with NumPy and ``math`` is off by some units in the last place."""
    inexact = [name for name in steps.FUNCTIONS if name not in steps.EXACT]
    for name in inexact:
        patch.setitem(arraysteps._UFUNCS, name, off_by(ulps, arraysteps._UFUNCS[name]))
        patch.setitem(numeric.FUNCTIONS, name, off_by(ulps, numeric.FUNCTIONS[name]))
    for kind in (steps.BoxCox, steps.YeoJohnson):
        patch.setattr(numeric, kind.name, off_by(ulps, getattr(numeric, kind.name)))
        whole = arraysteps._STEPS[kind]

        def make(step, whole=whole):
            run = whole(step)
            return lambda block, target, refuse: off_by(ulps, run)(block, np.empty_like(block), refuse, out=target)

        patch.setitem(arraysteps._STEPS, kind, make)


@pytest.mark.parametrize("ulps", ULPS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_rows_on_an_edge_are_on_the_side_they_are_on_in_training(name, ulps, monkeypatch):
    """Rounded by another library, the row would lie below the edge that goes through it."""
    for seed in range(4):
        table = pd.DataFrame({"n": np.random.default_rng(seed).integers(1, 60, 200) / 10.0})
        steps = (SimpleImputer(), FUNCTIONS[name], StandardScaler(), BINS)
        pipeline = make_pipeline(*steps, Ridge()).fit(table, table.n)
        with monkeypatch.context() as patch:
            on_another_machine(patch, ulps)
            card = compile(pipeline)
        np.testing.assert_allclose(card.predict(table), pipeline.predict(table), rtol=1e-9)
        found = measure(pipeline, card, table)
        assert found["passed"], found
        # Each edge goes through rows of the table; the others are compared.
        assert 0 < found["ill_conditioned"] < len(table)
        assert not {"function", "yeo_johnson", "box_cox"} & {
            step
            for item in card.document.content["columns"]
            if "one_hot" in item
            for part in item["steps"]
            for step in part
        }


@pytest.mark.parametrize("ulps", ULPS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_rows_beside_an_edge_are_ill_conditioned(name, ulps, monkeypatch):
    """Where this machine and the one that compiled differ in a last digit, they are no reason to fail a model."""
    table = pd.DataFrame({"n": np.arange(1.0, 14.0) / 2.0})
    pipeline = make_pipeline(FUNCTIONS[name], StandardScaler(), BINS, Ridge()).fit(table, table.n)
    with monkeypatch.context() as patch:
        on_another_machine(patch, ulps)
        card = compile(pipeline)
    around = np.concatenate([np.nextafter(table.n, -np.inf), table.n, np.nextafter(table.n, np.inf), table.n + 0.5])
    found = measure(pipeline, card, pd.DataFrame({"n": around}))
    assert found["passed"], found
    assert found["ill_conditioned"] >= 15  # three rows at each of five edges


def test_an_edge_after_two_functions_is_one_before_both():
    table = pd.DataFrame({"n": np.random.default_rng(0).integers(1, 60, 200) / 10.0})
    pipeline = make_pipeline(FUNCTIONS["log1p"], FUNCTIONS["cbrt"], BINS, Ridge()).fit(table, table.n)
    card = compile(pipeline)
    assert {
        step
        for item in card.document.content["columns"]
        for part in item["steps"]
        for step in part
        if "one_hot" in item
    }
    assert all("bin" in item["steps"][0] for item in card.document.content["columns"] if "one_hot" in item)
    np.testing.assert_allclose(card.predict(table), pipeline.predict(table), rtol=1e-9)
    assert measure(pipeline, card, table)["passed"]


def test_what_the_function_cannot_take_is_refused_all_the_same():
    table = pd.DataFrame({"n": np.arange(1.0, 60.0)})
    for last in (Ridge(), MLPRegressor(hidden_layer_sizes=(2,), max_iter=3, random_state=0)):
        pipeline = make_pipeline(FUNCTIONS["log1p"], BINS, last).fit(table, table.n)
        card = compile(pipeline)
        found = measure(pipeline, card, pd.DataFrame({"n": [-2.0, -1.0, -0.999, 0.0, 5e-324, 1e300]}), refused=6)
        assert found["passed"], found
        assert found["refusals"]["refused"] == 2
        with pytest.raises(InputError, match="column 'n': expected a number the model's steps can take"):
            card.predict_row({"n": -1.0})


@pytest.mark.parametrize("ulps", ULPS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_threshold_after_a_function_is_one_before_it(name, ulps, monkeypatch):
    """A row that equals the threshold does not exceed it."""
    table = pd.DataFrame({"n": np.arange(1.0, 60.0)})
    scale = FUNCTIONS[name].fit(table)
    threshold = float(np.asarray(scale.transform(pd.DataFrame({"n": [5.0]}))).ravel()[0])
    pipeline = make_pipeline(FUNCTIONS[name], Binarizer(threshold=threshold), Ridge()).fit(table, table.n)
    with monkeypatch.context() as patch:
        on_another_machine(patch, ulps)
        card = compile(pipeline)
    around = pd.DataFrame({"n": [np.nextafter(5.0, 0.0), 5.0, np.nextafter(5.0, 9.0), 0.5, 4.9, 5.1, 6.0]})
    found = measure(pipeline, card, around)
    assert found["passed"], found
    assert found["ill_conditioned"] == 3
    assert card.document.content["columns"][0]["steps"][0].keys() == {"bin"}
    assert card.predict_row({"n": 5.0}) == card.predict_row({"n": 4.9}) != card.predict_row({"n": 5.1})


@pytest.mark.parametrize("name", FUNCTIONS)
def test_all_forms_of_a_scorecard_put_a_row_on_the_same_side(name):
    table = pd.DataFrame({"n": np.arange(1.0, 14.0) / 2.0})
    pipeline = make_pipeline(FUNCTIONS[name], StandardScaler(), BINS, Ridge()).fit(table, table.n)
    card = compile(pipeline)
    around = np.concatenate([np.nextafter(table.n, -np.inf), table.n, np.nextafter(table.n, np.inf)])
    space: dict = {"__name__": "exported"}
    exec(exports.write(card, "python"), space)
    rows = [card.predict_row({"n": n}) for n in around.tolist()]
    np.testing.assert_allclose(card.predict(pd.DataFrame({"n": around})), rows, rtol=1e-12)
    np.testing.assert_allclose([space["predict"]({"n": n}) for n in around.tolist()], rows, rtol=1e-12)


@pytest.mark.parametrize("encoder", [OneHotEncoder(handle_unknown="ignore"), OrdinalEncoder()])
def test_categories_that_are_values_of_a_function_are_refused(encoder):
    """On another machine no value would equal any of them."""
    table = pd.DataFrame({"n": np.arange(1.0, 6.0)})
    pipeline = make_pipeline(FUNCTIONS["log"], encoder, Ridge()).fit(table, table.n)
    with pytest.raises(Unsupported, match=r"'log\(n\)' went through a function that processors round differently"):
        compile(pipeline)
    binned = make_pipeline(
        FUNCTIONS["log"],
        KBinsDiscretizer(2, encode="ordinal", quantile_method="averaged_inverted_cdf"),
        encoder,
        Ridge(),
    ).fit(table, table.n)
    assert measure(binned, compile(binned), table)["passed"]


def test_an_edge_that_is_never_reached_is_left_out():
    table = pd.DataFrame({"n": np.arange(1.0, 60.0)})
    pipeline = make_pipeline(FUNCTIONS["tanh"], Binarizer(threshold=2.0), Ridge()).fit(table, table.n)
    card = compile(pipeline)
    assert card.document.content["columns"][0]["steps"] == [{"bin": []}]
    assert measure(pipeline, card, table)["passed"]
