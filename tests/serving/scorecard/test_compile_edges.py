"""Bins after a function: their edges are drawn through training rows, and each such row keeps its bin everywhere."""

import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, FunctionTransformer, KBinsDiscretizer, PowerTransformer, StandardScaler

from serving.scorecard import InputError, compile
from serving.scorecard.parity import measure

# What is fitted here need not be a good model.
pytestmark = pytest.mark.filterwarnings("ignore")

BINS = KBinsDiscretizer(6, quantile_method="averaged_inverted_cdf")
FUNCTIONS = {name: FunctionTransformer(getattr(np, name)) for name in ("log1p", "log", "log10", "cbrt", "exp", "tanh")}
FUNCTIONS |= {"yeo-johnson": PowerTransformer(), "box-cox": PowerTransformer("box-cox", standardize=False)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_rows_on_an_edge_are_on_the_side_they_are_on_in_training(name):
    """Rounded by another library, the row would lie below the edge that goes through it."""
    for seed in range(4):
        table = pd.DataFrame({"n": np.random.default_rng(seed).integers(1, 60, 200) * 1.0})
        steps = (SimpleImputer(), FUNCTIONS[name], StandardScaler(), BINS)
        pipeline = make_pipeline(*steps, Ridge()).fit(table, table.n)
        card = compile(pipeline)
        found = measure(pipeline, card, table)
        assert found["passed"], found
        assert not {"function", "yeo_johnson", "box_cox"} & {
            step for item in card.document["columns"] if "one_hot" in item for part in item["steps"] for step in part
        }


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


def test_a_threshold_after_a_function_is_one_before_it():
    table = pd.DataFrame({"n": np.arange(1.0, 60.0)})
    threshold = float(np.cbrt(np.array([5.0]))[0])
    pipeline = make_pipeline(FUNCTIONS["cbrt"], Binarizer(threshold=threshold), Ridge()).fit(table, table.n)
    card = compile(pipeline)
    around = [np.nextafter(5.0, 0.0), 5.0, np.nextafter(5.0, 9.0), -3.0, 0.0, 6.0]
    assert measure(pipeline, card, pd.DataFrame({"n": around}))["passed"]
    assert card.document["columns"][0]["steps"][0].keys() == {"bin"}


def test_an_edge_that_is_never_reached_is_left_out():
    table = pd.DataFrame({"n": np.arange(1.0, 60.0)})
    pipeline = make_pipeline(FUNCTIONS["tanh"], Binarizer(threshold=2.0), Ridge()).fit(table, table.n)
    card = compile(pipeline)
    assert card.document["columns"][0]["steps"] == [{"bin": []}]
    assert measure(pipeline, card, table)["passed"]
