// Numbers as text, the same as in LEADERBOARD.md: .412, -.030, 1.000, n/a.

function number(value, digits = 3) {
  if (value === null || value === undefined) return "n/a";
  let text = value.toFixed(digits);
  if (Number(text) === 0) text = text.replace("-", "");
  return text.replace(/^(-?)0\./, "$1.");
}

const interval = (pair) => (pair ? `[${number(pair[0])}, ${number(pair[1])}]` : "");
const thousands = (value) => value.toLocaleString("en-US");

// Seconds, MB and counts span many decades: three significant figures.
function amount(value) {
  if (value === null || value === undefined) return "n/a";
  if (value >= 1000) return thousands(Math.round(value));
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return value.toFixed(1);
  if (value >= 0.01 || value === 0) return value.toFixed(2);
  return "< 0.01";
}

const counted = (count, word) => `${thousands(count)} ${word}${count === 1 ? "" : "s"}`;
