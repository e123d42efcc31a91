// The full record of a row: every metric in every cell, why some are undefined, cost and provenance.

function openDetails(name) {
  const record = section().records.get(name), t = table(), row = t.byName.get(name), dialog = byId("details");
  const close = h("button", { type: "button", class: "plain", onclick: () => dialog.close() }, "Close");
  dialog.replaceChildren(
    h("header", {},
      h("div", {}, h("h2", { id: "details-title" }, name), h("p", { class: "help" }, record.summary || "no summary")),
      close),
    h("div", {},
      h("p", {}, tags(row).map(([kind, text]) => h("span", { class: `tag ${kind}` }, text))),
      h("h3", {}, `Results: ${byId("board-title").textContent}`), ...results(row, record),
      h("h3", {}, "Audit"), ...audit(row, record),
      h("h3", {}, "Method"), list(methodFacts(record)),
      h("h3", {}, "Cost"), list(costFacts(record)),
      record.external ? [h("h3", {}, "Predictions made elsewhere: not re-runnable"), list(externalFacts(record.external))] : null,
      h("h3", {}, "Provenance"), list(provenanceFacts(record))));
  dialog.showModal();
  dialog.scrollTop = 0;
}

const list = (pairs) => h("dl", {}, pairs.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
const code = (text) => h("code", {}, text);

function results(row, record) {
  const t = table(), here = section();
  const values = DATA.metrics.map((one) => [one.name, number(valueOf(here, t, row, one, MEAN)),
    ...here.cells.map((cell) => (one.scope === "cell" ? number(valueOf(here, t, row, one, cell)) : ""))]);
  const bounds = ["95 % interval", interval(row.interval), ...here.cells.map((cell) => interval(result(here, t, row, cell).entry?.interval))];
  const entries = here.cells.map((cell) => [cell, result(here, t, row, cell)]);
  const draws = ["draws × seeds", "", ...entries.map(([, one]) => (one.entry ? `${one.entry.draws} × ${one.entry.seeds}` : one.state))];
  values.splice(1, 0, bounds);
  const reasons = new Map();
  for (const [cell, { entry, why }] of entries) {
    for (const [name, reason] of Object.entries(entry?.reasons ?? {})) {
      const text = `${METRICS.get(name)?.name ?? name}: ${reason}`;
      reasons.set(text, [...(reasons.get(text) ?? []), cell]);
    }
    if (!entry) reasons.set(why, [...(reasons.get(why) ?? []), cell]);
  }
  const across = record.across.find((one) => (row.zero_shot ? one.at[2] === 0 : String(one.at) === String([t.regime, t.balance, t.k])));
  for (const [name, reason] of Object.entries(across?.reasons ?? {})) reasons.set(`${METRICS.get(name)?.name ?? name}: ${reason}`, here.cells);
  const heads = ["Metric", "Mean or all cells", ...here.cells];
  return [
    scrolling(`All metrics of ${row.name}`, plainTable(`All metrics of ${row.name}`, heads, [...values, draws])),
    reasons.size ? h("ul", { class: "notes" }, [...reasons].map(([text, cells]) =>
      h("li", {}, `${text} (${cells.length === here.cells.length ? "all cells" : cells.join(", ")})`))) : null,
  ].filter((node) => node);
}

// Every check with the figures that its outcome rests on.
function audit(row, record) {
  const words = h("p", {}, row.kind === "reference" ? "Not a method: nothing to audit." : record.audit);
  if (!record.audited) return [words];
  const heads = ["Check", "Outcome", "Finding", "Evidence", "Where"];
  return [words, h("p", { class: "help" }, code(record.audited.about), ", source ", code(record.audited.source.slice(0, 16))),
    scrolling(`Audit of ${row.name}`, plainTable(`Audit of ${row.name}`, heads, record.audited.findings))];
}

const methodFacts = (record) => [
  ["version", record.version],
  ["kind", record.kind],
  ["reads", record.reads.join(", ") || "nothing"],
  ["regimes", record.regimes.join(", ")],
  ["deterministic", record.deterministic ? "yes: one fit stands for all seeds" : "no"],
  ["scores", record.logits ? "logits" : "ranks only"],
  ["configuration", code(record.config)],
];

const costFacts = (record) => [
  ["fits", amount(record.cost.fits ?? null)],
  ...DATA.costs.map((cost) => [costTitle(cost), amount(costOf(record, cost))]),
];

const externalFacts = (facts) => [
  ["file", code(facts.file)],
  ["sha256", code(facts.sha256)],
  ["columns", Object.entries(facts.columns).map(([meaning, name]) => `${meaning}: ${name}`).join(", ")],
  ["joined by", facts.joined_by],
  ["query pairs predicted", `${thousands(facts.query - facts.missing)} of ${thousands(facts.query)}${facts.fill === null ? "" : `; the others score ${facts.fill}`}`],
  ["rows", `${thousands(facts.rows)}, of these ${thousands(facts.matched)} of a pair of the task`],
  ["rows of no pair", Object.entries(facts.unmatched).map(([reason, count]) => `${reason}: ${thousands(count)}`).join(", ") || "none"],
  ["repeats, conflicts", `${thousands(facts.repeats)}, ${thousands(facts.conflicts)}${facts.settled_by ? ` (settled by ${facts.settled_by})` : ""}`],
  ["scale", `${facts.scale}${facts.inverse ? ", negated" : ""}`],
  ["notes", facts.notes.join("; ") || "none"],
];

function provenanceFacts(record) {
  const from = record.provenance;
  return [
    ["command", code(from.command)],
    ["commit", code(from.commit)],
    ["task version", from.task_version],
    ["task rows", code(from.task_hash)],
    ["episode set", code(from.episode_set)],
    ["replicates", code(from.replicates)],
    ["archive of full scores", from.archive ? code(from.archive) : "none"],
    ["evaluator", from.evaluator],
    ["budget", `${from.budget} × the default steps`],
    ["runs", thousands(from.runs)],
    ["times a held-out cell was scored", thousands(from.test_scorings)],
    ["versions", Object.entries(from.versions).map(([name, version]) => `${name} ${version}`).join(", ")],
  ];
}
