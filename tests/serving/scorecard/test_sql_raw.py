"""Raw values in databases: text among numbers, types of all kinds, odd characters, and queries that must not fail."""

import math
import time

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from serving.scorecard import Cleaning, Input, InputError, Scorecard, Unsupported, document, exports
from serving.scorecard.scalars import scalar_text
from tests.effort import times
from tests.serving.scorecard import databases

DIALECTS = ("duckdb", "postgres", "sqlite")
TEXT = {"duckdb": "VARCHAR", "postgres": "TEXT", "sqlite": "TEXT"}

#: What a person, a program or a mistake writes where a number is wanted.
WRITTEN = (
    *("5", " 5 ", "5.", ".5", "+5", "-5", "005", "1e3", "1E3", "1e+3", "1e-3", "-.5e-1", "0", "-0", "1_000", "1,000"),
    *("0x1f", "1f", "1d", "12abc", "e5", "1e", "1e+", "--5", "+-5", "1.2.3", ".", "+", "-", "", " ", "NA", " NA\t"),
    *("nan", "NaN", "inf", "-Infinity", "+inf", "infinity", "1e308", "1e309", "-1e309", "1e400", "1e-400", "na"),
    *("1e99999", "1e-99999", "0e99999", "0.0e-99999", "1e00000005", "1e0005", "1e5000", "1e-5000", "4.9e-324"),
    *("2e-324", "1" * 308, "1" * 310, "0." + "0" * 400 + "1", "1 2", "5\n", "0.1", "0.30000000000000004"),
    *("\u00a05\u2003", "\u30005", "\x1c5", "\u200b5", "٣", "½", "五", "−5", "5%", "$5", "true", "None", "'5'", "5; --"),
    *("1.7976931348623157e308", "1.7976931348623158e308", "1.7976931348623159e308"),
    # Whole numbers that float64 rounds.
    *("9007199254740993", "-9223372036854775807", "9223372036854775808", "18446744073709551617"),
)  # fmt: skip


def card(kind: str, columns: list, weights: list, cleaning: Cleaning, **facts) -> Scorecard:
    model = {"kind": "linear", "link": "identity", "calibration": None, "target": [], "intercepts": [0.0]}
    model["terms"] = [{"column": name, "weights": [weight]} for name, weight in weights]
    return Scorecard(
        document.seal(
            {
                "task": "regression",
                "inputs": [Input("x", kind, **facts).to_dict()],
                "cleaning": {"trim": cleaning.trim, "missing": sorted(cleaning.missing)},
                "columns": columns,
                "model": model,
                "decision": None,
            }
        )
    )


def number(cleaning: Cleaning, *, filled: bool = True, **facts) -> Scorecard:
    steps = [{"impute": -7.5}] if filled else []
    return card("number", [{"name": "c", "input": "x", "steps": steps}], [("c", 1.0)], cleaning, **facts)


def category(cleaning: Cleaning, groups: dict, *, otherwise: str = "zero", **facts) -> Scorecard:
    group = [{"name": f"c{place}", "of": keys} for place, keys in enumerate(groups.values())]
    columns = [{"input": "x", "steps": [], "one_hot": group, "zero": [], "otherwise": {"do": otherwise}}]
    return card("category", columns, [(f"c{n}", weight) for n, weight in enumerate(groups)], cleaning, **facts)


def agree(found: Scorecard, database: databases.Database, values: list, declared: str) -> list:
    """Compares a column of values with the scorecard's answers; those that it refuses."""
    rows = [{"x": value} for value in values]
    refused = []
    for row, answer in zip(rows, databases.answers(found, database, rows, {"x": declared}), strict=True):
        try:
            expected = found.predict_row(row)
        except InputError:
            refused.append(row["x"])
            expected = None
        if expected is None or isinstance(answer, InputError):
            assert expected is None, row
            assert isinstance(answer, InputError), (row, answer)
            continue
        assert answer["predict"] == pytest.approx(expected, rel=4e-16, abs=0.0), row
    return refused


CLEANINGS = (
    Cleaning(),
    Cleaning(trim=False, missing=frozenset()),
    Cleaning(trim=True, missing=frozenset({"NA", "5", "1e3", "'5'"})),
    Cleaning(trim=False, missing=frozenset({" 5 ", "-5", "nan"})),
)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("cleaning", CLEANINGS, ids=range(len(CLEANINGS)))
@pytest.mark.parametrize("facts", [{}, {"integer": True}, {"null": False}, {"filled": False}], ids=str)
def test_numbers_written_as_text(facts: dict, cleaning: Cleaning, dialect: str, opened) -> None:
    refused = agree(number(cleaning, **facts), opened(dialect), [None, *WRITTEN], TEXT[dialect])
    assert {"12abc", "+-5", "1e309", "٣", "inf"} <= set(refused)


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=times(50))
@given(st.lists(st.text(alphabet="0123456789+-.eE _nainf\t\n\u00a0", max_size=7), min_size=10, max_size=40))
@example(["1e5 ", "\t-1.e-5\n", "e", "+.e1", "..", "1e5.", "-e", "+.5e+05"])
def test_any_text_where_a_number_is_wanted(dialect: str, opened, values: list[str]) -> None:
    for cleaning in CLEANINGS[:2]:
        agree(number(cleaning), opened(dialect), values, TEXT[dialect])


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=times(30))
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=20, max_size=20))
def test_every_number_arrives_to_the_last_bit(dialect: str, opened, values: list[float]) -> None:
    """As a number, and written as text."""
    agree(number(CLEANINGS[0]), opened(dialect), values, databases.TYPES[dialect]["number"])
    if dialect != "sqlite":  # some of its releases read long numbers one bit off
        agree(number(CLEANINGS[0]), opened(dialect), [repr(value) for value in values], TEXT[dialect])


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=times(30))
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=5, max_size=5, unique=True))
def test_a_number_is_itself_as_a_category_and_an_edge(dialect: str, opened, values: list[float]) -> None:
    """Equality and order take all bits of a literal."""
    table = {"keys": values, "values": [1.0, 2.0, 3.0, 4.0, 5.0], "otherwise": "refuse"}
    columns = [
        {"name": "found", "input": "x", "steps": [{"lookup": table}]},
        {"name": "bin", "input": "x", "steps": [{"bin": sorted(values)}]},
    ]
    asked = [*values, *(math.nextafter(value, math.inf) for value in values), *(-value for value in values)]
    for weights in ([("found", 1.0)], [("bin", 1.0)]):
        found = card("number", columns, weights, CLEANINGS[0])
        agree(found, opened(dialect), [one for one in asked if math.isfinite(one)], databases.TYPES[dialect]["number"])


WORDS = (
    *("red", "Red", "RED", " red ", "red\n", "\u3000red", "rëd", "re\u0308d", "rot", "", " ", "?", " ? ", "NA", "na"),
    *("it's", "a\\b"),
)  # fmt: skip
MORE = (
    "\\",
    "%",
    "a%",
    "x' OR 1=1 --",
    '"',
    "日本",
    "😀",
    "1",
    "true",
    "redd",
    "re",
    "None",
    "\x1fred",
    "é",
    "e\u0301",
)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("otherwise", ["zero", "refuse"])
@pytest.mark.parametrize("cleaning", [CLEANINGS[0], CLEANINGS[1]], ids=["clean", "as it is"])
@pytest.mark.parametrize("null", [True, False])
def test_categories_are_compared_letter_by_letter(
    null: bool, cleaning: Cleaning, otherwise: str, dialect: str, opened
) -> None:
    known = [word for word in (*WORDS[:7:2], *WORDS[7:], *MORE[:9]) if cleaning.text(word) == word]
    groups = {1.5: known[::3], 2.5: known[1::3], -4.0: known[2::3]}
    found = category(cleaning, groups, otherwise=otherwise, null=null)
    agree(found, opened(dialect), [None, *WORDS, *MORE], TEXT[dialect])


@pytest.mark.parametrize(
    ("dialect", "declared"), [("duckdb", "VARCHAR COLLATE NOCASE"), ("sqlite", "TEXT COLLATE NOCASE")]
)
def test_a_column_that_compares_without_case_is_asked_with_it(dialect: str, declared: str, opened) -> None:
    for cleaning in CLEANINGS[:2]:
        found = category(cleaning, {1.0: ["red"], 2.0: ["RED"]})
        agree(found, opened(dialect), ["red", "RED", "Red"], declared)
    agree(number(Cleaning(missing=frozenset({"NA"}))), opened(dialect), ["NA", "na", "5"], declared)


TYPED = {
    "duckdb": {
        "INTEGER": [1, -5, 0, None], "BIGINT": [2**53, None], "UTINYINT": [255], "HUGEINT": [2**100],
        "FLOAT": [0.5, math.nan, math.inf, None], "DECIMAL(9, 3)": [1.5, -2.125, None],
    },
    "postgres": {
        "SMALLINT": [1, None], "INTEGER": [-5, 0], "BIGINT": [2**53], "REAL": [0.5, math.nan, math.inf, None],
        "NUMERIC": [1.5, -2.125, None, math.nan],
    },
    "sqlite": {"INTEGER": [1, -5, None], "NUMERIC": [1, 1.5, "7", None], "": [1, 1.5, None], "ANY": [1, 2.5]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("dialect", "declared"), [(dialect, one) for dialect, kinds in TYPED.items() for one in kinds], ids=str
)
def test_columns_of_all_types_of_numbers(dialect: str, declared: str, opened) -> None:
    values = TYPED[dialect][declared]
    for cleaning in CLEANINGS[:2]:
        agree(number(cleaning), opened(dialect), values, declared)
        agree(number(cleaning, integer=True), opened(dialect), values, declared)


def test_numbers_that_no_float64_holds_are_refused_and_fail_nothing(opened) -> None:
    database = opened("postgres")
    values = ["1e400", "-1e400", "1e-400", "NaN", "Infinity", "1.5", None]
    database.table("rows", {"row number": "INTEGER", "x": "NUMERIC"}, list(enumerate(values)))
    for cleaning in CLEANINGS[:2]:
        text = exports.write(number(cleaning), "sql", dialect="postgres", table="rows", keep=["row number"])
        found = [row[1] for row in sorted(database.run(text))]
        assert found == [None, None, 0.0, -7.5, None, 1.5, -7.5]


@pytest.mark.parametrize(
    ("dialect", "declared", "value"),
    [
        ("duckdb", "BOOLEAN", True), ("duckdb", "DATE", "2020-01-01"),
        ("duckdb", "TIMESTAMP", "2020-01-01"),
        ("sqlite", "BLOB", b"5"), ("duckdb", "INTEGER[]", [5]), ("duckdb", "DOUBLE[]", [5.0]),
        ("duckdb", "DECIMAL(3, 1)[2]", [5, 6]), ("duckdb", "STRUCT(a DOUBLE)", {"a": 5.0}),
    ],
)  # fmt: skip
def test_columns_of_other_types_are_no_numbers(dialect: str, declared: str, value, opened) -> None:
    for cleaning in CLEANINGS[:2]:
        rows = [{"x": value}, {"x": None}]
        found = databases.answers(number(cleaning), opened(dialect), rows, {"x": declared})
        assert isinstance(found[0], InputError)
        assert found[1] == {"predict": -7.5}


@pytest.mark.parametrize(
    ("dialect", "declared", "value"),
    [
        ("duckdb", "DATE", "2020-01-01"), ("duckdb", "VARCHAR[]", ["1"]), ("duckdb", "STRUCT(a INTEGER)", {"a": 1}),
        ("postgres", "DATE", "2020-01-01"), ("sqlite", "BLOB", b"1"),
    ],
)  # fmt: skip
def test_columns_of_other_types_are_no_categories(dialect: str, declared: str, value, opened) -> None:
    for cleaning in CLEANINGS[:2]:
        found = category(cleaning, {3.0: ["1", "true", "1.0", "2020-01-01"], 2.0: [None]})
        answers = databases.answers(found, opened(dialect), [{"x": value}, {"x": None}], {"x": declared})
        assert isinstance(answers[0], InputError)
        assert answers[1] == {"predict": 2.0}


FRACTIONS = [1.0, 0.1, -2.5, 1e-5, 3.0, 1e16, 1e300, 2.0**53, 0.30000000000000004, -0.0, 7.25, math.nan, None]
SCALARS = {
    "duckdb": {
        "INTEGER": [1, -5, 0, 3, None], "HUGEINT": [2**100, 2**63], "BOOLEAN": [True, False, None], "DOUBLE": FRACTIONS,
        "DECIMAL(9, 3)": [1.0, -2.5, 7.25, 0.1, None],
    },
    "postgres": {
        "SMALLINT": [1, 3, None], "BIGINT": [2**60, -5], "BOOLEAN": [True, False, None],
        "DOUBLE PRECISION": FRACTIONS, "NUMERIC": [1.0, -2.5, 0.1, 7.25, None, math.nan],
    },
    "sqlite": {"INTEGER": [1, -5, 3, None], "REAL": FRACTIONS[:-2], "ANY": [1.0, 0.1, "1", "true", 2.5, None, "red"]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("dialect", "declared"), [(dialect, one) for dialect, kinds in SCALARS.items() for one in kinds], ids=str
)
def test_a_number_or_a_boolean_is_a_category_by_its_text(dialect: str, declared: str, opened) -> None:
    values = SCALARS[dialect][declared]
    texts = sorted({scalar_text(value) for value in values if value is not None and value == value})
    for otherwise in ("zero", "refuse"):
        found = category(Cleaning(), {1.5: texts[::3], 2.5: texts[1::3], -4.0: [None]}, otherwise=otherwise)
        refused = agree(found, opened(dialect), values, declared)
        assert bool(refused) == (otherwise == "refuse" and len(texts) > 2)
    found = category(Cleaning(missing=frozenset({"1", "-2.5"})), {1.5: texts[::2], 2.5: [None]})
    agree(found, opened(dialect), values, declared)


MARKED = (
    *WRITTEN, "50.714", "2.409", "1.234.567",
    *("12.34.567", "1.234,5", "-1.234,50", "+1.234,", "15,72", ",5", "5,", "3.14"),
    *("0.123", "1234.567", "1..234", ".234", "1.234e5", "1,5e3", "1,5,5", "1,234,567.25", "1,234", "1 234", "1'234,5"),
    *("123.45.678", "1.23.45", "1.2345", "1.234.56", "12.345.678.901.234.567.890", "1.234,5.6", "-", "-.123"),
    *("1.234\n", "1\u00a0234,5", "1_234", "1%234", "١.234", "1.٢٣٤", "--1.234", "1.234-", " 1.234 "),
)  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "marks", [(",", "."), (",", ""), (".", ","), (",", " "), (".", "'"), (".", "_"), (",", "\u00a0")]
)
def test_text_numbers_are_read_by_their_marks(marks: tuple, dialect: str, opened) -> None:
    decimal, thousands = marks
    for cleaning in CLEANINGS[:2]:
        for facts in ({}, {"integer": True}, {"filled": False}):
            found = number(cleaning, decimal=decimal, thousands=thousands, **facts)
            agree(found, opened(dialect), [None, *MARKED], TEXT[dialect])
            typed = databases.TYPES[dialect]["number"]
            agree(found, opened(dialect), [1.5, 1.234, 50.714, -2.0, None], typed)
    if dialect == "postgres":
        agree(found, opened(dialect), [1.5, 1.234, 50.714, None], "NUMERIC")


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=times(30))
@given(st.lists(st.text(alphabet="0123456789+-.,eE ", max_size=12), min_size=10, max_size=40))
def test_any_text_where_a_number_has_marks(dialect: str, opened, values: list[str]) -> None:
    agree(number(CLEANINGS[0], decimal=",", thousands="."), opened(dialect), values, TEXT[dialect])


@pytest.mark.parametrize("dialect", ["bigquery", "mysql"])
def test_marks_are_refused_where_a_column_s_type_cannot_be_asked(dialect: str) -> None:
    with pytest.raises(Unsupported, match=r"column 'x' in .*cannot ask whether a column holds numbers or text"):
        exports.write(number(CLEANINGS[0], decimal=","), "sql", dialect=dialect)


@pytest.mark.parametrize("cleaning", CLEANINGS[:2], ids=["clean", "as it is"])
def test_types_that_hold_a_number_as_a_text_does_are_read_by_it(cleaning: Cleaning, opened) -> None:
    """Bits cast to a number would be its bits, and what a union holds would be no number at all."""
    database = opened("duckdb")
    for declared, value in (("BIT", "101"), ("UNION(n INTEGER, t VARCHAR)", 101), ("ENUM ('101')", "101")):
        database.table("rows", {"x": declared}, [(value,)])
        assert database.run(exports.write(number(cleaning), "sql", table="rows")) == [(101.0,)]


@pytest.mark.parametrize("facts", [{}, {"filled": False}], ids=str)
def test_a_column_whose_type_has_no_cast_to_a_number_is_told_before_the_query_runs(facts: dict, opened) -> None:
    found = exports.write(number(CLEANINGS[0], **facts), "sql", dialect="postgres", table="rows")
    database = opened("postgres")
    database.table("rows", {"x": "BOOLEAN"}, [(True,)])
    assert "of numbers or of text" in found
    with pytest.raises(psycopg.errors.CannotCoerce):
        database.run(found)


def test_cleaning_texts_costs_little_where_they_are_clean(opened) -> None:
    """DuckDB trims by a list of characters slowly, and must not be led to trim every row for the words it looks up."""
    database = opened("duckdb")
    database.run("CREATE OR REPLACE TABLE rows AS SELECT 'word ' || i % 8 AS x FROM range(200_000) AS t(i)")
    groups = {float(place): [f"word {place}"] for place in range(8)}
    seconds = {}
    for name, cleaning in (("clean", CLEANINGS[0]), ("as it is", CLEANINGS[1])):
        text = f"SELECT SUM(prediction) FROM ({exports.write(category(cleaning, groups), 'sql', table='rows')})"
        database.run(text)
        seconds[name] = min(_processor_time(database, text) for _ in range(5))
    assert seconds["clean"] < 8.0 * seconds["as it is"], seconds


@pytest.mark.parametrize("cleaning", CLEANINGS[:2], ids=["clean", "as it is"])
def test_answers_come_in_the_order_of_the_table(cleaning: Cleaning, opened) -> None:
    """DuckDB keeps it, but where it makes a join: as it does of a long IN, and of what it knows to be one."""
    database = opened("duckdb")
    database.run("CREATE OR REPLACE TABLE rows AS SELECT i, 'word ' || i % 97 AS x FROM range(300_000) AS t(i)")
    groups = {1.0: [f"word {place}" for place in range(40)], 2.0: [f"word {place}" for place in range(40, 80)]}
    text = exports.write(category(cleaning, groups), "sql", table="rows", keep=["i"])
    wanted = [(i, 1.0 if i % 97 < 40 else 2.0 if i % 97 < 80 else 0.0) for i in range(300_000)]

    assert database.run(text) == wanted
    assert "join" not in database.run(f"EXPLAIN {text}")[0][1].lower()


def _processor_time(database: databases.Database, text: str) -> float:
    start = time.process_time()
    database.run(text)
    return time.process_time() - start


@pytest.mark.parametrize(
    ("dialect", "declared"),
    [("duckdb", "ENUM ('red', 'blue')"), ("postgres", "CHAR(6)"), ("postgres", "VARCHAR(9)")],
)
def test_other_types_of_text_are_categories(dialect: str, declared: str, opened) -> None:
    for cleaning in CLEANINGS[:2]:
        found = category(cleaning, {3.0: ["red"], 2.0: ["blue"]}, otherwise="refuse")
        answers = databases.answers(found, opened(dialect), [{"x": "red"}, {"x": "blue"}], {"x": declared})
        assert answers == [{"predict": 3.0}, {"predict": 2.0}]


BOOLEANS = {
    "duckdb": {
        "BOOLEAN": [True, False, None], "INTEGER": [1, 0, 2, None], "DOUBLE": [1.0, 0.0, 0.5, math.nan, math.inf],
    },
    "postgres": {"BOOLEAN": [True, False, None], "DOUBLE PRECISION": [1.0, 0.0, 0.5, math.nan, math.inf]},
    "sqlite": {"INTEGER": [1, 0, 2, None], "": [1, 0.0, 0.5, None]},
}  # fmt: skip
SAID = ["true", "False", "TRUE", " true ", "1", "0", "1.0", "yes", "t", "", "NA", None, "2"]


@pytest.mark.parametrize(
    ("dialect", "declared"), [(dialect, one) for dialect, kinds in BOOLEANS.items() for one in kinds], ids=str
)
def test_yes_and_no(dialect: str, declared: str, opened) -> None:
    columns = [
        {"name": "c", "input": "x", "steps": [{"impute": 0.25}]},
        {"name": "m", "input": "x", "steps": [{"is": None}]},
    ]
    for cleaning in CLEANINGS[:2]:
        found = card("boolean", columns, [("c", 2.0), ("m", 16.0)], cleaning)
        assert len(agree(found, opened(dialect), BOOLEANS[dialect][declared], declared)) <= 2
        assert agree(found, opened(dialect), SAID, TEXT[dialect])[-1] == "2"


def test_rows_that_cannot_be_scored_do_not_disturb_the_others(opened) -> None:
    """PostgreSQL fails a whole query on one of these; a column of text holds all of them."""
    columns = [
        {"name": name, "input": "x", "steps": [{"function": name}]}
        for name in ("log", "exp", "square", "sqrt", "log1p", "sin", "expm1")
    ]
    found = card("number", columns, [(column["name"], 1e-3) for column in columns], Cleaning())
    values = [*WRITTEN, *map(repr, (1000.0, -1000.0, 1e200, -1e200, 1e-200, 710.0, 0.0, -1.0, 2.0))]
    for dialect in DIALECTS:
        rows = [{"x": value} for value in values]
        answers = databases.answers(found, opened(dialect), rows, {"x": TEXT[dialect]})
        assert sum(not isinstance(answer, InputError) for answer in answers) == sum(map(scored(found), rows)) > 10


def scored(found: Scorecard):
    def ask(row: dict) -> bool:
        try:
            found.predict_row(row)
        except InputError:
            return False
        return True

    return ask
