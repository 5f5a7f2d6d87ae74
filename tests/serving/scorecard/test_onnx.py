"""The exported ONNX graph, run in ONNX Runtime, answers and refuses as its scorecard."""

import json
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sklearn import datasets
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, OneHotEncoder, PowerTransformer, StandardScaler

from serving.scorecard import Input, Unsupported, compile
from serving.scorecard.exports import About
from serving.scorecard.exports import onnx as exported
from serving.scorecard.exports.onnx.quantization import generated as around
from serving.scorecard.exports.onnx.text import BLANKS
from serving.scorecard.parity import measure
from tests.effort import times
from tests.serving.scorecard import agreeing, documents, generated, graphs, portable

# What is fitted here need not be a good model.
pytestmark = pytest.mark.filterwarnings("ignore")


def judged(pipeline, table, **options) -> dict:
    """The measure of the graph against the pipeline."""
    scorecard = compile(pipeline, **options)
    return measure(pipeline, scorecard, table, refused=len(table), others={"onnx": graphs.way(scorecard)})


@settings(max_examples=times(120), suppress_health_check=list(HealthCheck))
@given(generated.problems())
def test_generated_pipelines_answer_and_refuse_alike(problem):
    assume(problem is not None)
    pipeline, table = problem
    if "" in table:
        with pytest.raises(Unsupported, match="a column named ''"):
            exported.write(compile(pipeline))
        return
    portable.assert_alike(judged(pipeline, table), "onnx")


@settings(max_examples=times(120), suppress_health_check=list(HealthCheck))
@given(st.data())
def test_every_document_is_answered_alike_by_a_graph_with_nothing_to_spare(data):
    card = data.draw(documents.scorecards())
    rows = data.draw(documents.rows(card))
    if "" in [item.name for item in card.inputs]:
        with pytest.raises(Unsupported, match="a column named ''"):
            exported.write(card)
        return
    agreeing.check(card, rows, graphs.way(card)(rows), reasons=False)
    graph = onnx.load_from_string(exported.write(card)).graph
    inner = [item.g for node in graph.node for item in node.attribute if item.type == item.GRAPH]
    used = {name for part in (graph, *inner) for node in part.node for name in node.input}
    used |= {item.name for part in (graph, *inner) for item in part.output}
    assert {item.name for part in (graph, *inner) for item in part.initializer} <= used
    assert all(used.intersection(node.output) for part in (graph, *inner) for node in part.node)


@pytest.mark.parametrize("name", ["diabetes", "iris", "wine", "breast_cancer"])
def test_real_tables_answer_alike(name):
    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    estimator = LinearRegression() if name == "diabetes" else LogisticRegression(max_iter=2000)
    pipeline = make_pipeline(SimpleImputer(), StandardScaler(), estimator).fit(bunch.data, bunch.target)
    found = judged(pipeline, bunch.data)
    assert found["passed"], found
    assert found["paths"]["onnx"]["predict"]["compared"] == len(bunch.data)


@pytest.mark.parametrize("name", portable.MODELS)
def test_raw_rows_are_cleaned_answered_and_refused_alike(name):
    card = portable.scorecard(name)
    assert portable.agree(card, portable.RAW, graphs.way(card)(portable.RAW)) >= 15


def test_categories_the_model_does_not_know_are_refused():
    card, rows = portable.strict()
    assert portable.agree(card, rows, graphs.way(card)(rows)) == 7


def test_words_for_missing_and_many_categories_are_told_apart():
    """In a batch where a text is padded, and alone."""
    card, rows = portable.oddly_cleaned()
    way = graphs.way(card)
    assert portable.agree(card, rows, way(rows)) == 0
    assert portable.agree(card, rows[:90], [answer for row in rows[:90] for answer in way([row])]) == 0


@pytest.mark.parametrize("name", portable.NAMES)
def test_functions_at_their_edges(name):
    found = judged(portable.of_function(name), portable.edges())
    assert found["passed"], found


@pytest.mark.parametrize("method", ["yeo-johnson", "box-cox"])
@pytest.mark.parametrize("lmbda", [0.0, 2.0, 1.0, -0.7, 0.3, 1e-20, 2.0 - 1e-16, 3.5])
def test_power_transforms_of_any_lambda(method, lmbda):
    table = pd.DataFrame({"x": portable.RNG.uniform(0.5, 3.0, 40)})
    pipeline = make_pipeline(PowerTransformer(method, standardize=False), LinearRegression()).fit(table, table.x)
    pipeline[0].lambdas_ = np.array([lmbda])
    values = [0.5, 1.0, 3.0, 1e-9, 50.0] + ([0.0, -0.5, -30.0, None] if method == "yeo-johnson" else [])
    found = judged(pipeline, pd.DataFrame({"x": pd.Series(values, dtype="float64")}))
    assert found["passed"], found


def test_one_column_is_as_exact_as_several():
    """ONNX Runtime may put a scalar before a product of matrices into an attribute that is float32."""
    table, target = datasets.load_breast_cancer(return_X_y=True, as_frame=True)
    for steps in ((StandardScaler(),), (MinMaxScaler(),), (FunctionTransformer(np.log2),)):
        pipeline = make_pipeline(*steps, LogisticRegression()).fit(table[["mean area"]], target)
        found = judged(pipeline, table[["mean area"]])
        assert found["passed"], found


def test_the_graph_is_standard_and_states_what_it_is():
    card = portable.scorecard("softmax")
    content = exported.write(card, About("loans", "3"))
    proto = onnx.load_from_string(content)
    onnx.checker.check_model(proto, full_check=True)
    assert {item.domain: item.version for item in proto.opset_import} == {"": 20, "ai.onnx.ml": 3}
    assert proto.ir_version == 9
    graphs_inside = [item.g for node in proto.graph.node for item in node.attribute if item.type == item.GRAPH]
    domains = {node.domain for graph in (proto.graph, *graphs_inside) for node in graph.node}
    assert domains == {"", "ai.onnx.ml"}
    assert not [item for item in proto.graph.initializer if item.data_type == onnx.TensorProto.FLOAT]
    found = graphs.properties(content)
    assert (found["model"], found["version"], found["digest"]) == ("loans", "3", card.digest)
    assert [item["name"] for item in json.loads(found["inputs"])] == list(portable.TABLE)
    assert json.loads(found["classes"]) == card.classes
    assert "loans version 3" in proto.doc_string
    assert card.digest in proto.doc_string


def test_every_tensor_has_a_batch_and_one_fixed_axis():
    session = graphs.session(exported.write(portable.scorecard("softmax")))
    kinds = {item.name: (item.type, item.shape) for item in [*session.get_inputs(), *session.get_outputs()]}
    assert kinds == {
        **{name: ("tensor(double)", ["rows", 1]) for name in ("amount", "rooms", "flag")},
        **{name: ("tensor(string)", ["rows", 1]) for name in ("town", "grade", "label")},
        "probabilities": ("tensor(double)", ["rows", 3]),
        "decision": ("tensor(double)", ["rows", 3]),
        "valid": ("tensor(bool)", ["rows", 1]),
    }


def test_the_same_scorecard_gives_the_same_bytes_in_another_process(tmp_path):
    card = portable.scorecard("mlp softmax")
    (tmp_path / "card.json").write_text(card.dumps(), encoding="utf-8")
    program = (
        "import sys, hashlib; from serving.scorecard import Scorecard; from serving.scorecard.exports import onnx\n"
        "card = Scorecard.loads(open(sys.argv[1], encoding='utf-8').read())\n"
        "print(*(hashlib.sha256(onnx.write(card, quantize=q)).hexdigest() for q in (False, True)))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "card.json")]
    found = {subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout for _ in range(2)}
    assert len(found) == 1


def test_labels_keep_their_type_and_a_refused_row_has_none():
    kinds = {"softmax": ("tensor(string)", ""), "whole labels": ("tensor(int64)", -(2**63))}
    kinds |= {"real labels": ("tensor(double)", None), "binary": ("tensor(int64)", -(2**63))}
    for name, (kind, nothing) in kinds.items():
        content = exported.write(portable.scorecard(name))
        types = {item.name: item.type for item in graphs.session(content).get_outputs()}
        assert types["label"] == kind
        found = graphs.run(content, {key: [value] for key, value in {**portable.GOOD, "rooms": None}.items()})
        assert not found["valid"].any()
        assert found["label"][0, 0] == nothing or (nothing is None and np.isnan(found["label"][0, 0]))


def test_a_column_keeps_its_name_where_an_output_has_it_too():
    table = pd.DataFrame({"label": np.arange(20.0), "valid": np.arange(20.0)[::-1] ** 2, "valid_": 1.0})
    pipeline = LogisticRegression().fit(table, np.arange(20) > 9)
    assert judged(pipeline, table)["passed"]
    outputs = json.loads(graphs.properties(exported.write(compile(pipeline)))["outputs"])
    assert outputs == {name: name for name in ("probabilities", "decision")} | {"label": "label_", "valid": "valid__"}


def test_what_pandas_leaves_missing_may_be_fed_as_it_is():
    """ONNX Runtime's Python turns None and NaN into words that stand for missing in this project's cleaning."""
    card = portable.scorecard("regression")
    session = graphs.session(exported.write(card))
    feeds = {item.name: np.full((3, 1), portable.GOOD[item.name]) for item in session.get_inputs()}
    feeds["town"] = np.array([[None], [np.nan], [pd.NA]], dtype=object)
    feeds["grade"] = np.full((3, 1), "high", dtype=object)
    prediction, valid = session.run(["prediction", "valid"], feeds)
    assert valid.all()
    assert prediction.ravel() == pytest.approx([card.predict_row({**portable.GOOD, "town": None})] * 3, rel=1e-12)


def test_a_missing_text_has_a_word_of_its_own_where_empty_text_is_a_category():
    table = pd.DataFrame({"c": pd.Series(["", "x", None, "<NA>"] * 10, dtype=object)})
    pipeline = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LinearRegression()).fit(table, np.arange(40) % 4)
    content = exported.write(compile(pipeline))
    assert graphs.properties(content)["missing_text"] == "<<NA>>"
    found = graphs.run(content, {"c": ["", "x", None, "<NA>"]})
    assert found["prediction"].ravel() == pytest.approx([0, 1, 2, 3], abs=1e-12)


def test_what_is_trimmed_is_what_python_trims():
    assert "".join(chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()) == BLANKS


def test_an_empty_batch_is_answered_by_an_empty_one():
    for name in ("softmax", "mlp", "sparse"):
        found = graphs.run(exported.write(portable.scorecard(name)), {column: [] for column in portable.TABLE})
        assert {len(values) for values in found.values()} == {0}


def test_a_model_without_any_weight_still_knows_how_many_rows_there_are():
    table = pd.DataFrame({"a": np.arange(9.0), "b": 1.0})
    features = ColumnTransformer([("one", "passthrough", ["b"])])
    card = compile(make_pipeline(features, LinearRegression()).fit(table, table.b))
    assert card.optional == {"a", "b"}
    found = graphs.run(exported.write(card), {"a": [1.0] * 4, "b": [5.0, None, 2.0, np.inf]})
    assert found["valid"].ravel().tolist() == [True, False, True, False]
    assert found["prediction"][[0, 2], 0] == pytest.approx([1.0, 1.0])


def test_a_model_that_reads_nothing_answers_whatever_it_is_given():
    found = graphs.run(exported.write(portable.without_weight()), {"a": [1.0, 2.5, None, np.inf]})
    assert found["valid"].all()
    assert found["prediction"].ravel().tolist() == [0.25] * 4


@pytest.mark.parametrize("last", [LinearRegression(), MLPRegressor(hidden_layer_sizes=(3,), max_iter=3)])
def test_categories_that_are_scaled_cost_a_number_each(last):
    """A table of columns by categories would grow with the square of their number."""
    table, target = portable.of_many_categories(300)
    pipeline = make_pipeline(OneHotEncoder(), StandardScaler(with_mean=False), last).fit(table, target)
    assert len(exported.write(compile(pipeline))) < 30_000
    found = judged(pipeline, table)
    assert found["passed"], found


@pytest.mark.parametrize("name", ["softmax", "many columns"])
def test_what_the_graph_says_of_its_use_runs(name, tmp_path, monkeypatch):
    table = pd.DataFrame(portable.RNG.normal(size=(40, 25)), columns=[f"x {place}" for place in range(25)])
    many = compile(LinearRegression().fit(table, table["x 0"]))
    card = many if name == "many columns" else portable.scorecard(name)
    content = exported.write(card)
    (tmp_path / "model.onnx").write_bytes(content)
    said = onnx.load_from_string(content).doc_string.splitlines()
    space: dict = {"onnxruntime": onnxruntime}
    monkeypatch.chdir(tmp_path)
    exec("\n".join(line.strip() for line in said if line.startswith("    ")), space)
    assert space["answers"]["valid"].all()
    answer = space["answers"].get("label", space["answers"].get("prediction"))[0, 0]
    expected = card.predict_row(space["row"])
    assert answer == expected if isinstance(expected, str) else answer == pytest.approx(expected)


def test_names_that_unicode_cannot_hold_are_refused():
    table = pd.DataFrame({"a": np.arange(9.0)})
    card = compile(LinearRegression().fit(table.to_numpy(), table.a), [Input("\ud800", "number")])
    with pytest.raises(Unsupported, match=r"inputs \(a column's name\): ONNX holds Unicode text"):
        exported.write(card)
    huge = compile(LogisticRegression().fit(table, np.array([-(2**63)] * 4 + [1] * 5)))
    with pytest.raises(Unsupported, match="whole numbers of 64 bits"):
        exported.write(huge)


@pytest.mark.parametrize("name", ["a\0b", "new\nline", "日本", " lead", 'it\'s "q"', "x" * 300, "add_1", "constant_1"])
def test_odd_names_are_the_graphs_inputs(name):
    table = pd.DataFrame({name: np.arange(9.0), "other": 1.0})
    found = judged(LinearRegression().fit(table, table[name]), table)
    assert found["passed"], found


def test_without_the_package_one_line_says_what_to_install(tmp_path):
    (tmp_path / "card.json").write_text(portable.scorecard("regression").dumps(), encoding="utf-8")
    program = (
        "import sys; sys.modules['onnx'] = None\n"
        "from serving.scorecard import Scorecard, ScorecardError, exports\n"
        "card = Scorecard.loads(open(sys.argv[1], encoding='utf-8').read())\n"
        "try:\n    exports.write(card, 'onnx')\nexcept ScorecardError as error:\n    print(error)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "card.json")]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == (
        "format onnx: expected the package onnx, found none; install it: pip install 'model-lifecycle[onnx]'\n"
    )


def test_only_an_mlp_is_quantised():
    with pytest.raises(Unsupported, match=r"linear model.*leave --quantize out"):
        exported.write(portable.scorecard("softmax"), quantize=True)
    assert exported.quantization_loss(exported.write(portable.scorecard("mlp"))) is None


def digits():
    table, target = datasets.load_digits(return_X_y=True)
    network = MLPClassifier((32,), max_iter=60, random_state=0)
    return make_pipeline(MinMaxScaler(), network).fit(table, target.astype(str)), table


def test_a_quantised_network_is_small_and_says_what_it_lost():
    pipeline, table = digits()
    card = compile(pipeline)
    exact, small = exported.write(card), exported.write(card, quantize=True)
    assert len(small) < len(exact) / 2
    loss = exported.quantization_loss(small)
    assert loss.rows == 1000
    assert 0 < loss.mean < loss.worst < 0.2
    assert loss.labels < 0.02
    # What is stated is what ONNX Runtime does with the same rows.
    rows = around(card.program, 1000, 0)
    found = graphs.run(small, rows)
    difference = np.abs(found["probabilities"] - card.probabilities(rows))
    assert difference.mean() == pytest.approx(loss.mean, rel=1e-6)
    assert difference.max() == pytest.approx(loss.worst, rel=1e-6)
    # And on the real table nearly every label is the same.
    real = graphs.run(small, {f"x{place}": table[:, place] for place in range(64)})
    assert np.mean(real["label"].ravel() != pipeline.predict(table)) < 0.01


def test_a_quantised_answer_does_not_hang_on_the_rows_beside_it():
    pipeline, table = digits()
    small = exported.write(compile(pipeline), quantize=True)
    names = [f"x{place}" for place in range(64)]
    alone = graphs.run(small, dict(zip(names, table[:1].T, strict=True)))
    beside = graphs.run(small, dict(zip(names, np.vstack([table[:1], table[1:5] * 1e6]).T, strict=True)))
    assert beside["probabilities"][0] == pytest.approx(alone["probabilities"][0], abs=1e-15)


@pytest.mark.parametrize("name", ["mlp", "mlp with a log link", "mlp binary", "mlp identity"])
def test_a_quantised_network_refuses_what_the_exact_one_refuses(name):
    card = portable.scorecard(name)
    small = exported.write(card, quantize=True)
    names = list(portable.GOOD)
    rows = [row for row in portable.RAW if abs(row["amount"] or 0) < 1e20 and abs(row["rooms"] or 0) < 1e6]
    found = graphs.run(small, {key: [row[key] for row in rows] for key in names})
    exact = graphs.run(exported.write(card), {key: [row[key] for row in rows] for key in names})
    assert found["valid"].tolist() == exact["valid"].tolist()
    loss = exported.quantization_loss(small)
    assert loss.measure == ("prediction" if card.classes is None else "probability")
    assert str(loss).startswith(f"quantised: over {loss.rows:,} generated rows the {loss.measure} is off by ")
    assert (loss.labels is None) == (card.classes is None)


def test_a_wide_network_runs_in_batches():
    rng = np.random.default_rng(11)
    table = rng.normal(size=(5000, 30))
    pipeline = make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(16, 8), max_iter=5, random_state=0))
    pipeline.fit(table[:1000], table[:1000, 0])
    found = graphs.run(exported.write(compile(pipeline)), {f"x{place}": table[:, place] for place in range(30)})
    assert found["prediction"].ravel() == pytest.approx(pipeline.predict(table), abs=1e-11)


def test_cleaning_as_it_stands_trims_nothing():
    table = pd.DataFrame({"c": pd.Series([" x", "x"] * 10, dtype=object)})
    pipeline = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LinearRegression()).fit(table, np.arange(20) % 2)
    content = exported.write(compile(pipeline))
    assert "RegexFullMatch" not in {node.op_type for node in onnx.load_from_string(content).graph.node}
    found = graphs.run(content, {"c": ["x", " x", "\tx "]})
    assert found["prediction"].ravel() == pytest.approx([1.0, 0.0, 0.5], abs=1e-12)
