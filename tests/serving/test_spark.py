"""``mlflow.pyfunc.spark_udf`` answers as ``python_function`` does, on a real Spark in local mode."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines import sources, versions
from pipelines.dataset import Roles
from pipelines.evaluation import asking
from pipelines.planning import Settings
from pipelines.training import train
from registry.client import connect
from tests.pipelines import tables
from tests.serving import sparks

sparks.need()

import mlflow  # noqa: E402
from pyspark.sql import functions, types  # noqa: E402

QUICK = {"folds": 0, "resamples": 0, "suite": "none", "pictures": False}

pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    with sparks.session(tmp_path_factory.mktemp("spark")) as session:
        yield session


def answers(frame, udf, *columns) -> list:
    return [row[0] for row in frame.select(udf(*columns)).collect()]


def test_a_classifier_of_a_hostile_table(spark, tracking: str, tmp_path: Path) -> None:
    path = tables.hostile(tmp_path / "raw.csv")
    train(Settings(str(path), name="made", roles=Roles(target="outcome"), **QUICK))
    loaded = mlflow.pyfunc.load_model("models:/made/1")
    names = loaded.metadata.get_input_schema().input_names()
    version = versions.fetch(connect(), "models:/made/1", tmp_path / "version")
    with contextlib.ExitStack() as running:
        asked, parsed = asking.beside(
            version, sources.parse(path.read_bytes(), "raw.csv", "raw.csv"), "outcome", running
        )
        table = asked.read(parsed)[names]
    table["owns.car"] = table["owns.car"].astype(bool)
    kinds = {"age": types.IntegerType(), "owns.car": types.BooleanType(), "region": types.StringType()}
    schema = types.StructType([types.StructField(name, kinds.get(name, types.DoubleType())) for name in names])
    rows = [
        tuple(
            None if value != value else int(value) if name == "age" else value
            for name, value in zip(names, row, strict=True)
        )
        for row in table.itertuples(index=False)
    ]
    frame = spark.createDataFrame(rows, schema)
    whole = functions.struct(*(frame[f"`{name}`"] for name in names))

    labels = mlflow.pyfunc.spark_udf(spark, "models:/made/1", env_manager="local")
    params = {"output": "probabilities"}
    likely = mlflow.pyfunc.spark_udf(
        spark, "models:/made/1", env_manager="local", result_type="array<double>", params=params
    )

    assert table.isna().any().loc[["age", tables.ODD, tables.COMMA, "region"]].all()
    assert set(answers(frame, labels, whole)) == {"yes", "no"}
    assert answers(frame, labels, whole) == loaded.predict(table).tolist()
    np.testing.assert_allclose(answers(frame, likely, whole), loaded.predict(table, params=params), atol=1e-12)


def test_a_regression_takes_its_columns_by_name_and_integers_as_numbers(spark, tracking: str, tmp_path: Path) -> None:
    train(Settings(str(tables.linear(tmp_path / "t.csv")), name="made", **QUICK))
    loaded = mlflow.pyfunc.load_model("models:/made/1")
    frame = spark.createDataFrame(
        [(1, "red"), (-2, "blue"), (None, "red"), (3, None), (4, "never seen")], "x int, colour string"
    )
    expected = loaded.predict(
        pd.DataFrame({"x": [1.0, -2.0, np.nan, 3.0, 4.0], "colour": ["red", "blue", "red", None, "never seen"]})
    )

    score = mlflow.pyfunc.spark_udf(spark, "models:/made/1", env_manager="local")

    np.testing.assert_allclose(answers(frame, score, "x", "colour"), expected, rtol=1e-12)
    np.testing.assert_allclose(answers(frame, score), expected, rtol=1e-12)  # by the names of the signature
    wide = frame.withColumn("x", functions.col("x").cast("bigint").cast("double"))
    np.testing.assert_allclose(answers(wide, score, "x", "colour"), expected, rtol=1e-12)


def test_a_value_that_cannot_be_taken_fails_the_query_by_its_column(spark, tracking: str, tmp_path: Path) -> None:
    train(Settings(str(tables.linear(tmp_path / "t.csv")), name="made", **QUICK))
    score = mlflow.pyfunc.spark_udf(spark, "models:/made/1", env_manager="local")
    frame = spark.createDataFrame([(1.0, "red"), (float("inf"), "red")], "x double, colour string")

    with pytest.raises(Exception, match="row 1, column 'x': expected a finite number"):
        answers(frame, score, "x", "colour")
