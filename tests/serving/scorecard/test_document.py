"""The reader takes a scorecard to the letter and refuses everything else; it runs no code."""

import contextlib
import copy
import json
import math
import string
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    StandardScaler,
)

from serving.scorecard import InputError, Scorecard, ScorecardError, compile, document, strictjson
from tests.effort import times

# What is fitted here need not be a good model.
pytestmark = pytest.mark.filterwarnings("ignore")

SCHEMA = jsonschema.Draft202012Validator(
    json.loads((Path(document.__file__).parent / "schema.json").read_text(encoding="utf-8"))
)
FROZEN = Path(__file__).parent / "frozen"


def table(count=60):
    rng = np.random.default_rng(3)
    found = pd.DataFrame({"age": rng.normal(50, 9, count), "pay": rng.lognormal(3, 1, count)})
    found["job"] = pd.Series(
        rng.choice(["cook", "smith", "clerk", "king"], count, p=[0.5, 0.3, 0.17, 0.03]), dtype="str"
    )
    found["town"] = pd.Series(rng.choice(["Aa", "Bø", None], count), dtype="str")
    found.loc[::9, "age"] = None
    return found


def fitted(estimator):
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    features = ColumnTransformer(
        [
            ("numbers", numbers, ["age"]),
            ("pay", make_pipeline(PowerTransformer(), MinMaxScaler(clip=True), PolynomialFeatures(2)), ["pay"]),
            ("bins", KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"), ["pay"]),
            ("job", OneHotEncoder(min_frequency=0.1, handle_unknown="infrequent_if_exist"), ["job"]),
            (
                "town",
                OrdinalEncoder(encoded_missing_value=-1, handle_unknown="use_encoded_value", unknown_value=-2),
                ["town"],
            ),
        ]
    )
    rows = table()
    target = np.where(rows.pay > rows.pay.median(), "rich", "poor")
    return make_pipeline(features, estimator).fit(rows, target)


LINEAR = compile(fitted(FixedThresholdClassifier(LogisticRegression(), threshold=0.3)))
MLP = compile(fitted(MLPClassifier((3, 2), max_iter=5, random_state=0)))
DOCUMENTS = {"linear": LINEAR.document.content, "mlp": MLP.document.content}


def sealed(changed) -> str:
    """The text of a document with the digest that fits its content."""
    body = {key: value for key, value in changed.items() if key != "digest"}
    return json.dumps({**body, "digest": strictjson.digest(body)})


def places(value, path=()):
    """The paths of everything inside a JSON value."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def at(value, path):
    for key in path:
        value = value[key]
    return value


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_document_is_read_as_it_was_written(kind):
    scorecard = {"linear": LINEAR, "mlp": MLP}[kind]
    again = Scorecard.loads(scorecard.dumps())
    assert again.document.content == scorecard.document.content
    assert again.dumps() == scorecard.dumps()
    assert again.digest == scorecard.digest == "sha256:" + again.digest[7:]


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_the_published_schema_says_the_same(kind):
    SCHEMA.check_schema(SCHEMA.schema)
    SCHEMA.validate(DOCUMENTS[kind])


def test_white_space_and_the_order_of_keys_do_not_matter():
    body = json.loads(LINEAR.dumps())
    turned = json.dumps(dict(reversed(body.items())), indent=7)
    assert Scorecard.loads("\n\t " + turned + "\r\n ").digest == LINEAR.digest


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_any_key_that_is_missing_or_too_many_is_refused(kind):
    for path in list(places(DOCUMENTS[kind])):
        if not isinstance(at(DOCUMENTS[kind], path), dict):
            continue
        more = copy.deepcopy(DOCUMENTS[kind])
        at(more, path)["surprise"] = 1
        with pytest.raises(ScorecardError, match=r"surprise|one key|found another"):
            Scorecard.loads(sealed(more))
        with pytest.raises(jsonschema.ValidationError):
            SCHEMA.validate(more)
        for key in at(DOCUMENTS[kind], path):
            fewer = copy.deepcopy(DOCUMENTS[kind])
            del at(fewer, path)[key]
            if (*path, key) == ("digest",):
                fewer = json.dumps(fewer)
            else:
                fewer = sealed(fewer)
            with pytest.raises(ScorecardError):
                Scorecard.loads(fewer)


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_value_of_another_type_is_refused(kind):
    for path in list(places(DOCUMENTS[kind])):
        if path in ((), ("digest",)):
            continue
        for other in (None, True, "text", 1.5, [], {}, [[]], {"a": 1}):
            value = at(DOCUMENTS[kind], path)
            if type(other) is type(value) or (isinstance(other, float) and isinstance(value, int)):
                continue
            changed = copy.deepcopy(DOCUMENTS[kind])
            at(changed, path[:-1])[path[-1]] = other
            try:
                found = Scorecard.loads(sealed(changed))
            except ScorecardError:
                continue
            # What is left is another document that says something: a missing category, say.
            SCHEMA.validate(found.document.content)


@settings(max_examples=times(300))
@given(st.data())
def test_a_changed_document_is_refused_by_its_digest(data):
    kind = data.draw(st.sampled_from(sorted(DOCUMENTS)))
    changed = copy.deepcopy(DOCUMENTS[kind])
    paths = [
        path for path in places(changed) if isinstance(at(changed, path), float | int | str) and path != ("digest",)
    ]
    path = data.draw(st.sampled_from(paths))
    old = at(changed, path)
    new = data.draw(st.text(string.printable, max_size=5) if isinstance(old, str) else st.floats(-9, 9) | st.booleans())
    at(changed, path[:-1])[path[-1]] = new
    if json.dumps(changed, sort_keys=True) != json.dumps(DOCUMENTS[kind], sort_keys=True):
        with pytest.raises(ScorecardError):
            Scorecard.loads(json.dumps(changed))


@settings(max_examples=times(300))
@given(st.data())
def test_a_damaged_text_is_refused_or_says_the_same(data):
    text = LINEAR.dumps()
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 30)))
    put = data.draw(
        st.text(max_size=6) | st.sampled_from(("NaN", "-Infinity", "1e999", "9" * 500, "[" * 50, '"', "\\u0000"))
    )
    changed = text[:start] + put + text[stop:]
    try:
        found = Scorecard.loads(changed)
    except ScorecardError as error:
        found = error
    assert (
        "\n" not in str(found)
        if isinstance(found, ScorecardError)
        else found.document.content == LINEAR.document.content
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=times(200))
@given(st.data())
def test_strange_values_anywhere_are_refused_or_answer_in_a_typed_way(data):
    changed = copy.deepcopy(DOCUMENTS[data.draw(st.sampled_from(sorted(DOCUMENTS)))])
    path = data.draw(st.sampled_from([path for path in places(changed) if path and path != ("digest",)]))
    at(changed, path[:-1])[path[-1]] = data.draw(JSON)
    try:
        scorecard = Scorecard.loads(sealed(changed))
    except ScorecardError:
        return
    row = {"age": 40.0, "pay": 20.0, "job": "cook", "town": "Aa"}
    with contextlib.suppress(InputError):
        assert scorecard.predict_row(row) in scorecard.classes


@given(st.text(max_size=40) | JSON.map(json.dumps) | st.binary(max_size=30))
def test_what_is_no_document_is_refused(text):
    with pytest.raises(ScorecardError):
        Scorecard.loads(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "nests too deeply"),
        ('{"a":' * 100_000, "nests too deeply"),
        ("{} {}", "goes on after its end"),
        ('{"a": NaN}', "finite, found NaN"),
        ('{"a": -Infinity}', "finite, found -Infinity"),
        ('{"a": 1e999}', "too large"),
        ('{"a": ' + "9" * 5000 + "}", "too large"),
        ('{"a": 9223372036854775809}', "64 bits"),
        ('{"a": 1, "a": 1}', "'a' is there twice"),
        ('{"scorecard": 2}', "understands version 1 .* found 2"),
        ('{"scorecard": "1"}', "understands version 1 .* found str"),
        ('{"scorecard": true}', "'task' is missing"),
        ("[]", "expected an object"),
    ],
)
def test_refusals_say_what_is_wrong(text, reason):
    with pytest.raises(ScorecardError, match=reason):
        Scorecard.loads(text)


def change(path, value):
    changed = copy.deepcopy(LINEAR.document.content)
    at(changed, path[:-1])[path[-1]] = value
    return sealed(changed)


def pieces(**changed):
    """A step of polynomials."""
    return {"piecewise": {"edges": [1.0, 2.0], "origins": [0.0] * 3, "coefficients": [[], [1.0], []], **changed}}


def combined(**changed):
    """A weighted sum of the first column in the place of ``age``."""
    first = LINEAR.document.content["columns"][0].get("name", "")
    return {"name": "age", "combine": [first], "weights": [2.0], "offset": 0.5, **changed}


AGE = next(place for place, item in enumerate(LINEAR.document.content["columns"]) if item.get("name") == "age")


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("task",), "clustering", "task: expected one of regression, classification"),
        (("scorecard",), 1.0, "scorecard: expected the version 1"),
        (("inputs", 1, "name"), "age", "two inputs named 'age'"),
        (("inputs", 0, "type"), "date", r"inputs\[0\].type"),
        (("inputs", 0, "decimal"), ".", r"inputs\[0\].decimal: expected one of ,"),
        (("inputs", 0, "decimal"), ";", r"inputs\[0\].decimal: expected one of ,"),
        (("inputs", 0, "thousands"), "", r"inputs\[0\].thousands: expected one of"),
        (("inputs", 0, "thousands"), ["."], r"inputs\[0\].thousands: expected one of"),
        (("inputs", 0, "dec"), ",", "expected only name, type, integer, null, decimal, thousands, found 'dec' too"),
        (("columns", AGE, "input"), "agee", "no 'agee' above"),
        (("columns", AGE, "steps"), [{"halve": 2}], "one of the steps impute"),
        (("columns", AGE, "steps"), [{"divide": 0.0}], "other than zero"),
        (("columns", AGE, "steps"), [{"clip": [2.0, 1.0]}], "lower limit first"),
        (("columns", AGE, "steps"), [{"bin": [2.0, 1.0]}], "rising edges"),
        (("columns", AGE, "steps"), [pieces(edges=[2.0, 1.0])], "rising edges"),
        (("columns", AGE, "steps"), [pieces(origins=[0.0])], "origins: expected 3 numbers"),
        (("columns", AGE, "steps"), [pieces(coefficients=[[], []])], "coefficients: expected 3 lists, one an interval"),
        (
            ("columns", AGE, "steps"),
            [pieces(coefficients=[[], ["1"], []])],
            r"\[1\]\[0\]: expected a finite",
        ),
        (("columns", AGE), combined(combine=["later"]), "no 'later' above"),
        (("columns", AGE), combined(weights=[]), "weights: expected 1 numbers"),
        (("columns", AGE), combined(offset=None), "offset: expected a finite number"),
        (("columns", AGE), combined(note=""), "expected only name, combine, weights, offset, found 'note' too"),
        (("columns", AGE, "steps"), [{"function": "system"}], "function: expected one of log"),
        (("columns", AGE, "steps"), [{"lookup": {"keys": [1.0], "values": [], "otherwise": 0.0}}], "expected 1 values"),
        (("columns", AGE, "steps"), [{"lookup": {"keys": [1, 1.0], "values": [1, 2], "otherwise": 0.0}}], "twice"),
        (("columns", AGE, "name"), "pay", "two columns named"),
        (("inputs", 0, "type"), "category", "expected text, found|wants a number"),
        (("model", "intercepts"), [], "expected 0 numbers|a score"),
        (("model", "terms", 0, "weights"), [1.0, 2.0], "expected 1 numbers, found 2"),
        (("model", "terms", 0, "column"), "nobody", "no 'nobody' above"),
        (("model", "terms", 1, "column"), LINEAR.document.content["model"]["terms"][0]["column"], "has a term already"),
        (("model", "link"), "softmax", "wants several scores"),
        (("model", "link"), "log", "link: expected one of none, logistic"),
        (("model", "calibration"), [], "expected 1 items"),
        (("model", "target"), [{"add": 1.0}], "only a regression"),
        (("decision",), None, "decision: expected an object"),
        (("decision", "classes"), ["a", 1], "labels of one type"),
        (("decision", "classes"), ["a", "a"], "different labels"),
        (("decision", "classes"), ["a", "b", "c"], "1 scores do not fit 3 classes"),
        (("decision", "threshold", "positive"), "medium", "one of the classes"),
        (("decision", "threshold", "on"), "gut", "threshold.on"),
        (("decision", "threshold", "value"), None, "finite number"),
    ],
)
def test_a_document_that_makes_no_sense_is_refused(path, value, reason):
    with pytest.raises(ScorecardError, match=reason):
        Scorecard.loads(change(path, value))


def test_a_number_in_memory_that_json_cannot_say_is_refused():
    for value in (math.nan, math.inf, np.float64(1.0), True):
        changed = copy.deepcopy(LINEAR.document.content)
        changed["model"]["intercepts"] = [value]
        with pytest.raises(ScorecardError):
            document.seal(changed)


def test_a_category_twice_in_a_group_is_refused():
    changed = copy.deepcopy(LINEAR.document.content)
    item = next(item for item in changed["columns"] if "one_hot" in item and item["input"] == "job")
    item["zero"] = ["cook"]
    with pytest.raises(ScorecardError, match="the category is there twice"):
        Scorecard.loads(sealed(changed))


def test_reading_runs_no_code():
    """The interpreter's own audit: reading and scoring opens, imports, executes and compiles nothing."""
    text = LINEAR.dumps()
    scorecard = Scorecard.loads(text)
    row = {"age": 40.0, "pay": 20.0, "job": "cook", "town": "Aa"}
    expected = scorecard.predict_row(row)
    seen = []
    watching = [True]
    sys.addaudithook(lambda event, args: seen.append(event) if watching[0] else None)
    try:
        assert Scorecard.loads(text).predict_row(row) == expected
    finally:
        watching[0] = False
    assert not {"exec", "compile", "open", "os.system", "subprocess.Popen", "pickle.find_class"} & set(seen)


def near(answer):
    """Labels to the letter, numbers to the last digits."""
    return answer if isinstance(answer, str) else pytest.approx(answer, rel=1e-12)


def test_an_interpreter_without_accelerators_reads_the_same(tmp_path):
    path = tmp_path / "card.json"
    path.write_text(LINEAR.dumps(), encoding="utf-8")
    row = {"age": 40.0, "pay": 20.0, "job": "cook", "town": "Aa"}
    program = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('_json', '_sha2', '_sha256')))\n"
        "from serving.scorecard import Scorecard, ScorecardError\n"
        "text = open(sys.argv[1], encoding='utf-8').read()\n"
        f"print(Scorecard.loads(text).probabilities_row({row!r}))\n"
        "for bad in (text.replace('1', '2'), '{\"a\": NaN}', '{', '{\"a\": 1, \"a\": 2}', '1e999', '[' * 100000):\n"
        "    try:\n"
        "        Scorecard.loads(bad)\n"
        "    except ScorecardError:\n"
        "        print('refused')\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    answer, *refused = found.stdout.splitlines()
    assert json.loads(answer) == LINEAR.probabilities_row(row)
    assert refused == ["refused"] * 6


@pytest.mark.parametrize("path", sorted(FROZEN.glob("*.json")), ids=lambda path: path.stem)
def test_a_document_of_an_earlier_day_still_gives_the_same_answers(path):
    frozen = json.loads(path.read_text(encoding="utf-8"))
    SCHEMA.validate(frozen["document"])
    scorecard = Scorecard.loads(json.dumps(frozen["document"]))
    for row, answer in zip(frozen["rows"], frozen["answers"], strict=True):
        assert scorecard.predict_row(row) == near(answer["predict"])
        if scorecard.has_probabilities:
            assert scorecard.probabilities_row(row) == pytest.approx(answer["probabilities"], rel=0, abs=1e-12)
    columns = {item.name: [row[item.name] for row in frozen["rows"]] for item in scorecard.inputs}
    answers = [answer["predict"] for answer in frozen["answers"]]
    assert scorecard.predict(columns).tolist() == [near(answer) for answer in answers]


def test_there_are_frozen_documents():
    assert len(list(FROZEN.glob("*.json"))) >= 3


def test_a_regression_has_no_decision():
    scorecard = compile(make_pipeline(SimpleImputer(), Ridge()).fit(table()[["age", "pay"]], table().pay))
    assert scorecard.document.content["decision"] is None
    assert (scorecard.classes, scorecard.threshold, scorecard.positive) == (None, None, None)
    changed = copy.deepcopy(scorecard.document.content)
    changed["decision"] = {"classes": ["a", "b"], "threshold": None}
    with pytest.raises(ScorecardError, match="expected null"):
        Scorecard.loads(sealed(changed))
