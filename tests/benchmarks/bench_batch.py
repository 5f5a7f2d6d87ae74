"""Batch scoring beside DuckDB's own work and beside pandas with ``Pipeline.predict``: Parquet to Parquet, interleaved.

Each run is a process of its own, whose processor time, duration and peak memory are measured. The floor is DuckDB
writing the sum of all numbers; with categories it is a hash join on a lookup table of weights, without any cleaning.

``python tests/benchmarks/bench_batch.py [--json OUT] [--rows N] [--rounds N]``; exits 1 where a figure is missed.
"""

import argparse
import json
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "2"
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

#: What is scored: numbers, categories, and the share of ``--rows``.
TABLES = {"10 numbers": (10, 0, 1.0), "6 numbers, 4 categories": (6, 4, 0.5)}
FLOOR, DUCKDB, NUMPY, PANDAS = "floor", "duckdb", "numpy", "pandas"
CONTENDERS = (FLOOR, DUCKDB, NUMPY, PANDAS)
#: At most this many times the floor's processor time; at least this many times less than pandas takes; its memory.
WANTED = {"10 numbers": (1.5, 4.0, 0.15), "6 numbers, 4 categories": (1.0, 6.0, 0.25)}
WORDS = 8


def make(folder: Path, numbers: int, categories: int, rows: int) -> None:
    """A table, a pipeline fitted on some rows of it, its scorecard, and the SQL of the floor."""
    import duckdb
    from bench_sql import ours
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline

    from serving.scorecard import compile as compile_pipeline

    columns = [f"50 + 9 * (random() + random() - 1) AS number_{place}" for place in range(numbers)]
    columns += [
        f"'word {place}-' || chr(97 + (random() * {WORDS})::INT % {WORDS}) AS category_{place}"
        for place in range(categories)
    ]
    file = folder / "table.parquet"
    with duckdb.connect() as database:
        database.execute(
            f"COPY (SELECT i AS id, {', '.join(columns)} FROM range({rows}) t(i)) TO '{file}' (FORMAT parquet)"
        )
        some = database.execute(f"SELECT * EXCLUDE (id) FROM '{file}' LIMIT 2000").df()
        total = " + ".join(f"number_{place}" for place in range(numbers))
        joins, weights = "", ""
        for place in range(categories):
            words = ", ".join(f"('word {place}-{chr(97 + w)}', {w}.5)" for w in range(WORDS))
            joins += f" LEFT JOIN (VALUES {words}) AS l{place}(word, weight) ON category_{place} = l{place}.word"
            weights += f" + l{place}.weight"
    floor = f"SELECT id, {total}{weights} AS prediction FROM '{file}'{joins}"
    pipeline = make_pipeline(*(step for _, step in ours(some).steps[:-1]), LinearRegression()).fit(
        some, some["number_1"]
    )
    (folder / "floor.sql").write_text(floor)
    (folder / "card.json").write_text(compile_pipeline(pipeline).dumps())
    (folder / "pipeline.pickle").write_bytes(pickle.dumps(pipeline))


def run(folder: Path, contender: str) -> None:
    """Score the table once, in this process."""
    target = folder / f"{contender}.parquet"
    if contender == FLOOR:
        import duckdb

        with duckdb.connect() as database:
            database.execute(f"COPY ({(folder / 'floor.sql').read_text()}) TO '{target}' (FORMAT parquet)")
    elif contender == PANDAS:
        import pandas as pd

        table = pd.read_parquet(folder / "table.parquet")
        pipeline = pickle.loads((folder / "pipeline.pickle").read_bytes())
        found = pipeline.predict(table.drop(columns="id"))
        pd.DataFrame({"id": table["id"], "prediction": found}).to_parquet(target)
    else:
        from serving.batch import ScoreRequest, score

        card, file = str(folder / "card.json"), str(folder / "table.parquet")
        score(ScoreRequest(card, file, str(target), engine=contender, keep=("id",), overwrite=True))


def measured(folder: Path, contender: str) -> dict[str, float]:
    """What one run takes: processor and wall seconds, and MiB."""
    began = time.perf_counter()
    command = [sys.executable, __file__, "--run", contender, str(folder)]
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{contender} failed")
    return {
        "cpu": usage.ru_utime + usage.ru_stime,
        "wall": time.perf_counter() - began,
        "memory": usage.ru_maxrss / 1024,
    }


def main() -> int:
    """Run all contenders round by round, and print their medians with the worst."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", nargs=2)
    given = parser.parse_args()
    if given.run:
        run(Path(given.run[1]), given.run[0])
        return 0
    told, reached = [], True
    for name, (numbers, categories, share) in TABLES.items():
        rows = int(given.rows * share)
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), numbers, categories, rows)
            runs = [{one: measured(Path(folder), one) for one in CONTENDERS} for _ in range(given.rounds)]
        medians = {
            one: {key: statistics.median(r[one][key] for r in runs) for key in runs[0][one]} for one in CONTENDERS
        }
        print(f"\n{rows:,} rows x {name}: processor s (worst), wall s, MiB")
        for one in CONTENDERS:
            worst = max(r[one]["cpu"] for r in runs)
            found = medians[one]
            print(f"  {one:8} {found['cpu']:8.2f} ({worst:.2f}) {found['wall']:8.2f} {found['memory']:8.0f}")
        ours = medians[DUCKDB]
        ratios = (
            ours["cpu"] / medians[FLOOR]["cpu"],
            medians[PANDAS]["cpu"] / ours["cpu"],
            ours["memory"] / medians[PANDAS]["memory"],
        )
        most, least, memory = WANTED[name]
        ok = ratios[0] <= most and ratios[1] >= least and ratios[2] <= memory
        reached = reached and ok
        print(
            f"  duckdb: {ratios[0]:.2f} x the floor (at most {most}), pandas {ratios[1]:.1f} x (at least {least}), "
            f"{ratios[2]:.3f} of its memory (at most {memory}): {'ok' if ok else 'NOT REACHED'}"
        )
        told.append({"table": name, "rows": rows, "medians": medians, "ratios": ratios, "reached": ok})
    if given.json:
        given.json.write_text(json.dumps({"benchmark": "batch", "lines": told}, indent=1), encoding="utf-8")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
