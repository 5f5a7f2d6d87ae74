"""Scoring a table of a database: inside it and outside, with the answers and rejects of one row after another."""

from pathlib import Path
from typing import Any

import pytest

from serving import batch
from serving.batch import ScoreRequest
from serving.errors import ServingError
from tests.serving.batch import tables
from tests.serving.batch.test_score import assert_alike, expected, saved
from tests.serving.scorecard import portable


@pytest.fixture(params=tables.KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with no table of answers."""
    url = tables.address(request.param, request, tmp_path)
    tables.drop(url, "scores", "scores_rejects", "raw_rows_of_test")
    return url


@pytest.fixture
def card(tmp_path: Path) -> str:
    return saved(portable.scorecard("binary"), tmp_path)


def asked(card: str, url: str, **more: Any) -> ScoreRequest:
    usual: dict[str, Any] = {"query": "raw_rows_of_test", "output_table": "scores", "keep": ("id",)}
    return ScoreRequest(card, url, url, **usual | more)


def kind_of(url: str) -> str:
    return url.partition(":")[0].partition("+")[0]


@pytest.mark.parametrize("engine", ["database", "duckdb"])
@pytest.mark.parametrize("name", ["regression", "softmax", "power target", "isotonic ensemble"])
def test_hard_rows_are_answered_and_rejected_as_one_by_one(name: str, engine: str, url: str, tmp_path: Path) -> None:
    card, rows = portable.scorecard(name), tables.hard_rows(kind_of(url))
    tables.fill(url, "raw_rows_of_test", rows)

    done = batch.score(asked(saved(card, tmp_path), url, engine=engine))

    wanted, refused = expected(card, [{key: row[key] for key in portable.GOOD} for row in rows])
    assert (done.engine, done.rows, done.rejected) == (engine, len(rows), len(refused))
    found = tables.rows_of(url, "SELECT * FROM scores ORDER BY id")
    answered = [tuple(v for k, v in row.items() if k.startswith(("prediction", "probability"))) for row in found]
    assert_alike(answered, wanted, rows)
    assert len({row["model_version"] for row in found}) == len({row["scored_at"] for row in found}) == 1
    rejected = tables.rows_of(url, "SELECT * FROM scores_rejects ORDER BY id")
    assert {row["id"]: (row["rejected_column"], row["rejected_reason"]) for row in rejected} == refused
    assert [row["rejected_row"] for row in rejected] == sorted(refused)


def test_auto_scores_inside_and_keeps_types_and_names(url: str, card: str) -> None:
    """Columns under the names and with the types that they have; no table is left beside."""
    tables.fill(url, "raw_rows_of_test", tables.hard_rows(kind_of(url))[:3])
    query = 'SELECT amount AS " amount ", rooms, flag, town, grade, id FROM raw_rows_of_test -- all'
    if kind_of(url) == "mariadb":
        query = query.replace('" amount "', "` amount`")
    done = batch.score(asked(card, url, query=query, keep=("all",), append=True))
    assert (done.engine, done.rows) == ("database", 3)
    (first, *_) = tables.rows_of(url, "SELECT * FROM scores ORDER BY id")
    assert list(first)[:6] == ["amount", "rooms", "flag", "town", "grade", "id"]
    assert (first["town"], first["id"]) == ("Ham", 0)
    assert {name for name in tables.tables_of(url) if name.startswith("scores")} == {"scores", "scores_rejects"}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"query": "SELECT * FROM raw_rows_of_test", "overwrite": True}, "--query may read .*raw_rows_of_test"),
        ({"overwrite": True}, "is the input itself"),
        ({"output_table": "scores", "overwrite": True, "append": True}, "leave one out"),
    ],
    ids=["a select", "the table", "both"],
)
def test_the_table_that_is_read_is_never_replaced(more: dict[str, Any], says: str, url: str, card: str) -> None:
    rows = tables.hard_rows(kind_of(url))[:3]
    tables.fill(url, "raw_rows_of_test", rows)
    with pytest.raises(ServingError, match=says):
        batch.score(asked(card, url, **{"output_table": "raw_rows_of_test"} | more))
    assert len(tables.rows_of(url, "SELECT amount FROM raw_rows_of_test")) == 3


def test_a_database_and_a_table_are_known_by_all_their_names(card: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/rows.db"
    tables.fill(url, "raw_rows_of_test", tables.hard_rows("sqlite")[:3])
    (tmp_path / "alias.db").symlink_to(tmp_path / "rows.db")
    request = ScoreRequest(
        card, url, f"sqlite:///{tmp_path}/alias.db", query="raw_rows_of_test", output_table="RAW_ROWS_of_test",
        keep=("id",), overwrite=True,
    )  # fmt: skip
    with pytest.raises(ServingError, match="is the input itself"):
        batch.score(request)


def test_rejects_in_a_file_or_none_at_all(url: str, card: str, tmp_path: Path) -> None:
    tables.fill(url, "raw_rows_of_test", tables.hard_rows(kind_of(url)))
    said = []
    for engine in ("database", "duckdb"):
        with pytest.raises(
            ServingError, match=r"rows cannot be scored, the first: row [1-9].*scores is not written"
        ) as error:
            batch.score(asked(card, url, rejects="fail", engine=engine))
        said.append(str(error.value))
    assert said[0] == said[1]
    assert not {name for name in tables.tables_of(url) if name.startswith("scores")}
    done = batch.score(asked(card, url, rejects=str(tmp_path / "r.csv")))
    lines = (tmp_path / "r.csv").read_text().splitlines()
    assert (lines[0], len(lines)) == ("row,column,reason", done.rejected + 1)
    assert "scores_rejects" not in tables.tables_of(url)


@pytest.mark.parametrize(
    ("url", "town", "says"),
    [
        ("postgresql", "'00000000-0000-0000-0000-000000000001'::UUID", "has the type UUID"),
        ("mariadb", "1.5e0", "has the type DOUBLE, whose text is not that of training"),
    ],
    indirect=["url"],
)
def test_a_column_that_would_be_read_in_another_way_is_read_outside(town: str, says: str, url: str, card: str) -> None:
    tables.fill(url, "raw_rows_of_test", tables.hard_rows(kind_of(url))[:2])
    query = f"SELECT id, amount, rooms, flag, {town} AS town, grade FROM raw_rows_of_test"
    with pytest.raises(ServingError, match=f"--engine database: the column 'town' {says}"):
        batch.score(asked(card, url, query=query, engine="database"))
    done = batch.score(asked(card, url, query=query))
    assert (done.engine, done.rows) == ("duckdb", 2)


def test_numbers_with_few_digits_are_those_that_training_reads(postgresql: str, tmp_path: Path) -> None:
    from sklearn.linear_model import LinearRegression

    from serving.scorecard import compile

    path = saved(compile(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])), tmp_path)
    tables.drop(postgresql, "scores", "scores_rejects")
    query = "SELECT 0.1::REAL AS x0"
    for engine in ("database", "numpy"):
        batch.score(asked(path, postgresql, query=query, engine=engine, keep=("x0",), overwrite=True))
        (found,) = tables.rows_of(postgresql, "SELECT prediction FROM scores")
        assert found["prediction"] == pytest.approx(0.1, rel=1e-15)


def test_other_databases_are_scored_outside(card: str, postgresql: str, tmp_path: Path) -> None:
    tables.fill(postgresql, "raw_rows_of_test", tables.hard_rows("postgresql")[:3])
    out = f"sqlite:///{tmp_path}/out.db"
    done = batch.score(ScoreRequest(card, postgresql, out, query="raw_rows_of_test", output_table="scores"))
    assert (done.engine, done.rows) == ("duckdb", 3)
    assert len(tables.rows_of(out, "SELECT * FROM scores")) + done.rejected == 3
    with pytest.raises(ServingError, match="different databases"):
        batch.score(
            ScoreRequest(card, postgresql, out, query="raw_rows_of_test", output_table="more", engine="database")
        )
