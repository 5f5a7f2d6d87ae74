"""What watching and guarding add to a request: counting, a log line, a key, a rate, over memory that workers share.

Beside it: the same counts by ``prometheus_client`` itself, in its mode for several processes, in a process of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

#: Microseconds that metrics and log may cost a request together.
MOST = 10.0

HEADERS = [
    (b"host", b"localhost:8080"),
    (b"user-agent", b"wrk"),
    (b"accept", b"*/*"),
    (b"content-type", b"application/json"),
    (b"content-length", b"120"),
]

PROMETHEUS = """
import sys, timeit
from prometheus_client import Counter, Histogram
requests = Counter("requests", "r", ["protocol", "model", "version", "status"])
rows = Counter("rows", "r", ["model", "version"])
seconds = Histogram("seconds", "s", ["protocol", "model"])
def count():
    requests.labels("mlflow", "m", "3", "200").inc()
    rows.labels("m", "3").inc(1)
    seconds.labels("mlflow", "m").observe(0.0001)
print(min(timeit.repeat(count, number=5000, repeat=7)) / 5000 * 1e6)
"""


def cost(step: Callable[[], object], *, times: int = 5000, repeats: int = 7) -> float:
    """Microseconds of a step: the best of several series, since the machine may be busy."""
    found = []
    for _ in range(repeats):
        began = time.process_time()
        for _ in range(times):
            step()
        found.append((time.process_time() - began) / times * 1e6)
    return min(found)


def measure(folder: Path) -> dict[str, float]:
    """Microseconds of each part."""
    from serving.server.guard.admission import ASK, Admission
    from serving.server.guard.keyring import Keyring
    from serving.server.guard.keys import make, write
    from serving.server.guard.rates import Rate, Rates
    from serving.server.messages import Request, Response
    from serving.server.protocols.mlflow import MLflow
    from serving.server.router import POST, Route
    from serving.server.settings import ServerSettings
    from serving.server.state import NOTHING
    from serving.server.telemetry.recorder import Recorder

    route = Route(POST, protocol=MLflow())
    response = Response(200, b"{}", model="m", version="3", rows=1)
    sink = os.open(os.devnull, os.O_WRONLY)

    def watching(*, log: bool) -> Callable[[], None]:
        watch = Recorder(ServerSettings(metrics_folder=str(folder), log=log), served=lambda: NOTHING, out=sink)
        done = 0

        def step() -> None:
            nonlocal done
            request = Request("POST", "/invocations", headers=HEADERS, id=watch.new_id(None), client="127.0.0.1")
            watch.observe(request, route, response, 0.0001, "")
            done += 1
            # As often as the thread beside would, at 25,000 requests a second: what it costs is counted, too.
            if done % 5000 == 0:
                watch.write()

        return step

    def bare() -> None:
        Request("POST", "/invocations", headers=HEADERS, id="", client="127.0.0.1")

    def admitting(admission: Admission, headers) -> Callable[[], None]:
        def step() -> None:
            admission.admit(ASK, headers, model="m", client="127.0.0.1")
            admission.leave()

        return step

    secret, key = make("ann")
    keyed = [*HEADERS, (b"authorization", b"Bearer " + secret.encode())]
    ring, rate = Keyring(None, write([key])), Rate.parse("900000000/s")
    own = cost(bare)
    found = {
        "metrics": cost(watching(log=False)) - own,
        "metrics and log": cost(watching(log=True)) - own,
        "door without keys": cost(admitting(Admission(), HEADERS)),
        "door with keys": cost(admitting(Admission(keys=ring), keyed)),
        "door with keys and a rate": cost(
            admitting(Admission(keys=ring, rate=rate, rates=Rates(folder / "rates")), keyed)
        ),
    }
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", PROMETHEUS], env=environment, capture_output=True, text=True, check=True
    )
    return found | {"metrics by prometheus_client": float(done.stdout)}


def main() -> int:
    """Print the table; the exit code is 1 where watching costs too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="Write the figures here, too.")
    given = parser.parse_args()
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        found = measure(Path(folder))
    for what, microseconds in found.items():
        print(f"{what:32} {microseconds:6.2f} µs a request")
    held = found["metrics and log"] <= MOST
    print(f"metrics and log cost at most {MOST:g} µs: {'yes' if held else 'NO'}")
    if given.json:
        given.json.write_text(json.dumps({"microseconds": found, "held": held}, indent=1) + "\n")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
