"""Versions without a scorecard behind the server (``--pyfunc yes``) beside ``mlflow models serve`` of the same model.

A forest and, where xgboost is installed, gradient boosting, asked by one client and by sixteen, in turns. CPU is that
of the server's own processes for a request: on a machine that is busy it tells more than a latency.

``python tests/benchmarks/bench_pyfunc.py [--json OUT] [--rounds N] [--requests N]``; exits 1 where a figure is missed.
"""

import argparse
import contextlib
import http.client
import importlib.util
import statistics
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE)]

from bench_server import HOST, MLFLOW, OURS, Model, Server, line, running  # noqa: E402
from timings import tell  # noqa: E402

FOREST, BOOSTING = "forest", "xgboost"
CLIENTS = (1, 16)


def model(folder: Path, kind: str) -> Model:
    """A regression of ten numbers, saved once for both servers."""
    import mlflow
    from mlflow.models import infer_signature
    from sklearn.datasets import load_diabetes
    from sklearn.ensemble import RandomForestRegressor

    table, target = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    folder.mkdir()
    path = str(folder / "model")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == FOREST:
            fitted = RandomForestRegressor(100, random_state=0).fit(table, target)
            signature = infer_signature(table, fitted.predict(table))
            mlflow.sklearn.save_model(fitted, path, signature=signature, serialization_format="cloudpickle")
        else:
            import xgboost

            fitted = xgboost.XGBRegressor(n_estimators=100).fit(table, target)
            mlflow.xgboost.save_model(fitted, path, signature=infer_signature(table, fitted.predict(table)))
    (folder / "sklearn").symlink_to(folder / "model")  # where the other server looks
    return Model(folder, table)


def ask(server: Server, clients: int, requests: int) -> None:
    """Ask by several clients that each keep a connection; adds a median latency, a rate and the CPU a request."""
    taken: list[float] = []

    def client(number: int) -> None:
        connection = http.client.HTTPConnection(HOST, server.port, timeout=60)
        for place in range(requests // clients):
            began = time.perf_counter()
            headers = {"Content-Type": "application/json", "X-Request-Id": f"{number}-{place}"}
            connection.request("POST", server.path, server.body, headers)
            answer = connection.getresponse()
            content = answer.read()
            taken.append(time.perf_counter() - began)
            if answer.status != 200:
                raise RuntimeError(f"{server.name} answers {answer.status}: {content[:200]!r}")
        connection.close()

    before, began = server._cpu(), time.perf_counter()
    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.tails.append(statistics.median(taken))
    server.rates.append(len(taken) / (time.perf_counter() - began))
    server.costs.append((server._cpu() - before) / len(taken) / 1e9)


def compared(kind: str, folder: Path, options: argparse.Namespace) -> Iterator[dict]:
    """The figures of one kind of model."""
    made = model(folder / kind, kind)
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(running(OURS, made, words=["--pyfunc", "yes"]))
        theirs = stack.enter_context(running(MLFLOW, made))
        for clients in CLIENTS:
            for server in (ours, theirs):
                ask(server, clients, 2 * clients)  # warms up
                server.forget()
            for turn in range(options.rounds):
                for server in (ours, theirs) if turn % 2 else (theirs, ours):
                    ask(server, clients, options.requests)
            where = f"{kind}, {clients} client{'s' if clients > 1 else ''}"
            for what, figure in (("median latency", "tails"), ("CPU a request", "costs")):
                found = line(
                    f"{where}: {what}, {OURS} / {MLFLOW}",
                    *(ours, theirs),
                    lambda server, figure=figure: getattr(server, figure),
                    "s",
                    lambda ratio: ratio <= 1.0,
                )
                yield {**found, "wanted": "<= 1"}


def main() -> int:
    """Measure and print; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=320)
    options = parser.parse_args()
    kinds = [FOREST, *([BOOSTING] if importlib.util.find_spec("xgboost") else [])]
    with tempfile.TemporaryDirectory() as folder:
        lines = [found for kind in kinds for found in compared(kind, Path(folder), options)]
    return tell("pyfunc", lines, options.json)


if __name__ == "__main__":
    sys.exit(main())
