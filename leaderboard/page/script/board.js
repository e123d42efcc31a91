// The embedded board and the ways to look something up in it.

const DATA = JSON.parse(byId("data").textContent);
const METRICS = new Map(DATA.metrics.map((metric) => [metric.id, metric]));
const PLACE = new Map(DATA.metrics.filter((m) => m.scope === "cell").map((metric, i) => [metric.id, i]));
const MEAN = "";

for (const section of DATA.sections) {
  section.records = new Map(Object.entries(section.records));
  for (const record of section.records.values()) {
    record.index = new Map(record.entries.map((entry) => [JSON.stringify(entry.at), entry]));
  }
  for (const table of section.tables) table.byName = new Map(table.rows.map((row) => [row.name, row]));
}

const supportName = (table) => `${table.regime}, ${table.balance}`;
const unique = (values) => [...new Set(values)];
const tasks = () => unique(DATA.sections.map((section) => section.task));
const protocols = (task) => DATA.sections.filter((section) => section.task === task).map((section) => section.protocol);
const sectionOf = (task, protocol) => DATA.sections.find((one) => one.task === task && one.protocol === protocol);
const supports = (section) => unique(section.tables.filter((table) => table.k > 0).map(supportName));

// Without support there is nothing to be labelled or balanced: k = 0 belongs to every kind of support.
const tablesOf = (section, support) =>
  section.tables.filter((table) => table.k === 0 || supportName(table) === support).sort((a, b) => a.k - b.k);

// The result of a row in a cell: its entry, or in words why there is none.
function result(section, table, row, cell) {
  const head = table.heads.find((one) => one.cell === cell);
  if (head.infeasible) return { entry: null, state: "infeasible", why: head.infeasible };
  if (Object.hasOwn(row.problems, cell)) {
    const why = row.problems[cell];
    const state = why.startsWith("failed") ? "failed" : why.startsWith("not run") ? "not run" : "n/a";
    return { entry: null, state, why };
  }
  const at = row.zero_shot ? zeroShotAt(section, row, cell) : [cell, table.regime, table.balance, table.k];
  const entry = section.records.get(row.name).index.get(JSON.stringify(at)) ?? null;
  return { entry, state: entry ? "ok" : "not run", why: entry ? "" : "not run" };
}

function zeroShotAt(section, row, cell) {
  const found = section.records.get(row.name).entries.find((entry) => entry.at[0] === cell && entry.at[3] === 0);
  return found ? found.at : [];
}

// One number: the value of a metric in a cell, or its mean over cells (MEAN), or null.
function valueOf(section, table, row, metric, cell) {
  if (metric.scope === "across" || cell === MEAN) return metric.macro ? row.macro[metric.id] ?? null : null;
  const { entry } = result(section, table, row, cell);
  return entry ? entry.values[PLACE.get(metric.id)] : null;
}

function intervalOf(section, table, row, metric, cell) {
  if (metric.id !== "corrected") return null;
  return cell === MEAN ? row.interval : result(section, table, row, cell).entry?.interval ?? null;
}

// A cost per fit or per run, so that methods with more seeds or more k are not shown as dearer.
function costOf(record, cost) {
  const total = record.cost[cost.id] ?? null;
  const count = { fits: record.cost.fits, runs: record.provenance.runs }[cost.per] ?? 1;
  return total === null || !count ? null : total / count;
}

const costTitle = (cost) => (cost.per ? `${cost.name} per ${cost.per.slice(0, -1)}` : cost.name);
