"""Tables for tests: a hostile one, as real tables are, and small tame ones."""

import csv
import io
from pathlib import Path

import numpy as np

ODD = 'señal "x" (%)'
COMMA = "height, m"


def hostile(path: Path, *, rows: int = 400, seed: int = 0, task: str = "classification") -> Path:
    """A CSV with identifiers, blanks and ``?`` among numbers, odd names, booleans, dates, a constant, free text."""
    draw = np.random.default_rng(seed)
    file = io.StringIO()
    names = ["customer_id", "age", ODD, COMMA, "owns.car", "opened", "branch", "region", "note", "outcome"]
    writer = csv.writer(file)
    writer.writerow(names)
    for row in range(rows):
        age, signal, height = draw.integers(18, 90), draw.normal(1e6, 10), draw.normal(1.7, 0.1)
        region = draw.choice(["north", "south", " east ", "rare"], p=[0.45, 0.4, 0.145, 0.005])
        car = draw.random() < 0.5
        score = (age - 50) / 20 + (signal - 1e6) / 10 + (region == "north") + car + draw.normal()
        outcome = ("yes" if score > 0.5 else "no") if task == "classification" else f"{score:.6f}"
        writer.writerow(
            [
                f"C{10_000 + row}",
                draw.choice(["", "?", f" {age} ", str(age)], p=[0.04, 0.03, 0.43, 0.5]),
                "" if draw.random() < 0.1 else f"{signal:.3f}",
                "NA" if draw.random() < 0.1 else f"{height:.3e}",
                str(bool(car)).upper(),
                f"20{draw.integers(10, 24)}-0{draw.integers(1, 9)}-1{draw.integers(0, 9)}",
                "main",
                "" if draw.random() < 0.05 else region,
                f"note {draw.integers(1e9)}",
                "" if row in (7, 8) else outcome,
            ]
        )
    path.write_text(file.getvalue(), encoding="utf-8")
    return path


def linear(path: Path, *, rows: int = 300, seed: int = 0, shift: float = 0.0) -> Path:
    """A CSV of ``x``, ``colour`` and ``target = 3 x + 2 [colour is red] + noise``."""
    draw = np.random.default_rng(seed)
    lines = ["x,colour,target"]
    for _ in range(rows):
        x, colour = draw.normal() + shift, draw.choice(["red", "blue"])
        lines.append(f"{x:.6f},{colour},{3 * x + 2 * (colour == 'red') + draw.normal(scale=0.1):.6f}")
    path.write_text("\n".join(lines) + "\n")
    return path
