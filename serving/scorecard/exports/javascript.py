"""The scorecard as one ES module without dependencies: for browsers, Node, Deno, Bun and the edge.

Every name and text of the model goes into the file as an ASCII literal, so that none can become code. Sums are
compensated, so that they are as good as exactly rounded ones.
"""

import json
from typing import Any

from ..scorecard import Scorecard
from . import module
from .about import About
from .helpers import Helpers
from .lowering import REASONS, Language, Lines, Lowering
from .wording import filled, shown

#: Whole numbers beyond this are not all different in JavaScript.
SAFE = 2**53 - 1
_MATH = {
    **{name: name for name in ("log", "log2", "log10", "log1p", "exp", "expm1", "sqrt", "cbrt", "abs", "sin", "cos")},
    **{"tanh": "tanh", "arcsinh": "asinh", "sign": "sign"},
}

_TEMPLATES = {
    "head": """/*
 * @title@ in one ES module without dependencies.
 *
 *   import { INPUTS, predict } from "./this_file.mjs";
@usage@ *   console.log(predict(row));
 *
 * A row is an object, whose own properties count, or a Map; INPUTS says which columns there are. A value is a number,
 * a string, a boolean, or null where it is missing. Text is read as in training: trimmed, a number by its decimal and
 * thousands marks. A name may be padded, or empty, and then counts by its place (an object has names that are whole
 * numbers first, a Map keeps the order); a number or a boolean among texts is its text. A row that cannot be scored
 * throws InputError.
 * Made from the scorecard @digest@, and answers as it does.
 */
// @ts-nocheck
/** @typedef {Record<string, unknown> | ReadonlyMap<string, unknown>} Row */
""",
    "columns": """// For each column of the model: the input to name where it cannot be used, its weight in each score.
const COLUMNS = [
@columns@];
// The input to name where the model has no such columns.
const ANYBODY = @anybody@;
""",
    "compute": """// The values of the model's columns, and the weights of what each group of categories chooses.
function columns(given) {
  const row = named(given);
@lines@
  return [@values@, @hot@];
}
""",
    "scores": """/**
 * The scores of a row before any link; throws InputError.
 * @param {Row} row
 * @returns {number[]}
 */
export function scores(row) {
  const [values, hot] = columns(row);
  return @scores@;
}
""",
    "regression": """/**
 * The prediction for a row; throws InputError.
 * @param {Row} row
 * @returns {number}
 */
export function predict(row) {
  const [values, hot] = columns(row);
  const [score] = @scores@;
@lines@  const result = @result@;
  if (!Number.isFinite(result)) throw new InputError(largest(values), UNPREDICTABLE);
  return result;
}
""",
    "probabilities": """/**
 * One probability a class, as in CLASSES; throws InputError.
 * @param {Row} row
 * @returns {number[]}
 */
export function probabilities(row) {
  return @probabilities@;
}
""",
    "decision": """/**
 * The score before any link, or one a class; throws InputError.
 * @param {Row} row
 * @returns {number[]@place@}
 */
export function decision(row) {
  return scores(row)@place@;
}
""",
    "label": """/**
 * The label for a row; throws InputError.
 * @param {Row} row
 */
export function predict(row) {
  return CLASSES[@place@];
}
""",
}


def write(scorecard: Scorecard, about: About | None = None) -> str:
    """The source of a module; ``row`` is an object, of which only own properties count, or a Map.

    Labels are of the type they have in the scorecard; whole numbers are BigInt where one of them is beyond what
    JavaScript's numbers tell apart.
    """
    return module.write(scorecard, about, JavaScript())


class JavaScript(Language):
    """JavaScript, as of ECMAScript 2020."""

    helpers = Helpers("helpers.mjs")
    templates = _TEMPLATES
    unit = "  "
    gap = "\n"
    title = "JavaScript"

    def usage(self, row: dict[str, Any]) -> str:
        if row:
            cells = [f"{self._property(name)}: {self.literal(value)}" for name, value in row.items()]
            written = filled("const row = {", cells, "};", indent="  ")
        else:
            written = 'const row = new Map(INPUTS.map(({ name, type }) => [name, type === "category" ? "text" : 0]));'
        return "".join(f" *   {line}\n" for line in written.replace("*/", "*\\/").split("\n"))

    def _property(self, name: str) -> str:
        """A name as the key of an object."""
        if name == "__proto__":  # as a plain key it would be the object's prototype
            return f"[{self.literal(name)}]"
        return name if name.isidentifier() and name.isascii() else self.literal(name)

    def literal(self, value: Any) -> str:
        if value is None or isinstance(value, bool):
            return json.dumps(value)
        if isinstance(value, int):
            return str(value)
        if isinstance(value, float):
            if value - value != 0.0:
                return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
            return repr(value).removesuffix(".0")
        if isinstance(value, list):
            return filled("[", list(map(self.literal, value)), "]", indent="  ")
        if isinstance(value, dict):
            pairs = [f"[{self.literal(key)}, {self.literal(item)}]" for key, item in value.items()]
            return filled("new Map([", pairs, "])", indent="  ")
        # The text of a page ends a script, whatever it is in.
        return json.dumps(value).replace("\x7f", "\\x7f").replace("</", "<\\/").replace("<!--", "<\\!--")

    def pair(self, first: str, second: str) -> str:
        return f"[{first}, {second}]"

    def helper(self, name: str) -> str:
        first, *others = name.split("_")
        return first + "".join(map(str.capitalize, others))

    def function(self, name: str, x: str) -> tuple[str, str | None]:
        if name in _MATH:
            return f"Math.{_MATH[name]}({x})", None
        return f"{name}({x})", name

    def choose(self, condition: str, yes: str, no: str) -> str:
        return f"{condition} ? {yes} : {no}"

    def missing(self, x: str, *, text: bool) -> str:
        return f"{x} === null" if text else f"Number.isNaN({x})"

    def equal(self, x: str, y: str) -> str:
        return f"{x} === {y}"

    def remark(self, note: str) -> str:
        return f" // {shown(note)}" if note else ""

    def put(self, name: str, value: str, note: str = "") -> str:
        return f"const {name} = {value};{self.remark(note)}"

    def constant(self, name: str, value: str, note: str = "") -> str:
        return f"{'// ' + shown(note) + chr(10) if note else ''}const {name} = {value};\n"

    def call(self, helper: str, *arguments: str) -> str:
        return f"{helper}({', '.join(arguments)});"

    def given(self, names: list[str], lines: Lines) -> Lines:
        if not names:  # a block even so: two of them may use one name
            return ["{", lines, "}"]
        return [f"if ({' && '.join(f'has(row, {self.literal(name)})' for name in names)}) {{", lines, "}"]

    def facts(self, lowering: Lowering) -> list[str]:
        scorecard, literal, constant = lowering.scorecard, self.literal, self.constant
        inputs = [f"Object.freeze({self._object(item.to_dict())})" for item in scorecard.inputs]
        quoted = {item.name: repr(item.name) for item in scorecard.inputs if repr(item.name) != f"'{item.name}'"}
        words = list(map(literal, sorted(scorecard.cleaning.missing)))
        found = [
            constant("DIGEST", literal(scorecard.digest)),
            constant("INPUTS", filled("Object.freeze([", inputs, "])", indent="  ")),
        ]
        if scorecard.classes:
            big = any(type(label) is int and abs(label) > SAFE for label in scorecard.classes)
            labels = [literal(label) + ("n" if big else "") for label in scorecard.classes]
            found.append(constant("CLASSES", filled("Object.freeze([", labels, "])", indent="  ")))
        found = ["export " + line for line in found]
        found.append("\n// What a value that cannot be taken is refused for.\n")
        found += [constant(name, literal(reason)) for name, reason in REASONS.items()]
        found.append("\n" + constant("QUOTED", literal(quoted), "Names that a message quotes in another way."))
        found.append("\n// How text is read: without the space around it, and which words stand for a missing value.\n")
        found += [constant("TRIM", literal(scorecard.cleaning.trim))]
        found += [constant("MISSING", filled("new Set([", words, "])", indent="  "))]
        lowering.helpers.add("InputError")
        return ["".join(found)]

    def _object(self, values: dict[str, Any]) -> str:
        return "{ " + ", ".join(f"{key}: {self.literal(value)}" for key, value in values.items()) + " }"
