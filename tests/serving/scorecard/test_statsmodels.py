"""Fitted results of statsmodels answer as MLflow's flavor of that name does."""

import mlflow.statsmodels
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

from serving.scorecard import Scorecard, Unsupported, compile, exports
from serving.scorecard.parity import measure

# What is fitted here need not be a good model.
pytestmark = pytest.mark.filterwarnings("ignore")

COUNT = 90
COUNTS = np.arange(COUNT) * 1.0
RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "x": RNG.normal(size=COUNT) ** 2 + 1.0,
        "z": RNG.normal(size=COUNT),
        "odd name": RNG.normal(size=COUNT),
        "town": pd.Series(RNG.choice(["York", "it's", "c d"], COUNT), dtype=object),
        "level": RNG.integers(0, 3, COUNT),
        "flag": RNG.integers(0, 2, COUNT) == 1,
        "y": RNG.normal(size=COUNT),
    }
)
TABLE["yes"] = (TABLE.y > 0) * 1.0
TABLE["count"] = RNG.poisson(2, COUNT) * 1.0
TABLE["cost"] = np.exp(TABLE.y)
#: Rows beyond the training table: logarithms of what is negative, categories that are missing or new, large numbers.
HARD = pd.concat(
    [
        TABLE,
        TABLE.head(5).assign(x=-TABLE.x),
        TABLE.head(3).assign(town=None),
        TABLE.head(3).assign(town="new"),
        TABLE.head(3).assign(x=np.nan),
        TABLE.head(3).assign(x=1e3),
        TABLE.head(3).assign(level=9),
    ],
    ignore_index=True,
)
LINKS = sm.families.links
MODELS = {
    "categories, functions and powers": smf.ols("y ~ x + np.log(x) + C(town)*z + I(x**2)", TABLE),
    "no intercept": smf.ols("y ~ 0 + C(town):x + z:C(level) + flag", TABLE),
    "codings": smf.ols("y ~ C(town, Sum) + C(level, Treatment(reference=2)) + Q('odd name')", TABLE),
    "levels": smf.ols("y ~ C(town, levels=['c d', 'York', \"it's\"]) + np.sqrt(x) + I(2 * x - 1) + I(x * z)", TABLE),
    "interactions": smf.ols("y ~ x * z * town + I(x**3) + I(-z + 1) + I(2 - np.log(x))", TABLE),
    "weights": smf.wls("y ~ x + z", TABLE, weights=TABLE.x),
    "robust": smf.rlm("y ~ x + z", TABLE),
    "logit": smf.logit("yes ~ x + z + town", TABLE),
    "poisson": smf.poisson("count ~ x + z", TABLE),
    "gamma, log": smf.glm("cost ~ x + z", TABLE, family=sm.families.Gamma(LINKS.Log())),
    "binomial": smf.glm("yes ~ x + z", TABLE, family=sm.families.Binomial()),
    "complementary log-log": smf.glm("yes ~ x + z", TABLE, family=sm.families.Binomial(LINKS.CLogLog())),
    "log-log": smf.glm("yes ~ x + z", TABLE, family=sm.families.Binomial(LINKS.LogLog())),
}


def fitted(model):
    return model.fit(**({"disp": 0} if hasattr(model, "cdf") or "Poisson" in type(model).__name__ else {}))


def agreed(results, table) -> Scorecard:
    card = Scorecard.loads(compile(results).dumps())
    found = measure(results, card, table, refused=len(table))
    assert found["passed"], found
    assert found["ill_conditioned"] == 0
    return card


@pytest.mark.parametrize("name", MODELS)
def test_formulas(name):
    agreed(fitted(MODELS[name]), HARD)


@pytest.mark.parametrize("framed", [True, False])
@pytest.mark.parametrize("kind", [sm.OLS, sm.Logit, sm.GLM])
def test_arrays_have_their_columns_by_name(kind, framed):
    exog = sm.add_constant(TABLE[["x", "z"]])
    model = kind(TABLE.yes, exog) if framed else kind(TABLE.yes.to_numpy(), exog.to_numpy())
    names = ["const", "x", "z"] if framed else ["const", "x1", "x2"]
    card = agreed(model.fit(**({"disp": 0} if kind is sm.Logit else {})), exog.set_axis(names, axis=1))

    assert [item.name for item in card.inputs] == names


def test_a_small_probability_keeps_its_digits():
    results = smf.logit("yes ~ x", TABLE).fit(disp=0)
    results._results.params = np.array([-50.0, -1.0])
    card = compile(results)

    assert card.predict_row({"x": 30.0}) == pytest.approx(np.exp(-80.0), rel=1e-12)
    assert card.predict_row({"x": -200.0}) == 1.0


def test_a_formula_shows_its_columns():
    card = compile(smf.ols("y ~ x + C(town) + np.log(x)", TABLE).fit())

    assert [(item.name, item.type, item.null) for item in card.inputs] == [
        ("town", "category", False),
        ("x", "number", False),
    ]
    assert [term.column for term in card.document.model.terms] == [
        "C(town)[T.c d]",
        "C(town)[T.it's]",
        "x",
        "np.log(x)",
    ]
    assert exports.write(card, "sql", dialect="postgres")
    assert exports.write(card, "c")
    found = card.explain_row({"x": 2.0, "town": "York"})
    assert found["scale"] == "target"


def test_a_logged_model_answers_as_its_scorecard(tmp_path):
    results = smf.ols("y ~ x + C(town)", TABLE).fit()
    mlflow.statsmodels.save_model(results, str(tmp_path / "model"))
    card = compile(mlflow.statsmodels.load_model(str(tmp_path / "model")))
    expected = mlflow.pyfunc.load_model(str(tmp_path / "model")).predict(TABLE)

    assert card.predict(TABLE) == pytest.approx(expected.to_numpy(), rel=1e-12)


REFUSED = {
    "splines": (smf.ols("y ~ bs(x, df=4)", TABLE), r"bs\(x, df=4\)"),
    "a function of its own": (smf.ols("y ~ np.maximum(x, 1)", TABLE), "maximum"),
    "a stateful transform": (smf.ols("y ~ center(x)", TABLE), r"center\(x\)"),
    "computed categories": (smf.ols("y ~ C(level > 1)", TABLE), "level > 1"),
    "a variable beside the table": (smf.ols("y ~ x + COUNTS", TABLE), "COUNTS"),
    "inverse link": (smf.glm("cost ~ x", TABLE, family=sm.families.Gamma()), "InversePower"),
    "probit": (smf.probit("yes ~ x", TABLE), "Probit"),
    "offset": (smf.glm("count ~ x", TABLE, family=sm.families.Poisson(), offset=TABLE.z), "offset"),
    "several classes": (sm.MNLogit(TABLE.level, TABLE[["x"]]), "MNLogit"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_said_exactly_is_refused_by_name(name):
    model, said = REFUSED[name]
    with pytest.raises(Unsupported, match=said):
        compile(fitted(model))
