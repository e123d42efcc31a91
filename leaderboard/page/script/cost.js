// Cost and quality: what a row costs against what it scores, with the front that no other row beats on both.

function drawCost() {
  const figure = byId("cost"), here = section(), t = table(), one = metric();
  const measure = DATA.costs.find((cost) => cost.id === view.cost);
  const over = overWhere((place) => t.rows.some((row) => valueOf(here, t, row, one, place) !== null));
  const title = `Cost and quality: ${one.name}, ${overName(over)}`;
  const rows = visibleRows().filter((row) => row.kind !== "reference");
  const points = rows.map((row) => ({ row, cost: costOf(here.records.get(row.name), measure), value: valueOf(here, t, row, one, over) }));
  const known = points.filter((p) => p.cost !== null && p.value !== null);
  const absent = points.filter((p) => !known.includes(p)).map((p) => p.row.name);
  const without = absent.length ? ` Not drawn, for want of one of the two: ${absent.join(", ")}.` : "";
  if (!known.length) {
    show(figure, title, `No shown row has both a value and a cost of this kind.${without}`);
    return;
  }
  // Below a millisecond timings are noise, and a logarithm has no zero.
  const floor = measure.id.endsWith("_s") ? 1e-3 : 1;
  for (const p of known) p.drawn = Math.max(p.cost, floor);
  const width = widthOf(figure), narrow = width < 460, height = narrow ? 280 : 340, left = 40, right = width - 26, top = 10, bottom = height - 42;
  const x = logarithmic(Math.min(...known.map((p) => p.drawn)), Math.max(...known.map((p) => p.drawn)), left + 8, right);
  const references = visibleRows().filter((row) => row.kind === "reference" && valueOf(here, t, row, one, over) !== null);
  const ceiling = references.find((row) => row.name === "ceiling") ?? references[0];
  const limit = ceiling ? valueOf(here, t, ceiling, one, over) : null;
  const y = linear(...extent(known.map((p) => p.value), [limit, typeof one.pivot === "number" ? one.pivot : null]), bottom, top);
  const frame = [leftAxis(y, left, right), bottomAxis(x, top, bottom, `${costTitle(measure)} (log scale)`, powerText)];
  if (limit !== null) frame.push(
    s("line", { class: "rule", x1: left, x2: right, y1: y(limit), y2: y(limit) }),
    s("text", { class: "tick", x: left + 4, y: y(limit) + 14, "font-style": "italic" }, ceiling.name));
  const blocked = limit === null ? [] : [{ x1: left, x2: left + 4 + ceiling.name.length * CHARACTER, y1: y(limit), y2: y(limit) + 16 }];
  const best = front(known, one.better);
  const steps = best.map((p, i) => (i ? `H${x(p.drawn)}V${y(p.value)}` : `M${x(p.drawn)} ${y(p.value)}`)).join("") + `H${right}`;
  const marks = known.map((p) => marker(p.row.name, x(p.drawn), y(p.value), view.bright.has(p.row.name) ? 5 : 4));
  show(figure, title, `${t.k === 0 ? "k = 0" : `k = ${t.k}`}. Dashed: no other shown row is both cheaper and better. Costs cover everything the row ran (all k, cells, folds and seeds) unless said otherwise.${without}`,
    picture("cost", width, height, `${title} against ${costTitle(measure)}, ${known.length} rows`, frame, s("path", { class: "front", d: steps }), marks, nameTags(known, x, y, best, blocked, { left, right, top, bottom, narrow })),
    numbersOf(title, ["Row", costTitle(measure), one.name], known.map((p) => [p.row.name, amount(p.cost), number(p.value)])));
}

function front(points, better) {
  const sign = better === "lower" ? -1 : 1, found = [];
  for (const p of [...points].sort((a, b) => a.drawn - b.drawn || sign * (b.value - a.value))) {
    if (!found.length || sign * p.value > sign * found.at(-1).value) found.push(p);
  }
  return found;
}

// Names beside their markers, where they overlap nothing; the front and the rows in colour first.
function nameTags(points, x, y, best, blocked, { left, right, top, bottom, narrow }) {
  const taken = [...blocked, ...points.map((p) => ({ x1: x(p.drawn) - 6, x2: x(p.drawn) + 6, y1: y(p.value) - 6, y2: y(p.value) + 6 }))];
  const rank = (p) => (best.includes(p) ? 0 : view.bright.has(p.row.name) ? 1 : 2);
  return [...points].sort((a, b) => rank(a) - rank(b)).map((p) => {
    const text = clip(p.row.name, narrow ? 130 : 190), wide = text.length * CHARACTER, px = x(p.drawn), py = y(p.value);
    const places = [[px + 9, py + 4], [px - 9 - wide, py + 4], [px - wide / 2, py - 10], [px - wide / 2, py + 18], [px + 6, py - 9], [px + 6, py + 17]];
    for (const [tx, ty] of places) {
      const box = { x1: tx, x2: tx + wide, y1: ty - 11, y2: ty + 3 };
      const inside = box.x1 >= left && box.x2 <= right + 10 && box.y1 >= top - 6 && box.y2 <= bottom;
      if (!inside || taken.some((o) => o.x1 < box.x2 && box.x1 < o.x2 && o.y1 < box.y2 && box.y1 < o.y2)) continue;
      taken.push(box);
      return s("text", { x: tx, y: ty, class: p.row.kind === "control" ? "tick" : null }, text);
    }
    return null;
  });
}
