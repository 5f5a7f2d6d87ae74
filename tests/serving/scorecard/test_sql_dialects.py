"""SQL of every dialect: run on Spark where it is installed, and for those that no test runs parsed back by sqlglot."""

import math
import re
from collections.abc import Iterator

import pytest
import sqlglot
from sqlglot import exp

from serving.scorecard import exports
from serving.scorecard.exports import sql
from tests import effort
from tests.serving import sparks
from tests.serving.scorecard import databases
from tests.serving.scorecard.test_sql import HARD, MODELS, ODD, TABLE, agree, scorecard
from tests.serving.scorecard.test_sql_names import HOSTILE, card, rows_of
from tests.serving.scorecard.test_sql_raw import CLEANINGS, WRITTEN, category, number
from tests.serving.scorecard.test_sql_raw import agree as agree_on
from tests.serving.scorecard.test_sql_steps import POWERS, STEPS, VALUES, chain, compare

pytestmark = pytest.mark.filterwarnings("ignore")

#: What each dialect must not say: it has no such function, or another of that name.
FOREIGN = {
    "bigquery": r"TRY_CAST|\bDOUBLE\b|Infinity|TYPEOF|~ '",
    "snowflake": r"TRY_CAST\(|PG_|~ '|REGEXP_MATCHES",
    "mysql": r"TRY_CAST|Infinity|'inf'|TANH|ASINH|CBRT|TYPEOF|LOG1P|NaN'( AS|\))",
}


@pytest.mark.parametrize("dialect", sql.DIALECTS)
@pytest.mark.parametrize("name", MODELS)
def test_every_model_parses_in_every_dialect(name: str, dialect: str) -> None:
    found = databases.renamed(scorecard(name), ODD, "odd") if dialect == "bigquery" else scorecard(name)
    text = exports.write(found, "sql", dialect=dialect, keep=["id"])

    (statement,) = sqlglot.parse(text, dialect=databases.GRAMMARS.get(dialect, dialect))

    assert isinstance(statement, exp.Select)
    assert statement.named_selects[:2] == ["id", "prediction"]
    assert not re.search(FOREIGN.get(dialect, "(?!)"), re.sub(r"'(NA|nan|NaN)'", "", text))


@pytest.mark.parametrize("dialect", sql.DIALECTS)
@pytest.mark.parametrize("step", STEPS, ids=str)
def test_every_step_parses_in_every_dialect(step: dict, dialect: str) -> None:
    for steps in ([step], [step, {"impute": 1.0}], [{"divide": 1e-9}, step]):
        text = exports.write(chain(*steps), "sql", dialect=dialect)
        assert isinstance(sqlglot.parse_one(text, dialect=databases.GRAMMARS.get(dialect, dialect)), exp.Select)
        assert not re.search(FOREIGN.get(dialect, "(?!)"), text.replace("'NA'", ""))


@pytest.mark.parametrize("dialect", sql.DIALECTS)
def test_a_dialect_that_no_test_runs_says_so(dialect: str) -> None:
    said = "did not run this in any test" in exports.write(chain(), "sql", dialect=dialect)
    assert said == (dialect in ("bigquery", "snowflake", "mysql"))


class Spark(databases.Database):
    """A Spark session in the place of a connection."""

    def run(self, text: str, rows=None) -> list:
        return [tuple(row) for row in self.connection.sql(text).collect()]

    def table(self, name, columns, rows) -> None:
        from pyspark.sql import types

        kinds = {"INTEGER": types.IntegerType(), "DOUBLE": types.DoubleType(), "STRING": types.StringType()}
        kinds["BOOLEAN"] = types.BooleanType()
        schema = types.StructType([types.StructField(name, kinds[kind]) for name, kind in columns.items()])
        made = [
            [float(value) if columns[name] == "DOUBLE" and value is not None else value
             for name, value in zip(columns, row, strict=True)]
            for row in rows
        ]  # fmt: skip
        self.connection.createDataFrame(made, schema).createOrReplaceTempView(name)


databases.TYPES["spark"] = {"number": "DOUBLE", "category": "STRING", "boolean": "BOOLEAN"}


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spark]:
    with sparks.session(tmp_path_factory.mktemp("spark")) as session:
        session.sparkContext.setLogLevel("ERROR")
        yield Spark("spark", session)


#: Each costs Spark seconds, most of which it compiles: the others are for thorough runs.
SPARK_MODELS = ["target", "softmax", "mlp", *(["regression", "calibrated", "threshold"] if effort.THOROUGH else [])]


@pytest.mark.parametrize("name", SPARK_MODELS)
def test_models_on_spark(name: str, spark: Spark) -> None:
    found = scorecard(name)
    first = TABLE.iloc[0].to_dict()
    rows = TABLE.head(15).to_dict("records") + [{**first, **changed} for changed in HARD]
    raw = [{key: None if value is None else str(value) for key, value in row.items()} for row in rows]
    assert agree(found, raw, databases.answers(found, spark, raw, {"number": "STRING"})) >= 8
    typed = TABLE.head(15).to_dict("records") + [
        {**first, ODD: math.inf},
        {**first, "w": math.nan},
        {**first, ODD: None},
    ]
    assert agree(found, typed, databases.answers(found, spark, typed)) >= 1


#: Those that Spark has functions of its own for; the others are for thorough runs.
OWN = ("log1p", "expm1", "arcsinh", "cbrt")
FUNCTIONS = [{"function": name} for name in (*OWN, *(("log", "exp", "tanh", "sin") if effort.THOROUGH else ()))]
OTHERS = [*POWERS[::3], STEPS[-1]] if effort.THOROUGH else POWERS[:1]


@pytest.mark.parametrize("step", [*FUNCTIONS, *OTHERS, {"clip": [-1.0, 2.0]}], ids=str)
def test_steps_on_spark(step: dict, spark: Spark) -> None:
    compare(chain(step), spark, VALUES)
    compare(chain(step, {"impute": 4.0}), spark, VALUES)


def test_raw_values_on_spark(spark: Spark) -> None:
    for cleaning in CLEANINGS:
        refused = agree_on(number(cleaning), spark, [None, *WRITTEN], "STRING")
        assert {"12abc", "1d", "1f", "+-5", "1e309", "inf"} <= set(refused)
    found = category(CLEANINGS[0], {1.0: ["red"], 2.0: ["RED", "it's \\n"]})
    agree_on(found, spark, ["red", "RED", " red", "it's \\n", "\u2003RED\n", None, "?", "x"], "STRING")


def test_hostile_names_on_spark(spark: Spark) -> None:
    found = card(HOSTILE, words=HOSTILE, classes=("it's", 'no "x"', "\\", "日本\n"))
    rows = rows_of(HOSTILE, HOSTILE)
    for row, answer in zip(rows, databases.answers(found, spark, rows), strict=True):
        assert answer["predict"] == found.predict_row(row)
        assert answer["predict_proba"] == pytest.approx(found.probabilities_row(row), abs=1e-12)
