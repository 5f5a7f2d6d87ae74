"""``mlflow models serve`` of this project's flavor beside the plain sklearn flavor of the very same fitted pipeline.

Start time (process start to the first 200 answer), memory (the process tree's share, after the load), and one-row
requests a second by a few clients that keep their connection; interleaved, so that both meet the same weather.

``python tests/benchmarks/bench_flavor.py [--json OUT] [--rounds N] [--seconds S]``; exits 1 where a figure is missed.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from bench_scorecard import problem  # noqa: E402

from registry.client import settle  # noqa: E402

HOST = "127.0.0.1"
OURS, PLAIN = "scorecard", "sklearn"
#: What is trained: rows, numbers, categories. As breast_cancer has, and as german-credit has.
TABLES = {"30 numbers": (600, 30, 0), "7 numbers, 13 categories": (1000, 7, 13)}
CLIENTS = 2
PATIENCE = 120


@dataclass
class Server:
    """A scoring server that has given its first answer; ``start`` is how long that took, in seconds."""

    process: subprocess.Popen
    port: int
    start: float

    def memory(self) -> float:
        """MiB of all of its processes: their own pages, and their share of those that several have."""
        return sum(_share(process) for process in _tree(self.process.pid)) / 1024


def _tree(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [process, *(below for child in children for below in _tree(int(child)))]


def _share(process: int) -> int:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return next(int(one.split()[1]) for one in lines if one.startswith("Pss:"))


def save(folder: Path, rows: int, numbers: int, categories: int) -> tuple[dict[str, Path], bytes]:
    """One fitted pipeline as a model of each flavor, with the same signature; and the body of a request."""
    settle()
    import mlflow.sklearn

    from serving import flavor
    from serving.scorecard import compile as compile_pipeline

    settle()  # importing MLflow sets the level of its own logger
    pipeline, table = problem(rows, numbers, categories)
    card = compile_pipeline(pipeline)
    example, classes = table.iloc[1:2], pipeline.classes_.tolist()
    paths = {name: folder / name for name in (OURS, PLAIN)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        flavor.save_model(str(paths[OURS]), pipeline, card, flavor.signature(card.inputs, classes, card), example)
        mlflow.sklearn.save_model(
            pipeline,
            str(paths[PLAIN]),
            signature=flavor.signature(card.inputs, classes),
            input_example=example,
            pip_requirements=["scikit-learn"],
            serialization_format="cloudpickle",
        )
    return paths, json.dumps({"dataframe_split": json.loads(example.to_json(orient="split", index=False))}).encode()


@contextlib.contextmanager
def serving(model: Path, body: bytes) -> Iterator[Server]:
    """Serve a model until it has answered once, and end it with all of its processes after that."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port = listener.getsockname()[1]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_TRACKING_URI": f"sqlite:///{model.parent}/mlflow.db"}
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model), "--env-manager", "local"]
    began = time.perf_counter()
    with open(model.parent / f"{model.name}.log", "wb") as log:
        process = subprocess.Popen(
            [*command, "-h", HOST, "-p", str(port)],
            cwd=model.parent,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        while not _answered(port, body):
            if process.poll() is not None or time.perf_counter() - began > PATIENCE:
                sys.exit(f"{model} is not served:\n{Path(log.name).read_text()[-2000:]}")
            time.sleep(0.02)
        yield Server(process, port, time.perf_counter() - began)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answered(port: int, body: bytes) -> bool:
    request = urllib.request.Request(f"http://{HOST}:{port}/invocations", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status == 200
    except urllib.error.HTTPError as error:
        sys.exit(f"the request is refused: {error.read()[:500]!r}")
    except OSError:
        return False


def load(port: int, body: bytes, seconds: float) -> tuple[float, list[float]]:
    """Requests a second of ``CLIENTS`` clients, each of which asks again once it is answered; and each one's time."""
    head = f"POST /invocations HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    times: list[float] = []
    end = time.perf_counter() + seconds

    def client() -> None:
        with socket.create_connection((HOST, port), timeout=30) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while (sent := time.perf_counter()) < end:
                connection.sendall(request)
                _read(connection)
                times.append(time.perf_counter() - sent)

    began = time.perf_counter()
    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(times) / (time.perf_counter() - began), times


def _read(connection: socket.socket) -> None:
    found = b""
    while b"\r\n\r\n" not in found:
        found += connection.recv(65536)
    head, _, rest = found.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    (size,) = [int(one.split(b":")[1]) for one in head.split(b"\r\n") if one.lower().startswith(b"content-length:")]
    while len(rest) < size:
        rest += connection.recv(65536)


def measure(what: str, shape: tuple[int, int, int], rounds: int, seconds: float) -> list[dict]:
    """The comparisons for one kind of table."""
    start: dict[str, list[float]] = {OURS: [], PLAIN: []}
    rates: dict[str, list[float]] = {OURS: [], PLAIN: []}
    times: dict[str, list[float]] = {OURS: [], PLAIN: []}
    memory: dict[str, list[float]] = {OURS: [], PLAIN: []}
    with tempfile.TemporaryDirectory() as folder:
        models, body = save(Path(folder), *shape)
        for place in range(rounds):
            with contextlib.ExitStack() as stack:
                servers = {}
                for name in (OURS, PLAIN) if place % 2 else (PLAIN, OURS):
                    servers[name] = stack.enter_context(serving(models[name], body))
                    start[name].append(servers[name].start)
                    load(servers[name].port, body, seconds / 4)  # warms up
                for _ in range(3):
                    for name, server in servers.items():
                        rate, taken = load(server.port, body, seconds)
                        rates[name].append(rate)
                        times[name] += taken
                for name, server in servers.items():
                    memory[name].append(server.memory())
    tail = {name: [statistics.quantiles(taken, n=100)[98] * 1e3] for name, taken in times.items()}
    return [
        compared(f"{what}: start", "s", start, lambda ratio: ratio < 1.0),
        compared(f"{what}: memory", "MiB", memory, lambda ratio: ratio < 1.0),
        compared(f"{what}: requests", "1/s", rates, lambda ratio: ratio > 1.0, worst=min),
        compared(f"{what}: p99", "ms", tail),
    ]


def compared(what: str, unit: str, found: dict[str, list[float]], good=None, *, worst=max) -> dict:
    """Two medians, the worst of each, and their ratio; without ``good`` there is nothing that it has to be."""
    first, second = found[OURS], found[PLAIN]
    ratio = statistics.median(first) / statistics.median(second)
    return {
        "what": what,
        "unit": unit,
        "first": statistics.median(first),
        "second": statistics.median(second),
        "first_worst": worst(first),
        "second_worst": worst(second),
        "ratio": ratio,
        "reached": good is None or good(ratio),
    }


def main() -> int:
    """Measures, prints a table, and says whether every figure was reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is started")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each is asked in one go")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    lines = [one for what, shape in TABLES.items() for one in measure(what, shape, options.rounds, options.seconds)]
    print(
        f"mlflow models serve, median (worst): {OURS} flavor, {PLAIN} flavor; load of the machine before {before:.1f}"
    )
    for item in lines:
        mark = "" if item["reached"] else "  NOT REACHED"
        figures = [f"{item[k]:9.2f} ({item[f'{k}_worst']:.2f})" for k in ("first", "second")]
        print(f"{item['what']:36} {figures[0]:>20} {figures[1]:>20} {item['unit']:4} x {item['ratio']:.2f}{mark}")
    print("  aims: start and memory below, requests above the sklearn flavor's")
    if options.json:
        result = {"benchmark": "flavor", "clients": CLIENTS, "load_before": before, "lines": lines}
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0 if all(item["reached"] for item in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
