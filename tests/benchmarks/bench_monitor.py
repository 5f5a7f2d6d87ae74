"""False alarms and power of `monitor`: how often it alerts where nothing has changed, and where something has."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from pipelines.monitoring.checks import ALERT, SMALL
from tests.benchmarks import stationary

TRAINING = 5_000
SIZES = (200, 1_000, 20_000, 1_000_000)
#: The most false alarms: the stated rate, as a share of reports.
MOST = 0.01


def highest(found: int, reports: int) -> float:
    """The upper end of the 95 % interval of a share (Clopper and Pearson 1934)."""
    from scipy.stats import beta

    return float(beta.ppf(0.975, found + 1, reports - found)) if found < reports else 1.0


def main() -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--reports", type=int, default=1_000)
    given = parser.parse_args()
    random = np.random.default_rng(0)
    lines = []
    print(f"\n{given.reports:,} reports on 24 columns where nothing has changed, {TRAINING:,} training rows")
    for rows in SIZES:
        reports = [stationary.report(rows, TRAINING, random) for _ in range(given.reports)]
        alarms = sum(any(check.verdict == ALERT for check in one) for one in reports)
        certain = sum(any(check.certain for check in one) for one in reports)
        most = highest(alarms, given.reports)
        ok = most <= MOST or alarms == 0
        print(
            f"  {rows:9,} rows: {alarms / given.reports:.4f} with a false alarm (at most {most:.4f}); "
            f"{certain / given.reports:.4f} with a certain change of any size: {'ok' if ok else 'NOT REACHED'}"
        )
        lines.append({"rows": rows, "alarms": alarms, "certain": certain, "highest": most, "reached": ok})
    few = max(given.reports // 10, 20)
    for rows, training, shift, verdict, least in (
        (1_000, TRAINING, 0.5, ALERT, 0.95),
        (1_000_000, 100_000, 0.05, SMALL, 0.95),
    ):
        reports = [stationary.report(rows, training, random, shift) for _ in range(few)]
        hits = sum(
            any(one.verdict == verdict and one.subject == "normal 0" and one.kind == "distribution" for one in checks)
            for checks in reports
        )
        ok = hits / few >= least
        told = "an alert" if verdict == ALERT else "certain, but small"
        print(
            f"  a shift of {shift} sd in one column, {rows:,} rows ({training:,} in training): {hits / few:.3f} of "
            f"{few} reports say {told} (at least {least}): {'ok' if ok else 'NOT REACHED'}"
        )
        lines.append({"rows": rows, "shift": shift, "verdict": verdict, "share": hits / few, "reached": ok})
    if given.json:
        given.json.write_text(json.dumps({"benchmark": "monitor", "lines": lines}, indent=1), encoding="utf-8")
    return 0 if all(line["reached"] for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
