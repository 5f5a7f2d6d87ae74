"""Names and texts in SQL: hostile ones run on real engines, and what an engine cannot have is refused."""

import json
import subprocess

import pandas as pd
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from serving.scorecard import Scorecard, ScorecardError, Unsupported, document, exports
from serving.scorecard.exports import sql
from tests.effort import times
from tests.serving.scorecard import databases
from tests.system import need

DIALECTS = ("duckdb", "postgres", "sqlite")

HOSTILE = (
    *('"; DROP TABLE rows; --', "'; DROP TABLE rows; --", "it's", 'say "x"', "a.b.c", "new\nline", " lead"),
    *("tab\there", "trail ", "été", "日本", "😀", "\\", "\\'", "$1", "%s", ":name", "?", "{x}", "/* */", "*/", "--"),
    *("`tick`", "[x]", "select", "FROM", "prediction", "probability_yes", "v0", "v1", "raw_row", "scorecard_layer1"),
    *("x" * 63, "1", "#", ";", "e'\\n'", "$$", "$tag$", "a\r\nb", "\u2028", "\u200b", "\ufeff", "ß", "İ"),
    *("\x1b[31m", "row number "),
)  # fmt: skip

ANYTHING = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


def card(names, words=("red", "blue"), classes=("no", "yes"), **cleaning) -> Scorecard:
    """A classifier over numbers of these names and one category, the last."""
    *numbers, text = names
    columns: list[dict] = [
        {"name": f"c{n}", "input": name, "steps": [{"impute": 0.5}]} for n, name in enumerate(numbers)
    ]
    group = [{"name": f"w{n}", "of": [word]} for n, word in enumerate(words)]
    columns.append({"input": text, "steps": [], "one_hot": group, "zero": [], "otherwise": {"do": "zero"}})
    columns_of_terms = [*(f"c{n}" for n in range(len(numbers))), *(f"w{n}" for n in range(len(words)))]
    several = len(classes) > 2
    scores = len(classes) if several else 1
    terms = [
        {"column": name, "weights": [0.25 * (n + 1) * (-1) ** (n + k) for k in range(scores)]}
        for n, name in enumerate(columns_of_terms)
    ]
    link = "softmax" if several else "logistic"
    model = {"kind": "linear", "link": link, "calibration": None, "target": [], "intercepts": [0.1] * scores}
    kinds = ["number"] * len(numbers) + ["category"]
    body = {
        "task": "classification",
        "inputs": [
            {"name": name, "type": kind, "integer": False, "null": True}
            for name, kind in zip(names, kinds, strict=True)
        ],
        "cleaning": {"trim": False, "missing": [], **cleaning},
        "columns": columns,
        "model": {**model, "terms": terms},
        "decision": {"classes": list(classes), "threshold": None},
    }
    return Scorecard(document.seal(body))


def rows_of(names, words) -> list[dict]:
    *numbers, text = names
    return [
        {**{name: (place * 7 + n) % 5 - 2.0 for n, name in enumerate(numbers)}, text: word}
        for place, word in enumerate([*words, None, "unseen"])
    ]


def agree(found: Scorecard, database: databases.Database, rows: list[dict]) -> None:
    for row, answer in zip(rows, databases.answers(found, database, rows), strict=True):
        assert answer["predict"] == found.predict_row(row)
        assert answer["predict_proba"] == pytest.approx(found.probabilities_row(row), abs=1e-12)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_hostile_names_of_columns_and_categories(dialect: str, opened) -> None:
    found = card(HOSTILE, words=HOSTILE, classes=("it's", 'no "x"', "\\", "日本\n"))
    agree(found, opened(dialect), rows_of(HOSTILE, HOSTILE))
    assert opened(dialect).run("SELECT COUNT(*) FROM rows")[0][0] == len(HOSTILE) + 2


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=times(25))
@given(st.lists(ANYTHING.filter(bool), min_size=3, max_size=6), st.lists(ANYTHING, min_size=1, max_size=4, unique=True))
def test_names_and_texts_of_any_characters(dialect: str, opened, names: list[str], words: list[str]) -> None:
    names = list({name.casefold(): name for name in names}.values()) + ["the text"]
    agree(card(names, words=words), opened(dialect), rows_of(names, words))


@pytest.mark.parametrize("dialect", sql.DIALECTS)
def test_every_name_and_text_reads_back_as_it_is(dialect: str) -> None:
    """Parsed again, no text has become anything else; in all dialects, also those that no test runs."""
    bad = set('!"$()*,./;?@[\\]^`{}~')
    names = [name for name in HOSTILE if dialect != "bigquery" or (name.isprintable() and not set(name) & bad)]
    if dialect in ("mysql", "mariadb"):
        names = [name for name in names if len(name) <= 64 and not name.endswith(" ") and max(name) <= "\uffff"]
    if dialect in ("mysql", "mariadb", "bigquery"):
        names = [name for name in names if name not in ("ß", "İ")]
    found = card(names, words=HOSTILE, classes=HOSTILE[:5])
    quote = "`" if dialect in ("spark", "bigquery", "mysql", "mariadb") else '"'

    (statement,) = sqlglot.parse(
        exports.write(found, "sql", dialect=dialect, table=f"{quote}T{quote}", keep=["id"]),
        dialect=databases.GRAMMARS.get(dialect, dialect),
    )

    assert isinstance(statement, exp.Select)
    columns = {node.name for node in statement.find_all(exp.Column) if node.table == "raw_row"}
    assert columns == {*names, "id"}
    literals = {node.this for node in statement.find_all(exp.Literal) if node.is_string}
    assert set(HOSTILE) <= literals
    assert {node.name for node in statement.find_all(exp.Table) if not node.name.startswith("scorecard_layer")} == {"T"}


def test_a_model_name_stays_inside_its_comment(opened) -> None:
    name = "*/ SELECT 1; -- \n; DROP TABLE rows\r\u2028DROP TABLE rows\u0085\0\ud800 \u202e"
    found = card(["a", "w\n; SELECT 1"])
    text = exports.write(found, "sql", exports.About(name, "3"), table="rows")
    database = opened("duckdb")
    database.table("rows", {"a": "DOUBLE", "w\n; SELECT 1": "VARCHAR"}, [(1.0, "red")])

    assert len(database.run(text)) == 1
    assert text.encode().isascii()
    assert text.splitlines()[0].startswith("-- */ SELECT 1; -- \\u000a; DROP TABLE rows\\u000d\\u2028DROP")
    assert all(line.startswith("-- ") for line in text.split("WITH ")[0].splitlines())


@pytest.mark.parametrize(
    ("dialect", "names", "says"),
    [
        ("duckdb", ["Age", "age", "w"], "columns 'Age' and 'age' (DuckDB): it takes them for one"),
        ("sqlite", ["Age", "age", "w"], "columns 'Age' and 'age' (SQLite)"),
        ("spark", ["É", "é", "w"], "columns 'É' and 'é' (Spark)"),
        ("mysql", ["rôle", "role", "w"], "columns 'rôle' and 'role' (MySQL)"),
        ("bigquery", ["Age", "age", "w"], "columns 'Age' and 'age' (BigQuery)"),
        ("postgres", ["x" * 63 + "a", "x" * 63 + "b", "w"], "(PostgreSQL): it takes them for one"),
        ("postgres", ["é" * 40 + "a", "é" * 40 + "b", "w"], "(PostgreSQL): it takes them for one"),
        ("duckdb", ["", "w"], "column '' (DuckDB): it has no column without a name"),
        ("postgres", ["a\0b", "w"], "it holds a zero byte"),
        ("sqlite", ["a\ud800", "w"], "it holds half a character"),
        ("mysql", ["x" * 65, "w"], "its names are of up to 64 characters"),
        ("mysql", ["😀", "w"], "no character beyond U+FFFF"),
        ("bigquery", ["a.b", "w"], "none of them is '.'"),
    ],
)
def test_columns_that_an_engine_cannot_have_are_refused(dialect: str, names: list[str], says: str) -> None:
    with pytest.raises(Unsupported) as caught:
        exports.write(card(names), "sql", dialect=dialect)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dialect", ["postgres", "snowflake"])
def test_columns_that_differ_by_case_are_two_where_the_engine_says_so(dialect: str, opened) -> None:
    found = card(["Age", "age", "AGE", "w"])
    if dialect == "postgres":
        agree(found, opened(dialect), rows_of(["Age", "age", "AGE", "w"], ["red"]))
    else:
        assert exports.write(found, "sql", dialect=dialect)


def test_a_long_name_is_cut_as_the_table_s_was(opened) -> None:
    names = ["x" * 70, "é" * 60, "w"]
    agree(card(names), opened("postgres"), rows_of(names, ["red"]))


@pytest.mark.parametrize("word", ["a\0b", "\ud800"])
def test_a_category_that_no_database_holds_is_refused(word: str) -> None:
    with pytest.raises(Unsupported, match=r"category .* \(SQL\): it holds"):
        exports.write(card(["a", "w"], words=[word]), "sql")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_columns_are_kept_whatever_they_are_called(dialect: str, opened) -> None:
    kept = ["v0", "raw_row", "it's", 'a "b"', "select", "probability", "a", "scorecard_layer1", "ID"]
    found, database = card(["a", "w"]), opened(dialect)
    text = databases.TYPES[dialect]["category"]
    others = [name for name in kept if name != "a"]
    columns = dict.fromkeys(others, text) | {"a": databases.TYPES[dialect]["number"], "w": text}
    database.table("scorecard_layer1", columns, [(*(f"<{name}>" for name in others), 2.5, "red")])

    statement = exports.write(found, "sql", dialect=dialect, table="scorecard_layer1", keep=[*kept, "it's"])

    (row,) = database.run(statement)
    assert list(row[:-3]) == [2.5 if name == "a" else f"<{name}>" for name in kept]
    assert row[-3] == found.predict_row({"a": 2.5, "w": "red"})


@pytest.mark.parametrize(
    ("keep", "says"),
    [
        (["id", "prediction"], "keep: an answer is called 'prediction'"),
        (["Prediction"], "keep: an answer is called 'Prediction'"),
        (["probability_YES"], "keep: an answer is called 'probability_YES'"),
        (["id", "ID"], "columns 'id' and 'ID' (DuckDB): it takes them for one"),
        (["A"], "columns 'A' and 'a' (DuckDB): it takes them for one"),
        ([""], "column '' (DuckDB)"),
    ],
)
def test_columns_that_cannot_be_kept_are_refused(keep: list[str], says: str) -> None:
    with pytest.raises(ScorecardError) as caught:
        exports.write(card(["a", "w"]), "sql", keep=keep)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (("no", "yes"), ["probability_no", "probability_yes"]),
        ((-1, 1), ["probability__1", "probability_1"]),
        ((0.5, 1.5), ["probability_0_5", "probability_1_5"]),
        ((False, True), ["probability_False", "probability_True"]),
        (("Yes", "yes", "YES"), ["probability_Yes", "probability_yes_2", "probability_YES_3"]),
        (("", "a b", "a.b"), ["probability_", "probability_a_b", "probability_a_b_2"]),
        (("日本", 'x"y', "é" * 80), ["probability_日本", "probability_x_y", "probability_" + "é" * 25]),
    ],
)
def test_probabilities_have_names_of_their_classes(classes: tuple, names: list[str], opened) -> None:
    found = card(["a", "w"], classes=classes)
    frame = pd.DataFrame({"a": [1.0], "w": ["red"]})
    for dialect in ("duckdb", "postgres"):
        text = exports.write(found, "sql", dialect=dialect, table="rows")
        database = opened(dialect)
        database.table("rows", {"a": "FLOAT8", "w": "TEXT"}, frame.values.tolist())
        cursor = database.connection.execute(text)
        assert [item[0] for item in cursor.description] == ["prediction", *names]
        assert cursor.fetchone()[0] == found.predict_row({"a": 1.0, "w": "red"})


@pytest.mark.parametrize(
    ("dialect", "name", "quoted"),
    [
        ("duckdb", "sales.public.rows", '"sales"."public"."rows"'),
        ("duckdb", '"My rows"', '"My rows"'),
        ("duckdb", "'data/rows.csv'", '"data/rows.csv"'),
        ("postgres", "Public.Rows", '"public"."rows"'),
        ("postgres", 'public."Rows"', '"public"."Rows"'),
        ("postgres", "order", '"order"'),
        ("snowflake", "sales.rows", '"SALES"."ROWS"'),
        ("snowflake", 'sales."rows"', '"SALES"."rows"'),
        ("bigquery", "my-project.sales.rows", "`my-project`.`sales`.`rows`"),
        ("mysql", "`odd``name`", "`odd``name`"),
        ("spark", "a.b.c", "`a`.`b`.`c`"),
        ("sqlite", "main.[my rows]", '"main"."my rows"'),
        ("duckdb", "rows -- ; drop table rows", '"rows"'),
    ],
)
def test_a_table_is_named_as_in_the_dialect(dialect: str, name: str, quoted: str) -> None:
    text = exports.write(card(["a", "w"]), "sql", dialect=dialect, table=name)
    assert f"FROM {quoted} AS raw_row" in text


@pytest.mark.parametrize(
    "name",
    [
        *(
            "rows; DROP TABLE rows",
            "rows AS x",
            "(SELECT 1)",
            "a JOIN b",
            "a, b",
            "read_csv('x')",
            "a b",
            "a.b.c.d",
            '""',
        ),
        *("rows WHERE 1 = 1", "$1", ":x", "?", "@x", "my-rows", "1", '"open', "rows TABLESAMPLE (1)", "rows PIVOT (x)"),
    ],
)
def test_what_is_no_table_is_refused(name: str) -> None:
    with pytest.raises(ScorecardError, match="table: expected a name") as caught:
        exports.write(card(["a", "w"]), "sql", table=name)
    assert "\n" not in str(caught.value)


def test_a_file_is_a_view_a_table_and_a_subquery(opened, tmp_path) -> None:
    for dialect in DIALECTS:
        database = opened(dialect)
        kind = databases.TYPES[dialect]
        database.table("rows", {"a": kind["number"], "w": kind["category"]}, [(1.0, "red"), (None, "blue")])
        text = exports.write(card(["a", "w"]), "sql", dialect=dialect, table="rows")
        database.run(f"CREATE VIEW scored AS {text}")
        database.run(f"CREATE TABLE stored AS {text}")
        wanted = [row[0] for row in database.run(text)]
        for place in ("scored", "stored", f"({text}) AS found"):
            assert sorted(row[0] for row in database.run(f"SELECT prediction FROM {place}")) == sorted(wanted)
        database.run("DROP VIEW scored")
        database.run("DROP TABLE stored")


def test_the_sqlite3_program_runs_the_file(tmp_path) -> None:
    (tmp_path / "m.sql").write_text(exports.write(card(["a", "w"]), "sql", dialect="sqlite", table="rows"))
    script = "CREATE TABLE rows (a REAL, w TEXT); INSERT INTO rows VALUES (1, 'red');\n.mode json\n.read m.sql\n"
    done = subprocess.run([need("sqlite3")], input=script, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert json.loads(done.stdout)[0]["prediction"] == card(["a", "w"]).predict_row({"a": 1.0, "w": "red"})
