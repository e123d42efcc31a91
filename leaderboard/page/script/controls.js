// Switches, filters and the theme.

function options(select, pairs, chosen) {
  select.replaceChildren(...pairs.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
  select.value = chosen;
}

// Radio buttons: arrow keys move between them without any script.
function radios(fieldset, name, values, chosen, pick) {
  const target = fieldset.querySelector("div");
  const known = [...target.querySelectorAll("input")].map((input) => input.value);
  if (known.join("\n") !== values.map(String).join("\n")) {
    target.replaceChildren(...values.map((value) => h("label", {},
      h("input", { type: "radio", name, value: String(value), onchange: () => pick(value) }), h("span", {}, String(value)))));
  }
  for (const input of target.querySelectorAll("input")) input.checked = input.value === String(chosen);
}

function drawSwitches() {
  options(byId("task"), tasks().map((name) => [name, name]), view.task);
  radios(byId("protocol"), "protocol", protocols(view.task), view.protocol, (protocol) => change({ protocol }));
  radios(byId("k"), "k", tables().map((one) => one.k), view.k, (k) => change({ k }));
  options(byId("support"), supports(section()).map((name) => [name, name]), view.support);
  byId("support-switch").hidden = supports(section()).length < 2;
  const groups = unique(DATA.metrics.map((one) => one.group));
  byId("metric").replaceChildren(...groups.map((group) => h("optgroup", { label: group },
    DATA.metrics.filter((one) => one.group === group).map((one) => h("option", { value: one.id, disabled: !measured(one) && one.id !== view.metric }, one.name)))));
  byId("metric").value = view.metric;
  options(byId("over"), overs().map((name) => [name, overName(name)]), view.over);
  options(byId("cost-measure"), DATA.costs.map((cost) => [cost.id, costTitle(cost)]), view.cost);
}

function drawChips() {
  const focused = document.activeElement?.dataset?.chip;
  const names = unique(tables().flatMap((t) => t.rows.filter(visible).map((row) => row.name)));
  byId("chips").replaceChildren(...names.map((name) => h("button", {
    type: "button", "aria-pressed": String(view.bright.has(name)), "data-chip": name, title: name,
    onclick: () => { view.bright.has(name) ? view.bright.delete(name) : view.bright.add(name); drawFigures(); },
  }, s("svg", { width: 16, height: 16, "aria-hidden": "true" }, marker(name, 8, 8, 4.5)), h("span", {}, name))));
  if (focused) byId("chips").querySelector(`[data-chip="${CSS.escape(focused)}"]`)?.focus();
}

const THEMES = ["auto", "light", "dark"];

function remembered() {
  // Some browsers give pages from disk no storage.
  try { return oneOf(localStorage.getItem("epishot-theme"), THEMES); } catch { return "auto"; }
}

function setTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  byId("theme").textContent = `Theme: ${theme}`;
  try { localStorage.setItem("epishot-theme", theme); } catch { /* it is then forgotten */ }
}

function connect() {
  const picks = { task: "task", support: "support", metric: "metric", over: "over", "cost-measure": "cost" };
  for (const [id, name] of Object.entries(picks)) byId(id).addEventListener("change", (event) => change({ [name]: event.target.value }));
  byId("find").addEventListener("input", (event) => { view.text = event.target.value.trim(); drawRows(); });
  for (const id of ["show-intervals", "show-shades", "show-costs"]) byId(id).addEventListener("change", drawTable);
  for (const form of document.querySelectorAll("form")) form.addEventListener("submit", (event) => event.preventDefault());
  byId("kinds").querySelector("div").append(...KINDS.map((kind) => h("label", {}, h("input", {
    type: "checkbox", value: kind, checked: true,
    onchange: (event) => { event.target.checked ? view.kinds.add(kind) : view.kinds.delete(kind); drawRows(); },
  }), ` ${kind === "external" ? kind : `${kind}s`}`)));
  byId("reset").addEventListener("click", () => {
    view.text = byId("find").value = "";
    for (const input of byId("kinds").querySelectorAll("input")) input.checked = true;
    view.kinds = new Set(KINDS);
    drawRows();
    byId("find").focus();
  });
  byId("theme").addEventListener("click", () => setTheme(THEMES[(THEMES.indexOf(remembered()) + 1) % THEMES.length]));
  byId("details").addEventListener("click", (event) => { if (event.target === byId("details")) byId("details").close(); });
  addEventListener("hashchange", () => change(readAddress()));
}
