"""How fast a model's SQL scores a table in DuckDB, beside ``Pipeline.predict`` and the SQL of orbital, interleaved.

``python tests/benchmarks/bench_sql.py [--json OUT] [--rows N] [--rounds N]``; exits 1 where a figure is missed.

What is timed is a new table of answers from a table in memory, with two threads for DuckDB and two for BLAS: beside
``Pipeline.predict`` of predictions alone, beside the peer of all that its SQL and ours give. orbital is installed into
an environment of its own, by uv; without uv, or without a package index, its lines are left out and said to be.
"""

import argparse
import json
import os
import pickle
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "2"
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import duckdb  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.impute import SimpleImputer  # noqa: E402
from sklearn.linear_model import LinearRegression, LogisticRegression  # noqa: E402
from sklearn.pipeline import Pipeline, make_pipeline  # noqa: E402
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler  # noqa: E402

from serving.batch.by_sql import select  # noqa: E402
from serving.batch.duckdb_session import columns  # noqa: E402
from serving.scorecard import Cleaning, compile, exports  # noqa: E402
from tests.benchmarks.timings import tell  # noqa: E402

PEER = "orbital==0.6.0"
#: Run by the peer's own Python: a pipeline and a few rows in, its SQL out.
ASK = """
import json, pickle, sys
import orbital, orbital.types, pandas
with open(sys.argv[1], "rb") as file:
    pipeline = pickle.load(file)
frame = pandas.DataFrame(json.loads(sys.argv[2]))
parsed = orbital.parse_pipeline(pipeline, features=orbital.types.guess_datatypes(frame))
print(orbital.export_sql("data", parsed, dialect="duckdb"))
"""


def table(rows: int, numbers: int, categories: int) -> pd.DataFrame:
    """Numbers around 50, and categories of eight words each."""
    rng = np.random.default_rng(0)
    found = pd.DataFrame({f"number_{place}": rng.normal(50, 9, rows) for place in range(numbers)})
    for place in range(categories):
        words = [f"word {place}-{letter}" for letter in "abcdefgh"]
        found[f"category_{place}"] = pd.Series(rng.choice(words, rows), dtype="str")
    return found


def target(frame: pd.DataFrame, *, labels: bool) -> np.ndarray:
    """Something to learn."""
    value = frame["number_1"].to_numpy() + np.random.default_rng(1).normal(0, 5, len(frame))
    return np.where(value > 50, "yes", "no") if labels else value


def ours(frame: pd.DataFrame) -> Pipeline:
    """A pipeline as this project trains it."""
    numbers = [name for name in frame if name.startswith("number")]
    steps = [
        ("cast", FunctionTransformer(np.asarray, kw_args={"dtype": "float64"})),
        ("impute", SimpleImputer(strategy="median", add_indicator=True)),
        ("scale", StandardScaler()),
    ]
    blocks = [("numbers", Pipeline(steps), numbers)]
    if len(numbers) < len(frame.columns):
        encode = [
            ("impute", SimpleImputer(strategy="constant", fill_value="missing")),
            ("encode", OneHotEncoder(handle_unknown="ignore", min_frequency=0.01)),
        ]
        blocks.append(("categories", Pipeline(encode), [name for name in frame if name not in numbers]))
    return Pipeline([("features", ColumnTransformer(blocks)), ("estimator", LogisticRegression())])


def plain(frame: pd.DataFrame, estimator, *, impute: bool) -> Pipeline:
    """A pipeline that the peer can say, too."""
    numbers = [name for name in frame if name.startswith("number")]
    steps = [SimpleImputer(strategy="median"), StandardScaler()] if impute else [StandardScaler()]
    blocks = [("numbers", make_pipeline(*steps), numbers)]
    if len(numbers) < len(frame.columns):
        others = [name for name in frame if name not in numbers]
        blocks.append(("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False), others))
    return Pipeline([("features", ColumnTransformer(blocks)), ("estimator", estimator)])


def clock(work: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def interleaved(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median seconds of each work, one of each in every round; the first round only warms up."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds + 1):
        for name, work in works.items():
            found[name].append(clock(work))
    return {name: statistics.median(seconds[1:]) for name, seconds in found.items()}


def database(frame: pd.DataFrame):
    """DuckDB with two threads and the frame as the table ``data``."""
    connection = duckdb.connect(config={"threads": 2})
    connection.register("frame", frame)
    connection.execute("CREATE TABLE data AS SELECT * FROM frame")
    connection.unregister("frame")
    return connection


def storing(connection, text: str) -> Callable[[], object]:
    """A call that makes a table of a SELECT's answers."""
    return lambda: connection.execute(f"CREATE OR REPLACE TEMPORARY TABLE answers AS {text}").fetchall()


def against_pipeline(rows: int, rounds: int) -> list[dict]:
    """SQL beside ``Pipeline.predict`` on a DataFrame."""
    lines = []
    # Of numbers alone NumPy takes the steps at the speed of memory, too: that is told, and no reach.
    for numbers, categories, at_least in ((6, 4, 8.0), (10, 0, 0.0)):
        frame = table(rows, numbers, categories)
        frame.loc[::50, "number_0"] = np.nan
        pipeline = ours(frame).fit(frame.head(5000), target(frame.head(5000), labels=True))
        # Read as training reads a table: trimmed, with words for what is missing.
        text = exports.write(compile(pipeline, cleaning=Cleaning()), "sql")
        with database(frame) as connection:
            work = storing(connection, f"SELECT prediction FROM ({text})")
            work()
            found = connection.execute("SELECT prediction FROM answers").fetchnumpy()["prediction"]
            if not (found == pipeline.predict(frame)).all():
                raise SystemExit("the SQL and the pipeline disagree")
            found = interleaved({"pipeline": lambda p=pipeline, f=frame: p.predict(f), "sql": work}, rounds)
        what = f"{rows:,} x 10 rows, {categories} categories: Pipeline.predict / DuckDB, 2 threads each"
        lines.append(line(what, found["pipeline"], found["sql"], at_least=at_least))
    return lines


def against_peer(rows: int, rounds: int) -> list[dict]:
    """SQL beside the peer's for the same pipelines; none where the peer cannot be installed."""
    with tempfile.TemporaryDirectory() as folder:
        python = peer(Path(folder))
        if python is None:
            return []
        lines, wide, mixed = [], table(rows, 10, 0), table(rows, 6, 4)
        problems = (
            ("scaled, linear", wide, plain(wide, LinearRegression(), impute=False)),
            ("scaled, logistic", wide, plain(wide, LogisticRegression(), impute=False)),
            # The peer takes NULL alone for missing, and ours NaN, too.
            ("imputed, scaled, linear", wide, plain(wide, LinearRegression(), impute=True)),
            ("imputed, scaled, logistic", wide, plain(wide, LogisticRegression(), impute=True)),
            ("imputed, 4 categories, logistic", mixed, plain(mixed, LogisticRegression(), impute=True)),
        )
        times = {"exported": 0.0, "score": 0.0, "peer": 0.0}
        for name, frame, pipeline in problems:
            labels = isinstance(pipeline.named_steps["estimator"], LogisticRegression)
            pipeline.fit(frame.head(5000), target(frame.head(5000), labels=labels))
            text = peers(python, Path(folder, "pipeline.pkl"), pipeline, frame)
            with database(frame) as connection:
                # What is exported asks each column for its type, for it may be run on any table; `score` and the peer
                # know the table.
                card, types = compile(pipeline), columns(connection, "data")
                works = {
                    "exported": storing(connection, exports.write(card, "sql")),
                    "score": storing(connection, select(card, (), "data", types=types)),
                    "peer": storing(connection, text),
                }
                found = interleaved(works, 3 * rounds)
            times = {key: times[key] + found[key] for key in times}
            for way in ("exported", "score"):
                what = f"{rows:,} rows, {name}: orbital / {way}"
                lines.append(line(what, found["peer"], found[way], at_least=0.0))
        what = f"{rows:,} rows, the {len(problems)} pipelines together: orbital /"
        return [*lines, *(line(f"{what} {way}", times["peer"], times[way], at_least=1.0) for way in list(times)[:2])]


def peer(folder: Path) -> Path | None:
    """The Python of an environment that has the peer; None, and a word why, where it cannot be made."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        print("orbital is left out: uv is not here to install it", file=sys.stderr)
        return None
    python = folder / "peer" / "bin" / "python"
    same = [f"{name}=={version(name)}" for name in ("scikit-learn", "numpy", "pandas")]
    try:
        subprocess.run([uv, "venv", "-q", "-p", sys.executable, str(folder / "peer")], check=True, timeout=120)
        install = [uv, "pip", "install", "-q", "--python", str(python), PEER, *same]
        subprocess.run(install, check=True, timeout=600, capture_output=True)
    except (subprocess.SubprocessError, OSError) as error:
        print(f"orbital is left out: it cannot be installed ({type(error).__name__})", file=sys.stderr)
        return None
    return python


def peers(python: Path, path: Path, pipeline: Pipeline, frame: pd.DataFrame) -> str:
    """The peer's SQL of a pipeline."""
    path.write_bytes(pickle.dumps(pipeline))
    command = [str(python), "-W", "ignore", "-c", ASK, str(path), json.dumps(frame.head(3).to_dict("list"))]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def line(what: str, first: float, second: float, *, at_least: float) -> dict:
    """One comparison: two medians in seconds, their ratio, and what was wanted of it."""
    ratio = first / second
    wanted = f">= {at_least:g}" if at_least else "told"
    reached = ratio >= at_least
    return {"what": what, "first": first, "second": second, "ratio": ratio, "wanted": wanted, "reached": bool(reached)}


def main() -> int:
    """Measures, prints a table, and says whether every figure was reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the table")
    parser.add_argument("--rounds", type=int, default=5, help="rounds to take the median of")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    lines = [*against_pipeline(options.rows, options.rounds), *against_peer(options.rows, options.rounds)]
    return tell("sql", lines, options.json)


if __name__ == "__main__":
    sys.exit(main())
