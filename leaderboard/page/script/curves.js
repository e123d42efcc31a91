// Learning curves: the chosen metric over k, of the mean or of one cell.

function drawCurves() {
  const figure = byId("curves"), here = section(), one = metric(), list = tables();
  const names = unique(list.flatMap((t) => t.rows.filter(visible).map((row) => row.name)));
  const pointsAt = (over) => names.map((name) => ({ name, points: list.map((t) => pointOf(here, t, t.byName.get(name), one, over)) }))
    .filter((curve) => curve.points.some((point) => point));
  // A curve needs two points.
  const over = overWhere((place) => pointsAt(place).some((curve) => curve.points.filter((p) => p).length > Math.min(1, list.length - 1)));
  const curves = pointsAt(over), stands = over !== view.over;
  const title = `Learning curves: ${one.name}, ${overName(over)}`;
  if (!curves.length) {
    show(figure, title, "No shown row has a value to draw.");
    return;
  }
  const width = widthOf(figure), narrow = width < 460, height = narrow ? 280 : 340;
  const bright = curves.filter((curve) => view.bright.has(curve.name));
  const room = narrow ? 12 : Math.min(170, Math.max(0, ...bright.map((curve) => curve.name.length)) * CHARACTER + 24);
  const left = 40, right = width - room, top = 10, bottom = height - 42;
  const values = curves.flatMap((curve) => curve.points.filter((p) => p).flatMap((p) => [p.value, ...(view.bright.has(curve.name) && p.bounds ? p.bounds : [])]));
  const y = linear(...extent(values, typeof one.pivot === "number" ? [one.pivot] : []), bottom, top);
  const at = (i) => (list.length === 1 ? (left + right) / 2 : left + 16 + (i * (right - left - 32)) / (list.length - 1));
  const lines = [], labels = [];
  for (const curve of [...curves.filter((c) => !view.bright.has(c.name)), ...bright]) {
    const lit = view.bright.has(curve.name), { colour, dash } = looks(curve.name);
    lines.push(segments(curve.points, list, over).map((run) => s("path", {
      d: run.map(([i, p], n) => `${n ? "L" : "M"}${at(i)} ${y(p.value)}`).join(""), fill: "none", class: lit ? null : "quiet",
      stroke: lit ? colour : null, "stroke-width": lit ? 2 : 1.2, "stroke-dasharray": dash })));
    if (!lit) continue;
    const shift = (bright.indexOf(curve) - (bright.length - 1) / 2) * 2.5;
    curve.points.forEach((p, i) => {
      if (!p) return;
      if (p.bounds) lines.push(s("line", { x1: at(i) + shift, x2: at(i) + shift, y1: y(p.bounds[0]), y2: y(p.bounds[1]), stroke: colour, opacity: 0.45 }));
      lines.push(marker(curve.name, at(i), y(p.value), 4));
    });
    const last = curve.points.findLastIndex((p) => p);
    labels.push({ name: curve.name, x: at(last), y: y(curve.points[last].value) });
  }
  const written = narrow ? [] : spread(labels, 15, top + 4, bottom - 2).map((label) => [
    s("line", { x1: label.x + 6, x2: right - 6, y1: label.y, y2: label.at, stroke: looks(label.name).colour, opacity: 0.4 }),
    s("text", { x: right - 2, y: label.at + 4 }, clip(label.name, room - 4))]);
  const frame = [leftAxis(y, left, right),
    list.map((t, i) => s("text", { class: "tick", x: at(i), y: bottom + 17, "text-anchor": "middle" }, String(t.k))),
    s("text", { class: "tick", x: (left + right) / 2, y: bottom + 35, "text-anchor": "middle" }, "support pairs k")];
  if (typeof one.pivot === "number") frame.push(s("line", { class: "zero", x1: left, x2: right, y1: y(one.pivot), y2: y(one.pivot) }));
  const broken = over === MEAN && unique(list.filter((t) => t.macro_cells.length).map((t) => t.macro_cells.join(" "))).length > 1;
  const caption = `${stands ? "There is no mean over cells at two or more k: one cell is shown. " : ""}${list.some((t) => t.k > 0) ? `Support ${view.support}. ` : ""}In colour: the rows chosen above${one.id === "corrected" ? ", with 95 % intervals" : ""}; grey: all others. A flat line of a method without support is its zero-shot result.${broken ? " Lines break where the mean is over other cells: such points cannot be compared." : ""}`;
  show(figure, title, caption,
    picture("curves", width, height, `${title}, ${curves.length} rows, k from ${list[0].k} to ${list.at(-1).k}`, frame, lines, written),
    numbersOf(title, ["Row", ...list.map((t) => `k = ${t.k}`)], curves.map((curve) => [curve.name, ...curve.points.map((p) => number(p?.value))])));
}

function pointOf(here, t, row, one, over) {
  if (!row) return null;
  const value = valueOf(here, t, row, one, over);
  return value === null ? null : { value, bounds: intervalOf(here, t, row, one, over) };
}

// Runs of neighbouring points that may be joined: no gap, and the same cells in the mean.
function segments(points, list, over) {
  const runs = [];
  points.forEach((point, i) => {
    if (!point) return;
    const joined = i > 0 && points[i - 1] && (over !== MEAN || list[i].macro_cells.join(" ") === list[i - 1].macro_cells.join(" "));
    if (joined) runs.at(-1).push([i, point]);
    else runs.push([[i, point]]);
  });
  return runs;
}
