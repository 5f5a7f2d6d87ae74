"""The exported Python file stands alone and answers as its scorecard, also where nothing is installed."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Lasso, LogisticRegression, PoissonRegressor, Ridge
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    StandardScaler,
)
from sklearn.svm import LinearSVC

from serving.scorecard import Cleaning, Input, InputError, ScorecardError, compile, exports
from serving.scorecard.parity import answer_row
from tests.effort import times
from tests.serving.scorecard import agreeing, documents

# What is fitted here need not be a good model.
pytestmark = pytest.mark.filterwarnings("ignore")

ODD = "a\"\n'\\ {0} %s #"
RNG = np.random.default_rng(1)
TABLE = pd.DataFrame({ODD: RNG.normal(3, 1, 60) ** 2, "n": RNG.integers(0, 9, 60) * 1.0, "w": RNG.normal(size=60)})
TABLE["c"] = pd.Series(
    RNG.choice(["it's", '"', "\n", "日本\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")], 60),
    dtype="str",
)
TARGET = TABLE[ODD] + TABLE.n
LABELS = np.select([TARGET < 10, TARGET < 16], ["lo'w", "mid"], 'hi"gh\n')


def features():
    return ColumnTransformer(
        [
            ("a", make_pipeline(SimpleImputer(add_indicator=True), PowerTransformer(), MinMaxScaler(clip=True)), [ODD]),
            ("b", KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"), ["n"]),
            ("c", OneHotEncoder(handle_unknown="error", min_frequency=5), ["c"]),
            ("d", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["c"]),
            ("e", FunctionTransformer(np.log1p), ["n"]),
            ("f", StandardScaler(), ["w"]),
        ]
    )


MODELS = {
    "regression": (Ridge(), TARGET),
    "sparse": (Lasso(alpha=0.8), TARGET),
    "log link": (PoissonRegressor(), TARGET),
    "target": (TransformedTargetRegressor(Ridge(), transformer=PowerTransformer()), TARGET),
    "softmax": (LogisticRegression(), LABELS),
    "calibrated": (CalibratedClassifierCV(LinearSVC(random_state=0), ensemble=False, cv=2), LABELS),
    "isotonic": (CalibratedClassifierCV(LinearSVC(random_state=0), method="isotonic", ensemble=False, cv=2), LABELS),
    "ensemble": (CalibratedClassifierCV(LinearSVC(random_state=0), cv=2), LABELS),
    "mlp": (MLPClassifier((3,), max_iter=5, random_state=0), LABELS),
    "threshold": (FixedThresholdClassifier(LogisticRegression(), threshold=0.4, pos_label=False), TARGET > 13),
    "margin": (LinearSVC(random_state=0), TARGET > 13),
}
INPUTS = [Input(ODD, "number"), Input("n", "number", integer=True), Input("w", "number"), Input("c", "category")]


def scorecard(name):
    estimator, target = MODELS[name]
    return compile(
        make_pipeline(features(), estimator).fit(TABLE, target),
        INPUTS,
        cleaning=Cleaning(trim=False, missing=frozenset({"?"})),
    )


def asked(source: str, rows, folder) -> list:
    """The file's answers in a fresh interpreter without site packages and without environment."""
    (folder / "model.py").write_text(source, encoding="utf-8")
    program = (
        "import model, json, sys\n"
        "def ask(row):\n"
        "    try:\n"
        "        names = [name for name in ('predict', 'probabilities', 'decision') if hasattr(model, name)]\n"
        "        return [getattr(model, name)(row) for name in names]\n"
        "    except model.InputError as error:\n"
        "        return str(error)\n"
        "print(json.dumps([ask(row) for row in json.loads(sys.stdin.read())]))\n"
    )
    command = [sys.executable, "-S", "-E", "-c", program]
    found = subprocess.run(
        command, input=json.dumps(rows), capture_output=True, text=True, cwd=folder, check=True, timeout=60
    )
    return json.loads(found.stdout)


@pytest.mark.parametrize("name", MODELS)
def test_the_file_answers_alone(name, tmp_path):
    card = scorecard(name)
    rows = json.loads(TABLE.head(25).to_json(orient="records", double_precision=15))
    rows += [
        {**rows[0], ODD: None},
        {**rows[0], ODD: "?"},
        {**rows[0], ODD: 1e30},
        {**rows[0], ODD: "1e999"},
        {**rows[0], "n": 2.5},
        {**rows[0], "n": None},
        {**rows[0], "n": -4},
        {**rows[0], "c": "never seen"},
        {**rows[0], "c": 5},
        {**rows[0], "w": "x"},
        {**rows[0], "w": True},
        {key: value for key, value in rows[0].items() if key != ODD},
        {key: value for key, value in rows[0].items() if key != "w"},
    ]

    def ask(row):
        try:
            found = [card.predict_row(row)]
            found += [card.probabilities_row(row)] if card.has_probabilities else []
            found += [card.decision_row(row)] if card.has_decision else []
        except InputError as error:
            return str(error)
        return found

    assert asked(exports.write(card, "python"), rows, tmp_path) == [ask(row) for row in rows]


@pytest.mark.parametrize("name", MODELS)
def test_the_file_imports_nothing_but_math_and_holds_names_as_literals_only(name):
    source = exports.write(scorecard(name), "python")
    assert source.isascii()
    nodes = list(ast.walk(ast.parse(source)))
    imported = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    assert imported == ["math"]
    assert not [node for node in nodes if isinstance(node, ast.ImportFrom)]
    called = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"eval", "exec", "open", "compile", "__import__"}


@settings(max_examples=times(200), suppress_health_check=list(HealthCheck))
@given(st.data())
def test_every_document_answers_as_its_scorecard(data):
    card = data.draw(documents.scorecards())
    rows = data.draw(documents.rows(card))
    space: dict = {"__name__": "exported"}
    exec(exports.write(card, "python"), space)
    names = {"predict": "predict", "probabilities": "predict_proba", "decision": "decision_function"}

    def ask(row):
        try:
            return {method: space[name](row) for name, method in names.items() if name in space}
        except space["InputError"] as error:
            return InputError(error.column, error.reason)

    rows += [{name: value for name, value in row.items() if name != card.inputs[0].name} for row in rows[:2]]
    answers = list(map(ask, rows))
    agreeing.check(card, rows, answers)
    expected = [answer_row(card, row) for row in rows]
    assert [found for found in answers if isinstance(found, dict)] == [e for e in expected if isinstance(e, dict)]


@pytest.mark.parametrize("model", agreeing.MODELS)
def test_no_name_of_a_model_breaks_out_of_the_text_at_the_top(model):
    card = scorecard("regression")
    source = exports.write(card, "python", exports.About(model, model))
    assert source.isascii()
    plain = ast.parse(exports.write(card, "python"))
    named = ast.parse(source)
    assert [ast.dump(node) for node in named.body[1:]] == [ast.dump(node) for node in plain.body[1:]]
    assert card.digest in ast.get_docstring(named)


def test_the_text_at_the_top_names_the_model():
    source = exports.write(scorecard("softmax"), "python", exports.About("flowers", "12"))
    assert ast.get_docstring(ast.parse(source)).startswith("flowers version 12: a classification model")


@pytest.mark.parametrize("name", ["softmax", "hostile names", "many columns"])
def test_the_lines_that_the_text_at_the_top_shows_run(name, tmp_path):
    names = [f"x {k}" for k in range(25)] if name == "many columns" else ['"""', "\\N{x}", "'", "a\n", ODD]
    table = pd.DataFrame({column: RNG.normal(size=40) for column in names})
    card = scorecard(name) if name in MODELS else compile(Ridge().fit(table, table[names[0]] + 2.0))
    source = exports.write(card, "python")
    (tmp_path / "this_file.py").write_text(source, encoding="ascii")
    lines = source[: source.index("\nINPUTS says")].splitlines()
    shown = "\n".join(line[4:] for line in lines if line.startswith("    ")) + "\nprint(ascii(row))\n"
    done = subprocess.run([sys.executable, "-c", shown], cwd=tmp_path, capture_output=True, check=True, timeout=60)
    answer, row = done.stdout.decode().rsplit("\n", 2)[:2]
    expected = card.predict_row(ast.literal_eval(row))
    assert answer == str(expected)
    assert set(ast.literal_eval(row)) == {item.name for item in card.inputs} - card.optional


def test_the_document_is_a_format_too():
    card = scorecard("regression")
    assert exports.write(card, "scorecard") == card.dumps()
    assert {item.suffix for item in exports.FORMATS.values()} >= {".json", ".py"}
    with pytest.raises(ScorecardError, match=r"expected one of scorecard, python.* found 'cobol'"):
        exports.write(card, "cobol")


ALLOWED = {"serving", "bisect", "math", "_json", "_bisect", "_operator", "_sha2", "_sha256"}


def test_the_scoring_path_imports_next_to_nothing(tmp_path):
    """A cold start pays for every import: ``re``, ``json``, ``dataclasses`` and ``hashlib`` are none of them."""
    (tmp_path / "card.json").write_text(scorecard("softmax").dumps(), encoding="utf-8")
    row = TABLE.iloc[0].to_dict()
    program = (
        "import sys\nbefore = set(sys.modules)\n"
        "from serving.scorecard import Scorecard\n"
        "card = Scorecard.loads(open(sys.argv[1], encoding='utf-8').read())\n"
        f"card.predict_row({row!r}); card.probabilities_row({row!r}); card.explain_row({row!r})\n"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))\n"
    )
    command = [sys.executable, "-S", "-c", program, str(tmp_path / "card.json")]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=os.getcwd(), timeout=60)
    assert set(found.stdout.split()) <= ALLOWED


def test_the_scorecard_travels_under_another_name(tmp_path):
    """Copied into a package of another name, beside nothing else, it goes on working."""
    shutil.copytree(
        Path(exports.__file__).parent.parent,
        tmp_path / "outer" / "scorecard_v1",
        ignore=shutil.ignore_patterns("__pycache__", "compiler"),
    )
    (tmp_path / "card.json").write_text(scorecard("softmax").dumps(), encoding="utf-8")
    row = TABLE.iloc[0].to_dict()
    program = (
        "from outer.scorecard_v1 import Scorecard, exports\n"
        "card = Scorecard.loads(open('card.json', encoding='utf-8').read())\n"
        f"row = {row!r}\n"
        "assert card.predict({name: [value] for name, value in row.items()}).tolist() == [card.predict_row(row)]\n"
        "assert exports.write(card, 'python')\n"
        "import sys\n"
        "assert not {'serving', 'sklearn', 'pandas'} & set(sys.modules)\n"
        "print(ascii(card.predict_row(row)))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True, timeout=60
    )
    assert found.stdout.strip() == ascii(scorecard("softmax").predict_row(row))
