// What the page asks and how answers are drawn. Everything from data is put in as text, never as HTML.
"use strict";

(function () {
const $ = (id) => document.getElementById(id);
const { el, digits, ranged, timesText, groupRows, lineRows, priorRows, areaRows } = poolwise;

const state = { source: "radon", formula: "", family: "gaussian", widths: {}, groups: [], number: 0 };
let columns = [], waiting = false, again = false, settling = null, last = null, sorted = { by: "rows", down: true };
let textTimer = null, parts = null, charts = null;
const told = {};

// --- what is asked -------------------------------------------------------------------------------------------------

function send(name, value) { window.Shiny.setInputValue(name, value, { priority: "event" }); }

// One question at a time: what moves meanwhile is asked once the answer is there.
function ask() {
  clearTimeout(settling);
  if (waiting) { again = true; return; }
  waiting = true; again = false; state.number += 1;
  document.body.classList.add("busy");
  send("asked", { ...state });
}

function answered() {
  waiting = false;
  if (again) { ask(); return; }
  document.body.classList.remove("busy");
  clearTimeout(settling);
  settling = setTimeout(() => { send("settled", { ...state }); }, 350);
}

function say(id, text) { const at = $(id); if (at) at.textContent = text || ""; }

// What was said of the last answer when it was asked for; other numbers do not follow it.
function forgetAnswers() {
  say("explanation"); say("code"); $("code").hidden = true; list("flips");
}

// What was judged of the last fit.
function forgetJudgement() {
  for (const id of ["verdict", "check-verdict", "model"]) say(id);
  for (const id of ["answers", "notes"]) list(id);
  for (const id of ["scores", "checks"]) $(id).replaceChildren($(id).caption);
  drawLines(null); drawOutcomes(null);
}

// --- charts --------------------------------------------------------------------------------------------------------

function dark() { return window.matchMedia("(prefers-color-scheme: dark)").matches; }

function chart(where, name, tables) { return charts.draw(where, name, tables); }

function chosenEffect() {
  const groups = last && last.groups;
  if (!groups || !groups.effects.length) return null;
  return groups.effects.find((effect) => effect.name === $("effect").value) || groups.effects[0];
}

function drawGroups() {
  const groups = last && last.groups, effect = chosenEffect();
  $("h-groups").parentElement.hidden = !groups;
  if (!groups || !effect) return;
  chart($("chart-groups"), "groups", groupRows(groups, effect, state.groups));
  say("size-title", `${groups.unit} of the group`);
}

function drawGroupTable(groups, effect) {
  const wanted = $("search").value.trim().toLowerCase();
  const order = groups.labels.map((_, k) => k).filter((k) => !wanted || groups.labels[k].toLowerCase().includes(wanted));
  const key = { group: (k) => groups.labels[k], rows: (k) => groups.rows[k], own: (k) => effect.separate ? effect.separate[k][0] : 0, pooled: (k) => effect.partial[k][0] }[sorted.by];
  order.sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0) * (sorted.down ? -1 : 1));
  const head = [["group", groups.by], ["rows", groups.unit], ...(effect.separate ? [["own", "own rows alone"]] : []), ["pooled", "pooled"]].map(([by, title]) =>
    el("th", { scope: "col", "aria-sort": sorted.by === by ? (sorted.down ? "descending" : "ascending") : null },
      el("button", { type: "button", onclick: () => { sorted = { by, down: sorted.by === by ? !sorted.down : by !== "group" }; drawGroupTable(groups, effect); } },
        title + (sorted.by === by ? (sorted.down ? " ↓" : " ↑") : ""))));
  const body = order.map((k) => el("tr", { class: state.groups.includes(groups.labels[k]) ? "chosen" : null },
    el("td", {}, el("button", { type: "button", onclick: () => explain(groups.labels[k]) }, groups.labels[k])),
    el("td", {}, digits(groups.rows[k])),
    effect.separate ? el("td", {}, ranged(effect.separate[k]) + (effect.untold && effect.untold[k] ? " *" : "")) : null,
    el("td", {}, ranged(effect.partial[k]))));
  const table = $("groups"), caption = table.caption;
  const foot = groups.of > groups.labels.length ? el("tfoot", {}, el("tr", {}, el("td", { colspan: 4 }, `The ${groups.labels.length} groups with most rows, of ${groups.of}.`))) : null;
  table.replaceChildren(caption, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...body), ...(foot ? [foot] : []));
}

function explain(group) {
  state.groups = [group, ...state.groups.filter((one) => one !== group)].slice(0, 3);
  drawGroups(); drawGroupTable(last.groups, chosenEffect());
  send("explain", { group, asked: { ...state } });
}

function drawLines(lines) {
  $("chart-lines").hidden = !lines;
  if (!lines) return;
  chart($("chart-lines"), "lines", lineRows(lines));
}

function drawMap(areas) {
  const shapes = told.map && told.map.shapes;
  $("h-map").parentElement.hidden = !(shapes && areas);
  if (!shapes || !areas) return;
  chart($("chart-map"), areas.raw.some((value) => value != null) ? "map" : "map_pooled", areaRows(shapes, areas));
}

function drawPriors(priors) {
  const box = $("priors");
  if (told.priors !== priors.map((one) => one.name).join("\n")) {
    told.priors = priors.map((one) => one.name).join("\n");
    box.replaceChildren(...priors.map((one, k) => el("div", { class: "prior" },
      el("label", { for: `width-${k}` }, el("span", {}, one.name), el("output", { id: `times-${k}`, for: `width-${k}` })),
      el("input", { id: `width-${k}`, type: "range", min: -4, max: 4, step: 0.25, value: Math.log2(one.width), "data-term": one.name,
        oninput: (event) => { move(one.name, 2 ** Number(event.target.value), k); } }),
      el("div", { id: `prior-${k}`, role: "img", "aria-label": `Prior and posterior of ${one.name}` }),
      el("p", { id: `words-${k}` }))));
    const terms = priors.map((one) => el("option", { value: one.name }, one.name));
    $("flip-term").replaceChildren(...terms);
  }
  priors.forEach((one, k) => {
    say(`words-${k}`, one.words); times(k, one.width);
    const slider = $(`width-${k}`);
    slider.setAttribute("aria-valuetext", one.words);
    if (document.activeElement !== slider) slider.value = Math.log2(one.width);
    chart($(`prior-${k}`), "prior", priorRows(one));
  });
}

function times(k, width) { say(`times-${k}`, timesText(width)); }

function move(term, width, k) {
  if (Math.abs(width - 1) < 1e-9) delete state.widths[term]; else state.widths[term] = width;
  times(k, width);
  ask();
}

function table(id, columns, lines) {
  const at = $(id), caption = at.caption;
  at.replaceChildren(caption, el("thead", {}, el("tr", {}, ...columns.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, ...lines.map((line) => el("tr", {}, ...line.map((value) => el("td", {}, digits(value)))))));
}

function list(id, sentences) { $(id).replaceChildren(...(sentences || []).map((text) => el("li", {}, text))); }

function drawAnswer(answer, after = () => {}) {
  last = { ...last, ...answer };
  const certificate = $("certificate");
  certificate.className = `certificate ${answer.certificate.passed ? "good" : "bad"}`;
  certificate.textContent = answer.certificate.line;
  const effects = answer.groups ? answer.groups.effects.map((effect) => effect.name) : [];
  if (told.effects !== effects.join("\n")) {
    told.effects = effects.join("\n");
    $("effect").replaceChildren(...effects.map((name) => el("option", { value: name }, name)));
  }
  drawGroups();
  // What moves with the hand comes first; the browser paints it before the rest is put in.
  requestAnimationFrame(() => setTimeout(() => { drawRest(answer); after(); }, 0));
}

function drawRest(answer) {
  const names = ["complete", "partial"].filter((name) => answer.coefficients.some((line) => line[name]));
  table("coefficients", ["", ...names.map((name) => `${name} pooling`)], answer.coefficients.map((line) => [line.name, ...names.map((name) => ranged(line[name]))]));
  if (chosenEffect()) drawGroupTable(last.groups, chosenEffect());
  drawPriors(answer.priors);
}

// --- the model by clicks -------------------------------------------------------------------------------------------

function named(name) { return /^[A-Za-z_]\w*$/.test(name) ? name : "`" + name + "`"; }

function drawClicks(said) {
  parts = said;
  $("clicks").hidden = !said; $("beyond").hidden = !!said;
  if (!said) return;
  const names = columns.map((column) => column.name);
  $("outcome").replaceChildren(...names.map((name) => el("option", { value: name }, name)));
  $("outcome").value = said.outcome;
  $("group").replaceChildren(el("option", { value: "" }, "none"), ...columns.filter((column) => column.values > 1).map((column) => el("option", { value: column.name }, `${column.name} (${column.values})`)));
  $("group").value = said.group;
  const open = names.filter((name) => name !== said.outcome && name !== said.group);
  const key = JSON.stringify([open, said.predictors, said.varying, said.group]);
  if (told.clicks === key) return;
  told.clicks = key;
  $("predictors").replaceChildren(...open.map((name) => {
    const used = said.predictors.includes(name);
    return el("div", {},
      el("label", {}, el("input", { type: "checkbox", checked: used, "data-use": name, onchange: () => compose(name) }), name),
      said.group && used ? el("label", {}, el("input", { type: "checkbox", checked: said.varying.includes(name), "data-vary": name, onchange: () => compose(name) }), "varies") : null);
  }));
}

function compose(focus) {
  const uses = [...document.querySelectorAll("[data-use]")].filter((box) => box.checked).map((box) => box.dataset.use);
  const varies = [...document.querySelectorAll("[data-vary]")].filter((box) => box.checked).map((box) => box.dataset.vary);
  const outcome = $("outcome").value, group = $("group").value;
  const predictors = uses.filter((name) => name !== outcome && name !== group);
  const varying = varies.filter((name) => predictors.includes(name));
  const before = state.formula.split("~")[0].trim();
  state.formula = `${named(outcome)} ~ ${predictors.map(named).join(" + ") || "1"}` + (group ? ` + (${varying.map(named).join(" + ") || "1"} | ${named(group)})` : "");
  $("formula").value = state.formula;
  const column = columns.find((one) => one.name === outcome);
  if (column && before !== named(outcome)) { state.family = column.family; $("family").value = column.family; }
  state.groups = [];
  state.widths = {};
  told.focus = focus;
  ask();
}

function drawTable(said) {
  const kinds = el("tbody", {}, ...said.columns.map((column) => el("tr", {}, el("td", {}, column.name),
    el("td", {}, said.source === "upload"
      ? el("select", { "aria-label": `Kind of ${column.name}`, onchange: (event) => send("kinds", { [column.name]: event.target.value }) },
        ...["number", "category"].map((kind) => el("option", { value: kind, selected: kind === column.kind }, kind)))
      : column.kind),
    el("td", {}, column.values), el("td", {}, column.missing || ""), el("td", {}, column.example))));
  const at = $("columns");
  at.replaceChildren(at.caption, el("thead", {}, el("tr", {}, ...["column", "kind", "values", "missing", "first"].map((name) => el("th", { scope: "col" }, name)))), kinds);
  table("preview", said.columns.map((column) => column.name), said.preview);
}

// --- what arrives --------------------------------------------------------------------------------------------------

const arrivals = {
  choices(said) {
    told.megabytes = said.megabytes;
    told.upload = said.upload;
    told.kept = [...said.examples.map((one) => one.name), ...said.files.map((name) => `file:${name}`)];
    const files = said.files.map((name) => el("option", { value: `file:${name}` }, name));
    const own = el("option", { value: "upload", disabled: !said.uploaded }, "Your own table");
    $("source").replaceChildren(...said.examples.map((one) => el("option", { value: one.name }, one.title)), ...files, own);
    $("family").replaceChildren(...said.families.map((name) => el("option", { value: name }, name.replaceAll("_", " "))));
  },
  described(said) {
    columns = said.columns;
    told.map = said.map;
    if (said.source === "upload") $("source").querySelector("[value=upload]").disabled = false;
    $("source").value = said.source;
    const missing = columns.filter((column) => column.missing).length;
    const hint = !said.map ? "" : ` Its map is there: (1 | ${named(said.map.by)})` + (said.map.joined ? ` treats areas alike, bym2(${named(said.map.by)}, map) lets neighbours resemble one another.` : " is drawn on it.");
    say("about", said.about + hint + (missing ? ` ${missing} columns have missing values; rows without a needed value are left out.` : ""));
    drawTable(said);
    const kept = said.keep && state.formula;
    Object.assign(state, { source: said.source, widths: kept && said.keep === "all" ? state.widths : said.widths || {}, groups: [] }, kept ? {} : { formula: said.formula, family: said.family });
    $("formula").value = state.formula; $("family").value = state.family;
    say("error", "");
    if (!kept) { forgetAnswers(); forgetJudgement(); say("pin-said"); $("pins").replaceChildren($("pins").caption); }
    ask();
  },
  answer(said) {
    forgetAnswers();
    say("error", ""); say("formula-error", ""); $("formula").classList.remove("wrong");
    drawClicks(said.clicks);
    drawAnswer(said, () => {
      if (told.kept && told.kept.includes(state.source)) history.replaceState(null, "", said.link);
      document.body.dataset.answered = said.number;
      answered();
    });
  },
  judged(said) {
    if (said.number !== state.number) return;
    if (said.certificate) {
      drawAnswer(said);
      list("answers", said.answers); list("notes", said.notes); say("model", said.model);
      drawLines(said.lines);
      drawMap(said.areas);
    }
    if ("verdict" in said) {
      say("verdict", said.verdict || "One model: with a single grouping factor the three poolings would stand side by side.");
      if (said.scores) table("scores", said.scores.columns, said.scores.lines); else $("scores").replaceChildren($("scores").caption);
    }
    if ("checks" in said) {
      say("check-verdict", said.checks ? said.checks.verdict : "Checks are left out for so many rows.");
      if (said.checks) table("checks", said.checks.columns, said.checks.lines); else $("checks").replaceChildren($("checks").caption);
      drawOutcomes(said.outcomes);
    }
    last = { ...last, ...said };
  },
  complete(said) { if (said.number === state.number) document.body.dataset.judged = said.number; },
  explained(said) { if (said.number === state.number) { say("explanation", said.text); drawLines(said.lines); } },
  pinned(said) { say("pin-said", said.said); table("pins", said.columns, said.lines); },
  flipped(said) { if (said.number === state.number) list("flips", said.said); },
  code(said) { if (said.number === state.number) { $("code").hidden = false; say("code", said.text); } },
  failed(said) {
    const formula = ["answer", "judged"].includes(said.of);
    if (said.of === "answer") { say("formula-error", said.message); $("formula").classList.add("wrong"); }
    else say("error", said.message);
    if (said.of === "judged" && said.number === state.number) forgetJudgement();
    if (said.of === "flipped") list("flips");
    if (said.of === "described") $("source").value = state.source; // the numbers are still those of the last table
    if (formula) { waiting = false; document.body.classList.remove("busy"); if (again) ask(); }
  },
};

function drawOutcomes(said) {
  $("chart-outcomes").hidden = !said;
  if (!said) return;
  const rows = [];
  for (const [name, what] of [["observed", "observed"], ["posterior", "by the fitted model"], ["prior", "by the priors"]]) {
    (said[name] || []).forEach((y, i) => rows.push({ what, x: said.edges[i], x2: said.edges[i + 1], y, zero: 0 }));
  }
  chart($("chart-outcomes"), "outcomes", { outcomes: rows });
}

// --- the page's own controls ---------------------------------------------------------------------------------------

$("ask").addEventListener("submit", (event) => event.preventDefault());
$("source").addEventListener("change", (event) => send("source", event.target.value));
for (const id of ["outcome", "group"]) $(id).addEventListener("change", () => compose(id));
$("family").addEventListener("change", (event) => { state.family = event.target.value; state.widths = {}; ask(); });
$("formula").addEventListener("input", () => { clearTimeout(textTimer); textTimer = setTimeout(readFormula, 600); });
$("formula").addEventListener("change", readFormula);
$("effect").addEventListener("change", () => { drawGroups(); drawGroupTable(last.groups, chosenEffect()); });
$("search").addEventListener("input", () => { const effect = chosenEffect(); if (effect) drawGroupTable(last.groups, effect); });
$("reset").addEventListener("click", () => { state.widths = {}; ask(); });
$("pin").addEventListener("click", () => send("pin", Date.now()));
$("flip").addEventListener("click", () => { list("flips", ["Refitting at nine widths ..."]); send("flips", { term: $("flip-term").value, number: state.number }); });
$("show-code").addEventListener("click", () => send("code", { system: $("system").value, number: state.number }));
$("link").addEventListener("click", async () => {
  try { await navigator.clipboard.writeText(location.href); $("link").textContent = "Copied"; }
  catch { window.prompt("The link to this state:", location.href); }
  setTimeout(() => { $("link").textContent = "Copy a link to this state"; }, 2000);
});
for (const kind of ["dragover", "dragleave", "drop"]) $("drop").addEventListener(kind, (event) => {
  event.preventDefault();
  $("drop").classList.toggle("over", kind === "dragover");
  if (kind === "drop" && event.dataTransfer.files.length) { $("upload").files = event.dataTransfer.files; $("upload").dispatchEvent(new Event("change", { bubbles: true })); }
});
// The body of a request, which the server counts as it comes.
$("upload").addEventListener("change", async (event) => {
  const file = event.target.files[0];
  if (!file || !told.upload) return;
  if (file.size > told.megabytes * 1e6) {
    say("error", `The file has ${Math.round(file.size / 1e6)} MB; ${told.megabytes} MB are the most here.`);
  } else {
    document.body.classList.add("busy");
    try { await fetch(told.upload, { method: "POST", body: file, headers: { "x-name": encodeURIComponent(file.name) } }); }
    catch { say("error", "The file could not be sent."); }
    if (!waiting) document.body.classList.remove("busy");
  }
  event.target.value = "";
});

function readFormula() {
  clearTimeout(textTimer);
  const text = $("formula").value.trim();
  if (text === state.formula) return;
  state.formula = text; state.widths = {}; state.groups = [];
  ask();
}

window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  if (charts) charts.forget();
  if (last) { drawAnswer(last); drawLines(last.lines); drawMap(last.areas); drawOutcomes(last.outcomes); }
});

let opened = false;
window.jQuery(document).on("shiny:sessioninitialized", async () => {
  $("lost").hidden = true;
  charts = charts || poolwise.charts(await (await fetch("static/charts.json")).json(), window.vegaEmbed, dark);
  for (const [kind, act] of Object.entries(arrivals)) if (!opened) window.Shiny.addCustomMessageHandler(kind, act);
  opened = true; waiting = false;
  send("hello", location.search || "?");
});
// The page says that the server is gone, and asks until it is there again.
window.jQuery(document).on("shiny:disconnected", () => {
  $("lost").hidden = false; $("certificate").className = "certificate waiting"; document.body.classList.remove("busy");
  const timer = setInterval(async () => {
    try { if ((await fetch(location.pathname, { cache: "no-store" })).ok) { clearInterval(timer); location.reload(); } } catch { /* not yet */ }
  }, 1500);
});
})();
