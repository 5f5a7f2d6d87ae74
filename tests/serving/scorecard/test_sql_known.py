"""SQL for a table whose types are known: Parquet files of all types, and numbers that only the score is asked about."""

import math
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.scorecard import Input, InputError, Scorecard, ScorecardError, document
from serving.scorecard.exports import sql
from tests.effort import times
from tests.serving.scorecard import portable


def linear(inputs: list[Input], columns: list[dict], weights: list[float]) -> Scorecard:
    """A regression of some columns."""
    model = {"kind": "linear", "link": "identity", "calibration": None, "target": [], "intercepts": [0.5]}
    terms = [{"column": one["name"], "weights": [weight]} for one, weight in zip(columns, weights, strict=True)]
    body = {
        "task": "regression",
        "inputs": [item.to_dict() for item in inputs],
        "cleaning": {"trim": True, "missing": ["", "?"]},
        "columns": columns,
        "model": {**model, "terms": terms},
        "decision": None,
    }
    return Scorecard(document.seal(body))


def answers(card: Scorecard, table: pa.Table, path: Path, **options: object) -> list[list]:
    """What both SELECTs say of a Parquet file: without and with the types of its columns."""
    pq.write_table(table, path, **options)
    with duckdb.connect(config={"threads": 1}) as database:
        database.execute(f"CREATE VIEW data AS SELECT * FROM '{path}'")
        types = {name: kind for name, kind, *_ in database.execute("DESCRIBE data").fetchall()}
        found = [database.execute(sql.write(card, types=one)).fetchall() for one in (None, types)]
    return found


def assert_alike(card: Scorecard, table: pa.Table, path: Path, **options: object) -> int:
    """Compares both SELECTs with the scorecard, row by row; how many rows are refused."""
    refused = 0
    for found in answers(card, table, path, **options):
        for row, answer in zip(table.to_pylist(), found, strict=True):
            try:
                expected = card.predict_row(row)
            except InputError:
                refused += 1
                assert answer[0] is None, row
                continue
            if isinstance(expected, float) and math.isfinite(expected):
                assert answer[0] == pytest.approx(expected, rel=1e-11, abs=1e-12), row
            else:
                assert answer[0] == expected, row
            if card.has_probabilities:
                assert list(answer[1:]) == pytest.approx(list(card.probabilities_row(row)), rel=1e-11, abs=1e-12), row
    return refused


@pytest.mark.parametrize("name", portable.MODELS)
def test_every_model_on_hard_rows(name: str, tmp_path: Path) -> None:
    card = portable.scorecard(name)
    # No two ways to sum terms of 1e300 agree in many digits.
    rows = [
        row for row in portable.RAW if not any(isinstance(v, float) and 1e20 < abs(v) < math.inf for v in row.values())
    ]
    kinds = {"town": pa.string(), "grade": pa.string()}
    schema = pa.schema([(column, kinds.get(column, pa.float64())) for column in portable.GOOD])
    table = pa.Table.from_pylist(rows, schema)
    assert assert_alike(card, table, tmp_path / "rows.parquet", write_statistics=len(name) % 2 == 0) >= 10


NUMBERS = {
    "DOUBLE": (pa.float64(), [1.5, None, math.nan, math.inf, -math.inf, 1e308, -0.0, 2.0]),
    "FLOAT": (pa.float32(), [1.5, None, math.nan, math.inf, 0.10000000149011612, 3.4028234663852886e38]),
    "DECIMAL": (pa.decimal128(20, 3), [Decimal("1.5"), None, Decimal("-12345678901234567.891"), Decimal("2.000")]),
    "BIGINT": (pa.int64(), [1, None, 2**53 + 1, -(2**63), 2**63 - 1, 0]),
    "UBIGINT": (pa.uint64(), [1, None, 2**64 - 1]),
    "TINYINT": (pa.int8(), [1, None, -128]),
    "BOOLEAN": (pa.bool_(), [True, None, False]),
    "VARCHAR": (pa.string(), ["1.5", None, " 2 ", "?", "", "x", "1e999", "nan", "true"]),
    "dictionary": (pa.dictionary(pa.int8(), pa.string()), ["1.5", None, " 2 ", "?", "x"]),
    "DATE": (pa.date32(), [0, None]),
}
FILLED = {"steps": [{"impute": -7.5}, {"subtract": 2.0}, {"divide": 3.0}]}


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("type", ["number", "boolean", "category"])
def test_columns_of_all_types(type: str, kind: str, tmp_path: Path) -> None:
    """One type of input on columns of another is read, or refused, as the scorecard does."""
    stored, values = NUMBERS[kind]
    if kind == "DATE" and type != "category":
        return  # it has no cast to a number, and no value that is one
    table = pa.table({"x": pa.array(values, stored), "y": pa.array([1.0] * len(values))})
    column = {"name": "c", "input": "x", **FILLED}
    if type == "category":
        column["steps"] = [{"impute": "?!"}, {"lookup": LOOKUP}]
    columns = [column, {"name": "d", "input": "y", **FILLED}]
    for facts in ({}, {"integer": True}, {"null": False}) if type == "number" else ({}, {"null": False}):
        card = linear([Input("x", type, **facts), Input("y", "number")], columns, [1.25 if facts else 0.0, 2.0])
        assert_alike(card, table, tmp_path / "rows.parquet", write_statistics=not facts)


LOOKUP = {"keys": ["1.5", "1", "2", "True", "?!"], "values": [1.0, 2.0, 3.0, 4.0, 5.0], "otherwise": "refuse"}

STEPS = (
    [],
    [{"impute": 2.5}],
    [{"impute": 2.5}, {"subtract": 3.0}, {"divide": 1.5}],
    [{"impute": -1.0}, {"multiply": 1e200}],
    [{"impute": 0.0}, {"multiply": 0.0}],
    [{"is": None}],
    [{"clip": [-1.0, 1.0]}],
    [{"impute": 1.0}, {"bin": [-2.0, 0.0, 2.0]}],
    [{"replace": {"value": 1.0, "by": 4.0}}, {"add": 1.0}],
    [{"impute": 0.5}, {"function": "log1p"}],
    [{"impute": 0.5}, {"function": "sin"}],
    [{"lookup": {"keys": [1.0, None], "values": [3.0, 4.0], "otherwise": "refuse"}}],
)
VALUES = st.one_of(
    st.none(), st.sampled_from([math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, -0.0, 1.0]), st.floats(-9, 9)
)


@settings(max_examples=times(40), deadline=None)
@given(st.data())
def test_numbers_are_checked_by_the_score_that_they_give(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Columns that use some inputs in many ways, some of them without weight: no row is refused, or answered, by it."""
    inputs = [Input(name, "number", integer=data.draw(st.booleans()), null=data.draw(st.booleans())) for name in "ab"]
    used = data.draw(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, len(STEPS) - 1)), min_size=1, max_size=5))
    columns = [{"name": f"c{place}", "input": name, "steps": STEPS[step]} for place, (name, step) in enumerate(used)]
    weights = [data.draw(st.sampled_from([0.0, 1.0, -0.75, 1e-300])) for _ in columns]
    card = linear(inputs, columns, weights)
    rows = data.draw(st.lists(st.fixed_dictionaries({"a": VALUES, "b": VALUES}), min_size=1, max_size=12))
    table = pa.Table.from_pylist(rows, pa.schema([("a", pa.float64()), ("b", pa.float64())]))
    path = tmp_path_factory.getbasetemp() / "known.parquet"
    assert_alike(card, table, path)


def test_a_number_that_the_score_checks_is_read_without_a_check(tmp_path: Path) -> None:
    """The SELECT for known types is short, and asks a type nowhere."""
    card = linear([Input("x", "number")], [{"name": "c", "input": "x", **FILLED}], [1.25])
    any_type, known = (sql.write(card, types=types) for types in (None, {"x": "DOUBLE"}))
    assert "TYPEOF" in any_type
    assert "TYPEOF" not in known
    assert "COALESCE" in known
    assert len(known) < len(any_type)
    whole = sql.write(card, types={"x": "BIGINT"})
    assert "Infinity" not in whole


def test_types_are_known_to_one_dialect() -> None:
    card = linear([Input("x", "number")], [{"name": "c", "input": "x", **FILLED}], [1.25])
    with pytest.raises(ScorecardError, match="types: expected the dialect duckdb, found postgres; leave the types out"):
        sql.write(card, dialect="postgres", types={"x": "DOUBLE"})


@pytest.mark.parametrize("count", [3, 40, 300])
@pytest.mark.parametrize("plain", [True, False])
def test_categories_by_dictionary_and_row_by_row(count: int, plain: bool, tmp_path: Path) -> None:
    """Few and many words; of columns with and without a dictionary, and with what has to be cleaned."""
    words = [f"w{place}" for place in range(count)]
    group = [{"name": word, "of": [word]} for word in words]
    column = {"input": "x", "steps": [], "one_hot": group, "zero": [], "otherwise": {"do": "zero"}}
    body = {
        "task": "regression",
        "inputs": [Input("x", "category").to_dict()],
        "cleaning": {"trim": True, "missing": ["", "?"]},
        "columns": [column],
        "model": {
            **{"kind": "linear", "link": "identity", "calibration": None, "target": [], "intercepts": [0.5]},
            "terms": [{"column": word, "weights": [place + 0.25]} for place, word in enumerate(words)],
        },
        "decision": None,
    }
    values = [*words, *(f" {word}\t" for word in words), None, "", "?", " ? ", "never", "W1", "w1 w2"]
    table = pa.table({"x": pa.array(values)})
    assert assert_alike(Scorecard(document.seal(body)), table, tmp_path / "r.parquet", use_dictionary=not plain) == 0
