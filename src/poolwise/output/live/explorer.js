// `fit.explore()` in a notebook: what moves is asked of the kernel, one question at a time.

// Vega is asked of the kernel once for a page; names that it gives itself are those of whoever was there before.
function chartEngine(model) {
  const kept = Symbol.for("poolwise.engine");
  if (globalThis[kept]) return Promise.resolve(globalThis[kept]);
  // Each widget asks for itself: another's kernel may be gone.
  return new Promise((done) => {
    const heard = async (content) => {
      if (!content || content.kind !== "engine") return;
      model.off("msg:custom", heard);
      const names = ["vega", "vegaLite", "vegaEmbed"], before = names.map((name) => window[name]);
      const address = URL.createObjectURL(new Blob([content.text], { type: "text/javascript" }));
      await import(/* webpackIgnore: true */ address);
      const embed = window.vegaEmbed;
      names.forEach((name, k) => { window[name] = before[k]; });
      URL.revokeObjectURL(address);
      globalThis[kept] = embed;
      done(embed);
    };
    model.on("msg:custom", heard);
    model.send({ kind: "engine" });
  });
}

// Whether the notebook is dark: what is behind the widget decides, not the system.
function isDark(element) {
  for (let at = element; at; at = at.parentElement) {
    const parts = getComputedStyle(at).backgroundColor.match(/[\d.]+/g);
    if (parts && (parts.length < 4 || Number(parts[3]) > 0)) return parts.slice(0, 3).reduce((sum, part) => sum + Number(part), 0) < 384;
  }
  return false;
}

async function render({ model, el: root }) {
  const { el, ranged, timesText, groupRows, lineRows, priorRows } = poolwise;
  const widthText = (width) => width === 1 ? "as fitted" : timesText(width);
  const dark = isDark(root), state = { number: 0, widths: {}, groups: [], ...model.get("asked") };
  const certificate = el("p", { class: "certificate", role: "status" }), error = el("p", { class: "error", role: "alert" });
  const formula = el("code"), priors = el("div"), said = el("p", { class: "said", "aria-live": "polite" });
  const groupsChart = el("div", { class: "chart", role: "img", "aria-label": "Estimate of each group by its number of rows, from its own rows alone to pooled" });
  const linesChart = el("div", { class: "chart", role: "img", tabindex: 0, "aria-label": "Rows of some groups with the lines of the poolings" });
  const effect = el("select", { onchange: () => drawGroups() });
  const group = el("select", { onchange: () => { state.groups = group.value ? [group.value] : []; drawGroups(); settle(); } });
  const reset = el("button", { type: "button", onclick: () => { state.widths = {}; ask(); } }, "Priors of the fit");
  const unit = el("p", { class: "quiet axis" }), coefficients = el("table");
  const ofGroups = el("div", {},
    el("div", { class: "row" }, el("label", {}, "Coefficient ", effect), el("label", {}, "Explain ", group),
      el("span", { class: "key quiet" }, el("i", { class: "own" }), "own rows alone", el("i", { class: "pooled" }), "pooled", el("i", { class: "band" }), "average group")),
    groupsChart, unit, said, linesChart);
  // Notebooks take arrow keys for their own where they hear of them.
  const box = el("div", { class: `poolwise-explorer${dark ? " dark" : ""}`, onkeydown: (event) => event.stopPropagation() },
    el("p", {}, formula), certificate, error,
    el("div", { class: "columns" },
      el("div", {}, el("p", { class: "quiet" }, "Orange: the prior. Blue: what is known after the data. Each slider makes its prior narrower or wider; everything follows."), priors, reset),
      el("div", { class: "answer" }, ofGroups, el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Coefficients" }, coefficients))));
  root.replaceChildren(box);

  let charts = null, waiting = false, again = false, settling = null, last = null, sliders = [];

  function send(settled) {
    waiting = true; again = false; state.number += 1;
    box.classList.add("busy");
    model.set("asked", { number: state.number, widths: { ...state.widths }, groups: [...state.groups], settled });
    model.save_changes();
  }
  function ask() { clearTimeout(settling); if (waiting) again = true; else send(false); }
  function settle() { clearTimeout(settling); settling = setTimeout(() => { if (waiting) settle(); else send(true); }, 350); }

  function chosenEffect() { return last.groups.effects.find((one) => one.name === effect.value) || last.groups.effects[0]; }
  function drawGroups() {
    ofGroups.hidden = !(last.groups && last.groups.effects.length);
    if (ofGroups.hidden || !charts) return;
    charts.draw(groupsChart, "groups", groupRows(last.groups, chosenEffect(), state.groups));
    unit.textContent = `${last.groups.unit} of the group`;
  }
  function choices(select, names, first) {
    if (select.dataset.names === names.join("\n")) return;
    const before = select.value;
    select.dataset.names = names.join("\n");
    select.replaceChildren(...first, ...names.map((name) => el("option", { value: name }, name)));
    if (names.includes(before)) select.value = before;
  }
  function drawPriors(all) {
    if (sliders.map((one) => one.name).join("\n") !== all.map((one) => one.name).join("\n")) {
      sliders = all.map((one) => {
        const times = el("output"), words = el("p"), chart = el("div", { class: "chart", role: "img", "aria-label": `Prior and posterior of ${one.name}` });
        const slider = el("input", { type: "range", min: -4, max: 4, step: 0.25, "data-term": one.name, "aria-label": `Width of the prior of ${one.name}`,
          oninput: () => {
            const width = 2 ** Number(slider.value);
            if (width === 1) delete state.widths[one.name]; else state.widths[one.name] = width;
            times.textContent = widthText(width);
            ask();
          } });
        return { name: one.name, times, words, chart, slider };
      });
      priors.replaceChildren(...sliders.map((one) => el("div", { class: "prior" }, el("label", {}, el("span", {}, one.name), one.times), one.slider, one.chart, one.words)));
    }
    all.forEach((one, k) => {
      const { times, words, chart, slider } = sliders[k];
      times.textContent = widthText(one.width); words.textContent = one.words;
      slider.setAttribute("aria-valuetext", one.words);
      if (document.activeElement !== slider || !(one.name in state.widths)) slider.value = Math.log2(one.width);
      if (charts) charts.draw(chart, "prior", priorRows(one));
    });
  }
  function draw() {
    certificate.className = `certificate${last.certificate.passed ? "" : " bad"}`;
    certificate.textContent = last.certificate.line;
    formula.textContent = last.formula;
    if (last.groups) {
      choices(effect, last.groups.effects.map((one) => one.name), []);
      choices(group, last.groups.labels, [el("option", { value: "" }, "no group")]);
    }
    drawGroups();
    drawPriors(last.priors);
    const names = ["partial", "complete"].filter((name) => last.coefficients.some((line) => line[name]));
    coefficients.replaceChildren(
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "mean (90% interval)"), ...names.map((name) => el("th", { scope: "col" }, `${name} pooling`)))),
      el("tbody", {}, ...last.coefficients.map((line) => el("tr", {}, el("td", {}, line.name), ...names.map((name) => el("td", {}, ranged(line[name])))))));
  }
  function show(answer) {
    error.textContent = answer.failed || "";
    if (answer.failed) return;
    last = { ...last, ...answer };
    draw();
    said.textContent = last.explained || "";
    linesChart.hidden = !last.lines;
    if (last.lines && charts) charts.draw(linesChart, "lines", lineRows(last.lines));
  }
  function arrived() {
    const answer = model.get("answer");
    waiting = false;
    box.classList.remove("busy");
    show(answer);
    box.dataset.answered = answer.number;
    box.dataset.settled = "explained" in answer;
    if (again) send(false); else if (!answer.failed && !("explained" in answer)) settle();
  }

  state.number = Math.max(state.number, model.get("answer").number || 0);
  // What another view of the widget asked holds here too.
  function elsewhere() {
    const asked = model.get("asked");
    Object.assign(state, { number: Math.max(state.number, asked.number || 0), widths: { ...asked.widths } });
  }
  model.on("change:answer", arrived);
  model.on("change:asked", elsewhere);
  show(model.get("answer"));
  chartEngine(model).then((embed) => {
    charts = poolwise.charts(model.get("specifications"), embed, () => dark);
    if (last) show(last);
    box.dataset.ready = true;
  });
  return () => { clearTimeout(settling); model.off("change:answer", arrived); model.off("change:asked", elsewhere); if (charts) charts.forget(); };
}

export default { render };
