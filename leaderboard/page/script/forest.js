// Tie groups: the mean corrected AUPR of every row with its interval, one band per group.

function drawForest() {
  const figure = byId("forest"), t = table(), here = section();
  const shown = visibleRows(), one = METRICS.get("corrected");
  const boundsAt = (row, place) => intervalOf(here, t, row, one, place);
  // Without a mean there are no groups; the intervals of one cell still say something.
  const means = shown.some((row) => row.interval);
  const over = means ? MEAN : here.cells.includes(view.over) ? view.over : here.cells.find((cell) => shown.some((row) => boundsAt(row, cell))) ?? MEAN;
  const rows = shown.filter((row) => boundsAt(row, over))
    .map((row) => ({ name: row.name, kind: row.kind, group: over === MEAN ? row.group : null, value: valueOf(here, t, row, one, over), bounds: boundsAt(row, over) }));
  const title = over === MEAN ? "Tie groups" : `Intervals: Corrected AUPR, ${over}`;
  const without = `No mean over cells, hence no tie groups: ${t.macro_reason ?? "no shown row has results in all cells"}.`;
  if (!rows.length) {
    show(figure, title, without);
    return;
  }
  // Groups need not be runs in the order of means, so the bands are ordered by group first.
  rows.sort((a, b) => (a.group ?? 0) - (b.group ?? 0) || b.value - a.value);
  const width = widthOf(figure), narrow = width < 460, step = narrow ? 36 : clamp(780 / rows.length, 24, 48);
  const longest = Math.max(...rows.map((row) => row.name.length)) * CHARACTER;
  const left = narrow ? 34 : Math.min(longest + 46, width * 0.42), right = width - 46, top = 8, bottom = top + rows.length * step;
  const [low, high] = extent(rows.flatMap((row) => row.bounds), [0]);
  const x = linear(low, high, left + 8, right);
  const bands = [], marks = [];
  const groups = unique(rows.map((row) => row.group));
  for (const group of groups) {
    const places = rows.flatMap((row, i) => (row.group === group ? [i] : []));
    const y = top + places[0] * step, tall = places.length * step;
    if (groups.indexOf(group) % 2) bands.push(s("rect", { class: "band", x: 0, y, width, height: tall }));
    if (group !== null) bands.push(
      s("line", { x1: 22, x2: 22, y1: y + 4, y2: y + tall - 4, stroke: group === 1 ? "var(--accent)" : "var(--line-strong)", "stroke-width": group === 1 ? 3 : 2 }),
      s("text", { x: 10, y: y + tall / 2 + 4, "text-anchor": "middle", "font-weight": group === 1 ? 700 : 400 }, String(group)));
  }
  const control = rows.find((row) => row.name === t.best_control);
  rows.forEach((row, i) => {
    const y = top + i * step + (narrow ? 25 : step / 2), { colour } = looks(row.name);
    const label = narrow ? { x: left, y: y - 11 } : { x: 30, y: y + 4 };
    const space = narrow ? width - left - 10 : left - 34;
    marks.push(
      s("text", { ...label, "font-weight": row.group === 1 ? 700 : 400, "font-style": row.kind === "reference" ? "italic" : null,
        class: row.kind === "control" ? "tick" : null }, clip(row.name, space)),
      s("line", { x1: x(row.bounds[0]), x2: x(row.bounds[1]), y1: y, y2: y, stroke: colour, "stroke-width": 1.8 }),
      marker(row.name, x(row.value), y),
      s("text", { x: width - 2, y: y + 4, "text-anchor": "end" }, number(row.value)));
  });
  const rules = [s("line", { class: "zero", x1: x(0), x2: x(0), y1: top, y2: bottom })];
  if (control) rules.push(s("line", { class: "rule", x1: x(control.value), x2: x(control.value), y1: top, y2: bottom }));
  const caption = [over === MEAN
    ? `Mean corrected AUPR over ${counted(t.macro_cells.length, "cell")} with 95 % intervals; rows of one numbered band cannot be told apart from its top row. Comparisons are paired, so overlapping intervals can still be separable.`
    : `${without} Here: the 95 % intervals in ${over}.`,
  control ? ` Dashed: the best control, ${control.name}.` : "", " Hollow: controls; italic: references."];
  show(figure, title, caption.join(""),
    picture("forest", width, bottom + 40, `${title}, ${rows.length} rows`, bands, bottomAxis(x, top, bottom, "corrected AUPR, 0 = chance"), rules, marks),
    numbersOf(title, ["Row", "Group", "Corrected AUPR", "95 % interval"], rows.map((row) => [row.name, row.group === null ? "–" : String(row.group), number(row.value), interval(row.bounds)])));
}
