"""What a loaded model tells of its columns."""

import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeClassifier
from statsmodels.tsa.arima.model import ARIMA

from serving.errors import ServingError
from serving.models.native import inside

DRAW = np.random.default_rng(0)
TABLE = pd.DataFrame({"b": DRAW.normal(size=50), "a": DRAW.normal(size=50)})
Y = 2 * TABLE["a"] + DRAW.normal(size=50)
WITH_ONES = sm.add_constant(TABLE)


def without_data(results: Any) -> Any:
    kept = io.BytesIO()
    results.save(kept, remove_data=True)
    return pickle.loads(kept.getvalue())


@pytest.mark.parametrize(
    ("fit", "names", "width", "constant"),
    [
        (lambda: LinearRegression().fit(TABLE, Y), ["b", "a"], 2, None),
        (lambda: LinearRegression().fit(TABLE.to_numpy(), Y), None, 2, None),
        (lambda: sm.OLS(Y, TABLE).fit(), ["b", "a"], 2, None),
        (lambda: sm.OLS(Y.to_numpy(), WITH_ONES[["b", "const", "a"]]).fit(), ["b", "const", "a"], 3, 1),
        (lambda: sm.Probit(Y > 0, WITH_ONES).fit(disp=0), ["const", "b", "a"], 3, 0),
        (lambda: sm.OLS(Y, TABLE["a"]).fit(), ["a"], 1, None),
        (lambda: sm.OLS(Y, TABLE.set_axis(["x1", "x2"], axis=1)).fit(), ["x1", "x2"], 2, None),
        (lambda: sm.OLS(Y, WITH_ONES.to_numpy()).fit(), None, 3, 0),
        (lambda: sm.OLS(Y, pd.DataFrame(TABLE.to_numpy())).fit(), None, 2, None),
        (lambda: without_data(sm.OLS(Y, TABLE).fit()), None, None, None),
        (lambda: smf.ols("y ~ np.log(a**2) + b", TABLE.assign(y=Y)).fit(), ["a", "b"], 3, None),
        (lambda: ARIMA(Y, order=(1, 0, 0)).fit(), None, None, None),
    ],
)
def test_columns_are_told_by_name_if_the_model_knows_them(
    fit: Callable[[], Any], names: list[str] | None, width: int | None, constant: int | None
) -> None:
    told = inside.described(fit(), compilable=True)
    assert (told.names, told.width, told.constant) == (names, width, constant)


def test_several_classifications_are_to_be_logged_one_by_one() -> None:
    labels = np.column_stack([Y > 0, Y > 1])
    with pytest.raises(ServingError, match=r"^it predicts 2 outputs; .* predicts one; log one model for each output$"):
        inside.described(DecisionTreeClassifier().fit(TABLE, labels), compilable=True)
