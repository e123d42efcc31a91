// Elements and text nodes. Names come from plugins, so nothing here or elsewhere ever parses text as markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  // append() makes text nodes of strings.
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

const h = (tag, properties, ...children) => fill(document.createElement(tag), properties, children);
const s = (tag, properties, ...children) => fill(document.createElementNS(SVG, tag), properties, children);
const byId = (id) => document.getElementById(id);

// A table that scrolls sideways by itself, reachable by keyboard.
const scrolling = (label, table) => h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, table);

function plainTable(caption, heads, rows) {
  return h("table", {},
    h("caption", { class: "unseen" }, caption),
    h("thead", {}, h("tr", {}, heads.map((head, i) => h("th", { scope: "col", class: i ? null : "left" }, head)))),
    h("tbody", {}, rows.map(([name, ...values]) =>
      h("tr", {}, h("th", { scope: "row" }, name), values.map((value) => h("td", {}, value))))));
}

// The same numbers as a figure, for those who cannot see it or want to copy them.
const numbersOf = (caption, heads, rows) =>
  h("details", {}, h("summary", {}, "Numbers of this figure"), scrolling(caption, plainTable(caption, heads, rows)));

function tags(row) {
  const found = [];
  if (row.kind !== "method") found.push(["kind", row.kind]);
  for (const mark of row.marks) found.push(["", mark]);
  if (row.zero_shot && row.kind !== "reference") found.push(["", "k=0"]);
  if (row.constant) found.push(["caution", "constant"]);
  if (row.seeds !== null) found.push(["caution", `seeds=${row.seeds}`]);
  if (row.beats_control === false) found.push(["caution", "≈control"]);
  return found;
}
