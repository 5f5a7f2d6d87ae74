"""The Lambda package against an empty handler, and against a handler that loads MLflow's pyfunc.

Each start is a process of AWS's own runtime client (``awslambdaric``), from its start to its first response. As in
Lambda, Python finds no place to keep compiled sources beside the function's.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from serving.packaging.code import HANDLER  # noqa: E402
from serving.packaging.runtime_api import RuntimeApi  # noqa: E402

MODELS = ("diabetes", "breast_cancer")
ROW_LIMIT_MS = 0.3
#: Appended to the name of a package with bytecode.
COMPILED = "-compiled"

EMPTY = """
def handler(event, context):
    return {}
"""
PYFUNC = """
import json
import mlflow.pyfunc
import pandas

model = mlflow.pyfunc.load_model(__file__.rpartition("/")[0] + "/model")

def handler(event, context):
    rows = json.loads(event["body"])["dataframe_records"]
    found = model.predict(pandas.DataFrame(rows))
    return {"statusCode": 200, "body": json.dumps({"predictions": found.tolist()})}
"""
WARM = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
event = json.loads(sys.argv[2])
told, sys.stdout = sys.stdout, open("/dev/null", "w")
import lambda_function
class Context:
    aws_request_id = "r"
def call():
    start = time.perf_counter()
    lambda_function.handler(event, Context)
    return time.perf_counter() - start
for _ in range(200):
    call()
json.dump([call() for _ in range(2000)], told)
"""


def packages(folder: Path) -> dict[str, Path]:
    """The unpacked packages of both default models, trained here; the model itself lies beside each."""
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
    os.chdir(folder)
    from mlflow.artifacts import download_artifacts

    from pipelines.planning import Settings
    from pipelines.training import train
    from serving import packaging

    found = {}
    for name in MODELS:
        train(Settings(name, folds=0, resamples=0, pictures=False))
        plan = packaging.plan(f"models:/{name}/1", "aws-lambda", allow_ungated=True)
        options = {"bytecode": "yes", "runtime": "python{}.{}".format(*sys.version_info)}
        fast = packaging.plan(f"models:/{name}/1", "aws-lambda", options=options, allow_ungated=True)
        for kind, made in (("", plan), (COMPILED, fast)):
            built = packaging.build(made, folder / f"{name}{kind}")
            with zipfile.ZipFile(built.path) as opened:
                opened.extractall(folder / f"{name}{kind}-task")
        download_artifacts(f"models:/{name}/1", dst_path=str(folder / f"{name}-model" / "model"))
        found[name] = folder / f"{name}-task"
    return found


def event_of(folder: Path, name: str) -> dict:
    """The sample event of a build: a request with one row, as a function URL sends it."""
    return json.loads((folder / name / "event.json").read_text(encoding="utf-8"))


def task(folder: Path, source: str) -> Path:
    """A function of one module."""
    folder.mkdir(exist_ok=True)
    (folder / "lambda_function.py").write_text(source, encoding="utf-8")
    return folder


def start(folder: Path, event: dict) -> tuple[float, dict]:
    """Seconds from a process's start to its first response, and that."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    with RuntimeApi() as api:
        environment |= {"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.port}", "LAMBDA_TASK_ROOT": str(folder)}
        environment |= {"PYTHONPATH": str(folder), "AWS_LAMBDA_FUNCTION_NAME": "f"}
        api.put(json.dumps(event).encode())
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", HANDLER],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            answer = json.loads(api.answer())
            return api.answered - began, answer
        finally:
            process.kill()
            process.wait()


def starts(folder: Path, name: str, package: Path, rounds: int) -> list[dict]:
    """Cold starts, one of each in every round, the slow one in every tenth."""
    event = event_of(folder, name)
    functions = {
        "empty": task(folder / f"{name}-empty", EMPTY),
        "package": package,
        "compiled": folder / f"{name}{COMPILED}-task",
        "pyfunc": task(folder / f"{name}-model", PYFUNC),
    }
    for function in functions.values():
        # Lambda lays a function down where nothing can be written; here a file is where Python's cache would be.
        for place in (function, *(path for path in function.rglob("*") if path.is_dir())):
            if place.name != "__pycache__" and not (place / "__pycache__").exists():
                (place / "__pycache__").write_text("")
    expected = start(functions["pyfunc"], event)[1]["body"]
    found: dict[str, list[float]] = {kind: [] for kind in functions}
    for place in range(10 * rounds + 1):
        for kind, function in functions.items():
            if kind == "pyfunc" and place % 10:
                continue
            seconds, answer = start(function, event)
            found[kind].append(seconds)
            if kind in ("package", "compiled") and json.loads(answer["body"]) != json.loads(expected):
                raise SystemExit(f"the package and the pyfunc disagree: {answer['body']} and {expected}")
    median = {kind: statistics.median(seconds[1:] or seconds) for kind, seconds in found.items()}
    worst = {kind: max(seconds[1:] or seconds) for kind, seconds in found.items()}
    paired = {
        kind: statistics.median(a / b for a, b in zip(found[kind][1:], found["empty"][1:], strict=True))
        for kind in ("package", "compiled")
    }
    return [
        line(f"{name}: start to first response, package / empty handler", median["package"], median["empty"],
             at_most=1.6, worst=worst["package"], paired=paired["package"]),
        line(f"{name}: start to first response, with bytecode / empty handler", median["compiled"], median["empty"],
             at_most=1.3, worst=worst["compiled"], paired=paired["compiled"]),
        line(f"{name}: start to first response, pyfunc handler / package", median["pyfunc"], median["package"],
             at_least=25, worst=worst["pyfunc"]),
    ]  # fmt: skip


def warm(folder: Path, name: str, package: Path, rounds: int) -> list[dict]:
    """One row in a function that is warm."""
    event = json.dumps(event_of(folder, name))
    seconds: list[float] = []
    for _ in range(rounds):
        command = [sys.executable, "-I", "-S", "-c", WARM, str(package), event]
        seconds += json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    what = f"{name}: one row in the handler, warm / {ROW_LIMIT_MS} ms"
    return [line(what, statistics.median(seconds), ROW_LIMIT_MS / 1e3, at_most=1, worst=max(seconds))]


def line(
    what: str,
    first: float,
    second: float,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    unit: str = "ms",
    **more: float,
) -> dict:
    """One comparison: two figures (seconds, or bytes), their ratio, and what was wanted of it."""
    ratio = first / second
    reached = ratio >= at_least if at_least is not None else ratio <= (at_most or 0)
    wanted = f">= {at_least:g}" if at_least is not None else f"<= {at_most:g}"
    found = {"what": what, "first": first, "second": second, "unit": unit, "ratio": ratio, "wanted": wanted}
    return {**found, "reached": bool(reached), **more}


def main() -> int:
    """Measures, prints a table, and says whether every figure was reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--rounds", type=int, default=5, help="rounds to take the median of")
    options = parser.parse_args()
    output = options.json and options.json.resolve()
    lines: list[dict] = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for name, package in packages(folder).items():
            for kind in ("", COMPILED):
                size = (folder / f"{name}{kind}" / "function.zip").stat().st_size
                lines.append(line(f"{name}{kind}: bytes of the zip / 150,000", size, 150_000, at_most=1, unit="bytes"))
            lines += starts(folder, name, package, options.rounds)
            lines += warm(folder, name, package, options.rounds)
        os.chdir(ROOT)
    for item in lines:
        mark = "ok" if item["reached"] else "NOT REACHED"
        scale = 1e3 if item["unit"] == "ms" else 1
        figures = f"{item['first'] * scale:12,.3f} {item['second'] * scale:12,.3f} {item['unit']:5}"
        worst = f"  worst {item['worst'] * scale:,.3f}" if "worst" in item else ""
        print(f"{item['what']:70} {figures} {item['ratio']:8.3f}  {item['wanted']:7} {mark}{worst}")
    if output:
        output.write_text(json.dumps({"benchmark": "lambda", "lines": lines}, indent=1), encoding="utf-8")
    return 0 if all(item["reached"] for item in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
