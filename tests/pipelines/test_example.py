"""The made input example: typical, taken by the model, and no row of the table."""

import io
import itertools
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import example
from pipelines.dataset import Dataset, Roles, prepare
from pipelines.planning import Settings
from pipelines.sources import Table
from pipelines.sources.table import USUAL
from pipelines.training import train
from tests.effort import times
from tests.pipelines import tables
from tests.pipelines.test_training import QUICK


def dataset(**columns: list) -> Dataset:
    """A typed table; its target is the row's number."""
    rows = len(next(iter(columns.values())))
    keep = tuple(columns)
    table = pa.table({**columns, "y": [0.5 + row for row in range(rows)]})
    return prepare(Table(table, "made", "made", "sha256:0"), Roles(target="y", keep=keep))


def made(given_dataset: Dataset) -> dict:
    return example.make(given_dataset, np.arange(len(given_dataset.features)))


def is_row(given_dataset: Dataset, row: dict) -> bool:
    for _, there in given_dataset.features.iterrows():
        if all((row[name] is None and value != value) or row[name] == value for name, value in there.items()):
            return True
    return False


def test_medians_and_the_most_frequent():
    draw = np.random.default_rng(0)
    table = dataset(
        height=draw.normal(1.7, 0.1, 200).tolist(),
        age=draw.integers(18, 90, 200).tolist(),
        stars=[1, 2, 2, 4, 4, 4, 4, 5, 5, 1] * 20,
        smoker=[True, False, False, False] * 50,
        city=["Ulm"] * 120 + ["Bonn"] * 79 + ["Hof"],
    )
    row = made(table)
    assert row["height"] == pytest.approx(1.7, abs=0.03)
    assert len(str(row["height"])) <= 5, "rounded"
    assert row["age"] == pytest.approx(54, abs=4)
    assert isinstance(row["age"], int)
    assert (row["stars"], row["smoker"], row["city"]) == (4, False, "Ulm")
    assert not is_row(table, row)


def test_a_row_of_medians_that_is_in_the_table_becomes_another():
    values = [1.0, 2.0, 3.0, 4.0, 5.0] * 3
    table = dataset(a=values, b=["x", "x", "z"] * 5)
    row = made(table)
    assert not is_row(table, row)
    assert (row["a"] is None) + (row["b"] is None) <= 1


def test_a_category_or_a_number_that_occurs_once_is_not_shown():
    table = dataset(code=["a", "b", "c", "d", "e"], seen=[None, None, 7.25, None, None], many=["u", "u", "v", "w", "x"])
    row = made(table)
    assert (row["code"], row["seen"]) == (None, None)
    assert row["many"] in ("u", None)


def test_a_table_that_holds_every_row_has_the_most_frequent_or_a_missing_one():
    assert made(dataset(a=[True, False, True])) == {"a": True}
    assert made(dataset(a=[True, False, None, True])) == {"a": True}
    cells = list(itertools.product(["u", "v"], [True, False]))
    pair = dataset(a=[cell[0] for cell in cells] * 2, b=[cell[1] for cell in cells] * 2)
    assert made(pair) == {"a": None, "b": False}, "a category may be missing"


@pytest.mark.parametrize("rows", [2, 3, 4])
def test_tiny_tables(rows: int):
    for values in (list(range(rows)), [0.1 * row for row in range(rows)], ["x"] * (rows - 1) + ["z"]):
        table = dataset(a=values)
        assert not is_row(table, made(table))


def test_a_column_that_is_constant_in_the_training_rows():
    table = dataset(a=[3, 3, 3, 4], b=[1.5, 2.5, 3.5, 4.5])
    row = example.make(table, np.arange(3))
    assert row["a"] == 3
    assert not is_row(table, row)


NUMBERS = st.floats(-1e6, 1e6) | st.integers(-5, 5).map(float)
COLUMNS = st.one_of(
    st.lists(st.none() | NUMBERS, min_size=8, max_size=8),
    st.lists(st.none() | st.integers(-3, 2000), min_size=8, max_size=8),
    st.lists(st.none() | st.booleans(), min_size=8, max_size=8),
    st.lists(st.none() | st.sampled_from(["a", "b", "c", "d"]), min_size=8, max_size=8),
).filter(lambda values: len({value for value in values if value is not None}) > 1)


@settings(deadline=None, max_examples=times(150))
@given(st.lists(COLUMNS, min_size=1, max_size=4))
def test_law_it_is_readable_and_no_row_unless_every_row_is_there(columns: list[list]):
    table = dataset(**{f"c{place}": values for place, values in enumerate(columns)})
    row = made(table)
    for item in table.inputs:
        item.read(row[item.name], USUAL)
        known = table.features[item.name].dropna()
        if item.type == "category" and row[item.name] is not None:
            assert (known == row[item.name]).sum() >= example.FEWEST
        elif item.type == "number" and row[item.name] is not None:
            assert known.min() <= float(row[item.name]) <= known.max()
    if is_row(table, row):
        # Nothing with one value missing is left, either.
        for item in table.inputs:
            if item.type != "boolean":
                assert is_row(table, {**row, item.name: None})


def test_the_logged_example_and_the_card_are_answered(tracking: str, tmp_path: Path) -> None:
    path = tables.hostile(tmp_path / "made.csv")
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    rows.loc[:20, "owns.car"] = ""
    rows.to_csv(path, index=False)
    trained = train(Settings(str(path), roles=Roles(target="outcome"), **QUICK))

    model = mlflow.pyfunc.load_model(trained.model_uri)
    logged = model.input_example
    assert len(logged) == 1
    assert logged["owns.car"].tolist() in ([True], [False])
    assert model.predict(logged)[0] in ("yes", "no")
    raw = pd.read_csv(io.StringIO(path.read_text()), usecols=list(logged.columns), skipinitialspace=True, na_values="?")
    same = [raw[name].map(str) == str(logged[name][0]) for name in logged.columns]
    assert not np.logical_and.reduce(same).any()
    native = mlflow.sklearn.load_model(trained.model_uri)
    assert native.predict(logged)[0] == model.predict(logged)[0]


def test_every_combination_of_usual_values_is_tried():
    cells = list(itertools.product(["a", "b"], [True, False], [1, 2, 3]))
    cells.remove(("b", False, 3))
    names = ("c", "t", "n")
    columns = {name: [cell[place] for cell in cells] * 2 for place, name in enumerate(names)}
    table = dataset(**columns)
    assert not is_row(table, made(table))
