"""How a benchmark tells of pairs of times: a table on standard output, and a file."""

import json
from pathlib import Path


def tell(benchmark: str, lines: list[dict], output: Path | None) -> int:
    """The exit code: 1 where a figure was not reached. ``first`` and ``second`` of a line are seconds."""
    for item in lines:
        mark = "ok" if item["reached"] else "NOT REACHED"
        times = f"{item['first'] * 1e3:12.4f} {item['second'] * 1e3:12.4f} ms"
        print(f"{item['what']:75} {times} {item['ratio']:8.2f}  {item['wanted']:7} {mark}")
    if output:
        output.write_text(json.dumps({"benchmark": benchmark, "lines": lines}, indent=1), encoding="utf-8")
    return 0 if all(item["reached"] for item in lines) else 1
