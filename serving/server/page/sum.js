// Numbers of an answer as texts, and the sum that makes it: numbers that add up as they are shown.

export const shown = (value) => (typeof value === "number" ? brief(value) : String(value));

function brief(number) {
  if (number === 0) return "0";
  const size = Math.abs(number);
  if (size >= 1e9 || size < 1e-4) return number.toExponential(4);
  if (Number.isInteger(number)) return number.toLocaleString("en-US");
  return number.toLocaleString("en-US", { maximumSignificantDigits: size >= 1e4 ? 8 : 5 });
}

export const percent = (p) => `${(100 * p).toFixed(p > 0.9995 || p < 0.0005 ? 3 : 1)} %`;

const exponent = (number) => (number ? Math.floor(Math.log10(Math.abs(number))) : -Infinity);
const logistic = (z) => 1 / (1 + Math.exp(-z));

// Whole numbers near to numbers, which add up to a whole number near to their sum: all are rounded down, then those with
// the largest remainders up.
function apportioned(values, total) {
  const found = values.map(Math.floor);
  let left = total - found.reduce((a, b) => a + b, 0);
  const order = values.map((value, place) => [value - found[place], place]).sort((a, b) => b[0] - a[0]);
  for (let round = 0; left !== 0 && order.length && round < 2; round++)
    for (const [, place] of left > 0 ? order : [...order].reverse()) {
      if (left === 0) break;
      found[place] += Math.sign(left);
      left -= Math.sign(left);
    }
  return found;
}

// An explanation in whole units of its last shown digit, in which the shown numbers add up: the baseline and the inputs
// to the total, the terms of an input to the input.
export function summed(found, chances) {
  const groups = new Map();
  for (const term of found.terms) {
    const name = JSON.stringify(term.inputs);
    if (!groups.has(name)) groups.set(name, { inputs: term.inputs, terms: [], contribution: 0 });
    groups.get(name).terms.push(term);
    groups.get(name).contribution += term.contribution;
  }
  const inputs = [...groups.values()];
  const parts = [found.baseline, ...inputs.map((one) => one.contribution)];
  const largest = Math.max(...[found.score, ...parts].map(exponent));
  // Very large and very small numbers are counted in a power of ten.
  const power = largest >= 12 || largest < -6 ? Math.max(largest, -300) : 0;
  const size = largest - power;
  const unit = Number(`1e${power}`);
  const most = Math.max(14 - size, 0);
  // Five digits of the largest number, three of the score and of the strongest input; more where the answer would be
  // another one otherwise.
  const strongest = Math.max(...inputs.map((one) => exponent(one.contribution)));
  const wanted = [4 - size, ...[exponent(found.score), strongest].filter(Number.isFinite).map((e) => 2 - (e - power))];
  let digits = largest === -Infinity ? 0 : Math.min(Math.max(...wanted, 0), most);
  const agrees = () => {
    const score = (Math.round((found.score / unit) * 10 ** digits) / 10 ** digits) * unit;
    const p = chance(found, chances);
    if (p !== null) return percent(logistic(score)) === percent(p);
    return found.scale !== "log of the target" || brief(Math.exp(score)) === brief(found.prediction);
  };
  while (digits < most && digits < 12 && !agrees()) digits++;
  const whole = (number) => (number / unit) * 10 ** digits;
  // Without zeros at the end of all of them.
  const round = (number) => Math.abs(number - Math.round(number)) < 1e-6;
  while (digits > 0 && parts.every((part) => round(whole(part) / 10))) digits--;
  const total = Math.round(whole(found.score));
  const [baseline, ...shares] = apportioned(parts.map(whole), total);
  inputs.forEach((one, place) => (one.share = shares[place]));
  for (const one of inputs) {
    const own = apportioned(one.terms.map((term) => whole(term.contribution)), one.share);
    one.terms = one.terms.map((term, place) => ({ ...term, share: own[place] }));
  }
  inputs.sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution));
  const format = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  const text = (share) => (share < 0 ? "−" : "") + (Math.abs(share) / 10 ** digits).toLocaleString("en-US", format);
  // The sum is the answer itself, but for the rounding of another order of adding.
  const near = Math.abs(found.prediction - found.score) <= 1e-9 * Math.max(...parts.map(Math.abs));
  return { baseline, inputs, total, power, text, answers: found.scale === "target" && near };
}

// The probability that the score is the log-odds of; null where it is of none.
export function chance(found, chances) {
  if (found.scale !== "log-odds" || !chances || Object.keys(chances).length !== 2) return null;
  return Object.values(chances).find((p) => Math.abs(p - logistic(found.score)) < 1e-9) ?? null;
}
