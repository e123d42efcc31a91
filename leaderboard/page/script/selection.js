// What is shown: kept here, and in the address after #, so that a view can be bookmarked or sent.

const view = {
  task: "", protocol: "", support: "", k: 0, metric: "corrected", over: MEAN, cost: "cpu_s",
  sort: "mean", descending: true, text: "", kinds: new Set(), bright: new Set(),
};
const KINDS = unique(DATA.sections.flatMap((section) => [...section.records.values()].map((record) => record.kind)));

const section = () => sectionOf(view.task, view.protocol);
const metric = () => METRICS.get(view.metric);
const tables = () => tablesOf(section(), view.support);
const table = () => tables().find((one) => one.k === view.k);

const oneOf = (wanted, known, otherwise = known[0]) => (known.includes(wanted) ? wanted : otherwise);

// Make every part of the view something that exists, staying as near as possible to what was asked.
function settle(wanted) {
  const before = `${view.task} ${view.protocol}`;
  Object.assign(view, wanted);
  // The strict protocol is the headline.
  const headline = DATA.sections.find((one) => one.protocol === "cell+chrom") ?? DATA.sections[0];
  view.task = oneOf(view.task, tasks(), headline.task);
  view.protocol = oneOf(view.protocol, protocols(view.task), oneOf("cell+chrom", protocols(view.task)));
  view.support = oneOf(view.support, supports(section()), oneOf("labelled, natural", supports(section())) ?? "");
  view.k = oneOf(view.k, tables().map((one) => one.k));
  view.metric = oneOf(view.metric, [...METRICS.keys()]);
  view.cost = oneOf(view.cost, DATA.costs.map((cost) => cost.id));
  view.over = oneOf(view.over, overs(), overs()[0] ?? MEAN);
  if (view.sort.startsWith("cell:") && !section().cells.includes(view.sort.slice(5))) view.sort = "mean";
  if (before !== `${view.task} ${view.protocol}`) view.bright = firstBright();
}

// The mean over cells where there is one somewhere, and every cell.
function overs() {
  const mean = tables().some((one) => one.rows.some((row) => valueOf(section(), one, row, metric(), MEAN) !== null));
  const cells = metric().scope === "cell" ? section().cells : [];
  return mean || !cells.length ? [MEAN, ...cells] : cells;
}

// Where a figure has nothing to draw of the mean, the first cell that has something stands in, and its title says so.
function overWhere(enough) {
  const one = metric();
  if (view.over !== MEAN || enough(MEAN) || one.scope === "across") return view.over;
  return section().cells.find(enough) ?? MEAN;
}

const overName = (over) => (over !== MEAN ? over : metric().scope === "across" ? "all cells" : "mean over cells");

// Whether any row has a value: swap AUC, for one, exists under one protocol only.
const measured = (one) => tables().some((t) => t.rows.some((row) =>
  [MEAN, ...section().cells].some((cell) => valueOf(section(), t, row, one, cell) !== null)));

function visible(row) {
  const words = `${row.name} ${row.kind} ${tags(row).map((tag) => tag[1]).join(" ")} ${section().records.get(row.name).summary}`;
  return view.kinds.has(row.kind) && view.text.toLowerCase().split(/\s+/).every((word) => words.toLowerCase().includes(word));
}

const visibleRows = () => table().rows.filter(visible);

function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const wanted = {};
  for (const name of ["task", "protocol", "support", "metric"]) if (asked.has(name)) wanted[name] = asked.get(name);
  if (asked.has("k")) wanted.k = Number(asked.get("k"));
  return wanted;
}

function writeAddress() {
  const { task, protocol, support, k, metric } = view;
  const text = `#${new URLSearchParams({ task, protocol, support, k, metric })}`;
  if (location.hash !== text) history.replaceState(null, "", text);
}
