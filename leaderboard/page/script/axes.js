// Scales, ticks and frames of the figures. A figure is drawn at its real width, so that text keeps its size on a phone.

const CHARACTER = 6.7; // mean width of a character at 12 px

function clip(text, width) {
  const most = Math.max(4, Math.floor(width / CHARACTER));
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

function linear(low, high, from, to) {
  const scale = (value) => from + ((value - low) / (high - low || 1)) * (to - from);
  scale.ticks = ticks(low, high, Math.max(2, Math.floor(Math.abs(to - from) / 60)));
  return scale;
}

function ticks(low, high, about) {
  const raw = (high - low || 1) / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= raw);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(i * step);
  return found;
}

function logarithmic(low, high, from, to) {
  const first = Math.floor(Math.log10(low)), last = Math.max(first + 1, Math.ceil(Math.log10(high)));
  const scale = (value) => from + ((Math.log10(value) - first) / (last - first)) * (to - from);
  const every = Math.max(1, Math.ceil((last - first) / Math.max(2, Math.floor(Math.abs(to - from) / 55))));
  scale.ticks = [];
  for (let power = first; power <= last; power += every) scale.ticks.push(10 ** power);
  return scale;
}

// Low and high of the values with some air, always with the chance level where there is one.
function extent(values, also = []) {
  const all = [...values, ...also].filter((value) => value !== null && value !== undefined);
  const low = Math.min(...all), high = Math.max(...all);
  const air = (high - low || 0.1) * 0.05;
  return [low - air, high + air];
}

const tickText = (value) => {
  const text = Math.abs(value) >= 1e-3 || value === 0 ? String(Number(value.toPrecision(3))) : value.toExponential(0);
  return text.replace(/^(-?)0\./, "$1.");
};
const powerText = (value) => (value >= 1e4 || value < 1e-2 ? value.toExponential(0).replace("e+", "e") : thousands(value));

function bottomAxis(scale, top, bottom, name, text = tickText) {
  const middle = scale.ticks.length ? (scale(scale.ticks[0]) + scale(scale.ticks.at(-1))) / 2 : 0;
  return [
    scale.ticks.map((value) => [
      s("line", { class: "grid", x1: scale(value), x2: scale(value), y1: top, y2: bottom }),
      s("text", { class: "tick", x: scale(value), y: bottom + 16, "text-anchor": "middle" }, text(value)),
    ]),
    s("text", { class: "tick", x: middle, y: bottom + 34, "text-anchor": "middle" }, name),
  ];
}

function leftAxis(scale, left, right, text = tickText) {
  return scale.ticks.map((value) => [
    s("line", { class: "grid", x1: left, x2: right, y1: scale(value), y2: scale(value) }),
    s("text", { class: "tick", x: left - 6, y: scale(value) + 4, "text-anchor": "end" }, text(value)),
  ]);
}

// Push labels apart until none overlaps; keeps their order and stays within [top, bottom].
function spread(labels, gap, top, bottom) {
  labels.sort((a, b) => a.y - b.y);
  let free = top;
  for (const label of labels) free = (label.at = Math.max(label.y, free)) + gap;
  let limit = bottom;
  for (const label of [...labels].reverse()) limit = (label.at = Math.min(label.at, limit)) - gap;
  return labels;
}

function picture(id, width, height, label, ...children) {
  return s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, id: `${id}-svg` }, ...children);
}

const widthOf = (figure) => {
  const style = getComputedStyle(figure);
  return Math.max(240, Math.floor(figure.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight)));
};

function show(figure, title, caption, ...children) {
  // Redrawing must not close what the reader has opened.
  const open = figure.querySelector("details")?.open ?? false;
  const id = `${figure.id}-title`;
  figure.setAttribute("aria-labelledby", id);
  figure.replaceChildren(h("h3", { id }, title), h("figcaption", {}, caption));
  figure.append(...children.flat().filter((child) => child));
  const details = figure.querySelector("details");
  if (details) details.open = open;
}
