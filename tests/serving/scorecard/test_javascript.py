"""The exported ES module, run by Node: it answers as its scorecard, and refuses what that refuses."""

import re
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from sklearn import datasets
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from serving.scorecard import Cleaning, Input, InputError, Scorecard, compile, document, exports
from serving.scorecard.parity import answer_row, measure
from tests.effort import times
from tests.serving.scorecard import agreeing, documents, generated
from tests.serving.scorecard.node import Expression, Node
from tests.system import need

# What is fitted here need not be a good model.
pytestmark = pytest.mark.filterwarnings("ignore")

NUMBER = compile(
    make_pipeline(SimpleImputer(), Ridge()).fit(pd.DataFrame({"n": [1.0, 2, 4]}), [1, 2, 3]), cleaning=Cleaning()
)
WORD = compile(
    make_pipeline(OneHotEncoder(), Ridge()).fit(pd.DataFrame({"w": ["red", "blue", "green"]}), [1, 2, 3]),
    [Input("w", "category")],
    cleaning=Cleaning(),
)


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with Node(need("node"), tmp_path_factory.mktemp("node")) as process:
        yield process


def asked(node, card, rows) -> list:
    return node.ask(exports.write(card, "javascript"), rows)["answers"]


@settings(max_examples=times(100), suppress_health_check=list(HealthCheck))
@given(generated.problems())
def test_every_pipeline_answers_as_scikit_learn(node, problem):
    assume(problem is not None)
    pipeline, table = problem
    card = Scorecard.loads(compile(pipeline).dumps())
    way = agreeing.same_refusals(card, node.way(card))
    found = measure(pipeline, card, table, refused=len(table), others={"javascript": way})
    assert not found["refusals"]["paths_differ"], found
    assert not any(method["outside"] for method in found["paths"]["javascript"].values()), found


@settings(max_examples=times(200), suppress_health_check=list(HealthCheck))
@given(st.data())
def test_every_document_answers_as_its_scorecard(node, data):
    card = data.draw(documents.scorecards())
    rows = data.draw(documents.rows(card))
    answers = node.way(card)(rows)
    for found in answers:
        if isinstance(found, dict) and isinstance(found["predict"], dict):
            found["predict"] = int(found["predict"]["$"])
    agreeing.check(card, rows, answers)


@pytest.mark.parametrize("name", ["diabetes", "breast_cancer", "iris", "wine"])
def test_real_tables(node, name):
    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    estimator = LinearRegression() if name == "diabetes" else LogisticRegression(max_iter=2000)
    pipeline = make_pipeline(SimpleImputer(), StandardScaler(), estimator).fit(bunch.data, bunch.target)
    card = compile(pipeline)
    found = measure(pipeline, card, bunch.data, others={"javascript": node.way(card)})
    assert found["passed"], found
    assert found["ill_conditioned"] == 0
    assert found["paths"]["javascript"]["predict"]["compared"] == len(bunch.data)
    assert len(exports.write(card, "javascript")) <= 20_000


SPACES = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()]
NO_SPACES = ["\ufeff", "\u200b", "\u180e", "\x00", "\x1b", "_", "\u2060"]


def test_text_is_trimmed_as_python_trims_it(node):
    texts = [f"{space}{word}{space}{space}" for space in SPACES + NO_SPACES for word in ("red", "")]
    texts += [f"re{space}d" for space in SPACES] + ["red".join(SPACES)] + ["".join(SPACES)]
    rows = [{"w": text} for text in texts]
    agreeing.check(WORD, rows, node.way(WORD)(rows))
    assert isinstance(answer_row(WORD, {"w": "\ufeffred"}), InputError)
    as_it_is = compile(
        make_pipeline(OneHotEncoder(handle_unknown="ignore"), Ridge()).fit(
            pd.DataFrame({"w": ["red", " red"]}), [1, 2]
        ),
        [Input("w", "category")],
        cleaning=Cleaning(trim=False, missing=frozenset({"?"})),
    )
    rows = [{"w": text} for text in ("red", " red", "red ", "?", " ?")]
    agreeing.check(as_it_is, rows, node.way(as_it_is)(rows))


@settings(max_examples=times(60))
@given(
    st.lists(
        st.text(alphabet="0123456789+-.eE", max_size=8)
        | st.text(alphabet="infINFINITYnaNA+-_ x\u0131\u0130١", max_size=9)
        | st.floats().map(repr)
        | st.integers().map(str),
        min_size=1,
    )
)
@example(
    ["", ".", "5.", ".5", "+.5e-3", "1e", "e5", "1e999", "-1e999", "0x1f", "1_000", "1,5", "Infinity", "-inf", "1e-400"]
)
@example(
    ["--1", "+-1", "١", "1 2", "1\n", "\t1\x1f", "0" * 400, "9" * 400, "1" * 50 + "x", "nan", "NaN", "true", "1.5.2"]
)
@example(["0.1000000000000000055511151231257827021181583404541015625", "2.2250738585072011e-308", "9007199254740993"])
def test_numbers_are_read_from_text_as_python_reads_them(node, texts):
    rows = [{"n": text} for text in texts]
    agreeing.check(NUMBER, rows, node.way(NUMBER)(rows))


def test_values_of_javascript(node):
    values = {
        "10n": {"n": 10},
        "10n ** 400n": "expected a finite number, found one that is infinite or too large",
        "9007199254740993n": {"n": 9007199254740993},
        "true": "expected a number, found a boolean",
        "[1]": "expected a number, found a list",
        "({})": "expected a number, found an object",
        "new Number(3)": "expected a number, found an object",
        "new Date(0)": "expected a number, found an object",
        "Symbol('x')": "expected a number, found a symbol",
        "() => 1": "expected a number, found a function",
    }
    found = asked(node, NUMBER, [{"n": Expression(value)} for value in values])
    for answer, expected in zip(found, values.values(), strict=True):
        if isinstance(expected, str):
            assert (answer["column"], answer["reason"]) == ("n", expected)
        else:
            assert answer["predict"] == pytest.approx(NUMBER.predict_row(expected), rel=1e-15)
    (answer,) = asked(node, NUMBER, [Expression("({ n: undefined })")])
    assert answer["predict"] == pytest.approx(NUMBER.predict_row({"n": None}), rel=1e-15)
    (answer,) = asked(node, WORD, [{"w": Expression("[7]")}])
    assert answer["message"] == "column 'w': expected text, found a list"


def test_yes_and_no(node):
    table = pd.DataFrame({"b": [0.0, 1, 1, 0]})
    card = compile(make_pipeline(SimpleImputer(), Ridge()).fit(table, [1, 2, 3, 4]), [Input("b", "boolean")])
    rows = [{"b": value} for value in (True, False, 1, 0.0, "TRUE", "False", "1", "0", "yes", 2, None, [], "", 0.5)]
    agreeing.check(card, rows, node.way(card)(rows))
    found = asked(node, card, [{"b": Expression(value)} for value in ("1n", "2n", "new Boolean(true)")])
    assert found[0]["predict"] == pytest.approx(card.predict_row({"b": 1}))
    assert [answer["reason"] for answer in found[1:]] == [
        "expected true or false, found a number",
        "expected true or false, found an object",
    ]


def test_rows_are_maps_or_own_properties(node):
    rows = [
        "new Map([['n', 2]])",
        "Object.assign(Object.create(null), { n: 2 })",
        "({ n: 2, more: 1 })",
        "new (class { n = 2 })()",
        "Object.create({ n: 2 })",
        "new Map()",
        "[2]",
        "({})",
    ]
    found = asked(node, NUMBER, list(map(Expression, rows)))
    assert [answer.get("predict") for answer in found[:4]] == [NUMBER.predict_row({"n": 2})] * 4
    assert {answer["message"] for answer in found[4:]} == {"column 'n': the column is required, found no such column"}


def test_names_of_every_objects_properties_are_columns_as_others(node):
    names = ["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf", "length"]
    table = pd.DataFrame({name: np.arange(5.0) ** place for place, name in enumerate(names)})
    card = compile(Ridge().fit(table, range(5)))
    whole = table.iloc[2].to_dict()
    rows = [whole, *({key: value for key, value in whole.items() if key != name} for name in names), {}]
    agreeing.check(card, rows, node.way(card)(rows))


@pytest.mark.parametrize(
    ("labels", "shown"),
    [
        ([False, True], [False, True]),
        ([3, -7], [-7, 3]),
        ([4.0, 2.0], [2, 4]),
        (["it's", 'say "</script>"\u2028'], ["it's", 'say "</script>"\u2028']),
        ([2**53 + 1, 5], [{"$": "5"}, {"$": "9007199254740993"}]),
    ],
)
def test_labels_keep_their_type(node, labels, shown):
    table = pd.DataFrame({"a": [0.0, 1, 2, 3, 4, 5]})
    pipeline = LinearSVC(random_state=0).fit(table, np.array([labels[row % 2] for row in (0, 0, 0, 1, 1, 1)]))
    card = compile(pipeline)
    source = exports.write(card, "javascript")
    found = node.ask(source, [{"a": -9.0}, {"a": 20.0}])
    assert found["exported"]["CLASSES"] == shown
    assert [card.classes.index(card.predict_row({"a": value})) for value in (-9.0, 20.0)] == [
        shown.index(answer["predict"]) for answer in found["answers"]
    ]
    assert "probabilities" not in found["answers"][0]
    assert "export function probabilities" not in source


def test_what_the_module_says_of_itself(node):
    found = node.ask(exports.write(WORD, "javascript"), [])["exported"]
    assert found == {"DIGEST": WORD.digest, "INPUTS": [item.to_dict() for item in WORD.inputs]}
    source = exports.write(WORD, "javascript", exports.About("colours", "7"))
    assert source.startswith("/*\n * colours version 7: a regression model")
    assert WORD.digest in source[: source.index("*/")]
    assert not re.search(r"\b(import\(|require|eval|Function\(|globalThis|process|fetch)\b", source.partition("*/")[2])


@pytest.mark.parametrize("wide", [False, True])
def test_the_lines_that_the_comment_shows_run(tmp_path, wide):
    names = [f"x {place}" for place in range(25)] if wide else ["zip", "*/", "__proto__", "</script>", '"', "a\\", "\n"]
    table = pd.DataFrame({name: np.arange(9.0) ** place for place, name in enumerate(names)})
    pipeline = make_pipeline(StandardScaler(), Ridge()).fit(table, range(9))
    card = compile(pipeline, [Input(name, "number", integer=True) for name in names])
    source = exports.write(card, "javascript")
    (tmp_path / "this_file.mjs").write_text(source, encoding="ascii")
    lines = source[: source.index("\n */")].splitlines()
    shown = "\n".join(line[5:] for line in lines if line.startswith(" *   "))
    (tmp_path / "shown.mjs").write_text(shown, encoding="ascii")
    command = [need("node"), "shown.mjs"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60).stdout
    assert float(found) == pytest.approx(card.predict_row(dict.fromkeys(names, 0 if wide else 3)), rel=1e-12)


def test_its_functions_say_their_types_to_an_editor():
    """TypeScript takes them from the comments; of the rest of the file it need not be told any."""
    source = exports.write(WORD, "javascript")
    for name, returned in {"scores": "number[]", "predict": "number"}.items():
        (said,) = re.findall(rf"/\*\*((?:(?!\*/)[\s\S])*)\*/\nexport function {name}\(row\)", source)
        assert "@param {Row} row\n" in said
        assert f"@returns {{{returned}}}\n" in said
    assert "\n// @ts-nocheck\n/** @typedef {Record<string, unknown> | ReadonlyMap<string, unknown>} Row */\n" in source


@pytest.mark.parametrize("model", agreeing.MODELS)
def test_no_name_of_a_model_breaks_out_of_the_comment(node, model):
    source = exports.write(NUMBER, "javascript", exports.About(model, model))
    assert source.isascii()
    assert source.count("*/") == source.count("/*")
    assert (
        node.ask(source, [{"n": 2}])["answers"] == node.ask(exports.write(NUMBER, "javascript"), [{"n": 2}])["answers"]
    )


def test_a_sum_loses_no_digit_that_cancels(node):
    weights = {"a": 1e17, "b": 1.0, "c": -1e17, "d": 3e-9}
    body = {
        "task": "regression",
        "inputs": [Input(name, "number").to_dict() for name in weights],
        "cleaning": {"trim": False, "missing": []},
        "columns": [{"name": name, "input": name, "steps": []} for name in weights],
        "model": {
            **{"kind": "linear", "link": "identity", "calibration": None, "target": [], "intercepts": [0.25]},
            "terms": [{"column": name, "weights": [weight]} for name, weight in weights.items()],
        },
        "decision": None,
    }
    card = Scorecard(document.seal(body))
    row = dict.fromkeys(weights, 1.0)
    assert asked(node, card, [row]) == [{"predict": card.predict_row(row)}] == [{"predict": 1.250000003}]


def test_a_wide_model(node):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(40, 3000)), columns=[f"x {place}" for place in range(3000)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(table, np.arange(40) % 3)
    card = compile(pipeline)
    found = measure(pipeline, card, table, others={"javascript": node.way(card)})
    assert found["passed"], found
