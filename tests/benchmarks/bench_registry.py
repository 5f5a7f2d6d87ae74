"""A promotion with all its gates over a warm local server, and what ``watch`` costs that server.

The server keeps 50 models of 4 versions beside the one that is promoted; two trained versions of that take turns as
champion, each judged against the other on the held-out rows.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests import stores  # noqa: E402

MODELS, VERSIONS = 50, 4
PROMOTIONS = 20
#: Seconds for which the server is looked at, with a watcher and without.
WATCHED = 30


def settings(folder: Path, address: str) -> None:
    """What this process and its children find in their environment."""
    os.environ |= {
        "MLFLOW_TRACKING_URI": address,
        "LEDGER_URI": f"sqlite:///{folder}/ledger.db",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "2",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GX_ANALYTICS_ENABLED": "false",
    }
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def train() -> None:
    command = [sys.executable, "-m", "pipelines", "train", "--data", "diabetes", "--pictures", "no", "--folds", "0"]
    subprocess.run(command, check=True, capture_output=True)


def fill(client) -> None:
    """Register other models, as a registry in use has them."""
    from registry import stages

    for model in range(MODELS):
        name = f"other {model}"
        client.create_registered_model(name)
        for _ in range(VERSIONS):
            last = client.create_model_version(name, "s3://nowhere/model").version
        stages.move(client, name, last, stages.PRODUCTION)
        stages.point(client, name, "champion", last)


def promotions(client) -> list[float]:
    """The seconds that promotions take, each with all gates of Production, against the other version."""
    from registry import ledger, policy, promotion
    from registry.judging import StageJudge

    rules = policy.read().for_model("diabetes")
    judge = StageJudge(client, "diabetes", rules, "Production").judge
    found = []
    with ledger.open() as book:
        for turn in range(PROMOTIONS + 2):
            start = time.perf_counter()
            version = "12"[turn % 2]
            transition = promotion.promote(
                client, book, "diabetes", version, stage="Production", reason="its turn", actor="bench", judge=judge
            )
            found.append(time.perf_counter() - start)
            assert transition.verdict is not None
            assert all(
                result.judged for result in transition.verdict.results if result.gate in rules.gates_of("Production")
            )
    # The first imports what the gates need, and had no champion to be compared with.
    return found[2:]


def command() -> float:
    """The seconds of a whole command: a process that starts, imports and promotes."""
    words = ["promote", "diabetes", "1", "--stage", "Production", "--reason", "its turn"]
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "registry", *words], check=True, capture_output=True)
    return time.perf_counter() - start


def cpu_of_server(address: str) -> float:
    """The CPU seconds that the server's processes have taken."""
    import psutil

    port = address.rpartition(":")[2]
    children = psutil.Process().children(recursive=True)
    servers = [child for child in children if port in child.cmdline() and "supervise" not in child.name()]
    tree = {one.pid: one for server in servers for one in (server, *server.children(recursive=True))}
    return sum(sum(one.cpu_times()[:2]) for one in tree.values())


def load(address: str, seconds: float) -> float:
    """The share of one core that the server takes, in percent, over some seconds."""
    before, start = cpu_of_server(address), time.monotonic()
    time.sleep(seconds)
    return 100 * (cpu_of_server(address) - before) / (time.monotonic() - start)


@contextlib.contextmanager
def watching(folder: Path):
    """``python -m registry watch``, from when it watches."""
    log = folder / "watch.log"
    with log.open("wb") as said:
        process = subprocess.Popen([sys.executable, "-m", "registry", "watch"], stdout=said, stderr=said)
    try:
        while "watching" not in log.read_text():
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        # What it does once, when it begins, is not what it costs.
        time.sleep(10)
        yield
        assert process.poll() is None, log.read_text()
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, stores.tracking_server(Path(name)) as address:
        folder = Path(name)
        settings(folder, address)
        from registry.client import connect

        client = connect()
        fill(client)
        # Two that are alike: of others one would be worse, and refused.
        train()
        train()
        seconds = promotions(client)
        whole = command()
        idle = load(address, WATCHED)
        with watching(folder):
            watched = load(address, WATCHED)
    rows = {
        "promotion": {"seconds": statistics.median(seconds), "seconds_worst": max(seconds), "rounds": len(seconds)},
        "promote command": {"seconds": whole},
        "watch": {"server_percent": watched - idle, "server_percent_idle": idle, "versions": MODELS * VERSIONS + 2},
    }
    median, worst = statistics.median(seconds), max(seconds)
    print(f"registry of {MODELS + 1} models, {MODELS * VERSIONS + 2} versions, over a warm local server")
    print(f"  promotion with all gates    {median:6.2f} s   worst of {len(seconds)}: {worst:.2f} s")
    print(f"  the whole command           {whole:6.2f} s")
    print(f"  watch costs the server      {watched - idle:6.2f} %   of one core (idle {idle:.2f} %)")
    print("  aims: promotion <= 1.5 s; watch <= 1 %")
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
