"""Numbers and names as text. Nothing is rounded anywhere else."""

from __future__ import annotations

import re

from .board import BoardTable, Row

CALIBRATION_NAMES = {
    "auroc": "AUROC",
    "distance_aupr": "distance-matched AUPR",
    "cell_pooled_aupr": "cell-pooled AUPR",
    "swap_auc": "swap AUC",
    "swap_auc_quantile": "swap AUC (quantiles)",
    "brier": "Brier",
    "ece": "ECE",
    "f1_half": "F1 at p = 0.5",
    "f1_share": "F1 at training share",
}


def number(value: float | None, digits: int = 3) -> str:
    """A number with a fixed count of decimals and no leading zero: .412, -.030, 1.000; n/a for None."""
    if value is None:
        return "n/a"
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return re.sub(r"^(-?)0\.", r"\1.", text)


def counted_cells(n: int) -> str:
    """`1 cell`, `5 cells`."""
    return f"{n} cell" if n == 1 else f"{n} cells"


def interval(pair: tuple[float, float] | None) -> str:
    """`[low, high]`, or nothing."""
    return f"[{number(pair[0])}, {number(pair[1])}]" if pair else ""


def escape_markdown(text: str) -> str:
    """Text that Markdown and HTML print literally, also inside a table."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]#|~])", r"\\\1", text).replace("\n", " ")


def code_span(text: str) -> str:
    """Text as Markdown code, whatever backticks it holds."""
    text = " ".join(text.split())
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"


def escape_csv(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def kind_marks(row: Row) -> str:
    """The marks column: what kind of row it is, and what it reads beyond the pair itself."""
    parts = [row.marks] if row.marks else []
    if row.kind != "method":
        parts.append(row.kind)
    if row.zero_shot and row.kind != "reference":
        parts.append("k=0")
    if row.constant:
        parts.append("constant")
    if row.seeds is not None:
        parts.append(f"seeds={row.seeds}")
    if row.beats_control is False:
        parts.append("≈control")
    return " ".join(parts)


def title(table: BoardTable) -> str:
    """One line that names a table."""
    key = table.key
    shots = "zero-shot (k = 0)" if key.k == 0 else f"k = {key.k}, {key.regime}, {key.balance}"
    return f"{key.task}, {key.protocol}, {shots}"
