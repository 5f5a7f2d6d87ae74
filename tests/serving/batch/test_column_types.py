"""The types of columns by their values: those that training finds."""

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import columns
from pipelines.errors import PipelineError
from pipelines.sources.table import USUAL
from serving.batch import column_types
from serving.batch.duckdb_session import RAW
from tests.effort import times

TEXTS = ["1", " 2.5 ", "1e3", "-.5", "inf", "NA", "", "?", "true", "False", "x", "1_000", "0x1f", "1,5", "\t3\n"]


def found(table: pa.Table) -> dict[str, str | None]:
    with duckdb.connect() as database:
        database.register("given", table)
        database.execute(f"CREATE VIEW {RAW} AS SELECT * FROM given")
        return column_types.find(database, table.column_names)


@settings(max_examples=times(50), deadline=None)
@given(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=6))
def test_text_is_of_the_type_that_training_finds(values: list[str]) -> None:
    raw = pa.chunked_array([pa.array(values, pa.string())])
    wanted = columns.infer("a", raw, USUAL).type
    assert found(pa.table({"a": raw, 'it\'s "b"': raw})) == {"a": wanted, 'it\'s "b"': wanted}


def test_a_measurement_with_a_few_words_is_numbers() -> None:
    values = [*(str(place / 7) for place in range(90)), *["unknown"] * 10]
    with pytest.raises(PipelineError, match="cannot be read as one type"):
        columns.infer("a", pa.chunked_array([values]), USUAL)
    assert found(pa.table({"a": values, "code": [*"12345" * 18, *"ABCDEFGHIJ"]})) == {"a": "number", "code": "category"}


def test_typed_columns_are_of_their_type() -> None:
    table = pa.table(
        {
            "i": pa.array([1], pa.int16()),
            "u": pa.array([1], pa.uint64()),
            "f": pa.array([1.5], pa.float32()),
            "d": pa.array([1], pa.decimal128(5, 2)),
            "b": [True],
            "day": pa.array([1], pa.date32()),
            "at": pa.array([1], pa.timestamp("us", "UTC")),
            "list": [[1.5]],
            "none": pa.array([None], pa.string()),
        }
    )
    wanted = ["number"] * 4 + ["boolean", None, None, "category", "category"]
    assert list(found(table).values()) == wanted
