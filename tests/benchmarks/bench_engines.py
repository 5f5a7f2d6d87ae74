"""Hard rows (texts, infinities, unknown and missing values) scored by every engine: answers and rejects are equal.

NumPy is what the others are compared with: answers to 1e-12 of their size, rejects by row, column and reason. Spark is
left out without the extra ``spark``, MariaDB without its server.

``python tests/benchmarks/bench_engines.py [--json OUT] [--rows N]``; exits 1 where a difference is found.
"""

import argparse
import contextlib
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from serving.batch import ScoreRequest, score  # noqa: E402
from serving.batch.spark.settings import SparkSettings  # noqa: E402
from tests import stores  # noqa: E402
from tests.serving.scorecard import portable  # noqa: E402

MODELS = ("regression", "softmax", "power target")
HARD = 0.15
TABLE, ANSWERS = "hard_rows", "answers"
SETTINGS = SparkSettings((("spark.driver.memory", "2g"), ("spark.ui.enabled", "false")))


@dataclass(frozen=True)
class Outcome:
    """What an engine gave.

    Parameters
    ----------
    answers : the answered rows by ``id``, in its order.
    rejects : the column and the reason of each other row, by ``id``, in its order.
    """

    answers: pd.DataFrame
    rejects: pd.DataFrame
    seconds: float


def hard_rows(rows: int) -> pd.DataFrame:
    """A table of text, in which most rows have a cell that is not usual."""
    chosen = random.Random(0)
    usual = {column: str(value) for column, value in portable.GOOD.items()} | {"flag": "1"}
    found: dict[str, object] = {"id": range(rows)}
    for column, values in portable.VALUES.items():
        texts = ["x", " 3 ", "1e3", *("" if value is None else str(value) for value in values)]
        texts = [text for text in texts if "\0" not in text]
        found[column] = [chosen.choice(texts) if chosen.random() < HARD else usual[column] for _ in range(rows)]
    return pd.DataFrame(found)


def by_file(card: Path, source: Path, engine: str) -> Outcome:
    """What an engine gives that reads a file."""
    out, rejects = (card.with_name(f"{card.stem}-{engine}.{ending}") for ending in ("parquet", "csv"))
    request = ScoreRequest(
        str(card), str(source), str(out), engine=engine, keep=("id",), rejects=str(rejects), overwrite=True,
        spark=SETTINGS if engine == "spark" else SparkSettings(),
    )  # fmt: skip
    began = time.perf_counter()
    score(request)
    seconds = time.perf_counter() - began
    told = pd.read_csv(rejects).rename(columns={"row": "id"})
    return _outcome(pd.read_parquet(out), told, seconds)


def in_database(card: Path, url: str) -> Outcome:
    """What a database gives for its own table."""
    import sqlalchemy

    request = ScoreRequest(
        str(card), url, url, engine="database", query=TABLE, output_table=ANSWERS, keep=("id",), overwrite=True
    )
    began = time.perf_counter()
    score(request)
    seconds = time.perf_counter() - began
    with sqlalchemy.create_engine(url).connect() as connection:
        answers, rejects = (pd.read_sql_table(name, connection) for name in (ANSWERS, f"{ANSWERS}_rejects"))
    return _outcome(answers, rejects.rename(columns=lambda name: name.removeprefix("rejected_")), seconds)


def _outcome(answers: pd.DataFrame, rejects: pd.DataFrame, seconds: float) -> Outcome:
    answers = answers.astype({"id": int}).sort_values("id", ignore_index=True)
    rejects = rejects[["id", "column", "reason"]].astype({"id": int}).sort_values("id", ignore_index=True)
    return Outcome(answers.drop(columns=["model_version", "scored_at"]), rejects, seconds)


def differs(found: Outcome, wanted: Outcome) -> str:
    """Where two outcomes differ; empty if they do not."""
    if not found.rejects.astype(str).equals(wanted.rejects.astype(str)):
        return f"rejects differ: {len(found.rejects):,} and {len(wanted.rejects):,}"
    if not found.answers["id"].equals(wanted.answers["id"]):
        return f"other rows are answered: {len(found.answers):,} and {len(wanted.answers):,}"
    for column in wanted.answers.columns.drop("id"):
        ours, theirs = (outcome.answers[column].to_numpy() for outcome in (found, wanted))
        if theirs.dtype.kind == "f":
            size = np.maximum(1.0, np.abs(theirs))
            equal = (ours == theirs) | (np.abs(ours - theirs) <= 1e-12 * size)
        else:
            equal = ours.astype(str) == theirs.astype(str)
        if not equal.all():
            row = wanted.answers["id"][int(np.argmin(equal))]
            return f"{column} differs in {int((~equal).sum()):,} rows, the first is {row}"
    return ""


@contextlib.contextmanager
def databases(table: pd.DataFrame, folder: Path) -> Iterator[dict[str, str]]:
    """The URLs of databases that have the table."""
    import sqlalchemy

    with contextlib.ExitStack() as running:
        urls = {"SQLite": f"sqlite:///{folder}/rows.db", "PostgreSQL": running.enter_context(stores.postgresql())}
        if shutil.which("mariadbd"):
            urls["MariaDB"] = running.enter_context(stores.mariadb())
        for url in urls.values():
            engine = sqlalchemy.create_engine(url)
            table.to_sql(TABLE, engine, if_exists="replace", index=False, chunksize=20_000)
            engine.dispose()
        yield urls


def main() -> int:
    """Score by all, compare, and print."""
    from timings import tell

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    given = parser.parse_args()
    engines = ["duckdb", *(["spark"] if find_spec("pyspark") else [])]
    lines = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table, source = hard_rows(given.rows), folder / "rows.csv"
        table.to_csv(source, index=False, encoding="utf-8")
        with databases(table, folder) as urls:
            for model in MODELS:
                card = folder / f"{model}.json"
                card.write_text(portable.scorecard(model).dumps(), encoding="utf-8")
                wanted = by_file(card, source, "numpy")
                found = {engine: by_file(card, source, engine) for engine in engines}
                found |= {title: in_database(card, url) for title, url in urls.items()}
                for title, outcome in found.items():
                    difference = differs(outcome, wanted)
                    what = (
                        f"{given.rows:,} rows, {len(wanted.rejects):,} rejected, {model}: NumPy, {title} {difference}"
                    )
                    lines.append(
                        {
                            "what": what, "first": wanted.seconds, "second": outcome.seconds,
                            "ratio": wanted.seconds / outcome.seconds, "wanted": "equal", "reached": not difference,
                        }
                    )  # fmt: skip
    return tell("engines", lines, given.json)


if __name__ == "__main__":
    sys.exit(main())
