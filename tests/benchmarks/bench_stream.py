"""``train --engine stream``, the whole command with all its evidence, beside pandas and a scikit-learn pipeline.

The table is made: n x 20 correlated numbers, a Parquet file. The pipeline (median, scaling, the estimator) is fitted
once, on all rows, and neither evaluated nor logged; its estimator is the one of the same name with its defaults.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bench_solvers

ROOT = Path(__file__).resolve().parents[2]
ESTIMATORS = {"linear": "LinearRegression", "logistic": "LogisticRegression"}
#: Of the peer's: wall time and memory.
AIMS = {"linear": (0.5, 0.2), "logistic": (1.0, 0.2)}

PEER = """
import sys
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

file, target, estimator = sys.argv[1:]
table = pd.read_parquet(file, columns=[*(f"x{place}" for place in range(20)), target])
model = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), globals()[estimator]())
model.fit(table.drop(columns=target), table[target])
"""


def measure(command: list[str], folder: str) -> dict[str, float]:
    """Wall and processor seconds, and peak memory in MiB, of a command and the processes that it waits for."""
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "PYTHONPATH": str(ROOT)}
    environment |= {"MLFLOW_DISABLE_TELEMETRY": "true"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(errors.decode())
    wall = time.perf_counter() - start
    return {"seconds": wall, "processor": usage.ru_utime + usage.ru_stime, "mib": usage.ru_maxrss / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "table.parquet")
        # In a process of its own: a child's peak memory counts what its parent held when it was forked.
        subprocess.run(
            [sys.executable, bench_solvers.__file__, "--make", str(file), "--rows", str(options.rows)], check=True
        )
        for _ in range(options.rounds):
            for target, estimator in ESTIMATORS.items():
                other = next(name for name in ESTIMATORS if name != target)
                train = [sys.executable, "-m", "pipelines", "train", "--data", str(file), "--engine", "stream"]
                train += ["--target", target, "--estimator", target, "--drop", other, "--task", _task(target)]
                peer = [sys.executable, "-c", PEER, str(file), target, estimator]
                for name, command in ((f"{target}, train --engine stream", train), (f"{target}, peer", peer)):
                    found.setdefault(name, []).append(measure(command, folder))
    rows = {
        name: {
            **{figure: statistics.median(one[figure] for one in measured) for figure in measured[0]},
            "seconds_worst": max(one["seconds"] for one in measured),
        }
        for name, measured in found.items()
    }
    print(f"training on {options.rows:,} x 20, median (worst) of {options.rounds}, beside pandas and scikit-learn")
    for target, (time_aim, memory_aim) in AIMS.items():
        ours, peer = rows[f"{target}, train --engine stream"], rows[f"{target}, peer"]
        for name, row in ((f"{target}, train --engine stream", ours), (f"{target}, peer", peer)):
            print(
                f"  {name:<32} {row['seconds']:7.1f} s ({row['seconds_worst']:.1f})  {row['processor']:7.1f} CPU s"
                f"  {row['mib']:7.0f} MiB"
            )
        ours |= {"wall_ratio": ours["seconds"] / peer["seconds"], "memory_ratio": ours["mib"] / peer["mib"]}
        print(
            f"    x {ours['wall_ratio']:.2f} wall (aim {time_aim})   x {ours['memory_ratio']:.2f} memory "
            f"(aim {memory_aim})"
        )
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")


def _task(target: str) -> str:
    return "regression" if target == "linear" else "classification"


if __name__ == "__main__":
    main()
