// Colours and markers of rows in the figures, and the shading of cells. Colour is never alone: shapes and numbers say
// the same.

const SHAPES = ["circle", "square", "triangle", "diamond", "down", "cross"];
const N_COLOURS = 8;

// A method keeps its colour and shape whatever is filtered or switched.
function looks(name) {
  const record = section().records.get(name);
  if (record.kind === "reference") return { colour: "var(--ink)", shape: "diamond", dash: "1 3" };
  const peers = [...section().records.entries()].filter(([, one]) => (one.kind === "control") === (record.kind === "control"));
  const place = peers.findIndex(([one]) => one === name);
  if (record.kind === "control") return { colour: "var(--muted)", shape: SHAPES[place % SHAPES.length], dash: "6 3", hollow: true };
  return { colour: `var(--c${place % N_COLOURS})`, shape: SHAPES[(place + Math.floor(place / N_COLOURS)) % SHAPES.length], dash: null };
}

// The few rows that a figure of many would lose: the best methods, the best control, the ceiling.
function firstBright() {
  const scored = tables().findLast((one) => one.macro_cells.length) ?? table();
  const methods = scored.rows.filter((row) => !["control", "reference"].includes(row.kind)).slice(0, 5);
  const reference = scored.rows.find((row) => row.name === "ceiling") ?? scored.rows.find((row) => row.kind === "reference");
  const control = scored.best_control ?? scored.rows.find((row) => row.kind === "control")?.name;
  return new Set([reference?.name, ...methods.map((row) => row.name), control].filter((name) => name !== undefined));
}

function marker(name, x, y, size = 4.5) {
  const { colour, shape, hollow } = looks(name);
  const style = { class: `mark${hollow ? " hollow" : ""}`, stroke: colour, fill: hollow ? null : colour };
  const path = (d) => s("path", { d, ...style });
  const r = size;
  if (shape === "circle") return s("circle", { cx: x, cy: y, r, ...style });
  if (shape === "square") return path(`M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}z`);
  if (shape === "triangle") return path(`M${x} ${y - r}l${r * 1.1} ${r * 1.9}h${-2.2 * r}z`);
  if (shape === "down") return path(`M${x} ${y + r}l${r * 1.1} ${-1.9 * r}h${-2.2 * r}z`);
  if (shape === "diamond") return path(`M${x} ${y - r * 1.3}l${r * 1.2} ${r * 1.3}l${-r * 1.2} ${r * 1.3}l${-r * 1.2} ${-r * 1.3}z`);
  return path(`M${x - r} ${y - r}l${2 * r} ${2 * r}M${x - r} ${y + r}l${2 * r} ${-2 * r}`);
}

// How far each value lies from what no information scores, on one scale for all k, so that shades can be compared.
// References do not stretch the scale: beside a ceiling all methods would look alike.
function shading() {
  const one = metric();
  const values = [];
  for (const t of tables()) for (const row of t.rows) {
    if (row.kind === "reference") continue;
    for (const head of t.heads) {
      const value = one.scope === "cell" ? valueOf(section(), t, row, one, head.cell) : null;
      if (value !== null) values.push([value, pivotOf(one, head)]);
    }
    const mean = valueOf(section(), t, row, one, MEAN);
    if (mean !== null && typeof one.pivot !== "string") values.push([mean, pivotOf(one, null)]);
  }
  const low = Math.min(...values.map(([value]) => value)), high = Math.max(...values.map(([value]) => value));
  const reach = Math.max(1e-9, ...values.map(([value, pivot]) => value - (pivot ?? (one.better === "lower" ? low : 0))));
  return {
    low, high, known: values.length > 0, reach,
    share(value, head) {
      if (one.better === "lower") return high > low ? (high - value) / (high - low) : 0;
      return Math.max(-1, Math.min(1, (value - (pivotOf(one, head) ?? 0)) / reach));
    },
  };
}

const pivotOf = (one, head) => (one.pivot === "chance" ? head?.chance ?? null : one.pivot);

// Per cent of colour in the darkest shade: text on it keeps a contrast of 4.5 in both themes.
const DARKEST = 50;

function shade(node, share) {
  if (share === null || Number.isNaN(share)) return node;
  node.classList.add(share < 0 ? "low" : "high");
  node.style.setProperty("--heat", `${Math.round(Math.abs(share) * DARKEST)}%`);
  return node;
}
