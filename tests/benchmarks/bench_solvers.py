"""Solvers of linear and logistic models beside each other: distance from the optimum, time, peak memory, interleaved.

The table is made: n x 20 correlated numbers of mean 0 and standard deviation 1, a Parquet file. Each solver is a fresh
process which reads it: this project and DuckDB in parts, Spark in partitions, the others as a whole. Imports and the
start of Spark's Java are not timed. The optimum is scikit-learn's, by a singular value decomposition and by Newton's
method at a tolerance of 1e-14. glum, statsmodels and Spark take part where they are installed.
"""

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS, BLOCK = 20, 50_000
NAMES = [f"x{place}" for place in range(COLUMNS)]
ROOT = Path(__file__).resolve().parents[2]

#: A fit: coefficients and intercept, and how many passes or iterations it took.
Answer = tuple[np.ndarray, float, int]
#: What fits a file's columns to the column of that name.
Solver = Callable[[Path, str], Answer]


def make(file: Path, rows: int) -> None:
    """Write the matrix with a target of each kind."""
    draw = np.random.default_rng(0)
    mixed = draw.normal(size=(COLUMNS, COLUMNS))
    mixed /= np.sqrt((mixed**2).sum(axis=0))
    weights = 0.3 * draw.normal(size=COLUMNS)
    schema = pa.schema([(name, pa.float64()) for name in (*NAMES, "linear", "logistic")])
    with pq.ParquetWriter(file, schema) as writer:
        for start in range(0, rows, BLOCK):
            values = draw.normal(size=(min(BLOCK, rows - start), COLUMNS)) @ mixed
            score = values @ weights
            classes = (draw.uniform(size=len(values)) < 1 / (1 + np.exp(1 - score))).astype(float)
            numbers = score + draw.normal(size=len(values))
            writer.write_table(pa.table([*values.T, numbers, classes], schema=schema))


def load(file: Path, target: str) -> tuple[np.ndarray, np.ndarray]:
    table = pq.read_table(file, columns=[*NAMES, target])
    return np.column_stack([table[name].to_numpy() for name in NAMES]), table[target].to_numpy()


def ours(file: Path, target: str, folds: int = 0) -> Answer:
    from pipelines.solving import Block, IteratedBlocks, Objective, fit

    def blocks() -> Iterator[Block]:
        with pq.ParquetFile(file, pre_buffer=False) as opened:
            for batch in opened.iter_batches(BLOCK, columns=[*NAMES, target]):
                judged = np.arange(len(batch)) % folds if folds else None
                matrix = np.column_stack([batch[name].to_numpy() for name in NAMES])
                yield Block(matrix, batch[target].to_numpy(), folds=judged)

    objective = Objective.linear() if target == "linear" else Objective.logistic(1.0)
    found = fit(IteratedBlocks(blocks), objective, folds=folds)
    return found.coefficients[0], float(found.intercepts[0]), found.passes


def scikit_learn(file: Path, target: str, **settings: Any) -> Answer:
    from sklearn.linear_model import LinearRegression, LogisticRegression

    if target == "linear":
        model = LinearRegression(**settings).fit(*load(file, target))
        return model.coef_, model.intercept_, 1
    model = LogisticRegression(max_iter=10_000, **settings).fit(*load(file, target))
    return model.coef_[0], model.intercept_[0], int(model.n_iter_[0])


def by_single_rows(file: Path, target: str) -> Answer:
    from sklearn.linear_model import SGDClassifier, SGDRegressor

    matrix, truth = load(file, target)
    if target == "linear":
        model = SGDRegressor(penalty=None, random_state=0).fit(matrix, truth)
        return model.coef_, model.intercept_[0], model.n_iter_
    # The penalty of C = 1, beside a mean of losses.
    model = SGDClassifier(loss="log_loss", alpha=1 / len(truth), random_state=0).fit(matrix, truth)
    return model.coef_[0], model.intercept_[0], model.n_iter_


def glum(file: Path, target: str) -> Answer:
    from glum import GeneralizedLinearRegressor

    matrix, truth = load(file, target)
    family, alpha = ("gaussian", 0) if target == "linear" else ("binomial", 1 / len(truth))
    model = GeneralizedLinearRegressor(family=family, alpha=alpha, l1_ratio=0).fit(matrix, truth)
    return model.coef_, model.intercept_, model.n_iter_


def statsmodels(file: Path, target: str) -> Answer:
    """It has no ridge penalty in this fit of classes: its optimum is another, which some of the distance comes from."""
    from statsmodels.api import GLM, OLS, add_constant, families

    matrix, truth = load(file, target)
    if target == "linear":
        found = OLS(truth, add_constant(matrix)).fit()
        return found.params[1:], found.params[0], 1
    found = GLM(truth, add_constant(matrix), families.Binomial()).fit()
    return found.params[1:], found.params[0], found.fit_history["iteration"]


def duckdb(file: Path, target: str) -> Answer:
    """Least squares from the sums of products that SQL gives, as one query."""
    import duckdb as database

    columns = ["1", *NAMES, target]
    pairs = [(i, j) for i in range(len(columns)) for j in range(i, len(columns))]
    sums = ", ".join(f"sum({columns[i]} * {columns[j]})" for i, j in pairs)
    [found] = database.sql(f"SELECT {sums} FROM read_parquet('{file}')").fetchall()
    products = np.zeros((len(columns), len(columns)))
    for (i, j), value in zip(pairs, found, strict=True):
        products[i, j] = products[j, i] = value
    solved = np.linalg.solve(products[:-1, :-1], products[:-1, -1])
    return solved[1:], solved[0], 1


def spark(file: Path, target: str) -> Answer:
    """Its own estimators; the penalty of C = 1, beside a mean of losses, on columns as they are."""
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.feature import VectorAssembler
    from pyspark.ml.regression import LinearRegression
    from pyspark.sql import SparkSession

    session = SparkSession.builder.getOrCreate()
    read = session.read.parquet(str(file))
    frame = VectorAssembler(inputCols=NAMES, outputCol="features").transform(read).select("features", target)
    if target == "linear":
        model = LinearRegression(labelCol=target, solver="normal").fit(frame)
        return model.coefficients.toArray(), model.intercept, 1
    model = LogisticRegression(
        labelCol=target, regParam=1 / frame.count(), standardization=False, tol=1e-8, maxIter=500
    ).fit(frame)
    return model.coefficients.toArray(), model.intercept, model.summary.totalIterations


def start_spark() -> None:
    from pyspark.sql import SparkSession

    SparkSession.builder.master("local[2]").config("spark.driver.memory", "8g").config(
        "spark.ui.enabled", "false"
    ).config("spark.log.level", "OFF").getOrCreate()


BOTH: dict[str, Solver] = {
    "this project": ours,
    "this project, with 5 folds": lambda file, target: ours(file, target, 5),
    "glum": glum,
    "statsmodels": statsmodels,
    "pyspark.ml": spark,
}
SOLVERS: dict[str, dict[str, Solver]] = {
    "linear": {
        **BOTH,
        "LinearRegression": scikit_learn,
        "SGDRegressor": by_single_rows,
        "DuckDB, sums of products": duckdb,
    },
    "logistic": {
        **BOTH,
        "LogisticRegression lbfgs": scikit_learn,
        "LogisticRegression lbfgs, tol 1e-8": lambda file, target: scikit_learn(file, target, tol=1e-8),
        "LogisticRegression newton-cholesky": lambda file, target: scikit_learn(file, target, solver="newton-cholesky"),
        "SGDClassifier": by_single_rows,
    },
}
OPTIMUM = "optimum"


def optimum(file: Path, target: str) -> Answer:
    return scikit_learn(file, target, **({} if target == "linear" else {"solver": "newton-cholesky", "tol": 1e-14}))


def solve(target: str, name: str, file: Path) -> None:
    """Fit once, and print what came out as JSON."""
    if name == "pyspark.ml":
        start_spark()
    else:
        import sklearn.linear_model  # noqa: F401
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wall, processor = time.perf_counter(), time.process_time()
        weights, intercept, steps = {**SOLVERS[target], OPTIMUM: optimum}[name](file, target)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
    found = {"weights": [*map(float, weights), float(intercept)], "steps": int(steps)}
    print(json.dumps({**found, "seconds": wall, "processor": processor}))


def measure(target: str, name: str, file: Path) -> dict:
    """What a fresh process found; memory and processor time are those of its children, too."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, __file__, "--solve", target, name, str(file)]
    process = subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    peak = Peak(process.pid)
    out, errors = process.communicate()
    if process.returncode:
        sys.exit(errors)
    return {**json.loads(out.strip().splitlines()[-1]), "mib": peak.mib()}


class Peak:
    """The largest resident memory of a process and its children, looked at often."""

    def __init__(self, process: int) -> None:
        self._most = 0
        self._watched = psutil.Process(process)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while True:
            try:
                every = [self._watched, *self._watched.children(recursive=True)]
                self._most = max(self._most, sum(one.memory_info().rss for one in every))
            except psutil.Error:
                return
            time.sleep(0.02)

    def mib(self) -> float:
        """Once it has ended."""
        self._thread.join()
        return self._most / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json")
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--solve", nargs=3, help="only fit: a target, a solver and a file")
    parser.add_argument("--make", type=Path, help="only make the table, as a file")
    options = parser.parse_args()
    if options.solve:
        solve(*options.solve[:2], Path(options.solve[2]))
        return
    if options.make:
        make(options.make, options.rows)
        return
    absent = [name for name in ("glum", "statsmodels") if not importlib.util.find_spec(name)]
    if not importlib.util.find_spec("pyspark") or not shutil.which("java"):
        absent.append("pyspark.ml")
    whole = {}
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "table.parquet")
        # In a process of its own: a child's peak memory counts what its parent held when it was forked.
        subprocess.run([sys.executable, __file__, "--make", str(file), "--rows", str(options.rows)], check=True)
        for target, solvers in SOLVERS.items():
            best = np.array(measure(target, OPTIMUM, file)["weights"])
            names = [name for name in solvers if name not in absent]
            measured: dict[str, list[dict]] = {name: [] for name in names}
            for _ in range(options.rounds):
                for name in names:
                    measured[name].append(measure(target, name, file))
            print(f"{target} regression on {options.rows:,} x {COLUMNS}, median (worst) of {options.rounds}")
            whole[target] = table(measured, best)
    if options.json:
        Path(options.json).write_text(json.dumps(whole, indent=1) + "\n")


def table(measured: dict[str, list[dict]], optimum: np.ndarray) -> dict[str, dict]:
    """Print a line for each solver; the figures by name."""
    print(f"  {'':36} {'from the optimum':>16}  {'steps':>5}  {'wall, s':>16}  {'processor, s':>12}  {'MiB':>6}")
    rows = {}
    for name, found in measured.items():
        seconds = [one["seconds"] for one in found]
        rows[name] = row = {
            "distance": float(np.abs(np.array(found[0]["weights"]) - optimum).max()),
            "steps": found[0]["steps"],
            "seconds": statistics.median(seconds),
            "seconds_worst": max(seconds),
            "processor": statistics.median(one["processor"] for one in found),
            "mib": statistics.median(one["mib"] for one in found),
        }
        wall = f"{row['seconds']:.2f} ({row['seconds_worst']:.2f})"
        print(
            f"  {name:36} {row['distance']:16.1e}  {row['steps']:5}  {wall:>16}  {row['processor']:12.2f}  "
            f"{row['mib']:6.0f}"
        )
    return rows


if __name__ == "__main__":
    main()
