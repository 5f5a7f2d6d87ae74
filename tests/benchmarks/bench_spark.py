"""Batch scoring by Spark: a scorecard's native expression beside MLflow's ``spark_udf`` of its pipeline, interleaved.

Both are whole jobs of ``score`` in one session that is warm: Parquet to Parquet, in as many tasks as there are cores.

``python tests/benchmarks/bench_spark.py [--json OUT] [--rows N] [--rounds N]``; exits 1 where a figure is missed. It
needs the extra ``spark`` and Java.
"""

import argparse
import os
import statistics
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

#: How many times as long MLflow's function is to take, at least.
WANTED = 3.0


def measure(folder: Path, rows: int, rounds: int) -> dict:
    """The seconds that both ways take, by the job's own clock."""
    import pickle

    import mlflow
    import pandas as pd
    from bench_batch import make
    from mlflow.models import infer_signature

    from serving.batch import ScoreRequest, score

    make(folder, 10, 0, rows)
    pipeline = pickle.loads((folder / "pipeline.pickle").read_bytes())
    some = pd.DataFrame({f"number_{place}": [50.0, 51.0] for place in range(10)})
    mlflow.sklearn.save_model(
        pipeline, folder / "model", signature=infer_signature(some, pipeline.predict(some)), pip_requirements=[],
        serialization_format="cloudpickle",
    )  # fmt: skip
    seconds: dict[str, list[float]] = {"card.json": [], "model": []}
    for turn in range(rounds + 1):
        for name, found in seconds.items():
            request = ScoreRequest(
                str(folder / name), str(folder / "table.parquet"), str(folder / f"out-{name}"), engine="spark",
                keep=("id",), overwrite=True,
            )  # fmt: skip
            done = score(request)
            assert (done.rows, done.rejected) == (rows, 0)
            if turn:  # the first one warms Java and Python's workers
                found.append(done.seconds)
    ours, theirs = (statistics.median(found) for found in seconds.values())
    return {
        "what": f"{rows:,} rows x 10 numbers: expression, spark_udf", "first": ours, "second": theirs,
        "ratio": theirs / ours, "wanted": f">= {WANTED:g}", "reached": theirs / ours >= WANTED,
        "worst": [max(found) for found in seconds.values()],
    }  # fmt: skip


def main() -> int:
    """Measure and print."""
    from timings import tell

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if find_spec("pyspark") is None:
        print("Spark is not here: pip install 'model-lifecycle[spark]'")
        return 0
    from serving.batch.spark.session import connected
    from serving.batch.spark.settings import SparkSettings

    conf = (("spark.driver.memory", "2g"), ("spark.ui.enabled", "false"), ("spark.sql.shuffle.partitions", "2"))
    with tempfile.TemporaryDirectory() as folder, connected(SparkSettings(conf)):
        lines = [measure(Path(folder), given.rows, given.rounds)]
    return tell("spark", lines, given.json)


if __name__ == "__main__":
    sys.exit(main())
