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
#: Live rows -> the share of the reports that are made: large ones are the slow ones, and have the fewest false alarms.
SIZES = {200: 1.0, 1_000: 1.0, 20_000: 1.0, 1_000_000: 0.25}
#: Sizes and reports of the Kolmogorov-Smirnov test, which needs the values themselves.
KOLMOGOROV, OF_KOLMOGOROV = 20_000, 5
#: The most false alarms: the stated rate, as a share of reports.
MOST = 0.01


def interval(found: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Clopper and Pearson 1934)."""
    from scipy.stats import beta

    low = float(beta.ppf(0.025, found, of - found + 1)) if found else 0.0
    return low, float(beta.ppf(0.975, found + 1, of - found)) if found < of else 1.0


def main() -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--reports", type=int, default=1_000)
    parser.add_argument("--rows", type=int, nargs="*", choices=[*SIZES], default=[*SIZES], help="false alarms of these")
    given = parser.parse_args()
    random = np.random.default_rng(0)
    lines = []
    print(f"\nReports on 24 columns where nothing has changed and each moves the score; {TRAINING:,} training rows")
    for rows in given.rows:
        count = max(int(given.reports * SIZES[rows]), 1)
        reports = [stationary.report(rows, TRAINING, random) for _ in range(count)]
        alarms = sum(any(check.verdict == ALERT for check in one) for one in reports)
        certain = sum(any(check.certain for check in one) for one in reports)
        low, high = interval(alarms, count)
        ok = alarms / count <= MOST
        print(
            f"  {rows:9,} rows, {count:,} reports: {alarms / count:.4f} with a false alarm ({low:.4f} to {high:.4f}); "
            f"{certain / count:.4f} with a certain change of any size: {'ok' if ok else 'NOT REACHED'}",
            flush=True,
        )
        line = {"rows": rows, "reports": count, "alarms": alarms, "certain": certain, "high": high, "reached": ok}
        if rows <= KOLMOGOROV:
            beside = max(count // OF_KOLMOGOROV, 1)
            line["kolmogorov"] = 1 - sum(stationary.kolmogorov(rows, TRAINING, random) for _ in range(beside)) / beside
            print(f"  {rows:9,} rows: {line['kolmogorov']:.2f} of {beside} with a Kolmogorov-Smirnov test below .05")
        lines.append(line)
    few = max(given.reports // 10, 20)
    for rows, training, shift, wild, kind, verdict, least in (
        (1_000, TRAINING, 0.5, 0.0, "distribution", ALERT, 0.95),
        (1_000, TRAINING, 0.0, 0.03, "outside", ALERT, 0.95),
        (1_000_000, 100_000, 0.05, 0.0, "distribution", SMALL, 0.95),
    ):
        reports = [stationary.report(rows, training, random, shift, wild) for _ in range(few)]
        hits = sum(
            any(one.verdict == verdict and one.subject == "normal 0" and one.kind == kind for one in checks)
            for checks in reports
        )
        ok = hits / few >= least
        told = "an alert" if verdict == ALERT else "certain, but small"
        change = f"a shift of {shift} sd" if shift else f"{wild:.0%} of wild values"
        print(
            f"  {change} in one column, {rows:,} rows ({training:,} in training): {hits / few:.3f} of "
            f"{few} reports say {told} (at least {least}): {'ok' if ok else 'NOT REACHED'}"
        )
        lines.append(
            {"rows": rows, "shift": shift, "wild": wild, "verdict": verdict, "share": hits / few, "reached": ok}
        )
    if given.json:
        given.json.write_text(json.dumps({"benchmark": "monitor", "lines": lines}, indent=1), encoding="utf-8")
    return 0 if all(line["reached"] for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
