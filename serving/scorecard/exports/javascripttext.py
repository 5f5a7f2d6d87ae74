"""The fixed parts of an exported ES module, each with the names of the parts it needs."""

HEAD = """/*
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
"""

COLUMNS = """// For each column of the model: the input to name where it cannot be used, its weight in each score.
const COLUMNS = [
@columns@];
// The input to name where the model has no such columns.
const ANYBODY = @anybody@;
"""

COMPUTE = """// The values of the model's columns, and the weights of what each group of categories chooses.
function columns(given) {
  const row = named(given);
@lines@
  return [@values@, @hot@];
}
"""

_LINEAR = """function scoresOf(values, hot) {
  return INTERCEPTS.map((intercept, k) => {
    const terms = values.map((value, place) => value * COLUMNS[place][1][k]);
    return sum([intercept, ...terms, ...hot.map((weights) => weights[k])], values);
  });
}

/**
 * The scores of a row before any link; throws InputError.
 * @param {Row} row
 * @returns {number[]}
 */
export function scores(row) {
  return scoresOf(...columns(row));
}
"""

_MLP = """function scoresOf(values) {
  let current = values;
  LAYERS.forEach(([weights, intercepts], place) => {
    const units = weights.map((row, unit) => {
      const found = sum(row.map((weight, k) => weight * current[k]), values) + intercepts[unit];
      if (!Number.isFinite(found)) throw refused(values);
      return found;
    });
    current = place === LAYERS.length - 1 ? units : units.map(@activation@);
  });
  return current;
}

/**
 * The scores of a row before any link; throws InputError.
 * @param {Row} row
 * @returns {number[]}
 */
export function scores(row) {
  return scoresOf(...columns(row));
}
"""

SCORES = {"linear": _LINEAR, "mlp": _MLP}

REGRESSION = """/**
 * The prediction for a row; throws InputError.
 * @param {Row} row
 * @returns {number}
 */
export function predict(row) {
  const [values, hot] = columns(row);
  const [score] = scoresOf(values, hot);
@lines@  const result = @result@;
  if (!Number.isFinite(result)) throw new InputError(largest(values), UNPREDICTABLE);
  return result;
}
"""

CALIBRATED = """function margins(row) {
  return scores(row).map((score, place) => CALIBRATION[place][0] * score + CALIBRATION[place][1]);
}
"""

PROBABILITIES = """/**
 * One probability a class, as in CLASSES; throws InputError.
 * @param {Row} row
 * @returns {number[]}
 */
export function probabilities(row) {
  return @link@(@margins@(row));
}
"""

DECISION = """/**
 * The score before any link, or one a class; throws InputError.
 * @param {Row} row
 * @returns {number[]@place@}
 */
export function decision(row) {
  return scores(row)@place@;
}
"""

LABEL = """/**
 * The label for a row; throws InputError.
 * @param {Row} row
 */
export function predict(row) {
  return CLASSES[@place@];
}
"""

_INPUT_ERROR = """/** A value, or a column, that the model cannot take; says what was expected, never the data. */
export class InputError extends Error {
  /** @param {string} column @param {string} reason */
  constructor(column, reason) {
    super(`column ${%s}: ${reason}`);
    this.name = "InputError";
    this.column = column;
    this.reason = reason;
  }
}
"""

_HAS = """function has(row, column) {
  return row instanceof Map ? row.has(column) : Object.prototype.hasOwnProperty.call(row, column);
}
"""

_TRIM = r"""// The white space that Python's str.strip removes; String.prototype.trim removes another.
const SPACE = new Set("\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007" +
  "\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000");

function trim(text) {
  let start = 0;
  let end = text.length;
  while (start < end && SPACE.has(text[start])) start += 1;
  while (start < end && SPACE.has(text[end - 1])) end -= 1;
  return text.slice(start, end);
}
"""

_NAMED = """const NAMES = new Set(INPUTS.map(({ name }) => name));

// The row under the model's names of its columns, which may be padded, or empty, in its own.
function named(row) {
  const names = row instanceof Map ? [...row.keys()] : Object.keys(row);
  if (names.every((name) => NAMES.has(name))) return row;
  const own = new Map();
  const found = new Set();
  names.forEach((name, place) => {
    if (NAMES.has(name) || typeof name !== "string") return;
    const meant = trim(name) || `Unnamed: ${place}`;
    if (!NAMES.has(meant)) return;
    if (found.has(meant) || has(row, meant)) throw new InputError(meant, SEVERAL);
    found.add(meant);
    own.set(name, meant);
  });
  if (own.size === 0) return row;
  return new Map(names.map((name) => [own.get(name) ?? name, row instanceof Map ? row.get(name) : row[name]]));
}
"""

_READ = """// The value of a column, or null where it is missing.
function read(row, { name, null: nullable }) {
  if (!has(row, name)) throw new InputError(name, ABSENT);
  let value = row instanceof Map ? row.get(name) : row[name];
  if (typeof value === "string") {
    if (TRIM) value = trim(value);
    if (MISSING.has(value)) value = null;
  }
  if (value === null || value === undefined || Number.isNaN(value)) {
    if (!nullable) throw new InputError(name, REQUIRED);
    return null;
  }
  return value;
}
"""

_KIND = """function kind(value) {
  if (Array.isArray(value)) return "a list";
  const words = { boolean: "a boolean", number: "a number", bigint: "a number", string: "text", object: "an object" };
  return words[typeof value] ?? `a ${typeof value}`;
}
"""

_NUMBER = r"""function number(row, input, plain = (text) => text) {
  let value = read(row, input);
  if (value === null) return NaN;
  if (typeof value === "string") {
    value = plain(value, input);
    if (/^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/.test(value)) value = Number(value);
    else if (/^[+-]?inf(?:inity)?$/i.test(value)) value = Infinity;
  }
  if (typeof value === "bigint") value = Number(value);
  if (typeof value !== "number") throw new InputError(input.name, `expected a number, found ${kind(value)}`);
  if (!Number.isFinite(value)) throw new InputError(input.name, INFINITE);
  if (input.integer && !Number.isInteger(value)) throw new InputError(input.name, FRACTION);
  return value;
}
"""

_MARKED = r"""// A number's text with a decimal point and no grouping; empty where it is not written by its marks.
function plain(text, { decimal = ".", thousands = "" }) {
  const place = text.indexOf(decimal);
  const fraction = place < 0 ? "" : text.slice(place + 1);
  let whole = place < 0 ? text : text.slice(0, place);
  if (thousands !== "" && whole.includes(thousands)) {
    const sign = /^[+-]/.test(whole) ? whole[0] : "";
    const groups = whole.slice(sign.length).split(thousands);
    const middle = groups.slice(1, -1);
    const alike = middle.every((group) => group.length === 3) ||
      (groups[0].length < 3 && middle.every((group) => group.length === 2));
    const digits = groups.join("");
    const grouped = /^[1-9]\d{0,2}$/.test(groups[0]) && groups[groups.length - 1].length === 3 && alike;
    if (!grouped || !/^\d*$/.test(digits + fraction)) return "";
    whole = sign + digits;
  }
  if (decimal !== "." && (whole + fraction).includes(".")) return "";
  return place < 0 ? whole : `${whole}.${fraction}`;
}

function marked(row, input) {
  return number(row, input, plain);
}
"""

_BOOLEAN = """const TRUTH = new Map([["true", 1], ["false", 0], ["1", 1], ["0", 0]]);

function boolean(row, input) {
  const value = read(row, input);
  if (value === null) return NaN;
  if (typeof value === "string" && TRUTH.has(value.toLowerCase())) return TRUTH.get(value.toLowerCase());
  if (typeof value === "boolean" || typeof value === "number" || typeof value === "bigint") {
    const number = Number(value);
    if (number === 0 || number === 1) return number;
  }
  throw new InputError(input.name, `expected true or false, found ${kind(value)}`);
}
"""

_CATEGORY = r"""// The text of a number that is no whole one, as Python writes it.
function fraction(value) {
  if (Math.abs(value) === Infinity) return value > 0 ? "inf" : "-inf";
  return Math.abs(value) < 1e-4 ? value.toExponential().replace(/e-(\d)$/, "e-0$1") : String(value);
}

function category(row, input) {
  const value = read(row, input);
  if (value === null || typeof value === "string") return value;
  let text;
  if (typeof value === "boolean" || typeof value === "bigint") text = String(value);
  else if (typeof value === "number") text = Number.isInteger(value) ? String(BigInt(value)) : fraction(value);
  else throw new InputError(input.name, `expected text, found ${kind(value)}`);
  return read(new Map([[input.name, text]]), input);
}
"""

_ASKED = """// A value to look for: null where it is missing.
function asked(x, column) {
  if (Math.abs(x) === Infinity) throw new InputError(column, UNUSABLE);
  return Number.isNaN(x) ? null : x;
}
"""

_FIND = """// What a table says of a value; other is what it says of all that are not in it, and null refuses them.
function find(table, x, other, column) {
  const found = table.get(typeof x === "number" ? asked(x, column) : x) ?? other;
  if (found === null) throw new InputError(column, UNKNOWN);
  return found;
}
"""

_IS = """function is(x, value, column) {
  return (typeof x === "number" ? asked(x, column) : x) === value ? 1 : 0;
}
"""

_USABLE = """function usable(x, column) {
  if (!Number.isFinite(x)) throw new InputError(column, UNUSABLE);
}
"""

_CLIP = """function clip(x, low, high, column) {
  if (Math.abs(x) === Infinity) throw new InputError(column, UNUSABLE);
  return x < low ? low : x > high ? high : x;
}
"""

_BIN = """// How many edges are not above x.
function bin(edges, x, column) {
  if (!Number.isFinite(x)) throw new InputError(column, UNUSABLE);
  let low = 0;
  let high = edges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x < edges[middle]) high = middle;
    else low = middle + 1;
  }
  return low;
}
"""

_PLACE_OF_LARGEST = """function placeOfLargest(values) {
  return values.reduce((best, value, place) => (value > values[best] ? place : best), 0);
}
"""

_LARGEST = """// The input that the largest term is computed from.
function largest(values) {
  if (values.length === 0) return ANYBODY;
  const sizes = values.map((value, place) => Math.abs(value) * Math.max(...COLUMNS[place][1].map(Math.abs)));
  return COLUMNS[placeOfLargest(sizes)][0];
}
"""

_REFUSED = """// Why these values give no finite score.
function refused(values) {
  const place = values.findIndex((value) => !Number.isFinite(value));
  return place < 0 ? new InputError(largest(values), OVERFLOW) : new InputError(COLUMNS[place][0], UNUSABLE);
}
"""

_SUM = """// Neumaier's sum: what each addition loses is kept, and added in the end.
function sum(terms, values) {
  let total = 0;
  let lost = 0;
  for (const term of terms) {
    const next = total + term;
    lost += Math.abs(total) >= Math.abs(term) ? total - next + term : term - next + total;
    total = next;
  }
  total += lost;
  if (!Number.isFinite(total)) throw refused(values);
  return total;
}
"""

_LOGISTIC = """function logistic(z) {
  if (z >= 0) return 1 / (1 + Math.exp(-z));
  const e = Math.exp(z);
  return e / (1 + e);
}
"""

_BINARY = """function binary([margin]) {
  const p = logistic(margin);
  return [1 - p, p];
}
"""

_SOFTMAX = """// Shifted by the largest so that no power overflows.
function softmax(margins) {
  const top = margins[placeOfLargest(margins)];
  const powers = margins.map((margin) => Math.exp(margin - top));
  const total = powers.reduce((sum, power) => sum + power);
  return powers.map((power) => power / total);
}
"""

_NORMALISED = """function normalised(margins) {
  const found = margins.map(logistic);
  const total = found.reduce((sum, p) => sum + p);
  return found.map((p) => (total > 0 ? p / total : 1 / found.length));
}
"""

_YEO_JOHNSON = """function yeoJohnson(x, lambda) {
  if (!Number.isFinite(x)) return x;
  if (x >= 0) {
    if (Math.abs(lambda) < Number.EPSILON) return Math.log1p(x);
    return Math.expm1(lambda * Math.log1p(x)) / lambda;
  }
  if (Math.abs(lambda - 2) > Number.EPSILON) return -Math.expm1((2 - lambda) * Math.log1p(-x)) / (2 - lambda);
  return -Math.log1p(-x);
}
"""

_BOX_COX = """function boxCox(x, lambda) {
  if (!Number.isFinite(x)) return x;
  if (x <= 0) return Infinity;
  if (Math.abs(lambda) < 1e-19) return Math.log(x);
  return Math.expm1(lambda * Math.log(x)) / lambda;
}
"""

_INVERSE_YEO_JOHNSON = """function inverseYeoJohnson(x, lambda) {
  if (x >= 0) {
    if (Math.abs(lambda) < Number.EPSILON) return Math.exp(x) - 1;
    return (x * lambda + 1) ** (1 / lambda) - 1;
  }
  if (Math.abs(lambda - 2) > Number.EPSILON) return 1 - (-(2 - lambda) * x + 1) ** (1 / (2 - lambda));
  return 1 - Math.exp(-x);
}
"""

_INVERSE_BOX_COX = """function inverseBoxCox(x, lambda) {
  return lambda === 0 ? Math.exp(x) : Math.exp(Math.log1p(lambda * x) / lambda);
}
"""


def _plain(name: str, expression: str) -> str:
    return f"function {name}(x) {{\n  return {expression};\n}}\n"


#: Each part's text, and the parts it needs before it.
PARTS = {
    "plainInputError": (_INPUT_ERROR % "`'${column}'`", ()),
    "quotedInputError": (_INPUT_ERROR % "QUOTED.get(column) ?? `'${column}'`", ()),
    "has": (_HAS, ()),
    "trim": (_TRIM, ()),
    "read": (_READ, ("has", "trim")),
    "kind": (_KIND, ()),
    "number": (_NUMBER, ("read", "kind")),
    "named": (_NAMED, ("has", "trim")),
    "marked": (_MARKED, ("number",)),
    "boolean": (_BOOLEAN, ("read", "kind")),
    "category": (_CATEGORY, ("read", "kind")),
    "asked": (_ASKED, ()),
    "find": (_FIND, ("asked",)),
    "is": (_IS, ("asked",)),
    "usable": (_USABLE, ()),
    "clip": (_CLIP, ()),
    "bin": (_BIN, ()),
    "place_of_largest": (_PLACE_OF_LARGEST, ()),
    "largest": (_LARGEST, ("place_of_largest",)),
    "refused": (_REFUSED, ("largest",)),
    "sum": (_SUM, ("refused",)),
    "logistic": (_LOGISTIC, ()),
    "relu": (_plain("relu", "x > 0 ? x : 0"), ()),
    "identity": (_plain("identity", "x"), ()),
    "tanh": (_plain("tanh", "Math.tanh(x)"), ()),
    "square": (_plain("square", "x * x"), ()),
    "negative": (_plain("negative", "-x"), ()),
    "binary": (_BINARY, ("logistic",)),
    "softmax": (_SOFTMAX, ("place_of_largest",)),
    "normalised": (_NORMALISED, ("logistic",)),
    "yeo_johnson": (_YEO_JOHNSON, ()),
    "box_cox": (_BOX_COX, ()),
    "inverse_yeo_johnson": (_INVERSE_YEO_JOHNSON, ()),
    "inverse_box_cox": (_INVERSE_BOX_COX, ()),
}
