"""The exported C file, compiled with sanitizers on: it answers as its scorecard, and refuses what that refuses."""

import ctypes
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sklearn import datasets
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from serving.scorecard import Cleaning, Input, InputError, Scorecard, Unsupported, compile, document, exports
from serving.scorecard.exports import wording
from serving.scorecard.exports.c.names import Identifiers, prefix
from serving.scorecard.parity import measure
from tests.effort import times
from tests.serving.scorecard import agreeing, documents, generated
from tests.serving.scorecard.gcc import SANITIZED, STRICT, Compiled
from tests.system import need

# What is fitted here need not be a good model.
pytestmark = pytest.mark.filterwarnings("ignore")

RNG = np.random.default_rng(3)
TABLE = pd.DataFrame({"age": RNG.normal(40, 9, 60), "rooms": RNG.integers(1, 6, 60) * 1.0})
TABLE["town"] = pd.Series(RNG.choice(["Ham", "York", "it's"], 60), dtype="str")
TABLE["home"] = RNG.integers(0, 2, 60) * 1.0
FEATURES = ColumnTransformer(
    [
        ("numbers", make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), ["age"]),
        ("plain", StandardScaler(), ["rooms", "home"]),
        ("town", OneHotEncoder(), ["town"]),
    ]
)
INPUTS = [
    Input("age", "number"),
    Input("rooms", "number", integer=True),
    Input("town", "category"),
    Input("home", "boolean"),
]
CARD = compile(
    make_pipeline(FEATURES, LogisticRegression()).fit(TABLE, np.digitize(TABLE.age, (35, 45))),
    INPUTS,
    cleaning=Cleaning(),
)
ROW = {"age": 33.0, "rooms": 2.0, "town": "York", "home": 1.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("c")


@pytest.fixture(scope="module")
def gcc():
    return need("gcc")


@settings(max_examples=times(40), suppress_health_check=list(HealthCheck))
@given(generated.problems())
def test_every_pipeline_answers_as_scikit_learn(gcc, folder, problem):
    assume(problem is not None)
    pipeline, table = problem
    card = Scorecard.loads(compile(pipeline).dumps())
    way = agreeing.same_refusals(card, Compiled(gcc, folder, card).ask)
    found = measure(pipeline, card, table, refused=len(table), others={"c": way})
    assert not found["refusals"]["paths_differ"], found
    assert not any(method["outside"] for method in found["paths"]["c"].values()), found


@settings(max_examples=times(50), suppress_health_check=list(HealthCheck))
@given(st.data())
def test_every_document_answers_as_its_scorecard(gcc, folder, data):
    card = data.draw(documents.scorecards())
    # A text of C ends at its null character, and so does the name of a column in a message.
    assume(not any("\0" in item.name for item in card.inputs))
    rows = [
        {name: cell.replace("\0", "") if isinstance(cell, str) else cell for name, cell in row.items()}
        for row in data.draw(documents.rows(card))
    ]
    agreeing.check(card, rows, Compiled(gcc, folder, card).ask(rows))


@pytest.mark.parametrize("name", ["diabetes", "breast_cancer", "iris", "wine"])
def test_real_tables(gcc, folder, name):
    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    estimator = LinearRegression() if name == "diabetes" else LogisticRegression(max_iter=2000)
    pipeline = make_pipeline(SimpleImputer(), StandardScaler(), estimator).fit(bunch.data, bunch.target)
    card = compile(pipeline)
    program = Compiled(gcc, folder, card, flags=(*STRICT, "-O3"))
    found = measure(pipeline, card, bunch.data, others={"c": program.ask})
    assert found["passed"], found
    assert found["ill_conditioned"] == 0
    assert found["paths"]["c"]["predict"]["compared"] == len(bunch.data)
    assert len(program.source) <= 20_000


def test_what_is_refused_names_the_column(gcc, folder):
    rows = [
        ROW,
        {**ROW, "age": None},
        {**ROW, "age": np.inf},
        {**ROW, "age": 1e308},
        {**ROW, "rooms": 2.5},
        {**ROW, "rooms": 1e17},
        {**ROW, "rooms": None},
        {**ROW, "town": "Bath"},
        {**ROW, "town": None},
        {**ROW, "town": " York\t"},
        {**ROW, "town": "NA"},
        {**ROW, "home": 0.5},
        {**ROW, "home": np.inf},
        {**ROW, "home": None, "rooms": None},
        {"age": np.inf, "rooms": 2.5, "town": "Bath", "home": 3.0},
        {"age": 1.0, "rooms": 2.5, "town": "Bath", "home": 3.0},
        {"age": 1.0, "rooms": 2.0, "town": "Bath", "home": 3.0},
    ]
    answers = Compiled(gcc, folder, CARD).ask(rows)
    agreeing.check(CARD, rows, answers)
    assert [answer.column for answer in answers[-3:]] == ["age", "rooms", "home"]


def test_the_first_of_several_refusals_is_told_though_loops_meet_another_first(gcc, folder):
    table = pd.DataFrame({"town": TABLE.town, "rooms": TABLE.rooms, "home": TABLE.town, "age": TABLE.age})
    features = ColumnTransformer(
        [
            ("home", OneHotEncoder(), ["home"]),
            ("age", KBinsDiscretizer(3, encode="ordinal", strategy="uniform"), ["age"]),
            ("town", OneHotEncoder(), ["town"]),
            ("rooms", "passthrough", ["rooms"]),
        ]
    )
    inputs = [Input("town", "category", null=False), Input("rooms", "number", integer=True)]
    inputs += [Input("home", "category"), Input("age", "number")]
    card = compile(make_pipeline(features, Ridge()).fit(table, TABLE.age), inputs)
    good = {"town": "York", "rooms": 2.0, "home": "Ham", "age": 3.0}
    bad = {"town": (None, "Bath"), "rooms": (2.5, None), "home": ("Bath",), "age": (None, np.inf)}
    rows = [
        {**good, one: first, other: second}
        for one in bad
        for other in bad
        for first in bad[one]
        for second in bad[other]
    ]
    answers = Compiled(gcc, folder, card).ask(rows)
    agreeing.check(card, rows, answers)
    assert {answer.column for answer in answers} == set(bad)


def test_where_a_row_is_refused_no_answer_is_written(gcc, folder):
    """Also where the first score of several is finite, and only the last is not."""
    table = pd.DataFrame({"a": [0.0, 1, 2, 3, 4, 5]})
    pipeline = LogisticRegression().fit(table, [0, 0, 1, 1, 2, 2])
    pipeline.coef_[:] = [[0.0], [0.0], [10.0]]
    (folder / "refused.c").write_text(exports.write(compile(pipeline), "c"), encoding="ascii")
    command = [gcc, *STRICT, "-shared", "-fPIC", "refused.c", "-o", "refused.so", "-lm"]
    subprocess.run(command, cwd=folder, check=True, timeout=120)
    library = ctypes.CDLL(str(folder / "refused.so"))
    for name in ("model_decision", "model_probabilities"):
        answer = (ctypes.c_double * 3)(7.0, 7.0, 7.0)
        assert getattr(library, name)((ctypes.c_double * 1)(1e308), None, answer) != 0
        assert list(answer) == [7.0, 7.0, 7.0]
        assert getattr(library, name)((ctypes.c_double * 1)(2.0), None, answer) == 0
        assert 7.0 not in list(answer)


SPACES = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()]


def test_text_is_trimmed_as_python_trims_it(gcc, folder):
    table = pd.DataFrame({"w": ["red", "blue", "green"]})
    pipeline = make_pipeline(OneHotEncoder(), Ridge()).fit(table, [1, 2, 3])
    card = compile(pipeline, [Input("w", "category")], cleaning=Cleaning())
    others = ["\ufeff", "\u200b", "\u180e", "\u2010", "\u205e", "\u3001", "\u1681", "Â", "\x1b", "_", "\x7f", "á"]
    texts = [f"{space}{word}{space}{space}" for space in SPACES + others for word in ("red", "")]
    texts += [f"re{space}d" for space in SPACES] + ["red".join(SPACES), "".join(SPACES), "r", "redd"]
    rows = [{"w": text} for text in texts]
    agreeing.check(card, rows, Compiled(gcc, folder, card).ask(rows))


def test_text_that_is_no_utf8_is_an_unknown_category(gcc, folder):
    program = Compiled(gcc, folder, CARD)
    for raw in (
        b"\xc2",
        b"\xe2\x80",
        b"York\xe2\x80",
        b"\xe2\x80York",
        b"\xff\xfe",
        b"Yor\x80",
        b"\xc2\x85\xc2",
        b"\xe3\x80",
    ):
        (answer,) = program.ask([{**ROW, "town": raw}])
        assert isinstance(answer, InputError)
        assert answer.column == "town"


HOSTILE = [
    "int",
    "a b",
    "A B",
    "a_b",
    "été",
    "日本",
    "1",
    "??/",
    "*/",
    '"',
    "\\",
    "\n",
    "",
    "x" * 5000,
    "NUMBERS",
    "a b 2",
    "Ω",
]


def test_names_become_identifiers_that_are_all_different():
    names = Identifiers("M_", {"M_NUMBERS"})
    found = [names.new(name) for name in HOSTILE]
    assert len(set(found)) == len(HOSTILE)
    assert all(re.fullmatch(r"M_[A-Z0-9_]+", name) for name in found)
    assert "M_NUMBERS" not in found
    assert found[:5] == ["M_INT", "M_A_B", "M_A_B_2", "M_A_B_3", "M_ETE"]
    assert [prefix(name) for name in ("Credit Risk", "", "日本", "9lives", "int", "m", "models:/a/1", "Größe")] == [
        *("credit_risk", "model", "model", "model_9lives", "model_int", "model_m", "models_a_1", "grosse")
    ]


def hostile() -> tuple[Scorecard, pd.DataFrame]:
    """A scorecard of names, categories and labels that C reads as something else, and its table."""
    words = [
        *("??/", "??'", 'a"b', "a\\", "\\x41f", "\x41\u0301", "a\nb", "é1", "y" * 5000, "%s"),
        *("\r", "\x7f", "日本9", "/*", "*/"),
    ]
    table = pd.DataFrame({name: RNG.normal(size=60) for name in HOSTILE})
    table["words"] = pd.Series(RNG.permutation(words * 4), dtype="str")
    features = ColumnTransformer([("w", OneHotEncoder(), ["words"]), ("n", "passthrough", HOSTILE)])
    labels = np.where(table["int"] > 0, 'say "??/"\n', "it's\\")
    return compile(make_pipeline(features, LogisticRegression()).fit(table, labels)), table


def test_hostile_names_and_categories_compile_everywhere(gcc, folder):
    card, table = hostile()
    rows = table.to_dict("records")
    for flags in ((*STRICT, "-O0", "-fsanitize=address,undefined"), (*STRICT, "-O3"), (*STRICT, "-O2", "-trigraphs")):
        agreeing.check(card, rows, Compiled(gcc, folder, card, flags=flags).ask(rows))
    source = exports.write(card, "c")
    assert source.isascii()
    assert "??" not in source


def used(source: str) -> str:
    """The program that the comment at the top shows."""
    lines = source[: source.index("*/")].splitlines()
    return "\n".join(line[5:] for line in lines if line.startswith(" *   ") and " cc " not in line) + "\n"


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("compiler", ["gcc", "g++"])
def test_the_program_that_the_comment_shows_runs(folder, compiler, wide):
    table = pd.DataFrame(RNG.normal(size=(40, 25)), columns=[f"x {place}" for place in range(25)])
    card = compile(Ridge().fit(table, table["x 0"] + 1.0)) if wide else hostile()[0]
    source = exports.write(card, "c", exports.About("shown"))
    (folder / "this_file.c").write_text(source, encoding="ascii")
    (folder / "main.c").write_text(used(source), encoding="ascii")
    flags = ("-x", "c++", "-std=c++11") if compiler == "g++" else ("-std=c99",)
    command = [need(compiler), *flags, *STRICT[1:], *SANITIZED, "main.c", "this_file.c", "-o", "shown", "-lm"]
    subprocess.run(command, cwd=folder, check=True, timeout=120)
    found = subprocess.run([folder / "shown"], capture_output=True, text=True, check=True, timeout=20).stdout
    row = wording.example(card) or dict.fromkeys(table, 0.0)
    expected = card.predict_row(row)
    assert found == f"{expected}\n" if isinstance(expected, str) else float(found) == pytest.approx(expected)


def test_it_compiles_as_cpp_too(gcc, folder):
    program = shutil.which("g++") or need("g++")
    for number, card in enumerate((CARD, compile(Ridge().fit(TABLE[["age"]], TABLE.rooms)))):
        path = folder / f"cpp{number}.cpp"
        path.write_text(exports.write(card, "c", exports.About("cpp")), encoding="ascii")
        command = [program, "-std=c++11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-c", path, "-o", f"{path}.o"]
        subprocess.run(command, check=True, timeout=120)


def test_the_file_is_its_own_header(gcc, folder):
    """Two models in one program: each file is compiled, and their declarations are taken beside each other."""
    for name, card in (("town", CARD), ("home", CARD)):
        (folder / f"{name}.c").write_text(exports.write(card, "c", exports.About(name)), encoding="ascii")
    (folder / "main.c").write_text(
        "#include <math.h>\n#include <stdio.h>\n"
        '#define TOWN_HEADER\n#define HOME_HEADER\n#include "town.c"\n#include "home.c"\n#include "town.c"\n'
        "int main(void)\n{\n"
        "    double numbers[TOWN_NUMBERS];\n    const char *texts[TOWN_TEXTS];\n    int label = -1, other = -1;\n"
        "    numbers[TOWN_AGE] = NAN;\n    numbers[TOWN_ROOMS] = 2;\n    numbers[TOWN_HOME] = 1;\n"
        '    texts[TOWN_TOWN] = "York";\n'
        "    if (town_predict(numbers, texts, &label) || home_predict(numbers, texts, &other)) return 1;\n"
        "    numbers[HOME_ROOMS] = 2.5;\n"
        "    int status = home_predict(numbers, texts, &other);\n"
        '    printf("%lld %d %s: ", town_labels[label], other == label, home_column(status));\n'
        '    printf("%s|%s%s%s", home_reason(status), home_column(0), home_column(999999), home_column(-5));\n'
        "    return 0;\n}\n",
        encoding="ascii",
    )
    command = [gcc, *STRICT, "main.c", "town.c", "home.c", "-o", "two", "-lm"]
    subprocess.run(command, cwd=folder, check=True, timeout=120)
    found = subprocess.run([folder / "two"], capture_output=True, text=True, check=True, timeout=20).stdout
    label = CARD.predict_row({**ROW, "age": None})
    assert found == f"{label} 1 rooms: expected a whole number, found a fraction|"


def test_it_allocates_nothing_reads_nothing_and_keeps_nothing(gcc, folder):
    program = need("nm")
    (folder / "alone.c").write_text(exports.write(CARD, "c"), encoding="ascii")
    subprocess.run([gcc, *STRICT, "-O1", "-fno-pic", "-c", "alone.c"], cwd=folder, check=True, timeout=120)
    found = subprocess.run(
        [program, "alone.o"], cwd=folder, capture_output=True, text=True, check=True, timeout=20
    ).stdout
    kinds = {line.split()[-1]: line.split()[-2] for line in found.splitlines()}
    assert {name for name, kind in kinds.items() if kind == "U"} <= {"strlen", "memcmp", "exp", "fmax"}
    assert not [name for name, kind in kinds.items() if kind in "BbDdCc"]
    public = {name for name, kind in kinds.items() if kind in "TR"}
    functions = {"model_predict", "model_probabilities", "model_decision", "model_column", "model_reason"}
    assert public == functions | {"model_names", "model_labels"}


@pytest.mark.parametrize("flag", ["-ffast-math", "-Ofast", "-ffinite-math-only"])
def test_a_compiler_that_knows_no_nan_is_refused(gcc, folder, flag):
    (folder / "fast.c").write_text(exports.write(CARD, "c"), encoding="ascii")
    found = subprocess.run([gcc, flag, "-c", "fast.c"], cwd=folder, capture_output=True, text=True, timeout=60)
    assert found.returncode != 0
    assert "missing values are NaN" in found.stderr


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ([False, True], [0, 1]),
        ([3, -7], [-7, 3]),
        ([4.0, 2.5], [2.5, 4.0]),
        ([-(2**63), 2**63 - 1], [-(2**63), 2**63 - 1]),
        (["b", 'a"\\'], [b'a"\\', b"b"]),
    ],
)
def test_labels_keep_their_type(gcc, folder, labels, found):
    card = relabelled(sorted(labels))
    path = folder / f"labels{len(list(folder.glob('labels*.so')))}"
    path.with_suffix(".c").write_text(exports.write(card, "c"), encoding="ascii")
    command = [gcc, *STRICT, "-shared", "-fPIC", path.with_suffix(".c"), "-o", path.with_suffix(".so"), "-lm"]
    subprocess.run(command, check=True, timeout=120)
    library = ctypes.CDLL(str(path.with_suffix(".so")))
    kind = {bool: ctypes.c_int, int: ctypes.c_longlong, float: ctypes.c_double, str: ctypes.c_char_p}[type(labels[0])]
    assert list((kind * 2).in_dll(library, "model_labels")) == found
    label = ctypes.c_int(-1)
    assert library.model_predict((ctypes.c_double * 1)(20.0), None, ctypes.byref(label)) == 0
    assert card.classes[label.value] == card.predict_row({"a": 20.0})
    label.value = -1
    assert library.model_predict((ctypes.c_double * 1)(np.inf), None, ctypes.byref(label)) != 0
    assert label.value == -1


def relabelled(labels) -> Scorecard:
    """A classifier of these two labels, which scikit-learn need not take."""
    card = compile(LinearSVC(random_state=0).fit(pd.DataFrame({"a": [0.0, 1, 2, 3]}), [0, 0, 1, 1]))
    body = {key: value for key, value in card.document.content.items() if key not in ("scorecard", "digest")}
    return Scorecard(document.seal({**body, "decision": {"classes": labels, "threshold": None}}))


@pytest.mark.parametrize(("labels", "reason"), [([2**63, 0], "more than 64 bits"), (["a\0b", "c"], "null character")])
def test_labels_that_c_has_not_got_are_refused(labels, reason):
    with pytest.raises(Unsupported, match=reason):
        exports.write(relabelled(labels), "c")


@pytest.mark.parametrize("model", agreeing.MODELS)
def test_no_name_of_a_model_breaks_out_of_the_comment(gcc, folder, model):
    source = exports.write(CARD, "c", exports.About(model, model))
    assert source.isascii()
    assert source.startswith("/*\n * ")
    (folder / "about.c").write_text(source, encoding="ascii")
    subprocess.run([gcc, *STRICT, "-trigraphs", "-fsyntax-only", "about.c"], cwd=folder, check=True, timeout=60)


def test_a_wide_model_compiles_at_once(gcc, folder):
    table = pd.DataFrame(RNG.normal(size=(40, 3000)), columns=[f"x {place}" for place in range(3000)])
    for place in range(500):
        table[f"w {place}"] = pd.Series(RNG.choice(["a", "b", "c"], 40), dtype="str")
    features = ColumnTransformer(
        [("n", StandardScaler(), list(table)[:3000]), ("w", OneHotEncoder(handle_unknown="ignore"), list(table)[3000:])]
    )
    pipeline = make_pipeline(features, LogisticRegression(max_iter=20)).fit(table, np.arange(40) % 3)
    card = compile(pipeline)
    program = Compiled(gcc, folder, card)
    found = measure(pipeline, card, table, others={"c": program.ask})
    assert found["passed"], found
    body = program.source[program.source.index("static int compute") :]
    assert body.count("\n") < 100, "thousands of columns are tables and a few loops"


def test_columns_without_weight_have_to_be_usable(gcc, folder):
    table = TABLE[["age", "rooms"]]
    pipeline = make_pipeline(StandardScaler(), LinearRegression()).fit(table, TABLE.age)
    pipeline[-1].coef_[1] = 0.0
    card = compile(pipeline)
    rows = [{"age": 1.0, "rooms": value} for value in (1.0, None, np.inf, 1e300)]
    agreeing.check(card, rows, Compiled(gcc, folder, card).ask(rows))
