"""``train`` against a bare script that reads, fits once, measures and logs: wall time and peak memory, interleaved.

The table is made: 1,000,000 x 20 numbers in Parquet. Each competitor is a fresh process with an MLflow store of its
own; ``train`` runs with suite, cross-validation, intervals and pictures off, and then once with each of them on.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROWS, COLUMNS = 1_000_000, 20
ROOT = Path(__file__).resolve().parents[2]

BARE = Path(__file__).with_name("bare_training.py")
PLAIN = ("--suite", "none", "--folds", "0", "--intervals", "0", "--pictures", "no")
EXTRAS = {
    "suite": ("--suite", "auto"),
    "cross-validation": ("--folds", "5"),
    "intervals": ("--intervals", "1000"),
    "pictures": ("--pictures", "yes"),
}


def make(path: Path) -> None:
    import numpy as np
    import pandas as pd

    draw = np.random.default_rng(0)
    values = draw.normal(size=(ROWS, COLUMNS))
    table = pd.DataFrame(values, columns=[f"x{place}" for place in range(COLUMNS)])
    table["target"] = values @ draw.normal(size=COLUMNS) + draw.normal(size=ROWS)
    table.to_parquet(path)


def measure(command: list[str]) -> tuple[float, float]:
    """Wall time in seconds and peak resident memory in MiB of a command in a fresh folder."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "PYTHONPATH": str(ROOT)}
        environment |= {"OMP_NUM_THREADS": "2", "MLFLOW_DISABLE_TELEMETRY": "true"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        # A store that is there: its making costs seconds of migrations, the same for both.
        subprocess.run([sys.executable, "-c", "import mlflow; mlflow.MlflowClient().search_experiments()"],
                       env=environment, cwd=folder, check=True, capture_output=True)  # fmt: skip
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert process.stderr is not None
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
    if status:
        sys.exit(errors.decode())
    return wall, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--make", type=Path, help="only make the table")
    options = parser.parse_args()
    if options.make:
        make(options.make)
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.parquet"
        # In a process of its own: a child's peak memory counts what its parent held when it was forked.
        subprocess.run([sys.executable, __file__, "--make", str(table)], check=True)
        train = [sys.executable, "-m", "pipelines", "train", "--data", str(table)]
        commands = {
            "bare script": [sys.executable, str(BARE), str(table)],
            "train": [*train, *PLAIN],
            **{f"train + {name}": [*train, *PLAIN, *extra] for name, extra in EXTRAS.items()},
            "help": [sys.executable, "-m", "pipelines", "--help"],
        }
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(options.rounds):
            for name, command in commands.items():
                found[name].append(measure(command))
    rows = {
        name: {
            "seconds": statistics.median(wall for wall, _ in measured),
            "seconds_worst": max(wall for wall, _ in measured),
            "mib": statistics.median(memory for _, memory in measured),
        }
        for name, measured in found.items()
    }
    bare = rows["bare script"]
    print(f"train on {ROWS:,} x {COLUMNS}, median (worst) of {options.rounds}, beside a bare script")
    for name, row in rows.items():
        row |= {"wall_ratio": row["seconds"] / bare["seconds"], "memory_ratio": row["mib"] / bare["mib"]}
        print(
            f"  {name:<26} {row['seconds']:7.2f} s ({row['seconds_worst']:.2f})  {row['mib']:7.0f} MiB"
            f"   x {row['wall_ratio']:.2f} wall   x {row['memory_ratio']:.2f} memory"
        )
    print("  aims: train <= 1.3 wall, <= 1.5 memory; help <= 0.3 s")
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
