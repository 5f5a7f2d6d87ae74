"""How fast an exported C file scores a table beside the NumPy path, and how large the exported files are.

``python tests/benchmarks/bench_exports.py [--json OUT] [--rows N] [--rounds N]``; exits 1 where a figure is missed.
"""

import argparse
import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# Threads of BLAS that wait for each other on a busy machine would measure the machine.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from bench_scorecard import clock, problem  # noqa: E402

from serving.scorecard import Scorecard, compile, exports  # noqa: E402

WIDTH = 100
LARGEST = 20_000
#: Asks for one row after another of a table that lies in memory row by row.
DRIVER = """
#include "model.c"

long predict_all(long rows, const double *numbers, const char *const *texts, int *labels)
{
    long refused = 0;
    for (long row = 0; row < rows; row++) {
        refused += model_predict(numbers + row * MODEL_NUMBERS, texts + row * MODEL_TEXTS, labels + row) != 0;
    }
    return refused;
}
"""


def compiled(card: Scorecard, folder: Path):
    """The function ``predict_all`` of a scorecard."""
    (folder / "model.c").write_text(exports.write(card, "c"), encoding="ascii")
    (folder / "driver.c").write_text(DRIVER, encoding="ascii")
    library = folder / f"{card.digest[7:23]}.so"
    command = ["gcc", "-std=c99", "-O3", "-march=native", "-shared", "-fPIC", "driver.c", "-o", str(library), "-lm"]
    subprocess.run(command, cwd=folder, check=True)
    call = ctypes.CDLL(str(library)).predict_all
    call.restype, call.argtypes = ctypes.c_long, (ctypes.c_long, *[ctypes.c_void_p] * 3)
    return call


def rowwise(table: pd.DataFrame):
    """The numbers of a table, the addresses of its texts, both row by row, and the texts that are pointed at."""
    numbers = [name for name in table if table[name].dtype.kind == "f"]
    texts = [name for name in table if name not in numbers]
    kept, columns = [], []
    for name in texts:
        codes, words = pd.factorize(table[name])
        held = [ctypes.create_string_buffer(word.encode()) for word in words]
        kept += held
        columns.append(np.array([ctypes.addressof(word) for word in held], dtype=np.uintp)[codes])
    pointers = np.ascontiguousarray(np.column_stack(columns)) if columns else np.zeros(1, dtype=np.uintp)
    return np.ascontiguousarray(table[numbers].to_numpy()), pointers, kept


def wide(rows: int, rounds: int) -> list[dict]:
    """A table of 100 columns, of numbers alone and with categories: the NumPy path, and C on one core."""
    lines = []
    for numbers, categories in ((WIDTH, 0), (WIDTH - 20, 20)):
        pipeline, table = problem(rows, numbers, categories)
        card = compile(pipeline)
        matrix, pointers, kept = rowwise(table)
        found = np.empty(len(table), dtype=np.int32)
        with tempfile.TemporaryDirectory() as folder:
            call = compiled(card, Path(folder))

            def ask(call=call, matrix=matrix, pointers=pointers, found=found):
                return call(len(found), matrix.ctypes.data, pointers.ctypes.data, found.ctypes.data)

            # Also what warms both up.
            if ask() or not (np.array(card.classes, dtype=object)[found] == card.predict(table)).all():
                raise SystemExit("the C file and the scorecard disagree")
            works = {"numpy": lambda c=card, t=table: clock(lambda: c.predict(t)), "c": lambda a=ask: clock(a)}
            seconds: dict[str, list[float]] = {name: [] for name in works}
            for _ in range(rounds):
                for name, work in works.items():
                    seconds[name].append(work())
        del kept
        what = f"{rows:,} x {WIDTH}, {categories} categories: Scorecard.predict / C"
        lines.append(speed(what, seconds["numpy"], seconds["c"], at_least=2))
    return lines


def sizes() -> list[dict]:
    """The files of the two default models, as a user gets them."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "PYTHONPATH": str(ROOT)}
        environment["MLFLOW_DISABLE_TELEMETRY"] = "true"

        def run(*arguments):
            command = [sys.executable, "-m", *arguments]
            subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)

        for data, name in (("diabetes", "linear"), ("breast_cancer", "logistic")):
            quick = ("--folds", "0", "--intervals", "0", "--pictures", "no")
            run("pipelines", "train", "--data", data, "--name", name, *quick)
            for form in ("javascript", "c"):
                path = Path(folder, name + exports.FORMATS[form].suffix)
                run("serving", "export", f"models:/{name}/1", "--format", form, "--output", str(path))
                size = path.stat().st_size
                lines.append(
                    {
                        **{"what": f"{path.name}: bytes", "first": size, "second": LARGEST, "ratio": size / LARGEST},
                        **{"wanted": f"<= {LARGEST:,}", "reached": size <= LARGEST},
                    }
                )
    return lines


def speed(what: str, first: list[float], second: list[float], *, at_least: float) -> dict:
    """One comparison: two medians in seconds, their ratio, that of the worst round, and what was wanted of it."""
    middle = float(np.median(first) / np.median(second))
    worst = min(a / b for a, b in zip(first, second, strict=True))
    return {
        **{"what": what, "first": float(np.median(first)), "second": float(np.median(second)), "ratio": middle},
        **{"worst": worst, "wanted": f">= {at_least:g}", "reached": middle >= at_least},
    }


def main() -> int:
    """Measures, prints a table, and says whether every figure was reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the table")
    parser.add_argument("--rounds", type=int, default=7, help="rounds to take the median of")
    options = parser.parse_args()
    if shutil.which("gcc") is None:
        print("gcc is not installed on this system: the speed of C is not measured")
        lines = sizes()
    else:
        lines = [*wide(options.rows, options.rounds), *sizes()]
    for item in lines:
        mark = "ok" if item["reached"] else "NOT REACHED"
        if "worst" in item:
            found = f"{item['first'] * 1e3:10.1f} {item['second'] * 1e3:10.1f} ms {item['ratio']:7.2f}"
            found += f" (worst {item['worst']:.2f})"
        else:
            found = f"{item['first']:10,} bytes"
        print(f"{item['what']:62} {found:48} {item['wanted']:10} {mark}")
    if options.json:
        options.json.write_text(json.dumps({"benchmark": "exports", "lines": lines}, indent=1), encoding="utf-8")
    return 0 if all(item["reached"] for item in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
