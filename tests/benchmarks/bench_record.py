"""What the prediction log costs the server, and how much of a load it takes: the same server with and without it.

Both are asked by wrk in short turns, so that both meet the same weather. Recorded rows and dropped ones are counted by
the server itself; together they are all answers, or the exit code is 1.

``python tests/benchmarks/bench_record.py [--json OUT] [--rounds N] [--seconds S]``; exits 1 where a figure is missed.
"""

import argparse
import contextlib
import json
import re
import shutil
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE)]

from bench_server import OURS, Model, Server, model, running  # noqa: E402

#: Least share of the requests a second, and greatest ratio of the 99th percentiles, with the log and without it.
LEAST_RATE, MOST_TAIL = 0.9, 1.3
CLIENTS = 16
#: Seconds for the recorder to write what it has taken.
PATIENCE = 60.0


def recorded(server: Server) -> dict[str, float]:
    """Answered, recorded and dropped rows, by the server's own metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=30) as answer:
        text = answer.read().decode()

    def total(name: str) -> float:
        return sum(float(value) for value in re.findall(rf"(?m)^{name}_total(?:{{[^}}]*}})? (\S+)$", text))

    return {
        "answered": total("serving_rows"),
        "recorded": total("serving_record_rows"),
        "dropped": total("serving_record_dropped"),
    }


def settled(server: Server) -> dict[str, float]:
    """The same, once all answers are recorded or dropped."""
    until = time.monotonic() + PATIENCE
    while True:
        found = recorded(server)
        if found["recorded"] + found["dropped"] >= found["answered"] or time.monotonic() > until:
            return found
        time.sleep(0.5)


def compare(made: Model, workers: int, options: argparse.Namespace, folder: Path) -> list[dict]:
    """Both servers in turns: ratios of rates, tails and processor time, and how much was recorded."""
    words = ["--workers", str(workers)]
    log = folder / f"log-{workers}"
    with contextlib.ExitStack() as stack:
        bare = stack.enter_context(running(OURS, made, words=words))
        recording = stack.enter_context(running(OURS, made, words=[*words, "--record", str(log)]))
        for server in (bare, recording):
            server.ask(CLIENTS, 1, folder)  # warms up
            server.forget()
        before, began = settled(recording), time.monotonic()
        busy = 0.0
        for turn in range(options.rounds):
            for server in (bare, recording) if turn % 2 else (recording, bare):
                started = time.monotonic()
                server.ask(CLIENTS, options.seconds, folder)
                if server is recording:
                    busy += time.monotonic() - started
        after = settled(recording)
    found = {name: after[name] - before[name] for name in after}
    title = f"{workers} worker{'s' if workers > 1 else ''}, {CLIENTS} clients"
    ratios = {
        "requests a second, recording / not": (recording.rates, bare.rates, lambda ratio: ratio >= LEAST_RATE),
        "99th percentile, recording / not": (recording.tails, bare.tails, lambda ratio: ratio <= MOST_TAIL),
        "CPU of all processes a request, recording / not": (recording.costs, bare.costs, lambda ratio: True),
    }
    lines = []
    for what, (first, second, good) in ratios.items():
        each = [one / other for one, other in zip(first, second, strict=True)]
        ratio = statistics.median(each)
        lines.append(
            {
                "what": f"{title}: {what}",
                "first": statistics.median(first),
                "second": statistics.median(second),
                "ratio": ratio,
                "worst": min(each) if first is recording.rates else max(each),
                "reached": good(ratio),
            }
        )
    share = found["recorded"] / found["answered"]
    lines.append({"what": f"{title}: share of the rows recorded", "first": share, "reached": True})
    lines.append({"what": f"{title}: rows recorded a second", "first": found["recorded"] / busy, "reached": True})
    complete = found["recorded"] + found["dropped"] == found["answered"]
    lines.append({"what": f"{title}: rows recorded or counted as dropped", "first": 1.0, "reached": complete})
    print(f"{title}: {found} in {time.monotonic() - began:.0f} s", file=sys.stderr)
    return lines


def main() -> int:
    """Print the table; the exit code is 1 where a figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="Write the figures here, too.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=2)
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        print("wrk is not installed: nothing is measured", file=sys.stderr)
        return 0
    lines = []
    with tempfile.TemporaryDirectory() as name:
        made = model(Path(name) / "nine", 9)
        for workers in (1, 2):
            lines += compare(made, workers, options, Path(name))
    for item in lines:
        ratio = f"{item['second']:10.2f} {item['ratio']:7.3f} (worst {item['worst']:.3f})" if "ratio" in item else ""
        print(f"{item['what']:70} {item['first']:10.2f} {ratio:36} {'ok' if item['reached'] else 'NOT REACHED'}")
    if options.json:
        options.json.write_text(json.dumps({"benchmark": "record", "lines": lines}, indent=1) + "\n")
    return 0 if all(item["reached"] for item in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
