// Per-cell heat map: every shown row in every cell at every k, on one scale. A table, so that it can be read aloud.

function drawHeat() {
  const figure = byId("heat"), here = section(), one = metric(), list = tables();
  const title = `Per-cell heat map: ${one.name}`;
  if (one.scope === "across") {
    show(figure, title, "This metric pools all cells: there is nothing to show per cell.");
    return;
  }
  const scale = shading(), rows = visibleRows();
  const chosen = (t) => (t.k === view.k ? "selected" : "");
  const first = (i) => (i ? "" : "first");
  const heads = h("thead", {},
    h("tr", {}, h("th", { rowspan: 2, scope: "col", class: "left" }, "Row"), here.cells.map((cell) => h("th", { scope: "colgroup", colspan: list.length, class: "first" }, cell))),
    h("tr", {}, here.cells.map(() => list.map((t, i) => h("th", { scope: "col", class: `${first(i)} ${chosen(t)}` }, `k ${t.k}`)))));
  const body = h("tbody", {}, rows.map((row) => h("tr", {}, h("th", { scope: "row" }, row.name),
    here.cells.map((cell) => list.map((t, i) => heatCell(t, row, cell, one, scale, first(i)))))));
  const table = h("table", { class: "heat-table shaded" }, h("caption", { class: "unseen" }, title), h("colgroup", { span: 1 }),
    here.cells.map(() => h("colgroup", { span: list.length })), heads, body);
  const caption = [`Every shown row in every held-out cell at every k${list.some((t) => t.k > 0) ? ` (${view.support})` : ""}, on one scale. `, ramp(one, scale)];
  show(figure, title, "", scrolling(title, table));
  figure.querySelector("figcaption").replaceChildren(...caption);
}

function heatCell(t, row, cell, one, scale, place) {
  const other = t.byName.get(row.name), head = t.heads.find((each) => each.cell === cell);
  const value = other ? valueOf(section(), t, other, one, cell) : null;
  if (value !== null) return shade(h("td", { class: place }, number(value, 2)), scale.share(value, head));
  const state = other ? result(section(), t, other, cell).state : "not run";
  const short = { infeasible: "inf.", failed: "failed", ok: "n/a", "not run": "–", "n/a": "n/a" }[state];
  return h("td", { class: `${place} ${state === "ok" ? "missing" : state.replace(" ", "-")}` }, short);
}

function ramp(one, scale) {
  if (!scale.known) return "";
  const bar = h("i", { "aria-hidden": "true" });
  const good = `color-mix(in oklab, var(--good) ${DARKEST}%, var(--surface))`, bad = `color-mix(in oklab, var(--bad) ${DARKEST}%, var(--surface))`;
  const signed = one.pivot !== null;
  bar.style.background = `linear-gradient(to right, ${signed ? `${bad}, ` : ""}var(--surface), ${good})`;
  if (one.better === "lower") return h("span", { class: "ramp" }, number(scale.high), bar, `${number(scale.low)} (best)`);
  const middle = one.pivot === "chance" ? "chance" : number(one.pivot ?? 0);
  return h("span", { class: "ramp" }, signed ? `below ${middle}` : "0", bar, one.pivot === "chance" ? `chance + ${number(scale.reach)} (best row)` : `${number((one.pivot ?? 0) + scale.reach)} (best row)`);
}
