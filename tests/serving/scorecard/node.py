"""Runs exported ES modules in Node, and lets them answer as ``parity.measure`` asks."""

import json
import math
import subprocess
from pathlib import Path

from serving.scorecard import InputError, Scorecard, exports

#: Answers, for each line of standard input, to the rows of a module in a line of standard output.
DRIVER = r"""
import { createInterface } from "node:readline";

const revive = (key, value) => (value !== null && typeof value === "object" && "$" in value ? eval(value.$) : value);
const replace = (key, value) => {
  if (typeof value === "bigint") return { $: `${value}` };
  return typeof value === "number" && !Number.isFinite(value) ? { $: String(value) } : value;
};
for await (const line of createInterface({ input: process.stdin })) {
  const { path, rows } = JSON.parse(line, revive);
  const model = await import(path);
  const ask = (row) => {
    try {
      const found = {};
      for (const name of ["predict", "probabilities", "decision"]) if (name in model) found[name] = model[name](row);
      return found;
    } catch (error) {
      if (!(error instanceof model.InputError)) return { bug: String(error.stack) };
      return { column: error.column, reason: error.reason, message: error.message, name: error.name };
    }
  };
  const exported = Object.fromEntries(Object.entries(model).filter(([, value]) => typeof value !== "function"));
  console.log(JSON.stringify({ answers: rows.map(ask), exported }, replace));
}
"""
METHODS = {"predict": "predict", "probabilities": "predict_proba", "decision": "decision_function"}


class Node:
    """One process that imports one module after another from a folder."""

    def __init__(self, program: str, folder: Path):
        self.folder, self.count = folder, 0
        (folder / "driver.mjs").write_text(DRIVER, encoding="utf-8")
        self._process = subprocess.Popen(
            [program, "driver.mjs"], cwd=folder, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=20)

    def ask(self, source: str, rows: list[dict]) -> dict:
        """What a module answers to rows, and what it exports beside functions: ``answers`` and ``exported``.

        A value that JSON has not got is given as an ``Expression``, and comes back as ``{"$": ...}``.
        """
        self.count += 1
        path = self.folder / f"model{self.count}.mjs"
        path.write_text(source, encoding="utf-8")
        given = [_given(row) if isinstance(row, str) else {n: _given(v) for n, v in row.items()} for row in rows]
        self._process.stdin.write(json.dumps({"path": path.as_uri(), "rows": given}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def way(self, scorecard: Scorecard):
        """The exported module as a way of answering, for ``parity.measure``."""
        source = exports.write(scorecard, "javascript")

        def answers(rows):
            return [_answer(found) for found in self.ask(source, rows)["answers"]] if rows else []

        return answers


class Expression(str):
    """A value as JavaScript says it."""


def _given(value):
    if isinstance(value, Expression):
        return {"$": str(value)}
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"$": "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"}
    return None if type(value).__name__ in ("NAType", "NaTType") else value


def _answer(found: dict):
    if "bug" in found:
        raise AssertionError(found["bug"])
    if "column" in found:
        error = InputError(found["column"], found["reason"])
        assert (found["message"], found["name"]) == (str(error), "InputError")
        return error
    return {METHODS[name]: value for name, value in found.items()}
