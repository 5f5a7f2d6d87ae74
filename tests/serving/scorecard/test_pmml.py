"""The exported PMML, valid by its schema and run by JPMML-Evaluator, answers and refuses as its scorecard."""

import ast
import os
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sklearn import datasets
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PowerTransformer, StandardScaler

from serving.scorecard import Input, InputError, Scorecard, Unsupported, compile, document
from serving.scorecard.exports import About
from serving.scorecard.exports import pmml as exported
from serving.scorecard.exports.pmml.columns import BLANKS
from serving.scorecard.parity import answer_row, measure
from tests.effort import times
from tests.serving.scorecard import agreeing, documents, generated, pmmlengine, portable

# What is fitted here need not be a good model.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def engine():
    found = pmmlengine.engine()
    yield found
    found.gateway.shutdown()


@pytest.fixture(scope="module")
def schema():
    return pmmlengine.schema()


def judged(engine, pipeline, table, **options) -> dict:
    """The measure of the document against the pipeline."""
    scorecard = compile(pipeline, **options)
    return measure(pipeline, scorecard, table, refused=len(table), others={"pmml": pmmlengine.way(engine, scorecard)})


@settings(max_examples=times(100), suppress_health_check=list(HealthCheck))
@given(problem=generated.problems())
def test_generated_pipelines_answer_and_refuse_alike(engine, schema, problem):
    assume(problem is not None)
    pipeline, table = problem
    if "" in table:
        with pytest.raises(Unsupported, match="a column named ''"):
            exported.write(compile(pipeline))
        return
    pmmlengine.assert_valid(schema, exported.write(compile(pipeline)))
    portable.assert_alike(judged(engine, pipeline, table), "pmml")


@settings(max_examples=times(80), suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_document_is_answered_alike_or_refused_by_what_pmml_lacks(engine, schema, data):
    card = data.draw(documents.scorecards())
    rows = data.draw(documents.rows(card))
    try:
        text = exported.write(card)
    except Unsupported as error:
        assert re.search("a column named ''|XML 1.0|whole numbers of 32 bits|neural network", str(error))  # noqa: PT017
        return
    pmmlengine.assert_valid(schema, text)
    agreeing.check(card, rows, pmmlengine.way(engine, card)(rows), reasons=False)


@pytest.mark.parametrize("name", ["diabetes", "iris", "wine", "breast_cancer"])
def test_real_tables_answer_alike(engine, schema, name):
    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    estimator = LinearRegression() if name == "diabetes" else LogisticRegression(max_iter=2000)
    pipeline = make_pipeline(SimpleImputer(), StandardScaler(), estimator).fit(bunch.data, bunch.target)
    pmmlengine.assert_valid(schema, exported.write(compile(pipeline)))
    found = judged(engine, pipeline, bunch.data)
    assert found["passed"], found
    assert found["paths"]["pmml"]["predict"]["compared"] == len(bunch.data)


@pytest.mark.parametrize("name", portable.MODELS)
def test_raw_rows_are_cleaned_answered_and_refused_alike(engine, schema, name):
    card = portable.scorecard(name)
    pmmlengine.assert_valid(schema, exported.write(card))
    assert portable.agree(card, portable.RAW, pmmlengine.way(engine, card)(portable.RAW)) >= 15


def test_categories_the_model_does_not_know_are_refused(engine):
    card, rows = portable.strict()
    assert portable.agree(card, rows, pmmlengine.way(engine, card)(rows)) == 7


def test_words_for_missing_and_many_categories_are_told_apart(engine):
    card, rows = portable.oddly_cleaned()
    assert portable.agree(card, rows, pmmlengine.way(engine, card)(rows)) == 0


@pytest.mark.parametrize("name", portable.NAMES)
def test_functions_at_their_edges(engine, name):
    found = judged(engine, portable.of_function(name), portable.edges())
    assert found["passed"], found


@pytest.mark.parametrize("method", ["yeo-johnson", "box-cox"])
@pytest.mark.parametrize("lmbda", [0.0, 2.0, 1.0, -0.7, 0.3, 1e-20, 2.0 - 1e-16, 3.5])
def test_power_transforms_of_any_lambda(engine, method, lmbda):
    table = pd.DataFrame({"x": portable.RNG.uniform(0.5, 3.0, 40)})
    pipeline = make_pipeline(PowerTransformer(method, standardize=False), LinearRegression()).fit(table, table.x)
    pipeline[0].lambdas_ = np.array([lmbda])
    values = [0.5, 1.0, 3.0, 1e-9, 50.0] + ([0.0, -0.5, -30.0, None] if method == "yeo-johnson" else [])
    found = judged(engine, pipeline, pd.DataFrame({"x": pd.Series(values, dtype="float64")}))
    assert found["passed"], found


@pytest.mark.parametrize("step", ["box_cox", "yeo_johnson", "inverse_box_cox", "inverse_yeo_johnson"])
@pytest.mark.parametrize("lmbda", [0.0, -0.7, 0.5, 3.5])
def test_what_a_power_leaves_undefined_is_missing(engine, step, lmbda):
    """And goes on to whatever a column does with what is missing: the engine's own functions would end the row."""
    steps = ({step: lmbda}, {"is": None}), ({"impute": 1.0}, {step: lmbda}, {"impute": 7.0})
    body = {
        "task": "regression",
        "inputs": [Input("x", "number").to_dict()],
        "cleaning": {"trim": True, "missing": []},
        "columns": [{"name": f"c{k}", "input": "x", "steps": list(some)} for k, some in enumerate(steps)],
        "model": {
            **{"kind": "linear", "link": "identity", "calibration": None, "target": [], "intercepts": [0.0]},
            "terms": [{"column": "c0", "weights": [2.0]}, {"column": "c1", "weights": [1.0]}],
        },
        "decision": None,
    }
    card = Scorecard(document.seal(body))
    rows = [{"x": value} for value in (0.0, -0.0, 0.1, 1.0, -1.0, 2.0, -2.0, 5.0, -5.0, 1.5, -1.5, 100.0, -100.0, None)]
    agreeing.check(card, rows, pmmlengine.way(engine, card)(rows), reasons=False)


def test_the_document_states_what_it_is():
    card = portable.scorecard("softmax")
    root = ElementTree.fromstring(exported.write(card, About("loans -- \x07 & <b>", "3")))
    assert root.attrib == {"version": "4.4"}
    header = root.find(f"{{{exported.NAMESPACE}}}Header")
    stated = {item.attrib["name"]: item.attrib["value"] for item in header if "value" in item.attrib}
    assert stated == {"model": "loans -- ? & <b>", "version": "3", "digest": card.digest}
    assert header.attrib["description"].startswith(f"loans -- ? & <b> version 3: scorecard {card.digest}. Read ")
    model = root.find(f"{{{exported.NAMESPACE}}}RegressionModel")
    assert model.attrib == {
        "functionName": "classification",
        "normalizationMethod": "softmax",
        "modelName": "loans -- ? & <b>",
    }


def test_weights_stand_in_the_table_as_the_scorecard_has_them():
    card = portable.scorecard("regression")
    root = ElementTree.fromstring(exported.write(card))
    table = root.find(f".//{{{exported.NAMESPACE}}}RegressionTable")
    assert float(table.attrib["intercept"]) == card.document.content["model"]["intercepts"][0]
    found = {item.attrib.get("value", item.attrib["name"]): float(item.attrib["coefficient"]) for item in table}
    terms = {item["column"]: item["weights"][0] for item in card.document.content["model"]["terms"]}
    assert sorted(value for value in terms.values() if value) == sorted(value for value in found.values() if value)
    assert found["town = York"] == terms["town = York"]


def test_the_same_scorecard_gives_the_same_text_and_needs_the_standard_library_only(tmp_path):
    card = portable.scorecard("one-vs-rest")
    (tmp_path / "card.json").write_text(card.dumps(), encoding="utf-8")
    program = (
        "import sys; from serving.scorecard import Scorecard, exports\n"
        "card = Scorecard.loads(open(sys.argv[1], encoding='utf-8').read())\n"
        "sys.stdout.buffer.write(exports.write(card, 'pmml').encode())"
    )
    command = [sys.executable, "-S", "-c", program, str(tmp_path / "card.json")]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    found = subprocess.run(command, capture_output=True, check=True, timeout=60, env=environment).stdout
    assert found.decode() == exported.write(card)


def test_the_targets_of_the_model_are_told_from_the_answers(engine):
    """The likeliest class is one thing, and the label by a threshold another; a score one, a prediction another."""
    for name, (target, answer) in {
        "threshold": ("likeliest", "label"),
        "power target": ("score", "prediction"),
    }.items():
        card = portable.scorecard(name)
        text = exported.write(card)
        assert [field.name for field in pmmlengine.evaluator(engine, text).getTargetFields()] == [target]
        rows = portable.TABLE.dropna().to_dict("records")
        found = pmmlengine.run(engine, text, rows)
        assert answer in pmmlengine.final(text)
        assert target not in pmmlengine.final(text)
        assert (found[target] != found[answer]).any()
        assert found[answer].tolist() == pytest.approx([card.predict_row(row) for row in rows], rel=1e-12)


def test_a_refused_row_leaves_no_answer_in_any_final_field(engine):
    card = portable.scorecard("log link")
    text = exported.write(card)
    rows = [portable.GOOD, {**portable.GOOD, "rooms": None}, {**portable.GOOD, "amount": 1e300}]
    found = pmmlengine.run(engine, text, rows)
    assert found["prediction"].notna().tolist() == [True, False, False]
    assert found["errors"].isna()[0]
    assert 'Field "rooms" cannot accept missing value' in found["errors"][1]
    with pytest.raises(InputError, match="amount"):
        card.predict_row(rows[2])


HOSTILE = [
    'a"b',
    "a&b<c>",
    "]]>",
    "new\nline",
    "carriage\rreturn",
    "\ttab",
    " lead ",
    "日本",
    "&#10;",
    "score",
    "usable",
]


def test_hostile_names_and_categories_survive_xml(engine, schema):
    rng = np.random.default_rng(2)
    table = pd.DataFrame({name: rng.normal(size=60) for name in HOSTILE})
    table["c"] = pd.Series(rng.choice(HOSTILE, 60), dtype=object)
    features = ColumnTransformer([("n", StandardScaler(), HOSTILE), ("c", OneHotEncoder(), ["c"])])
    target = np.array(HOSTILE[:3])[rng.integers(0, 3, 60)]
    pipeline = make_pipeline(features, LogisticRegression()).fit(table, target)
    pmmlengine.assert_valid(schema, exported.write(compile(pipeline)))
    found = judged(engine, pipeline, table)
    assert found["passed"], found
    assert found["paths"]["pmml"]["predict"]["compared"] == 60


@pytest.mark.parametrize("bad", ["\x00", "\x0b", "\x1f", "\ud800", "\ufffe"])
def test_what_xml_cannot_hold_is_refused_by_name(bad):
    table = np.arange(9.0)[:, None]
    card = compile(LinearRegression().fit(table, table[:, 0]), [Input(f"a{bad}b", "number")])
    with pytest.raises(Unsupported, match=r"inputs \(the column .*\): XML 1.0 cannot hold one of its characters"):
        exported.write(card)
    texts = pd.DataFrame({"c": pd.Series(["x", f"y{bad}"] * 5, dtype=object)})
    card = compile(make_pipeline(OneHotEncoder(), LinearRegression()).fit(texts, np.arange(10)))
    with pytest.raises(Unsupported, match=r"column 'c' \(the category 'y.*\): XML"):
        exported.write(card)
    card = compile(LogisticRegression().fit(table, [f"no{bad}!"] * 5 + ["yes"] * 4))
    with pytest.raises(Unsupported, match=r"decision \(the label 'no.*\): XML"):
        exported.write(card)


def test_labels_beyond_the_engines_whole_numbers_are_refused(engine):
    table = np.arange(9.0)[:, None]
    good = compile(LogisticRegression().fit(table, [-(2**31)] * 4 + [2**31 - 1] * 5))
    assert pmmlengine.way(engine, good)([{"x0": 0.0}])[0]["predict"] == -(2**31)
    with pytest.raises(Unsupported, match=r"the label 2147483648.*32 bits"):
        exported.write(compile(LogisticRegression().fit(table, [0] * 4 + [2**31] * 5)))


def test_what_is_trimmed_is_what_python_trims():
    blanks = [code for code in range(sys.maxunicode + 1) if chr(code).isspace()]
    ranges = [part.split("-") for part in BLANKS.strip("[]").replace("\\x", "").replace("}{", "} {").split()]
    codes = [[int(end.strip("{}"), 16) for end in part] for part in ranges]
    assert [code for first, *last in codes for code in range(first, (last or [first])[0] + 1)] == blanks


@pytest.mark.parametrize("labels", [2, 3])
def test_terms_that_overflow_are_refused_though_each_value_is_finite(engine, labels):
    table = pd.DataFrame({"a": np.linspace(-3.0, 3.0, 60)})
    estimator = OneVsRestClassifier(LogisticRegression())
    pipeline = make_pipeline(SimpleImputer(), estimator).fit(table, np.arange(60) * labels // 60)
    for part in estimator.estimators_:
        part.coef_ *= 1e6
    card = compile(pipeline)
    rows = [{"a": value} for value in (1.0, None, 1e290, -1e290, 1.7e308, -1.7e308)]
    agreeing.check(card, rows, pmmlengine.way(engine, card)(rows), reasons=False)
    assert isinstance(answer_row(card, rows[-1]), InputError)


def test_an_mlp_is_refused_only_where_a_unit_may_overflow(engine):
    """Beyond the stated limit there is no answer, though the scorecard may have one; below it there always is."""
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"a": rng.normal(size=60), "b": rng.normal(size=60)})
    network = MLPRegressor(hidden_layer_sizes=(4, 3), max_iter=30, random_state=0)
    card = compile(network.fit(table, table.a))
    rows = [{"a": 10.0**power, "b": -1.0} for power in (0, 10, 100, 290, 300)]
    found = pmmlengine.way(engine, card)(rows)
    assert [answer["predict"] for answer in found] == pytest.approx([card.predict_row(row) for row in rows], rel=1e-12)
    assert isinstance(pmmlengine.way(engine, card)([{"a": 1.7e308, "b": 0.0}])[0], InputError)


@pytest.mark.parametrize("positive", ["no", "yes"])
@pytest.mark.parametrize("threshold", [0.4, -0.4, 3.0, -50.0])
def test_a_threshold_on_the_score_of_a_model_with_probabilities_looks_at_the_score(engine, schema, positive, threshold):
    table = pd.DataFrame({"a": np.linspace(-3.0, 3.0, 60), "b": pd.Series(["x", "y", None] * 20, dtype=object)})
    features = ColumnTransformer([("a", "passthrough", ["a"]), ("b", OneHotEncoder(), ["b"])])
    target = np.where(table.a + np.sin(9.0 * table.a) > 0.0, "yes", "no")
    estimator = FixedThresholdClassifier(
        LogisticRegression(C=100.0), threshold=threshold, pos_label=positive, response_method="decision_function"
    )
    pipeline = make_pipeline(features, estimator).fit(table, target)
    pmmlengine.assert_valid(schema, exported.write(compile(pipeline)))
    found = judged(engine, pipeline, table)
    assert found["passed"], found
    assert found["paths"]["pmml"]["predict"]["compared"] == found["paths"]["pmml"]["predict_proba"]["compared"] == 60


@pytest.mark.parametrize(
    "changed",
    [
        {"link": "none"},
        {"calibration": [{"slope": 2.0, "offset": 0.5}]},
        {"threshold": {"on": "score", "value": 0.5, "positive": "a"}},
    ],
)
def test_what_a_neural_network_of_pmml_cannot_say_is_refused(changed):
    layers = [{"weights": [[1.0]], "intercepts": [0.5]}] * 2
    body = {
        "task": "classification",
        "inputs": [Input("x", "number").to_dict()],
        "cleaning": {"trim": True, "missing": []},
        "columns": [{"name": "x", "input": "x", "steps": []}],
        "model": {
            **{"kind": "mlp", "link": "logistic", "calibration": None, "target": [], "columns": ["x"]},
            **{"activation": "tanh", "layers": layers},
        },
        "decision": {"classes": ["a", "b"], "threshold": changed.get("threshold")},
    }
    assert exported.write(Scorecard(document.seal({**body, "decision": {"classes": ["a", "b"], "threshold": None}})))
    body["model"].update({name: value for name, value in changed.items() if name != "threshold"})
    with pytest.raises(Unsupported, match=r"model \(MLP with the link (none|logistic)\): PMML's neural network gives"):
        exported.write(Scorecard(document.seal(body)))


def test_categories_that_are_scaled_cost_a_line_each(engine):
    """A table for each column, with a line for each category, would grow with the square of their number."""
    table, target = portable.of_many_categories(300)
    pipeline = make_pipeline(OneHotEncoder(), StandardScaler(with_mean=False), LinearRegression()).fit(table, target)
    assert len(exported.write(compile(pipeline))) < 400_000
    found = judged(engine, pipeline, table)
    assert found["passed"], found


def test_a_model_that_reads_nothing_answers_whatever_it_is_given(engine, schema):
    card = portable.without_weight()
    pmmlengine.assert_valid(schema, exported.write(card))
    answers = pmmlengine.way(engine, card)([{"a": value} for value in (1.0, 2.5, None, 1e300)])
    assert answers == [{"predict": 0.25}] * 4


def test_what_the_document_says_of_its_use_runs(engine):
    card = portable.scorecard("softmax")
    header = ElementTree.fromstring(exported.write(card)).find(f"{{{exported.NAMESPACE}}}Header")
    _, _, program = header.attrib["description"].partition("print(make_evaluator('model.pmml').evaluate(")
    row = ast.literal_eval(program.removesuffix("))"))
    assert row == {"amount": 3.5, "rooms": 3.0, "flag": 1.0, "town": row["town"], "grade": "low"}
    found = pmmlengine.evaluator(engine, exported.write(card)).evaluate(row)
    assert found["label"] == card.predict_row(row)


def test_a_network_of_many_classes_is_a_neural_network(engine, schema):
    table, target = datasets.load_digits(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), MLPClassifier((12, 8), max_iter=20, random_state=0))
    pipeline.fit(table, target)
    text = exported.write(compile(pipeline))
    pmmlengine.assert_valid(schema, text)
    network = ElementTree.fromstring(text).find(f"{{{exported.NAMESPACE}}}NeuralNetwork")
    layers = network.findall(f"{{{exported.NAMESPACE}}}NeuralLayer")
    assert [layer.attrib["numberOfNeurons"] for layer in layers] == ["12", "8", "10"]
    found = judged(engine, pipeline, table[:200])
    assert found["passed"], found


def test_the_schema_finds_what_is_not_pmml(schema):
    text = exported.write(portable.scorecard("regression"))
    with pytest.raises(AssertionError, match="Invented"):
        pmmlengine.assert_valid(schema, text.replace("<DataDictionary>", "<DataDictionary><Invented/>"))
    with pytest.raises(AssertionError, match="x-invented"):
        pmmlengine.assert_valid(schema, text.replace("<DataDictionary>", '<DataDictionary x-invented="1">'))
