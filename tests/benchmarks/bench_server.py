"""The server beside ``mlflow models serve``, MLServer and LitServe on the same model, and an empty application.

All on this machine, asked by wrk in short turns, so that all meet the same weather; every request has an id, and so a
head, of its own, as behind a proxy that traces. MLServer and LitServe run in an environment of their own,
``build/bench-peers``, which is made where it is missing; what cannot be had is left out, and said so. CPU is that of
the server's own processes for a request: on a machine that is busy it tells more than a rate.

``python tests/benchmarks/bench_server.py [--json OUT] [--rounds N] [--seconds S] [--swaps S]``; exits 1 where a figure
is missed.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
sys.path[:0] = [str(ROOT), str(HERE)]

from bench_scorecard import problem  # noqa: E402

from registry.client import settle  # noqa: E402

HOST = "127.0.0.1"
OURS, LOGGED, EMPTY, MLFLOW = "ours", "ours, with log", "empty application", "mlflow models serve"
MLSERVER, LITSERVE = "MLServer", "LitServe"
PEERS = ROOT / "build" / "bench-peers"
PACKAGES = ("mlserver==1.7.1", "mlserver-sklearn==1.7.1", "litserve==0.2.19")
PATIENCE = 120


@dataclass
class Server:
    """A server that answers; ``body`` is what it is asked at ``path``, ``start`` the seconds to its first answer."""

    name: str
    process: subprocess.Popen
    port: int
    path: str
    body: bytes
    start: float = 0.0
    rates: list[float] = field(default_factory=list)
    tails: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)

    def ask(self, clients: int, seconds: float, folder: Path) -> None:
        """One turn of wrk."""
        script = folder / "ask.lua"
        script.write_text(
            'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
            f"local file = io.open({json.dumps(str(folder / 'body'))}, 'rb')\nwrk.body = file:read('*all')\n"
            + _DISTINCT
        )
        (folder / "body").write_bytes(self.body)
        before = self._cpu()
        words = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s", "--latency", "-s", str(script)]
        said = subprocess.run([*words, f"http://{HOST}:{self.port}{self.path}"], capture_output=True, text=True).stdout
        if "Non-2xx" in said or not (found := re.search(r"(\d+) requests in", said)) or found[1] == "0":
            sys.exit(f"{self.name} does not answer:\n{said}")
        self.rates.append(float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]))  # type: ignore[index]
        self.tails.append(_milliseconds(re.search(r"(?m)^ +99% +(\S+)", said)[1]))  # type: ignore[index]
        self.costs.append((self._cpu() - before) / int(found[1]) / 1e3)

    def forget(self) -> None:
        """Begin new figures."""
        self.rates, self.tails, self.costs = [], [], []

    def _cpu(self) -> int:
        """Nanoseconds that its processes have run."""
        total = 0
        for process in _tree(self.process.pid):
            for task in Path(f"/proc/{process}/task").iterdir():
                with contextlib.suppress(OSError):
                    total += int((task / "schedstat").read_text().split()[0])
        return total


#: Without it wrk sends the same bytes again and again.
_DISTINCT = """
local number = 0
request = function()
    number = number + 1
    wrk.headers["X-Request-Id"] = tostring(number)
    return wrk.format()
end
"""


def _tree(process: int) -> list[int]:
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        return [process, *(below for child in children for below in _tree(int(child)))]
    return []


def _milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}[unit]


@dataclass(frozen=True)
class Model:
    """One fitted pipeline in the form that each server takes, and a table to ask about."""

    folder: Path
    rows: "object"

    def body(self, rows: int) -> bytes:
        """A request of that many rows, by MLflow's protocol; of many as a table, as its own clients send it."""
        if rows == 1:
            return json.dumps({"dataframe_records": self._records(rows)}).encode()
        table = self.rows.iloc[1 : rows + 1].to_json(orient="split", index=False)  # type: ignore[attr-defined]
        return json.dumps({"dataframe_split": json.loads(table)}).encode()

    def tensors(self, rows: int) -> bytes:
        """The same by the Open Inference Protocol."""
        table = self._records(rows)
        columns = [
            {"name": name, "shape": [rows, 1], "datatype": "FP64", "data": [row[name] for row in table]}
            for name in table[0]
        ]
        return json.dumps({"parameters": {"content_type": "pd"}, "inputs": columns}).encode()

    def _records(self, rows: int) -> list[dict]:
        return json.loads(self.rows.iloc[1 : rows + 1].to_json(orient="records"))  # type: ignore[attr-defined]


def model(folder: Path, columns: int) -> Model:
    """A regression of numbers, saved for all."""
    settle()
    import joblib
    import mlflow.sklearn
    from sklearn.linear_model import Ridge

    from serving import flavor
    from serving.scorecard import compile as compile_pipeline

    settle()  # importing MLflow sets the level of its own logger
    fitted, table = problem(1200, columns, 0)
    pipeline = fitted.set_params(**{fitted.steps[-1][0]: Ridge()})
    pipeline.fit(table, table.mean(axis=1).fillna(0.0))
    card = compile_pipeline(pipeline)
    folder.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example, signature = table.iloc[1:2], flavor.signature(card.inputs, ())
        flavor.save_model(str(folder / "model"), pipeline, card, flavor.signature(card.inputs, (), card), example)
        mlflow.sklearn.save_model(
            pipeline,
            str(folder / "sklearn"),
            signature=signature,
            pip_requirements=["scikit-learn"],
            serialization_format="cloudpickle",
        )
    joblib.dump(pipeline, folder / "model.joblib")
    settings = {
        "name": "model",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(folder / "model.joblib")},
    }
    (folder / "model-settings.json").write_text(json.dumps(settings))
    return Model(folder, table)


@contextlib.contextmanager
def running(name: str, made: Model, *, rows: int = 1, words: Sequence[str] = ()) -> Iterator[Server]:
    """A server of a model, until the end of the block."""
    port = _free_port()
    python = str(PEERS / "bin" / "python")
    path, body = "/invocations", made.body(rows)
    env: dict[str, str] = {}
    if name in (OURS, LOGGED):
        command = [sys.executable, "-m", "serving", "serve", str(made.folder / "model"), "--port", str(port)]
        command += ["--cache", str(made.folder / "cache"), "--log", "yes" if name == LOGGED else "no", *words]
    elif name == EMPTY:
        command = [sys.executable, str(HERE / "bare_server.py"), str(port)]
    elif name == MLFLOW:
        command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(made.folder / "sklearn")]
        command += ["--env-manager", "local", "-h", HOST, "-p", str(port), *words]
    elif name == MLSERVER:
        command = [str(PEERS / "bin" / "mlserver"), "start", str(made.folder)]
        path, body = "/v2/models/model/infer", made.tensors(rows)
        env = {"MLSERVER_HTTP_PORT": str(port), "MLSERVER_GRPC_PORT": str(_free_port()), "MLSERVER_HOST": HOST}
        env |= {"MLSERVER_METRICS_PORT": str(_free_port()), "MLSERVER_PARALLEL_WORKERS": "0", "MLSERVER_DEBUG": "false"}
    else:
        command = [python, str(HERE / "lit_server.py"), str(port), str(made.folder / "model.joblib")]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"} | env
    environment |= {"PATH": f"{Path(command[0]).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    if name in (MLSERVER, LITSERVE):
        del environment["PYTHONPATH"]
    began = time.perf_counter()
    with open(made.folder / f"{name}.log", "wb") as log:
        process = subprocess.Popen(
            command, cwd=made.folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    server = Server(name, process, port, path, body)
    try:
        while not _answered(server):
            if process.poll() is not None or time.perf_counter() - began > PATIENCE:
                raise RuntimeError(f"{name} does not come up: {Path(log.name).read_text()[-600:]}")
            time.sleep(0.01)
        server.start = time.perf_counter() - began
        yield server
    finally:
        family = _tree(process.pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for one in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return listener.getsockname()[1]


def _answered(server: Server) -> bool:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://{HOST}:{server.port}{server.path}", server.body, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status == 200
    except urllib.error.HTTPError as error:
        if error.code in (404, 503):
            return False  # it has not loaded yet
        raise RuntimeError(f"{server.name} refuses the request: {error.read()[:500]!r}") from None
    except OSError:
        return False


def peers() -> list[str]:
    """The servers of the environment of their own; it is made where it is missing."""
    if not (PEERS / "bin" / "mlserver").exists():
        print("making build/bench-peers for MLServer and LitServe", file=sys.stderr)
        import sklearn

        uv = str(Path(sys.executable).with_name("uv"))
        made = subprocess.run([uv, "venv", "-q", str(PEERS), "--python", sys.executable])
        if made.returncode == 0:
            wanted = [*PACKAGES, f"scikit-learn=={sklearn.__version__}"]
            made = subprocess.run([uv, "pip", "install", "-q", "--python", str(PEERS / "bin" / "python"), *wanted])
        if made.returncode != 0:
            print("MLServer and LitServe cannot be had here: left out", file=sys.stderr)
            shutil.rmtree(PEERS, ignore_errors=True)
            return []
    return [MLSERVER, LITSERVE]


def line(
    what: str, first: Server, second: Server, figure: Callable[[Server], list[float]], unit: str, good=None
) -> dict:
    """Two servers' figures, and the median of their ratios turn by turn; ``good`` says whether that is enough."""
    pairs = list(zip(figure(first), figure(second), strict=True))
    ratio = statistics.median(one / other for one, other in pairs)
    return {
        "what": what,
        "unit": unit,
        "first": statistics.median(one for one, _ in pairs),
        "second": statistics.median(other for _, other in pairs),
        "ratio": ratio,
        "reached": good is None or good(ratio),
    }


def alone(what: str, value: float, unit: str, good=None) -> dict:
    """A figure that is compared with nothing."""
    return {"what": what, "unit": unit, "first": value, "reached": good is None or good(value)}


def compare(
    made: Model, names: Sequence[str], title: str, options: argparse.Namespace, *, rows: int, clients: Sequence[int],
    targets: dict, folder: Path,
) -> list[dict]:  # fmt: skip
    """Ask several servers in turns; the figures of ours beside each other's."""
    lines = []
    with contextlib.ExitStack() as stack:
        servers = {}
        for name in names:
            try:
                servers[name] = stack.enter_context(running(name, made, rows=rows))
            except RuntimeError as error:
                if name not in (MLSERVER, LITSERVE):
                    raise
                print(f"left out: {error}", file=sys.stderr)
        for count in clients:
            for server in servers.values():
                server.forget()
                server.ask(count, 1, folder)  # warms up
                server.forget()
            for turn in range(options.rounds):
                for server in list(servers.values())[:: 1 if turn % 2 else -1]:
                    server.ask(count, options.seconds, folder)
            ours = servers[OURS]
            where = f"{title}, {count} client{'s' if count > 1 else ''}"
            for name, server in servers.items():
                if name == OURS:
                    continue
                least = targets.get(name)
                good = (lambda ratio, least=least: ratio >= least) if least else None
                lines.append(line(f"{where}: rate, {OURS} / {name}", ours, server, lambda one: one.rates, "1/s", good))
                if name in (EMPTY, LOGGED):
                    most = (lambda ratio: ratio <= 3) if name == EMPTY else None
                    lines.append(
                        line(f"{where}: p99, {OURS} / {name}", ours, server, lambda one: one.tails, "ms", most)
                    )
                    what = f"{where}: CPU a request, {OURS} / {name}"
                    lines.append(line(what, ours, server, lambda one: one.costs, "us"))
    return lines


def starting(made: Model, options: argparse.Namespace) -> list[dict]:
    """Start with a warm cache, and the memory of a worker after it has answered large and small requests."""
    starts, memory = [], []
    for _ in range(max(3, options.rounds)):
        with running(OURS, made) as server:
            starts.append(server.start)
            server.body = made.body(1000)
            for _ in range(20):
                _answered(server)
            memory += [
                int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{one}/status").read_text())[1]) / 1024  # type: ignore[index]
                for one in _tree(server.process.pid)
                if b"serving.server.worker" in Path(f"/proc/{one}/cmdline").read_bytes()
            ]
    return [
        alone("start with a warm cache to the first answer", statistics.median(starts), "s", lambda value: value <= 1),
        alone("resident memory of a worker", max(memory), "MiB", lambda value: value <= 100),
    ]


def two_workers(made: Model, options: argparse.Namespace, folder: Path) -> list[dict]:
    """Two workers on the same socket: none of their answers waits for the network to be patient."""
    with running(OURS, made, words=["-w", "2"]) as server:
        server.ask(16, 1, folder)
        server.forget()
        for _ in range(options.rounds):
            server.ask(16, options.seconds, folder)
        rate = statistics.median(server.rates)
        return [alone("-w 2, 16 clients: mean time of an answer", 16e3 / rate, "ms", lambda value: value < 40)]


def swaps(folder: Path, seconds: float) -> list[dict]:
    """A swap every second under load at 16 connections: what failed, and what the named version does not answer."""
    from serving.server import settings as options
    from serving.server.cache import Cache, CachedModel, CachedVersion, StateDocument
    from serving.server.source import source
    from tests.serving.server import servers
    from tests.serving.server.loads import Load

    folder.mkdir()
    cards = [servers.regression(1), servers.regression(2)]
    models = [servers.model(folder / name, card) for name, card in zip(("wine", "other"), cards, strict=True)]
    answers = {"wine/0": 1.0, "wine/1": 1.0, "wine/2": 2.0}
    with servers.Server([*map(str, models), "-w", "2", "--log", "no"], folder) as server:
        server.ready("wine", "other")
        told = options.Settings(uris=tuple(map(str, models)), cache=str(folder / options.CACHE))
        cache = Cache(options.cache_folder(told), source(told))
        generation = cache.read().generation

        def right(label: str, value: float) -> bool:
            return abs(value - answers[label]) < 1e-9

        with Load(server, "/models/wine/invocations", right) as load:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                generation += 1
                number = generation % 2
                entry = CachedVersion(str(number + 1), "Production", cards[number].digest)
                cache.write(StateDocument((CachedModel("wine", entry),), generation))
                time.sleep(1)
    return [
        alone(f"swaps in {seconds:g} s, one a second: answers", load.total, "", lambda value: value > 0),
        alone("failed", len(load.failed), "", lambda value: value == 0),
        alone("mixed", len(load.mixed), "", lambda value: value == 0),
    ]


def main() -> int:
    """Measures, prints a table, and says whether every figure was reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--rounds", type=int, default=5, help="how many turns each server has")
    parser.add_argument("--seconds", type=int, default=2, help="how long a turn is")
    parser.add_argument("--swaps", type=float, default=30, help="how long versions are swapped under load")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        print("wrk is not installed on this system (Debian, Ubuntu: apt-get install wrk): nothing is measured")
        return 0
    before = os.getloadavg()[0]
    lines = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        small, wide = model(folder / "ten", 10), model(folder / "hundred", 100)
        lines += compare(
            small, [OURS, LOGGED, EMPTY, MLFLOW, *peers()], "one row of 10", options,
            rows=1, clients=(1, 16), targets={EMPTY: 0.7, MLFLOW: 40}, folder=folder,
        )  # fmt: skip
        lines += compare(
            small, [OURS, MLFLOW], "1,000 rows of 10", options,
            rows=1000, clients=(1, 16), targets={MLFLOW: 8}, folder=folder,
        )  # fmt: skip
        lines += compare(
            wide, [OURS, MLFLOW], "one row of 100", options,
            rows=1, clients=(1, 16), targets={MLFLOW: 100}, folder=folder,
        )  # fmt: skip
        lines += starting(small, options)
        lines += two_workers(small, options, folder)
        lines += swaps(folder / "swaps", options.swaps)
    print(f"medians of {options.rounds} turns of {options.seconds} s; load of the machine before {before:.1f}")
    for item in lines:
        mark = "" if item["reached"] else "  NOT REACHED"
        other = f"{item['second']:11,.2f}  x {item['ratio']:.2f}" if "ratio" in item else ""
        print(f"{item['what']:66} {item['first']:11,.2f} {other:22} {item['unit']}{mark}")
    print("  aims: 0.7 x the empty application and 3 x its p99; 40 x mlflow models serve, 8 x for 1,000 rows,")
    print("  100 x for 100 columns; start 1 s, memory 100 MiB, no failed and no mixed answer")
    if options.json:
        result = {"benchmark": "server", "load_before": before, "lines": lines}
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0 if all(item["reached"] for item in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
