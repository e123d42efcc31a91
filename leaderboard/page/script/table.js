// The main table: one row per method, sorted, filtered and shaded.

function columns() {
  const one = metric(), here = section(), t = table();
  const list = [
    { id: "name", title: "Method", ascending: true, value: (row) => row.name.toLowerCase() },
    { id: "group", title: "Group", ascending: true, value: (row) => row.group },
  ];
  if (one.macro && t.macro_cells.length) list.push({
    id: "mean", title: one.scope === "across" ? "All cells" : "Mean", value: (row) => valueOf(here, t, row, one, MEAN),
    ascending: one.better === "lower", under: [one.scope === "across" ? "pooled" : `of ${counted(t.macro_cells.length, "cell")}`],
  });
  if (one.scope === "cell") for (const head of t.heads) list.push({
    id: `cell:${head.cell}`, title: head.cell, head, ascending: one.better === "lower",
    value: (row) => valueOf(here, t, row, one, head.cell),
    under: [`n ${thousands(head.n)}, P ${thousands(head.positives)}`, `chance ${number(head.chance)}`],
  });
  list.push({ id: "audit", title: "Audit", ascending: true, value: (row) => here.records.get(row.name).audit });
  for (const cost of DATA.costs.filter((cost) => cost.column)) list.push({
    id: `cost:${cost.id}`, title: cost.name, cost, ascending: true, under: [cost.per ? `per ${cost.per.slice(0, -1)}` : "\u00a0"],
    value: (row) => costOf(here.records.get(row.name), cost),
  });
  return list;
}

// Without a column to sort by, rows stand in the order of the board.
function sorted(rows, column) {
  if (!column) return rows;
  const sign = view.descending ? -1 : 1;
  // Rows without a value stand last whichever way; equal values keep the board's order.
  return rows.map((row) => [row, column.value(row)]).sort(([, a], [, b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (a < b ? -1 : a > b ? 1 : 0);
  }).map(([row]) => row);
}

function sortBy(column) {
  const same = view.sort === column.id;
  view.descending = same ? !view.descending : !column.ascending;
  view.sort = column.id;
  drawTable();
}

function headCell(column) {
  const direction = view.sort === column.id ? (view.descending ? "descending" : "ascending") : "none";
  const classes = [column.id === "name" ? "left" : "", column.cost ? "costs" : "", column.id === "mean" ? "mean" : ""].join(" ");
  return h("th", { scope: "col", "aria-sort": direction, class: classes },
    h("button", { type: "button", "data-sort": column.id, onclick: () => sortBy(column) }, column.title),
    (column.under ?? []).map((text) => h("small", {}, text)));
}

function bodyCell(row, column, scale) {
  const here = section(), t = table(), one = metric();
  if (column.id === "name") {
    return h("th", { scope: "row" },
      h("button", { type: "button", class: "name", "aria-haspopup": "dialog", title: row.name, onclick: () => openDetails(row.name) }, row.name),
      h("div", {}, tags(row).map(([kind, text]) => h("span", { class: `tag ${kind}` }, text))));
  }
  if (column.id === "group") {
    const text = row.group === null ? (row.kind === "reference" ? "–" : "n/a") : String(row.group);
    return h("td", {}, row.group === null ? text : h("span", { class: `group g${row.group}` }, text));
  }
  if (column.id === "audit") {
    const text = column.value(row);
    if (!here.records.get(row.name).audited) return h("td", { class: "missing" }, row.kind === "reference" ? "–" : text);
    return h("td", { class: text === "pass" ? null : "failed" },
      h("button", { type: "button", class: "name", "aria-haspopup": "dialog", onclick: () => openDetails(row.name) }, text));
  }
  const value = column.value(row);
  if (column.cost) return h("td", { class: "costs" }, row.kind === "reference" ? "–" : amount(value));
  const cell = column.id === "mean" ? MEAN : column.head.cell;
  if (value === null) {
    const { entry, state } = cell === MEAN ? { entry: null, state: "n/a" } : result(here, t, row, cell);
    return h("td", { class: `${state === "ok" ? "missing" : state.replace(" ", "-")} ${cell === MEAN ? "mean" : ""}` }, entry ? "n/a" : state);
  }
  const around = interval(intervalOf(here, t, row, one, cell));
  const shaded = cell === MEAN && typeof one.pivot === "string" ? null : scale.share(value, column.head ?? null);
  return shade(h("td", { class: cell === MEAN ? "mean" : null }, number(value), around ? h("small", {}, around) : null), shaded);
}

function drawTable() {
  const list = columns(), scale = shading();
  const by = list.find((column) => column.id === view.sort) ?? null;
  const order = by ? `by ${by.title} ${view.descending ? "↓" : "↑"}` : "in the board's order";
  const focused = document.activeElement?.dataset?.sort;
  const rows = visibleRows();
  const references = sorted(rows.filter((row) => row.kind === "reference"), by);
  const others = sorted(rows.filter((row) => row.kind !== "reference"), by);
  const grouped = ["mean", "group"].includes(view.sort) && view.metric === "corrected";
  const line = (row, i, all) => {
    const next = grouped && i > 0 && all[i - 1].group !== row.group;
    return h("tr", { class: `${row.kind} ${row.group === 1 ? "leading" : ""} ${next ? "new-group" : ""}`, "data-row": row.name },
      list.map((column) => bodyCell(row, column, scale)));
  };
  const target = byId("table");
  target.className = [byId("show-shades").checked ? "shaded" : "", byId("show-intervals").checked ? "" : "no-intervals",
    byId("show-costs").checked ? "" : "no-costs"].join(" ");
  target.replaceChildren(
    h("caption", { class: "unseen" }, `${byId("board-title").textContent}, ${order}`),
    h("thead", {}, h("tr", {}, list.map(headCell))));
  if (references.length) target.append(h("tbody", { class: "references" }, references.map(line)));
  target.append(h("tbody", {}, others.map(line)));
  if (focused) target.querySelector(`[data-sort="${CSS.escape(focused)}"]`)?.focus();
  byId("nothing").hidden = rows.length > 0;
  byId("board").hidden = rows.length === 0;
  const all = table().rows.length;
  byId("count").textContent = `${rows.length === all ? counted(all, "row") : `${rows.length} of ${counted(all, "row")}`}, ${order}`;
}

function drawHead() {
  const t = table(), here = section(), one = metric();
  const shots = t.k === 0 ? "zero-shot (k = 0)" : `k = ${t.k}, ${supportName(t)}`;
  byId("board-title").textContent = `${here.task}, ${here.protocol}, ${shots}`;
  byId("metric-help").textContent = one.help;
  const facts = [];
  if (t.best_control) facts.push(["Best control", t.best_control]);
  if (t.best_plain_control && t.best_plain_control !== t.best_control) facts.push(["without candidate list", t.best_plain_control]);
  if (t.macro_cells.length && t.macro_cells.length < t.heads.length) facts.push(["Mean over", t.macro_cells.join(", ")]);
  const first = t.rows.filter((row) => row.group === 1);
  if (first.length > 1) facts.push(["Not separable from the best", counted(first.length, "row")]);
  byId("facts").replaceChildren(...facts.map(([name, text]) => h("span", {}, `${name}: `, h("b", {}, text))));
}

function resolutionNote(found) {
  const ties = found.ties.length ? ` Neighbouring rows that are not separable: ${found.ties.map((run) => run.join(" ≈ ")).join("; ")}.` : "";
  return `To be separable from the top row, a row must lie ${number(found.smallest)} to ${number(found.largest)} below it, depending on the row (median ${number(found.median)}).${ties}`;
}

function cellsNote(here) {
  const p = `a two-sided sign test over cells gives p = ${number(here.sign_p, 4)} at best to a row that wins in every one`;
  const verdict = here.sign_p > 0.05 ? `${p}, so no ranking for cell lines at large can be concluded` : p;
  return `${counted(here.cells.length, "held-out cell")}: intervals and groups come from resampling inside them and speak of these cells, not of the next one; ${verdict}.`;
}

// What cannot be concluded, and every result that is missing, in words.
function drawNotes() {
  const t = table(), here = section();
  const lines = [], missing = [];
  if (t.macro_reason) lines.push(`No mean over cells: ${t.macro_reason}. Rows stand in the order of the zero-shot table.`);
  if (t.resolution) lines.push(resolutionNote(t.resolution));
  lines.push(cellsNote(here));
  for (const row of t.rows) if (row.notes.length) lines.push(`${row.kind === "external" ? "External row" : "Row"} ${row.name}: ${row.notes.join("; ")}.`);
  const shared = Object.entries(here.overlap);
  if (shared.length) lines.push(`Training and query share loci under this protocol; query rows whose gene / very pair occurs in training: ${shared.map(([cell, one]) => `${cell} ${(100 * (one.gene ?? 0)).toFixed(0)} % / ${(100 * (one.pair ?? 0)).toFixed(1)} %`).join("; ")}.`);
  for (const head of t.heads) {
    if (head.infeasible) missing.push(`${head.cell}: infeasible, ${head.infeasible}`);
    if (head.undefined_folds.length) missing.push(`${head.cell}: undefined folds ${head.undefined_folds.join(", ")}, left out for every row`);
  }
  for (const row of t.rows) for (const [cell, why] of Object.entries(row.problems)) {
    if (!t.heads.find((head) => head.cell === cell)?.infeasible) missing.push(`${row.name}, ${cell}: ${why}`);
  }
  byId("notes").replaceChildren(
    ...lines.map((text) => h("p", {}, text)),
    ...(missing.length ? [h("p", {}, "Left out or without a result:"), h("ul", {}, missing.map((text) => h("li", {}, text)))] : []));
}
