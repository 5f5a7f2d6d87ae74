"""Solvers of a logistic regression beside each other: distance from the optimum, time and peak memory, interleaved.

The table is made: n x 20 correlated numbers of mean 0 and standard deviation 1. Each solver is a fresh process; that of
this project reads the file block by block, the others load it. The optimum is that of Newton's method at a tolerance of
1e-14. glum and statsmodels take part where they are installed.
"""

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

COLUMNS, BLOCK = 20, 50_000
ROOT = Path(__file__).resolve().parents[2]

#: A fit: coefficients and intercept, and how many passes or iterations it took.
Answer = tuple[np.ndarray, float, int]


def make(folder: Path, rows: int) -> None:
    """Write the matrix and the target as plain numbers."""
    draw = np.random.default_rng(0)
    mixed = draw.normal(size=(COLUMNS, COLUMNS))
    mixed /= np.sqrt((mixed**2).sum(axis=0))
    weights = 0.3 * draw.normal(size=COLUMNS)
    with (folder / "matrix").open("wb") as matrix, (folder / "target").open("wb") as target:
        for start in range(0, rows, BLOCK):
            values = draw.normal(size=(min(BLOCK, rows - start), COLUMNS)) @ mixed
            values.tofile(matrix)
            (draw.uniform(size=len(values)) < 1 / (1 + np.exp(1 - values @ weights))).astype(float).tofile(target)


def load(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    return np.fromfile(folder / "matrix").reshape(-1, COLUMNS), np.fromfile(folder / "target")


def ours(folder: Path, folds: int = 0) -> Answer:
    from pipelines.solving import Block, IteratedBlocks, Objective, fit

    def blocks() -> Iterator[Block]:
        with (folder / "matrix").open("rb") as matrix, (folder / "target").open("rb") as target:
            place = 0
            while len(rows := np.fromfile(matrix, count=BLOCK * COLUMNS).reshape(-1, COLUMNS)):
                judged = np.arange(place, place + len(rows)) % folds if folds else None
                yield Block(rows, np.fromfile(target, count=len(rows)), folds=judged)
                place += len(rows)

    found = fit(IteratedBlocks(blocks), Objective.logistic(1.0), folds=folds)
    return found.coefficients[0], float(found.intercepts[0]), found.passes


def scikit_learn(folder: Path, **settings) -> Answer:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=10_000, **settings).fit(*load(folder))
    return model.coef_[0], model.intercept_[0], int(model.n_iter_[0])


def by_single_rows(folder: Path) -> Answer:
    from sklearn.linear_model import SGDClassifier

    matrix, target = load(folder)
    # The penalty of C = 1, beside a mean of losses.
    model = SGDClassifier(loss="log_loss", alpha=1 / len(target), random_state=0).fit(matrix, target)
    return model.coef_[0], model.intercept_[0], model.n_iter_


def glum(folder: Path) -> Answer:
    from glum import GeneralizedLinearRegressor

    matrix, target = load(folder)
    model = GeneralizedLinearRegressor(family="binomial", alpha=1 / len(target), l1_ratio=0).fit(matrix, target)
    return model.coef_, model.intercept_, model.n_iter_


def statsmodels(folder: Path) -> Answer:
    """It has no ridge penalty in this fit: its optimum is another, which a distance of 1e-3 may come from."""
    from statsmodels.api import GLM, add_constant, families

    matrix, target = load(folder)
    found = GLM(target, add_constant(matrix), families.Binomial()).fit()
    return found.params[1:], found.params[0], found.fit_history["iteration"]


SOLVERS: dict[str, Callable[[Path], Answer]] = {
    "this project, by blocks": ours,
    "this project, with 5 folds": lambda folder: ours(folder, 5),
    "LogisticRegression lbfgs": scikit_learn,
    "LogisticRegression lbfgs, tol 1e-8": lambda folder: scikit_learn(folder, tol=1e-8),
    "LogisticRegression newton-cholesky": lambda folder: scikit_learn(folder, solver="newton-cholesky"),
    "SGDClassifier": by_single_rows,
    "glum": glum,
    "statsmodels, without the penalty": statsmodels,
}
OPTIMUM = "optimum"


def solve(name: str, folder: Path) -> None:
    """Fit once, and print what came out as JSON."""
    optimum = {OPTIMUM: lambda place: scikit_learn(place, solver="newton-cholesky", tol=1e-14)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wall, processor = time.perf_counter(), time.process_time()
        weights, intercept, steps = {**SOLVERS, **optimum}[name](folder)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {"weights": [*map(float, weights), float(intercept)], "steps": int(steps)}
    print(json.dumps({**found, "seconds": wall, "processor": processor, "mib": peak}))


def measure(name: str, folder: Path) -> dict:
    """What a fresh process found."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, __file__, "--solve", name, str(folder)]
    ended = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(ended.stderr)
    return json.loads(ended.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json")
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--solve", nargs=2, help="only fit: a solver and a folder")
    parser.add_argument("--make", type=Path, help="only make the table, in a folder")
    options = parser.parse_args()
    if options.solve:
        solve(options.solve[0], Path(options.solve[1]))
        return
    if options.make:
        make(options.make, options.rows)
        return
    absent = [name for name in ("glum", "statsmodels") if not importlib.util.find_spec(name)]
    names = [name for name in SOLVERS if name.split(",")[0] not in absent]
    with tempfile.TemporaryDirectory() as place:
        # In a process of its own: a child's peak memory counts what its parent held when it was forked.
        subprocess.run([sys.executable, __file__, "--make", place, "--rows", str(options.rows)], check=True)
        optimum = np.array(measure(OPTIMUM, Path(place))["weights"])
        measured: dict[str, list[dict]] = {name: [] for name in names}
        for _ in range(options.rounds):
            for name in names:
                measured[name].append(measure(name, Path(place)))
    rows = {}
    print(f"logistic regression on {options.rows:,} x {COLUMNS}, median (worst) of {options.rounds}")
    print(f"  {'':36} {'from the optimum':>16}  {'steps':>5}  {'wall, s':>16}  {'processor, s':>12}  {'MiB':>6}")
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
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
