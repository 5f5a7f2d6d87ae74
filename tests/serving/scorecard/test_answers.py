"""What a scorecard answers to rows and tables, how it explains itself, and what it refuses."""

import math
import pickle
import threading

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, PolynomialFeatures, StandardScaler
from sklearn.svm import LinearSVC

from serving.scorecard import Cleaning, Input, InputError, Scorecard, Unsupported, compile, document
from tests.effort import times

# What is fitted here need not be a good model.
pytestmark = pytest.mark.filterwarnings("ignore")

COUNT = 80
RNG = np.random.default_rng(7)
TABLE = pd.DataFrame(
    {
        "age": RNG.normal(40, 9, COUNT),
        "rooms": RNG.integers(1, 6, COUNT) * 1.0,
        "town": pd.Series(RNG.choice(["Ham", "York", "Bath"], COUNT), dtype="str"),
        "noise": RNG.normal(size=COUNT),
    }
)
PRICE = 3 * TABLE.age + 20 * TABLE.rooms + 30 * (TABLE.town == "York") + 100
CLASS = np.select([PRICE < 270, PRICE < 300], ["low", "middle"], "high")


def features(**encoder):
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), ["age", "rooms"]),
            ("town", OneHotEncoder(handle_unknown="ignore", **encoder), ["town"]),
        ]
    )


REGRESSION = compile(make_pipeline(features(), Ridge()).fit(TABLE, PRICE))
SEVERAL = compile(make_pipeline(features(), LogisticRegression()).fit(TABLE, CLASS))
BINARY = compile(make_pipeline(features(), LogisticRegression()).fit(TABLE, PRICE > 280))
ROW = {"age": 33.0, "rooms": 2, "town": "York", "noise": None}


def refusal(scorecard, row):
    """Why a row is refused; None where it is not."""
    try:
        scorecard.predict_row(row)
    except InputError as error:
        return error
    return None


def test_a_row_may_be_any_mapping_and_hold_more_than_it_needs():
    class Row(dict):
        pass

    assert REGRESSION.predict_row(Row(ROW, more=object())) == REGRESSION.predict_row(ROW)
    assert type(REGRESSION.predict_row(ROW)) is float
    assert [type(p) for p in SEVERAL.probabilities_row(ROW)] == [float] * 3
    assert math.fsum(SEVERAL.probabilities_row(ROW)) == pytest.approx(1.0, abs=1e-15)
    assert type(BINARY.predict_row(ROW)) is bool


TABLES = {
    "DataFrame": lambda table: table,
    "lists": lambda table: {name: table[name].tolist() for name in table},
    "arrays": lambda table: {name: table[name].to_numpy(dtype=object) for name in table},
    "series": lambda table: {name: table[name] for name in table},
    "arrow": lambda table: pa.Table.from_pandas(table),
    "objects": lambda table: table.astype(object),
    "categorical": lambda table: table.assign(town=table.town.astype("category")),
    "nullable": lambda table: table.convert_dtypes(),
    "arrow dtypes": lambda table: table.convert_dtypes(dtype_backend="pyarrow"),
    "text": lambda table: {name: [str(value) for value in table[name]] for name in table},
    "shuffled": lambda table: table[["town", "noise", "rooms", "age"]].set_index(np.arange(COUNT)[::-1]),
    "fixed width": lambda table: {name: np.array(table[name].tolist()) for name in table},
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_may_come_from_many_libraries(kind):
    table = TABLES[kind](TABLE)
    np.testing.assert_array_equal(REGRESSION.predict(table), REGRESSION.predict(TABLE))
    np.testing.assert_array_equal(SEVERAL.probabilities(table), SEVERAL.probabilities(TABLE))
    assert SEVERAL.predict(table).tolist() == SEVERAL.predict(TABLE).tolist()


@pytest.mark.parametrize("kind", ["DataFrame", "lists", "objects", "nullable", "arrow", "arrow dtypes", "categorical"])
def test_missing_cells_of_many_libraries_are_missing(kind):
    holed = TABLE.copy()
    holed.loc[::3, "age"] = np.nan
    holed.loc[::4, "town"] = None
    expected = [REGRESSION.predict_row(row) for row in holed.to_dict("records")]
    assert REGRESSION.predict(TABLES[kind](holed)) == pytest.approx(expected, rel=1e-13)


def test_rows_and_tables_agree_to_the_digit_on_what_they_refuse():
    bad = {
        "age": [1.0, "x", math.inf, None, True, [1], 5.0],
        "rooms": [1.0, 2.0, 2.0, 3.0, 1.0, 1.0, "2"],
        "town": ["York", "York", "York", "new", "York", "York", b"7"],
        "noise": [None] * 7,
    }
    _, refusals = REGRESSION.tables.scores(bad)
    found = refusals.by_row()
    for place in range(7):
        row = {name: values[place] for name, values in bad.items()}
        error = refusal(REGRESSION, row)
        assert (place in found) == (error is not None)
        assert error is None or str(found[place]) == str(error.at(place))
    assert sorted(found) == [1, 2, 4, 5, 6]
    with pytest.raises(InputError, match=r"^row 1, column 'age': expected a number, found text$"):
        REGRESSION.predict(bad)


@settings(max_examples=times(60))
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "age": st.none() | st.floats() | st.integers() | st.text(max_size=3) | st.booleans(),
                "rooms": st.floats(-1e6, 1e6) | st.sampled_from(("3", "?", " 4 ", "NA", "1e400")),
                "town": st.sampled_from(("York", " York", "", "?", "new", None, 3, math.nan)),
                "noise": st.none(),
            }
        ),
        min_size=1,
        max_size=6,
    ),
    st.booleans(),
)
def test_raw_rows_and_raw_tables_give_one_answer(rows, clean):
    pipeline = make_pipeline(features(), Ridge()).fit(TABLE, PRICE)
    inputs = [
        Input("age", "number"),
        Input("rooms", "number", integer=True),
        Input("town", "category"),
        Input("noise", "number"),
    ]
    scorecard = compile(pipeline, inputs, cleaning=Cleaning() if clean else Cleaning(trim=False, missing=frozenset()))
    scores, refusals = scorecard.tables.scores({name: [row[name] for row in rows] for name in rows[0]})
    errors = refusals.by_row()
    for place, row in enumerate(rows):
        error = refusal(scorecard, row)
        assert (place in errors) == (error is not None)
        if error is None:
            assert scores[0, place] == pytest.approx(scorecard.predict_row(row), rel=1e-12, abs=1e-9)
        else:
            assert str(errors[place]) == str(error.at(place))


def test_a_column_that_is_not_there_is_refused_by_name():
    for name in ("age", "town"):
        with pytest.raises(InputError, match=f"column '{name}': the column is required"):
            REGRESSION.predict_row({key: value for key, value in ROW.items() if key != name})
        with pytest.raises(InputError, match=f"column '{name}': the column is required"):
            REGRESSION.predict(TABLE.drop(columns=name))
    with pytest.raises(InputError, match="several"):
        REGRESSION.predict(pd.concat([TABLE, TABLE[["age"]]], axis=1))
    with pytest.raises(InputError, match="expected 80 values as in the other columns, found 3"):
        REGRESSION.predict({**TABLES["lists"](TABLE), "town": ["York"] * 3})


def test_no_rows_have_no_answers():
    empty = TABLE.head(0)
    assert REGRESSION.predict(empty).shape == (0,)
    assert SEVERAL.probabilities(empty).shape == (0, 3)
    assert SEVERAL.predict(empty).shape == (0,)
    assert REGRESSION.explain(empty) == []


def test_columns_without_weight_may_be_left_out_but_not_wrong():
    target = 3 * TABLE.age
    pipeline = make_pipeline(
        ColumnTransformer(
            [
                ("numbers", StandardScaler(), ["age", "noise"]),
                ("rooms", SimpleImputer(), ["rooms"]),
                ("town", OneHotEncoder(), ["town"]),
            ]
        ),
        Lasso(alpha=5.0),
    ).fit(TABLE, target)
    scorecard = compile(pipeline)
    assert scorecard.optional == {"noise", "rooms", "town"}
    row = TABLE.iloc[0].to_dict()
    expected = pytest.approx(pipeline.predict(TABLE.head(1))[0], rel=1e-13)
    assert scorecard.predict_row(row) == scorecard.predict_row({"age": row["age"]}) == expected
    np.testing.assert_array_equal(scorecard.predict(TABLE), scorecard.predict(TABLE[["age"]]))
    for name, value in {"noise": None, "rooms": math.inf, "town": "unknown"}.items():
        with pytest.raises(InputError, match=f"'{name}'"):
            scorecard.predict_row({"age": 40.0, name: value})
        with pytest.raises(InputError, match=f"row 1, column '{name}'"):
            scorecard.predict({"age": [40.0, 40.0], name: [row[name], value]})
    assert scorecard.predict_row({"age": 40.0, "rooms": None}) == scorecard.predict_row({"age": 40.0})


def test_an_interaction_without_weight_still_refuses_what_overflows():
    table = TABLE[["age", "rooms"]]
    pipeline = make_pipeline(PolynomialFeatures(2, include_bias=False), Ridge()).fit(table, PRICE)
    pipeline[-1].coef_[2:] = 0.0
    scorecard = compile(pipeline)
    assert scorecard.optional == frozenset()
    huge = {"age": 1e200, "rooms": 1.0}
    with pytest.raises(ValueError, match="infinity"):
        pipeline.predict(pd.DataFrame([huge]))
    with pytest.raises(InputError, match="'age'"):
        scorecard.predict_row(huge)
    with pytest.raises(InputError, match="row 0, column 'age'"):
        scorecard.predict(pd.DataFrame([huge]))


def test_what_leads_to_no_finite_answer_is_refused_by_column():
    logged = compile(make_pipeline(FunctionTransformer(np.log), LinearRegression()).fit(TABLE[["age", "rooms"]], PRICE))
    for value in (0.0, -1.0):
        with pytest.raises(InputError, match=r"column 'rooms': .*outside of their range"):
            logged.predict_row({"age": 3.0, "rooms": value})
        with pytest.raises(InputError, match="row 1, column 'rooms'"):
            logged.predict({"age": [3.0, 3.0], "rooms": [1.0, value]})
    counts = compile(PoissonRegressor().fit(TABLE[["age", "rooms"]] / 10, np.round(PRICE / 50)))
    for value in (1e5, 1e308):
        with pytest.raises(InputError, match="finite"):
            counts.predict_row({"age": value, "rooms": value})
        with pytest.raises(InputError, match=r"row 0.*finite"):
            counts.predict({"age": [value], "rooms": [value]})


def test_the_terms_of_an_explanation_add_up_to_the_score():
    for row in TABLE.head(20).to_dict("records"):
        found = REGRESSION.explain_row(row)
        total = math.fsum([found["baseline"], *(term["contribution"] for term in found["terms"])])
        assert total == found["score"] == found["prediction"] == REGRESSION.predict_row(row)
        assert found["scale"] == "target"
        several = SEVERAL.explain_row(row, label="high")
        total = math.fsum([several["baseline"], *(term["contribution"] for term in several["terms"])])
        assert total == several["score"] == SEVERAL.decision_row(row)[SEVERAL.classes.index("high")]
        assert SEVERAL.explain_row(row)["class"] == SEVERAL.predict_row(row) == several["prediction"]


def test_an_explanation_names_terms_and_gives_reasons():
    table = TABLE.assign(age=TABLE.age.where(TABLE.index % 5 != 0))
    scorecard = compile(make_pipeline(features(), Ridge()).fit(table, PRICE))
    found = scorecard.explain_row({"age": None, "rooms": 5, "town": "York"}, reasons=2)
    assert {term["term"] for term in found["terms"]} == {"age", "rooms", "age is missing", "town = York"}
    strongest = [abs(reason["contribution"]) for reason in found["reasons"]]
    assert strongest == sorted(strongest, reverse=True)
    assert len(strongest) == 2
    assert found["reasons"][0]["inputs"] == ["rooms"]
    assert found["reasons"][0]["text"].startswith("rooms is 5 raises the score by ")
    every = scorecard.explain_row({"age": None, "rooms": 5, "town": "York"}, reasons=9)["reasons"]
    assert {reason["text"].rsplit(" ", 5)[0] for reason in every} == {"rooms is 5", "age is missing", "town is York"}


def test_an_interaction_is_a_term_of_its_own():
    pipeline = make_pipeline(PolynomialFeatures(2, interaction_only=True, include_bias=False), Ridge())
    scorecard = compile(pipeline.fit(TABLE[["age", "rooms"]], TABLE.age * TABLE.rooms))
    found = scorecard.explain_row({"age": 2.0, "rooms": 3.0})
    product = next(term for term in found["terms"] if term["term"] == "age × rooms")
    assert product["inputs"] == ["age", "rooms"]
    assert product["contribution"] == pipeline[-1].coef_[2] * 6.0
    assert any(reason["text"].startswith("age is 2 and rooms is 3 ") for reason in found["reasons"])


def test_explanations_follow_the_class_asked_for():
    found, other = BINARY.explain_row(ROW), BINARY.explain_row(ROW, label=False)
    assert found["class"] is True
    assert found["scale"] == "log-odds"
    assert found["score"] == -other["score"] == BINARY.decision_row(ROW)
    assert 1 / (1 + math.exp(-found["score"])) == pytest.approx(BINARY.probabilities_row(ROW)[1], rel=1e-14)
    with pytest.raises(Unsupported, match="one of the classes"):
        BINARY.explain_row(ROW, label="maybe")
    calibrated = compile(CalibratedClassifierCV(LinearSVC(), ensemble=False).fit(TABLE[["age", "rooms"]], PRICE > 280))
    found = calibrated.explain_row(ROW)
    assert 1 / (1 + math.exp(-found["score"])) == pytest.approx(calibrated.probabilities_row(ROW)[1], rel=1e-13)


def test_explanations_of_transformed_targets_say_their_scale():
    logs = TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1)
    found = compile(logs.fit(TABLE[["age", "rooms"]], PRICE)).explain_row(ROW)
    assert found["scale"] == "transformed target"
    assert math.expm1(found["score"]) == found["prediction"]
    found = compile(PoissonRegressor().fit(TABLE[["age", "rooms"]] / 10, np.round(PRICE / 50))).explain_row(ROW)
    assert found["scale"] == "log of the target"
    assert math.exp(found["score"]) == found["prediction"]


def test_a_table_is_explained_row_by_row():
    table = TABLE.head(3)
    assert REGRESSION.explain(table) == [REGRESSION.explain_row(row) for row in table.to_dict("records")]
    with pytest.raises(InputError, match="row 2, column 'age'"):
        REGRESSION.explain({"age": [1, 2, "x"], "rooms": [1, 2, 3], "town": ["York"] * 3, "noise": [0] * 3})


def test_an_mlp_does_not_explain_itself():
    mlp = MLPRegressor(hidden_layer_sizes=(2,), max_iter=3, random_state=0).fit(TABLE[["age"]], PRICE)
    mlp.coefs_[0][:] = -1e9
    scorecard = compile(mlp)
    with pytest.raises(Unsupported, match="no sum of terms"):
        scorecard.explain_row({"age": 3.0})
    for value in (1e308, -1e308):
        with pytest.raises(InputError, match="'age'"):
            scorecard.predict_row({"age": value})
        with pytest.raises(InputError, match="row 1, column 'age'"):
            scorecard.predict({"age": [1.0, value]})


def test_the_threshold_decides():
    chosen = FixedThresholdClassifier(LogisticRegression(), threshold=0.9).fit(TABLE[["age", "rooms"]], PRICE > 280)
    scorecard = compile(chosen)
    assert (scorecard.threshold, scorecard.positive) == (0.9, True)
    likely = scorecard.probabilities(TABLE)[:, 1]
    assert (scorecard.predict(TABLE) == (likely >= 0.9)).all()
    assert 0 < scorecard.predict(TABLE).sum() < BINARY.predict(TABLE).sum()


def test_a_scorecard_travels_to_other_processes():
    BINARY.predict(TABLE)
    again = pickle.loads(pickle.dumps(BINARY))
    assert again.digest == BINARY.digest
    assert again.predict_row(ROW) is BINARY.predict_row(ROW)


def test_threads_may_share_a_scorecard():
    fresh = Scorecard.loads(SEVERAL.dumps())
    rows = TABLE.to_dict("records")
    expected = [SEVERAL.probabilities_row(row) for row in rows]
    found: list = [None] * 8

    def work(place):
        found[place] = ([fresh.probabilities_row(row) for row in rows], fresh.probabilities(TABLE))

    threads = [threading.Thread(target=work, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for by_row, by_table in found:
        assert by_row == expected
        np.testing.assert_array_equal(by_table, SEVERAL.probabilities(TABLE))


def test_an_array_has_its_columns_in_the_order_of_the_signature():
    pipeline = make_pipeline(StandardScaler(), Ridge()).fit(TABLE[["age", "rooms"]], PRICE)
    scorecard = compile(pipeline)
    np.testing.assert_array_equal(scorecard.predict(TABLE[["age", "rooms"]].to_numpy()), scorecard.predict(TABLE))
    assert len(scorecard.explain(TABLE[["age", "rooms"]].to_numpy()[:2])) == 2
    with pytest.raises(InputError, match="expected 2 columns, found 3"):
        scorecard.predict(np.zeros((4, 3)))


@pytest.mark.parametrize("cell", [5, "abc", None, np.float64(1)])
def test_a_column_that_is_no_list_is_refused(cell):
    with pytest.raises(InputError, match="column 'age': expected a list of values"):
        REGRESSION.predict({**TABLES["lists"](TABLE), "age": cell})


def test_two_arrow_columns_of_one_name_are_refused():
    table = pa.table(
        [pa.array([1.0]), pa.array([1.0]), pa.array(["York"]), pa.array([2.0])], ["age", "age", "town", "rooms"]
    )
    with pytest.raises(InputError, match=r"'age': .*several"):
        REGRESSION.predict(table)


def test_arrow_columns_of_several_chunks_are_read_as_one():
    table = pa.concat_tables([pa.Table.from_pandas(TABLE[:30]), pa.Table.from_pandas(TABLE[30:])])
    np.testing.assert_array_equal(REGRESSION.predict(table), REGRESSION.predict(TABLE))


def test_the_column_to_blame_is_the_one_that_weighs_most():
    pipeline = PoissonRegressor().fit(TABLE[["noise", "rooms", "age"]], np.round(PRICE / 50))
    scorecard = compile(pipeline)
    for name in ("noise", "rooms", "age"):
        size = math.copysign(1e4 / abs(pipeline.coef_[["noise", "rooms", "age"].index(name)]), 1)
        value = size * math.copysign(1, pipeline.coef_[["noise", "rooms", "age"].index(name)])
        row = {"noise": 0.0, "rooms": 1.0, "age": 40.0, name: value}
        with pytest.raises(InputError, match=f"^column '{name}': expected numbers whose prediction is finite"):
            scorecard.predict_row(row)
        with pytest.raises(InputError, match=f"^row 0, column '{name}': expected numbers whose prediction is finite"):
            scorecard.predict({key: [cell] for key, cell in row.items()})


def test_a_computed_infinity_is_not_taken_for_a_value_that_is_there():
    logged = {"name": "log", "input": "a", "steps": [{"function": "log"}]}
    asked = {"name": "gap", "column": "log", "steps": [{"is": None}, {"multiply": 2.0}]}
    body = {
        "task": "regression",
        "inputs": [Input("a", "number").to_dict()],
        "cleaning": {"trim": False, "missing": []},
        "columns": [logged, asked],
        "model": {
            **{"kind": "linear", "link": "identity", "calibration": None, "target": []},
            **{"intercepts": [1.0], "terms": [{"column": "gap", "weights": [1.0]}]},
        },
        "decision": None,
    }
    scorecard = Scorecard(document.seal(body))
    assert [scorecard.predict_row({"a": value}) for value in (1.0, -1.0, None)] == [1.0, 3.0, 3.0]
    assert scorecard.predict({"a": [1.0, -1.0, None]}).tolist() == [1.0, 3.0, 3.0]
    with pytest.raises(InputError, match="column 'a'"):
        scorecard.predict_row({"a": 0.0})
    with pytest.raises(InputError, match="row 3, column 'a'"):
        scorecard.predict({"a": [1.0, -1.0, None, 0.0]})
