"use strict";
(async () => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const views = [];
  for (const [name, spec] of Object.entries(page.charts)) {
    const found = await window.vegaEmbed(`#chart-${name}`, spec, { actions: false, renderer: "svg" });
    views.push(found.view);
  }
  const select = document.getElementById("group");
  const choose = async (group) => {
    document.getElementById("explained").textContent = page.groups[group];
    for (const view of views) {
      // Only charts that know a chosen group have the signal.
      if ("chosen" in view.getState().signals) await view.signal("chosen", group).runAsync();
    }
    document.body.dataset.chosen = group;
  };
  if (select) {
    select.addEventListener("change", () => choose(select.value));
    await choose(select.value);
  }
  document.body.dataset.ready = "yes";
})();
