// Keeps the numbers of the page alive, and asks for predictions. All text from the server goes into text nodes, or is
// HTML that the server has escaped and this script only moves into its place.

import { chance, percent, shown, summed } from "./sum.js";

const STORE = "model-server-key";
const EVERY = 2000; // milliseconds between two looks
const WINDOW = 30; // seconds that a rate is taken over
const body = document.body;
const keyed = body.dataset.keyed === "yes";
const main = document.getElementById("main");
const state = document.getElementById("state");

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const key = () => sessionStorage.getItem(STORE);

function make(name, facts = {}, ...children) {
  const element = document.createElement(name);
  for (const [fact, value] of Object.entries(facts)) element[fact] = value;
  element.append(...children);
  return element;
}

function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (key()) headers.Authorization = `Bearer ${key()}`;
  return fetch(path, { ...options, headers, cache: "no-store", credentials: "omit" });
}

// ---- The key ----

function lock(message = "") {
  sessionStorage.removeItem(STORE);
  const form = document.getElementById("unlock");
  if (!form) return location.reload();
  form.hidden = false;
  for (const note of all("[data-unscripted]")) note.hidden = true;
  const refused = document.getElementById("refused");
  refused.textContent = message;
  refused.hidden = !message;
  form.onsubmit = async (event) => {
    event.preventDefault();
    const field = document.getElementById("key");
    const value = field.value.trim();
    if (!/^[\x21-\x7e]+$/.test(value)) return lock("That is no key: keys are letters, digits, dashes and underscores.");
    field.value = "";
    sessionStorage.setItem(STORE, value);
    await unlock();
  };
  document.getElementById("key").focus();
}

async function unlock() {
  let answer;
  try {
    answer = await ask(`page${location.search}`);
  } catch {
    return lock("The server does not answer. Try again.");
  }
  if (answer.status === 401) return lock("The server does not know this key, or it has expired.");
  if (answer.status === 403) return lock("This key is not for predictions.");
  if (!answer.ok && answer.status !== 404) return lock(`The server answered with status ${answer.status}. Try again.`);
  const next = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.title = next.title;
  main.replaceChildren(...next.getElementById("main").childNodes);
  const forget = document.getElementById("forget");
  forget.hidden = false;
  forget.onclick = () => {
    sessionStorage.removeItem(STORE);
    location.reload();
  };
  start();
}

// ---- Live numbers ----

let seen = []; // what was told in the last minutes, oldest first
let rates = []; // of all requests on the page, for the small curve

const plus = (a, b) => a.map((value, place) => value + b[place]);
const count = (number) => Math.round(number).toLocaleString("en-US");

function rate(value) {
  if (value === 0) return "0 /s";
  return `${value < 9.95 ? value.toPrecision(2) : Math.round(value).toLocaleString("en-US")} /s`;
}

function duration(seconds) {
  if (seconds === null) return "–";
  if (seconds < 0.000995) return `${(seconds * 1e6).toFixed(0)} µs`;
  if (seconds < 0.0995) return `${(seconds * 1e3).toFixed(1)} ms`;
  if (seconds < 0.995) return `${(seconds * 1e3).toFixed(0)} ms`;
  return `${seconds.toFixed(1)} s`;
}

function span(seconds) {
  for (const [size, name] of [[86400, "days"], [3600, "h"], [60, "min"]])
    if (seconds >= 2 * size) return `${Math.round(seconds / size)} ${name}`;
  return `${Math.max(0, Math.round(seconds))} s`;
}

function quantile(latency, bounds, share) {
  const total = latency.reduce((a, b) => a + b, 0);
  if (!total) return null;
  const wanted = share * total;
  let below = 0;
  for (let place = 0; place < bounds.length; place++) {
    if (latency[place] && below + latency[place] >= wanted) {
      const lower = place ? bounds[place - 1] : 0;
      return lower + ((bounds[place] - lower) * (wanted - below)) / latency[place];
    }
    below += latency[place];
  }
  return bounds[bounds.length - 1];
}

function between(now, before) {
  // What happened between two moments; a server that began anew counts from nothing.
  if (!before || now.requests < before.requests) return null;
  return {
    requests: now.requests - before.requests,
    failed: now.failed - before.failed,
    latency: now.latency.map((value, place) => value - before.latency[place]),
  };
}

function everything(models) {
  const found = { requests: 0, failed: 0, rejected: 0, latency: null };
  for (const one of models.values()) {
    for (const name of ["requests", "failed", "rejected"]) found[name] += one[name];
    found.latency = found.latency ? plus(found.latency, one.latency) : one.latency;
  }
  found.latency ??= [];
  return found;
}

function show(element, text, bad = false) {
  const inner = element.firstElementChild || element;
  if (inner.textContent !== text) inner.textContent = text;
  element.classList.toggle("bad", bad);
}

function draw(told) {
  const now = { ...told, models: new Map(told.models.map((one) => [one.name, one])) };
  if (seen.length && now.since !== seen[0].since) seen = rates = [];
  seen.push(now);
  // One look from before the window stays, to count from.
  while (seen.length > 2 && now.time - seen[1].time >= WINDOW) seen.shift();
  const before = seen[0];
  const passed = now.time - before.time;
  const tiles = document.getElementById("tiles");
  const of = (name, from) => (name === undefined ? everything(from.models) : from.models.get(name));
  for (const cell of all("[data-figure]")) {
    const total = of(cell.dataset.model, now);
    if (!total) continue;
    const recent = passed > 0 ? between(total, of(cell.dataset.model, before)) : null;
    const tile = tiles && tiles.contains(cell);
    const note = tile && cell.parentElement.querySelector(".note");
    const quiet = !recent || !recent.requests;
    const latency = quiet ? total.latency : recent.latency;
    const when = quiet ? "since the start" : `last ${Math.round(passed)} s`;
    const figure = cell.dataset.figure;
    if (figure === "requests") {
      // In a table the total says more than a rate does.
      show(cell, tile && recent ? rate(recent.requests / passed) : count(total.requests));
      if (tile) note.textContent = `${count(total.requests)} since the start`;
      if (tile && recent) curve(cell.parentElement, now);
    } else if (figure === "failed") {
      const failed = total.failed > 0;
      show(cell, count(total.failed), failed);
      if (tile) note.textContent = `${count(total.rejected)} rejected (4xx)`;
    } else {
      show(cell, duration(quantile(latency, now.bounds, figure === "p50" ? 0.5 : 0.99)));
      if (tile) note.textContent = when;
    }
  }
  for (const cell of all("[data-version][data-model]")) {
    const found = now.models.get(cell.dataset.model);
    const answered = found && found.versions.find(([version]) => version === cell.dataset.version);
    if (found) show(cell, count(answered ? answered[1] : 0));
  }
  const foot = document.getElementById("foot");
  if (foot) {
    const parts = [now.workers === 1 ? "1 worker" : `${now.workers} workers`, `state ${now.generation}`];
    if (now.age !== null) parts.push(`registry seen ${span(now.age)} ago`);
    parts.push(`up ${span(now.time - now.since)}`);
    foot.textContent = parts.join(" · ");
    if (String(now.generation) !== foot.dataset.generation) return renew();
  }
  return null;
}

function curve(tile, now) {
  const last = seen[seen.length - 2];
  const step = between(everything(now.models), last && everything(last.models));
  if (!step || now.time <= last.time) return;
  rates.push(step.requests / (now.time - last.time));
  rates = rates.slice(-60);
  const space = "http://www.w3.org/2000/svg";
  if (rates.length < 5) return; // not yet a curve
  let svg = tile.querySelector("svg");
  if (!svg) {
    svg = document.createElementNS(space, "svg");
    svg.setAttribute("class", "spark");
    svg.setAttribute("viewBox", "0 0 59 20");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    svg.append(document.createElementNS(space, "polyline"));
    tile.append(svg);
  }
  const most = Math.max(...rates, 1e-9);
  const points = rates.map((value, place) => `${60 - rates.length + place},${(19 - (17 * value) / most).toFixed(2)}`);
  svg.firstChild.setAttribute("points", points.join(" "));
}

async function renew() {
  // Another state: take what the page says now, but leave a form alone whose version is the same.
  const answer = await ask(`page${location.search}`);
  if (!answer.ok) return;
  const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
  const mine = document.getElementById("try");
  const theirs = next.querySelector("#try");
  const kept = mine && theirs && mine.dataset.version === theirs.dataset.version;
  if (kept) theirs.replaceWith(mine);
  main.replaceChildren(...next.childNodes);
  if (!kept) prepare();
}

async function look() {
  if (!document.hidden) {
    try {
      const answer = await ask("page/numbers");
      if (answer.status === 401 && keyed) return location.reload();
      if (!answer.ok) throw new Error(String(answer.status));
      await draw(await answer.json());
      state.textContent = "";
      state.classList.remove("lost");
    } catch {
      state.textContent = "The server does not answer";
      state.classList.add("lost");
    }
  }
  setTimeout(look, EVERY);
}

// ---- The form ----

function value(field) {
  const text = field.value.trim();
  if (text === "") return null;
  if (field.dataset.type === "boolean") return text === "true";
  if (field.dataset.type === "number" && /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text)) {
    const number = Number(text);
    // What no number of JSON can say goes as text, for the server to judge.
    if (Number.isFinite(number)) return number;
  }
  return field.value;
}

function prepare() {
  for (const note of all("[data-unscripted]")) note.hidden = true;
  const section = document.getElementById("try");
  if (!section) return;
  const form = section.querySelector("form");
  const answer = section.querySelector(".answer");
  const fields = all("[data-name]", form);
  const find = form.querySelector(".find");
  if (find)
    find.oninput = () => {
      const wanted = find.value.trim().toLowerCase();
      let shown = 0;
      for (const field of fields) {
        const there = field.dataset.name.toLowerCase().includes(wanted);
        field.closest(".field").hidden = !there;
        shown += there;
      }
      form.querySelector(".nothing").hidden = shown > 0;
    };
  form.querySelector("[data-do=clear]").onclick = () => {
    for (const field of fields) field.value = "";
  };
  form.addEventListener("reset", () => setTimeout(() => find && find.oninput()));
  form.onsubmit = async (event) => {
    event.preventDefault();
    const button = form.querySelector("[type=submit]");
    button.disabled = true;
    answer.setAttribute("aria-busy", "true");
    for (const field of fields) field.removeAttribute("aria-invalid");
    try {
      answer.replaceChildren(...(await predict(form, fields)));
    } catch (error) {
      answer.replaceChildren(...fault(form, fields, error.told || "The server does not answer. Try again."));
    }
    answer.removeAttribute("aria-busy");
    button.disabled = false;
  };
}

// The same for all requests of this page: where a challenger answers a share, one version answers them all.
const caller = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16)).join("");

async function request(form, fields, output) {
  const columns = fields.map((field) => field.dataset.name);
  const question = { dataframe_split: { columns, data: [fields.map(value)] }, params: { output } };
  const began = performance.now();
  const answer = await ask(form.dataset.path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Request-Key": caller },
    body: JSON.stringify(question),
  });
  const took = performance.now() - began;
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    if (answer.status === 401 && keyed) location.reload();
    const error = new Error("refused");
    error.told = found.message || found.error || `The server answered with status ${answer.status}.`;
    throw error;
  }
  return { found: found.predictions[0], took, version: answer.headers.get("X-Model-Version") };
}

async function predict(form, fields) {
  const explains = form.dataset.explains === "yes";
  const first = await request(form, fields, explains ? "explain" : "predictions");
  const chances = form.dataset.probabilities === "yes" ? await request(form, fields, "probabilities") : null;
  const version = first.version ? first.version.slice(first.version.lastIndexOf("/") + 1) : "";
  const prediction = explains ? first.found.prediction : first.found;
  const sum = explains ? summed(first.found, chances && chances.found) : null;
  const target = form.dataset.target;
  return [
    ...(target ? [make("p", { className: "note", textContent: `Predicted ${target}` })] : []),
    // As the sum has it, so that the two are one number.
    make("p", { className: "said", textContent: sum && sum.answers && !sum.power ? sum.text(sum.total) : shown(prediction) }),
    make("p", { className: "note", textContent: `answered by version ${version} in ${duration(first.took / 1e3)}` }),
    ...(chances ? probabilities(chances.found) : []),
    ...(explains ? reasons(first.found, sum, fields, chances && chances.found) : []),
  ];
}

function bar(share, side = "") {
  const inner = make("i", { className: side });
  inner.style.width = `${Math.min(1, Math.abs(share)) * (side ? 50 : 100)}%`;
  return make("div", { className: side ? "bar signed" : "bar" }, inner);
}

function pair(left, right) {
  return make("div", { className: "pair" }, make("span", { textContent: left }), make("span", { textContent: right }));
}

function probabilities(found) {
  const items = Object.entries(found).sort((a, b) => b[1] - a[1]);
  const line = ([label, p]) => make("li", {}, pair(label, percent(p)), bar(p));
  const parts = [make("h3", { textContent: "Probabilities" }), make("ul", {}, ...items.slice(0, 8).map(line))];
  if (items.length > 8) parts.push(make("p", { className: "note", textContent: `and ${items.length - 8} more classes` }));
  return parts;
}

// ---- The sum that makes an answer ----

const MOST = 12; // inputs that are shown one by one

function reasons(found, sum, fields, chances) {
  if (!sum.inputs.length) return [make("p", { className: "note", textContent: "No input moves the score." })];
  const signed = (share) => (share < 0 ? "" : "+") + sum.text(share);
  const most = Math.max(...sum.inputs.map((one) => Math.abs(one.contribution)), 1e-300);
  const typed = new Map(fields.map((field) => [field.dataset.name, field.value.trim()]));
  const told = new Map(
    found.reasons.map((reason) => [JSON.stringify(reason.inputs), reason.text.replace(/ (raises|lowers) the score by \S+$/, "")]),
  );
  const named = (one) => one.inputs.map((name) => `${name} is ${typed.get(name) || "missing"}`).join(" and ") || "constant terms";
  const line = (one) =>
    make(
      "li",
      {},
      pair(told.get(JSON.stringify(one.inputs)) || named(one), signed(one.share)),
      bar(one.contribution / most, one.contribution >= 0 ? "up" : "down"),
    );
  const shownOnes = sum.inputs.length > MOST ? sum.inputs.slice(0, MOST - 2) : sum.inputs;
  const rest = sum.inputs.slice(shownOnes.length);
  const together = rest.reduce((total, one) => total + one.share, 0);
  const about = found.class === null ? "" : ` of ${shown(found.class)}`;
  const title = sum.answers ? "the answer" : `${found.scale}${about}`;
  const terms = sum.inputs.flatMap((one) => one.terms).sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution));
  const every = () =>
    make(
      "details",
      {},
      make("summary", { textContent: `All ${terms.length} terms` }),
      make("ul", {}, ...terms.map((term) => make("li", {}, pair(term.term, signed(term.share))))),
    );
  return [
    make("h3", { textContent: "Reasons, strongest first" }),
    make(
      "ol",
      { className: "sum" },
      make("li", {}, pair("Baseline (intercept)", sum.text(sum.baseline))),
      ...shownOnes.map(line),
      ...(rest.length ? [make("li", {}, pair(`${rest.length} other inputs together`, signed(together)))] : []),
      make("li", { className: "total" }, pair(`= ${title}`, sum.text(sum.total))),
    ),
    ...meaning(found, sum, chances).map((parts) => make("p", { className: "note" }, ...[parts].flat())),
    // Where each input that is shown is one term, they would say it twice.
    ...(terms.length > shownOnes.length ? [every()] : []),
  ];
}

// What the sum has to do with the answer: a paragraph each, as texts and elements.
function meaning(found, sum, chances) {
  const told = sum.power ? [`The numbers are in units of 1e${sum.power}.`] : [];
  const total = sum.power ? "score" : sum.text(sum.total);
  const p = chance(found, chances);
  if (p !== null) told.push(["Probability: 1 / (1 + e", make("sup", { textContent: sum.power ? "−score" : sum.text(-sum.total) }), `) = ${percent(p)}`]);
  else if (chances) told.push("The probabilities above are computed from the scores of all classes.");
  else if (found.scale === "log of the target") told.push(["Answer: e", make("sup", { textContent: total }), ` = ${shown(found.prediction)}`]);
  else if (found.class === null && !sum.answers)
    told.push(`The model turns ${total} back into the answer, ${shown(found.prediction)}.`);
  return told;
}

function fault(form, fields, told) {
  const named = (field) => [`column '${field.dataset.name}'`, `column "${field.dataset.name}"`].some((name) => told.includes(name));
  const wrong = fields.find(named);
  if (wrong) {
    wrong.setAttribute("aria-invalid", "true");
    wrong.closest(".field").hidden = false;
    wrong.focus();
  }
  // There is one row here; its number says nothing.
  const text = told.replace(/^row 0, /, "");
  return [make("p", { className: "fault" }, make("b", { textContent: "Not answered" }), text)];
}

// ---- Begin ----

function start() {
  prepare();
  look();
}

if (body.dataset.ask === "yes") key() ? unlock() : lock();
else start();
