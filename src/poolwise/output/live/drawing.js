// Answers as rows of charts and as text, for the page and for notebooks. Everything from data is put in as text, never
// as HTML.
"use strict";

const poolwise = (() => {
const el = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null).map((child) => (child instanceof Node ? child : String(child))));
  return made;
};
const digits = (value) => value == null || value === "" ? "" : typeof value === "number" ? String(Number(value.toPrecision(3))) : String(value);

// A mean and its interval, to a hundredth of the interval's width or finer: as many digits far from zero as near it.
function ranged(triple) {
  if (triple == null || triple[0] == null) return "";
  const width = triple[2] - triple[1];
  const places = width > 0 ? Math.min(12, Math.max(0, 3 - Math.ceil(Math.log10(width)))) : null;
  const [mean, low, high] = triple.map((value) => places == null ? digits(value) : value.toFixed(places));
  return `${mean} (${low} to ${high})`;
}

const timesText = (width) => width === 1 ? "default" : `× ${digits(width)}`;

// --- rows of charts ------------------------------------------------------------------------------------------------

function groupRows(groups, effect, chosen) {
  const jitter = (k) => Math.exp((((k * 0.6180339887) % 1) - 0.5) * 0.16);
  const rows = groups.labels.map((label, k) => ({
    group: label, rows: groups.rows[k], x: Math.max(groups.rows[k], 0.7) * jitter(k), partial: effect.partial[k][0],
    separate: effect.separate ? effect.separate[k][0] : null, untold: effect.untold ? effect.untold[k] : false,
    chosen: chosen.includes(label),
  }));
  const [mean, low, high] = effect.population, sizes = rows.map((row) => row.x);
  const ends = [Math.min(...sizes) / 1.3, Math.max(...sizes, 4 * Math.min(...sizes))]; // equal sizes stand together
  return { groups: rows, population: [{ mean, low, high, x: ends[0] }, { mean, x: ends[1] }] };
}

function lineRows(lines) {
  const rows = [];
  for (const panel of lines.panels) {
    panel.dots.x.forEach((x, i) => rows.push({ group: panel.label, x, y: panel.dots.y[i] }));
    for (const model of ["complete", "separate", "partial"]) {
      if (!panel[model]) continue;
      lines.grid.forEach((x, i) => rows.push({ group: panel.label, model, x, y: panel[model][0][i], low: panel[model][1][i], high: panel[model][2][i] }));
    }
  }
  return { lines: rows };
}

function priorRows(one) {
  const posterior = one.posterior.map((y2, i) => ({ x: one.edges[i], x2: one.edges[i + 1], y: 0, y2 }));
  // A prior that is far lower than the posterior would be a line on the ground: each has its own height.
  const top = Math.max(...one.posterior, 1e-300), high = Math.max(...one.prior, 1e-300), scale = Math.min(1, Math.max(top / high, 0.0));
  return { posterior, prior: one.x.map((x, i) => ({ x, y: one.prior[i] * (high > top ? scale : 1) })) };
}

// Shapes with what is known of each area.
function areaRows(shapes, areas) {
  const place = new Map(areas.labels.map((label, k) => [label, k]));
  return { areas: shapes.map(({ area, geometry }) => {
    const k = place.get(area);
    return { type: "Feature", geometry, area, ...(k == null ? {} : { rows: areas.rows[k], raw: areas.raw[k], mean: areas.mean[k], sd: areas.sd[k] }) };
  }) };
}

// --- charts --------------------------------------------------------------------------------------------------------

// Charts that are drawn once and then given other rows. `specifications` are those of charts.json.
function charts(specifications, embed, dark) {
  const drawn = new Map();

  function inked(spec) {
    const ink = dark() ? "#c9d1d9" : "#3a434d", grid = dark() ? "#2b343d" : "#e6eaee";
    const copy = JSON.parse(JSON.stringify(spec));
    copy.config = { ...copy.config, axis: { labelColor: ink, titleColor: ink, titleFontWeight: "normal", gridColor: grid, domainColor: "#888888", tickColor: "#888888" },
      legend: { labelColor: ink, titleColor: ink }, header: { labelColor: ink, titleColor: ink, labelFontSize: 12 } };
    return copy;
  }

  async function draw(where, name, tables) {
    for (const [one, known] of drawn) if (!one.isConnected) { known.view.finalize(); drawn.delete(one); }
    const known = drawn.get(where);
    if (known && known.name === name) {
      for (const [table, rows] of Object.entries(tables)) known.view.data(table, rows);
      known.view.run();
      return;
    }
    const spec = inked({ ...specifications[name], config: specifications.config });
    spec.datasets = tables;
    // The box says in words what the chart shows; its thousand marks are not read out one by one.
    const inner = el("div", { "aria-hidden": "true" });
    where.replaceChildren(inner);
    const made = await embed(inner, spec, { actions: false, renderer: "svg", logLevel: 1 });
    if (!inner.isConnected) { made.view.finalize(); return; } // another chart has taken its place meanwhile
    made.view.container().removeAttribute("tabindex");
    if (drawn.has(where)) drawn.get(where).view.finalize();
    drawn.set(where, { view: made.view, name });
  }

  function forget() { for (const known of drawn.values()) known.view.finalize(); drawn.clear(); }

  return { draw, forget };
}

return { el, digits, ranged, timesText, groupRows, lineRows, priorRows, areaRows, charts };
})();
