// The helpers of an exported ES module, which takes those that its model needs from below the line.

// What an exported module defines for its model.
const [INPUTS, COLUMNS, LAYERS, INTERCEPTS, CALIBRATION] = [[], [], [], [], []];
const [TRIM, MISSING, QUOTED, ANYBODY] = [true, new Set(), new Map(), ""];
const [ABSENT, SEVERAL, REQUIRED, INFINITE, FRACTION, UNKNOWN, UNUSABLE, OVERFLOW] = Array(8).fill("");

// -----------------------------------------------------------------------------------------------------------------

/** A value, or a column, that the model cannot take; says what was expected, never the data. */
export class InputError extends Error {
  /** @param {string} column @param {string} reason */
  constructor(column, reason) {
    super(`column ${QUOTED.get(column) ?? `'${column}'`}: ${reason}`);
    this.name = "InputError";
    this.column = column;
    this.reason = reason;
  }
}

function has(row, column) {
  return row instanceof Map ? row.has(column) : Object.prototype.hasOwnProperty.call(row, column);
}

// The white space that Python's str.strip removes; String.prototype.trim removes another.
const SPACE = new Set("\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007" +
  "\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000");

function trim(text) {
  let start = 0;
  let end = text.length;
  while (start < end && SPACE.has(text[start])) start += 1;
  while (start < end && SPACE.has(text[end - 1])) end -= 1;
  return text.slice(start, end);
}

const NAMES = new Set(INPUTS.map(({ name }) => name));

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

// The value of a column, or null where it is missing.
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

function kind(value) {
  if (Array.isArray(value)) return "a list";
  const words = { "boolean": "a boolean", "number": "a number", bigint: "a number", string: "text", object: "an object" };
  return words[typeof value] ?? `a ${typeof value}`;
}

function number(row, input, usual = (text) => text) {
  let value = read(row, input);
  if (value === null) return NaN;
  if (typeof value === "string") {
    value = usual(value, input);
    if (/^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/.test(value)) value = Number(value);
    else if (/^[+-]?inf(?:inity)?$/i.test(value)) value = Infinity;
  }
  if (typeof value === "bigint") value = Number(value);
  if (typeof value !== "number") throw new InputError(input.name, `expected a number, found ${kind(value)}`);
  if (!Number.isFinite(value)) throw new InputError(input.name, INFINITE);
  if (input.integer && !Number.isInteger(value)) throw new InputError(input.name, FRACTION);
  return value;
}

// A number's text with a decimal point and no grouping; empty where it is not written by its marks.
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

const TRUTH = new Map([["true", 1], ["false", 0], ["1", 1], ["0", 0]]);

function boolean(row, input) {
  const value = read(row, input);
  if (value === null) return NaN;
  if (typeof value === "string" && TRUTH.has(value.toLowerCase())) return TRUTH.get(value.toLowerCase());
  if (typeof value === "boolean" || typeof value === "number" || typeof value === "bigint") {
    const truth = Number(value);
    if (truth === 0 || truth === 1) return truth;
  }
  throw new InputError(input.name, `expected true or false, found ${kind(value)}`);
}

// The text of a number that is no whole one, as Python writes it.
function fractionText(value) {
  if (Math.abs(value) === Infinity) return value > 0 ? "inf" : "-inf";
  return Math.abs(value) < 1e-4 ? value.toExponential().replace(/e-(\d)$/, "e-0$1") : String(value);
}

function category(row, input) {
  const value = read(row, input);
  if (value === null || typeof value === "string") return value;
  let text;
  if (typeof value === "boolean" || typeof value === "bigint") text = String(value);
  else if (typeof value === "number") text = Number.isInteger(value) ? String(BigInt(value)) : fractionText(value);
  else throw new InputError(input.name, `expected text, found ${kind(value)}`);
  return read(new Map([[input.name, text]]), input);
}

// A value to look for: null where it is missing.
function asked(x, column) {
  if (Math.abs(x) === Infinity) throw new InputError(column, UNUSABLE);
  return Number.isNaN(x) ? null : x;
}

// What a table says of a value; other is what it says of all that are not in it, and null refuses them.
function find(table, x, other, column) {
  const found = table.get(typeof x === "number" ? asked(x, column) : x) ?? other;
  if (found === null) throw new InputError(column, UNKNOWN);
  return found;
}

function is(x, value, column) {
  return (typeof x === "number" ? asked(x, column) : x) === value ? 1 : 0;
}

function usable(x, column) {
  if (!Number.isFinite(x)) throw new InputError(column, UNUSABLE);
}

function clip(x, low, high, column) {
  if (Math.abs(x) === Infinity) throw new InputError(column, UNUSABLE);
  return x < low ? low : x > high ? high : x;
}

// How many edges are not above x.
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

function piecewise(x, edges, origins, coefficients, column) {
  if (Number.isNaN(x)) return x;
  const place = bin(edges, x, column);
  if (coefficients[place].length === 0) throw new InputError(column, UNUSABLE);
  const distance = x - origins[place];
  return coefficients[place].reduceRight((total, coefficient) => total * distance + coefficient, 0);
}

function placeOfLargest(values) {
  return values.reduce((best, value, place) => (value > values[best] ? place : best), 0);
}

// The input that the largest term is computed from.
function largest(values) {
  if (values.length === 0) return ANYBODY;
  const sizes = values.map((value, place) => Math.abs(value) * Math.max(...COLUMNS[place][1].map(Math.abs)));
  return COLUMNS[placeOfLargest(sizes)][0];
}

// Why these values give no finite score.
function refused(values) {
  const place = values.findIndex((value) => !Number.isFinite(value));
  return place < 0 ? new InputError(largest(values), OVERFLOW) : new InputError(COLUMNS[place][0], UNUSABLE);
}

// Neumaier's sum: what each addition loses is kept, and added in the end.
function added(terms) {
  let total = 0;
  let lost = 0;
  for (const term of terms) {
    const next = total + term;
    lost += Math.abs(total) >= Math.abs(term) ? total - next + term : term - next + total;
    total = next;
  }
  return total + lost;
}

function combine(values, weights, offset) {
  const total = added([offset, ...values.map((value, place) => value * weights[place])]);
  return Number.isNaN(total) && !values.some(Number.isNaN) ? Infinity : total;
}

function sum(terms, values) {
  const total = added(terms);
  if (!Number.isFinite(total)) throw refused(values);
  return total;
}

function logistic(z) {
  if (z >= 0) return 1 / (1 + Math.exp(-z));
  const e = Math.exp(z);
  return e / (1 + e);
}

function relu(x) {
  return x > 0 ? x : 0;
}

function identity(x) {
  return x;
}

function tanh(x) {
  return Math.tanh(x);
}

function square(x) {
  return x * x;
}

function negative(x) {
  return -x;
}

function reciprocal(x) {
  return 1 / x;
}

function binary([margin]) {
  const p = logistic(margin);
  return [1 - p, p];
}

// Shifted by the largest so that no power overflows.
function softmax(scores) {
  const top = scores[placeOfLargest(scores)];
  const powers = scores.map((score) => Math.exp(score - top));
  const total = powers.reduce((all, power) => all + power);
  return powers.map((power) => power / total);
}

function shares(found) {
  const total = found.reduce((all, p) => all + p);
  return found.map((p) => (total > 0 ? p / total : 1 / found.length));
}

function complement([p]) {
  return [1 - p, p];
}

function normalised(scores) {
  return shares(scores.map(logistic));
}

// The mean of the probabilities of several models, each with its part of the scores.
function mean(members, scores) {
  const found = CLASSES.map(() => 0);
  let total = 0;
  for (const [weight, first, last, link, adjust, calibration] of members) {
    total += weight;
    link(adjust(scores.slice(first, last), calibration)).forEach((p, place) => {
      found[place] += weight * p;
    });
  }
  return found.map((p) => p / total);
}

function yeoJohnson(x, lambda) {
  if (!Number.isFinite(x)) return x;
  if (x >= 0) {
    if (Math.abs(lambda) < Number.EPSILON) return Math.log1p(x);
    return Math.expm1(lambda * Math.log1p(x)) / lambda;
  }
  if (Math.abs(lambda - 2) > Number.EPSILON) return -Math.expm1((2 - lambda) * Math.log1p(-x)) / (2 - lambda);
  return -Math.log1p(-x);
}

function boxCox(x, lambda) {
  if (!Number.isFinite(x)) return x;
  if (x <= 0) return Infinity;
  if (Math.abs(lambda) < 1e-19) return Math.log(x);
  return Math.expm1(lambda * Math.log(x)) / lambda;
}

function inverseYeoJohnson(x, lambda) {
  if (x >= 0) {
    if (Math.abs(lambda) < Number.EPSILON) return Math.exp(x) - 1;
    return (x * lambda + 1) ** (1 / lambda) - 1;
  }
  if (Math.abs(lambda - 2) > Number.EPSILON) return 1 - (-(2 - lambda) * x + 1) ** (1 / (2 - lambda));
  return 1 - Math.exp(-x);
}

function inverseBoxCox(x, lambda) {
  return lambda === 0 ? Math.exp(x) : Math.exp(Math.log1p(lambda * x) / lambda);
}

function unchanged(scores) {
  return scores;
}

function margins(scores, lines) {
  return scores.map((score, place) => lines[place][0] * score + lines[place][1]);
}

function points(scores, curves) {
  return scores.map((score, place) => piecewise(score, ...curves[place], ANYBODY));
}

function linearScores(values, hot) {
  return INTERCEPTS.map((intercept, k) => {
    const terms = values.map((value, place) => value * COLUMNS[place][1][k]);
    return sum([intercept, ...terms, ...hot.map((weights) => weights[k])], values);
  });
}

function networkScores(values, activate) {
  let current = values;
  LAYERS.forEach(([weights, intercepts], place) => {
    const units = weights.map((row, unit) => {
      const found = sum(row.map((weight, k) => weight * current[k]), values) + intercepts[unit];
      if (!Number.isFinite(found)) throw refused(values);
      return found;
    });
    current = place === LAYERS.length - 1 ? units : units.map((unit) => activate(unit));
  });
  return current;
}
