// Draw everything that depends on what changed; then wait for the reader.

function drawFigures() {
  drawChips();
  drawForest();
  drawCurves();
  drawCost();
  drawHeat();
}

function drawRows() {
  drawTable();
  drawFigures();
}

function change(wanted) {
  const from = view.metric;
  settle(wanted);
  if (view.metric !== from && (view.sort === "mean" || view.sort.startsWith("cell:"))) view.descending = metric().better !== "lower";
  drawSwitches();
  drawHead();
  drawNotes();
  drawRows();
  writeAddress();
}

function start() {
  setTheme(remembered());
  if (!DATA.sections.length) {
    document.body.append(h("p", { class: "empty" }, "This board has no records."));
    return;
  }
  document.querySelector("main").hidden = false;
  view.kinds = new Set(KINDS);
  connect();
  change(readAddress());
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawFigures(); } });
}

start();
