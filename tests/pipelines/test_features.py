"""The features of typed columns: missing values, rare and unknown categories, odd names."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline

from pipelines import features
from serving.scorecard.inputs import BOOLEAN, CATEGORY, NUMBER, Input


def table(**columns) -> pd.DataFrame:
    return pd.DataFrame(
        {
            name: pd.Series(values, dtype="str" if isinstance(values[0], str) else "float64")
            for name, values in columns.items()
        }
    )


def dense(values) -> np.ndarray:
    return values.toarray() if hasattr(values, "toarray") else values


def test_numbers_are_imputed_by_the_median_marked_and_standardised():
    made = features.build([Input("a", NUMBER), Input("b", NUMBER)])
    found = made.fit_transform(table(a=[1, np.nan, 3, 100], b=[1, 2, 3, 4]))
    assert found.dtype == "float64"
    assert found.shape == (4, 3)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-15)
    np.testing.assert_allclose(found.std(axis=0), 1)
    filled = np.array([1, 3, 3, 100.0])
    np.testing.assert_allclose(found[:, 0], (filled - filled.mean()) / filled.std())
    np.testing.assert_array_equal(found[:, 2] > 0, [False, True, False, False])


def test_a_value_missing_later_is_imputed_though_training_had_none():
    made = features.build([Input("a", NUMBER)]).fit(table(a=[1, 2, 6]))
    assert made.transform(table(a=[np.nan])) == pytest.approx(made.transform(table(a=[2])))


def test_categories_rare_unknown_and_missing():
    texts = ["often"] * 600 + ["second"] * 396 + ["rare", "rarer", "rarest"] + [None]
    made = features.build([Input("c", CATEGORY)]).fit(table(c=texts))
    names = made.get_feature_names_out().tolist()
    assert names == ["categories__c_often", "categories__c_second", "categories__c_infrequent_sklearn"]
    found = dense(made.transform(table(c=["often", "rare", "rarest", None, "never seen"])))
    np.testing.assert_array_equal(found, [[1, 0, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 0]])


def test_the_number_of_columns_is_bounded_by_the_levels_of_categories():
    draw = np.random.default_rng(0)
    few, many = ([*np.char.mod("v%d", draw.integers(0, high, 999)), None] for high in (3, 400))
    found = table(a=[*range(999), np.nan], b=range(1000), c=few, d=many)
    inputs = [Input("a", NUMBER), Input("b", NUMBER), Input("c", CATEGORY), Input("d", CATEGORY)]
    levels = {name: found[name].nunique() for name in ("c", "d")}
    made = features.build(inputs).fit_transform(found)
    most = features.most_columns(inputs, levels)
    assert made.shape[1] <= most == 4 + 5 + 102


def test_missing_is_a_category_where_it_is_frequent():
    made = features.build([Input("c", CATEGORY)]).fit(table(c=["x", "y", None] * 10))
    assert f"categories__c_{features.MISSING}" in made.get_feature_names_out()
    np.testing.assert_array_equal(
        dense(made.transform(table(c=["x"]).assign(c=pd.Series([None], dtype="str")))).sum(), 1
    )


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT], ids=str)
@pytest.mark.parametrize("kind", ["object", "category", "str"])
def test_every_missing_value_is_the_same(missing, kind):
    made = features.build([Input("a", NUMBER), Input("c", CATEGORY)]).fit(table(a=[1, 2, np.nan], c=["x", "y", None]))
    expected = dense(made.transform(table(a=[np.nan, 2], c=["x", "y"]).assign(c=pd.Series([None, "y"], dtype="str"))))
    frame = pd.DataFrame(
        {"a": pd.Series([missing, 2.0], dtype="object"), "c": pd.Series([missing, "y"], dtype="object")}
    )
    np.testing.assert_array_equal(dense(made.transform(frame.astype({"c": kind}))), expected)
    # A row of nothing but missing values, of whatever type pandas makes of it.
    alone = pd.DataFrame({"a": pd.Series([missing], dtype="object"), "c": [missing]})
    np.testing.assert_array_equal(dense(made.transform(alone)), expected[:1])


@pytest.mark.parametrize("kind", ["Int64", "Float64", "boolean", "float32", "int8"])
def test_numbers_of_all_types_of_pandas(kind):
    made = features.build([Input("a", NUMBER)]).fit(table(a=[0, 1, np.nan, 1]))
    values = [1, 0] if kind == "int8" else [1, None, 0]
    expected = made.transform(pd.DataFrame({"a": pd.Series(values, dtype="float64")}))
    np.testing.assert_array_equal(made.transform(pd.DataFrame({"a": pd.Series(values, dtype=kind)})), expected)


def test_booleans_are_numbers_and_columns_are_taken_by_name_in_any_order():
    inputs = [Input("b", BOOLEAN), Input("c", CATEGORY), Input("a", NUMBER)]
    frame = table(a=[1, 2, 4, 8], b=[0, 1, np.nan, 1], c=["x", "y", "x", "x"])
    made = features.build(inputs).fit(frame)
    np.testing.assert_array_equal(dense(made.transform(frame)), dense(made.transform(frame[["c", "b", "a"]])))


@pytest.mark.parametrize("kind", [NUMBER, CATEGORY])
def test_odd_names(kind):
    names = ["a b", "a.b", "q\"u'o", "new\nline", "größe", "\u2028", "n" * 300, "a,b", "A", "a", "x__y", "numbers"]
    values = [1.0, 2.0, 4.0] if kind == NUMBER else ["x", "y", "x"]
    frame = table(**dict.fromkeys(names, values))
    model = Pipeline(
        [("features", features.build([Input(name, kind) for name in names])), ("estimator", LinearRegression())]
    )
    assert np.isfinite(model.fit(frame, [1.0, 2.0, 3.0]).predict(frame)).all()


def test_the_pipeline_loads_without_this_project(tmp_path):
    import pickle
    import subprocess
    import sys

    path = tmp_path / "features.pickle"
    path.write_bytes(
        pickle.dumps(features.build([Input("a", NUMBER), Input("c", CATEGORY)]).fit(table(a=[1, 2], c=["x", "y"])))
    )
    code = f"import pickle, sys; pickle.load(open({str(path)!r}, 'rb')); assert 'pipelines' not in sys.modules"
    subprocess.run([sys.executable, "-I", "-c", code], check=True, cwd=tmp_path)
