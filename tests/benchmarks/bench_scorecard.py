"""How fast a scorecard answers, beside scikit-learn and MLflow on the same model, interleaved to meet the same weather.

``python tests/benchmarks/bench_scorecard.py [--json OUT] [--rows N] [--rounds N]``; exits 1 where a figure is missed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

# Threads of BLAS that wait for each other on a busy machine would measure the machine.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.impute import SimpleImputer  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.pipeline import Pipeline  # noqa: E402
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler  # noqa: E402

from serving.scorecard import compile  # noqa: E402
from tests.benchmarks.timings import tell  # noqa: E402

SCORECARD = """
import sys
sys.path.insert(0, sys.argv[1])
from serving.scorecard import Scorecard
with open(sys.argv[2], encoding="utf-8") as file:
    card = Scorecard.loads(file.read())
from serving.scorecard.strictjson import loads
card.predict_row(loads(sys.argv[3]))
"""
PYFUNC = """
import json, sys
import mlflow.pyfunc, pandas
model = mlflow.pyfunc.load_model(sys.argv[2])
model.predict(pandas.DataFrame([json.loads(sys.argv[3])]))
"""


def problem(rows: int, numbers: int, categories: int):
    """A fitted pipeline as this project trains it, and a table of ``rows`` to answer."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({f"number {place}": rng.normal(50, 9, rows) for place in range(numbers)})
    for place in range(categories):
        words = [f"word {place}-{letter}" for letter in "abcdefgh"]
        table[f"category {place}"] = pd.Series(rng.choice(words, rows), dtype="str")
    table.loc[::50, "number 0"] = np.nan
    target = np.where(table["number 1"] + rng.normal(0, 5, rows) > 50, "yes", "no")
    steps = [
        ("cast", FunctionTransformer(np.asarray, kw_args={"dtype": "float64"})),
        ("impute", SimpleImputer(strategy="median", add_indicator=True)),
        ("scale", StandardScaler()),
    ]
    blocks = [("numbers", Pipeline(steps), [name for name in table if name.startswith("number")])]
    if categories:
        encode = [
            ("impute", SimpleImputer(strategy="constant", fill_value="missing")),
            ("encode", OneHotEncoder(handle_unknown="ignore", min_frequency=0.01)),
        ]
        blocks.append(("categories", Pipeline(encode), [name for name in table if name.startswith("category")]))
    pipeline = Pipeline([("features", ColumnTransformer(blocks)), ("estimator", LogisticRegression())])
    return pipeline.fit(table.head(5000), target[:5000]), table


def clock(work: Callable[[], object], times: int = 1) -> float:
    """Seconds that one call of ``work`` takes, over ``times`` calls."""
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times


def interleaved(works: dict[str, Callable[[], float]], rounds: int, *, rare: tuple[str, ...] = ()) -> dict[str, float]:
    """The median of what each work says it took: one of each in every round, ``rare`` ones in every tenth.

    The first of each only warms up.
    """
    found: dict[str, list[float]] = {name: [] for name in works}
    for place in range(rounds + 1):
        for name, work in works.items():
            if name not in rare or place % 10 == 0:
                found[name].append(work())
    return {name: statistics.median(seconds[1:] or seconds) for name, seconds in found.items()}


def cold(rounds: int) -> list[dict]:
    """A fresh process to its first answer."""
    import mlflow.sklearn

    pipeline, table = problem(5000, 10, 4)
    row = json.dumps(table.iloc[1].to_dict())
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        model, card = str(Path(folder, "model")), str(Path(folder, "card.json"))
        Path(card).write_text(compile(pipeline).dumps(), encoding="utf-8")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            options = {"pip_requirements": ["scikit-learn"], "serialization_format": "cloudpickle"}
            mlflow.sklearn.save_model(pipeline, model, **options)

        def run(*arguments):
            command = [sys.executable, *arguments]
            options = {"env": environment, "cwd": folder, "check": True, "capture_output": True}
            return lambda: clock(lambda: subprocess.run(command, **options))

        works = {
            "bare": run("-c", "pass"),
            "scorecard": run("-c", SCORECARD, str(ROOT), card, row),
            "pyfunc": run("-c", PYFUNC, str(ROOT), model, row),
        }
        found = interleaved(works, 10 * rounds, rare=("pyfunc",))
    return [
        line("fresh process: scorecard / bare python", found["scorecard"], found["bare"], at_most=1.6),
        line("fresh process: mlflow.pyfunc (sklearn) / scorecard", found["pyfunc"], found["scorecard"], at_least=30),
    ]


def one_row(rounds: int) -> list[dict]:
    """One row in a process that is warm."""
    pipeline, table = problem(5000, 10, 4)
    card, frame = compile(pipeline), table.iloc[1:2]
    (row,) = frame.to_dict("records")
    works = {
        "pipeline": lambda: clock(lambda: pipeline.predict(frame), 5),
        "row": lambda: clock(lambda: card.predict_row(row), 500),
    }
    found = interleaved(works, 4 * rounds)
    return [line("one row: Pipeline.predict / predict_row", found["pipeline"], found["row"], at_least=100)]


def whole_table(rows: int, rounds: int) -> list[dict]:
    """A table of 20 columns, of numbers alone and with categories."""
    lines = []
    for numbers, categories in ((20, 0), (16, 4)):
        pipeline, table = problem(rows, numbers, categories)
        card = compile(pipeline)
        if not (card.predict(table) == pipeline.predict(table)).all():
            raise SystemExit("the scorecard and the pipeline disagree")
        works = {
            "pipeline": lambda p=pipeline, t=table: clock(lambda: p.predict(t)),
            "card": lambda c=card, t=table: clock(lambda: c.predict(t)),
        }
        found = interleaved(works, rounds)
        what = f"{rows:,} x {numbers + categories} table, {categories} categories: Pipeline.predict / predict"
        lines.append(line(what, found["pipeline"], found["card"], at_least=2))
    return lines


def line(
    what: str, first: float, second: float, *, at_least: float | None = None, at_most: float | None = None
) -> dict:
    """One comparison: two medians in seconds, their ratio, and what was wanted of it."""
    ratio = first / second
    reached = ratio >= at_least if at_least is not None else ratio <= at_most
    wanted = f">= {at_least:g}" if at_least is not None else f"<= {at_most:g}"
    return {"what": what, "first": first, "second": second, "ratio": ratio, "wanted": wanted, "reached": bool(reached)}


def main() -> int:
    """Measures, prints a table, and says whether every figure was reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the table")
    parser.add_argument("--rounds", type=int, default=5, help="rounds to take the median of")
    options = parser.parse_args()
    lines = [*cold(options.rounds), *one_row(options.rounds), *whole_table(options.rows, options.rounds)]
    return tell("scorecard", lines, options.json)


if __name__ == "__main__":
    sys.exit(main())
