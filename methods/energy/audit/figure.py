"""The monitors of one training as a picture (needs matplotlib)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ....tasks.errors import EpishotError

#: Title, and the monitors of a panel: exact names, or beginnings that end in ":".
_PANELS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("losses", ("loss:",)),
    ("gradients in the encoder", ("gradient:",)),
    ("cosines of losses in the encoder", ("cosine:",)),
    ("what z tells of the cell", ("cell-information", "cell-information-quadratic", "hsic", "hsic-given-y")),
    ("environment of each cell", ("environment",)),
    ("environment: ratio, correlation with U", ("environment-ratio", "correlation-m-u", "student-mimicry")),
    ("AUPR of U, corrected", ("aupr-u",)),
    ("mean U of each cell", ("u-mean",)),
    ("sd of scores", ("score-sd",)),
    ("saturated probabilities", ("saturation",)),
    ("temperature", ("temperature",)),
    ("rho: student over opportunist", ("rho",)),
)
_COLUMNS, _WIDTH, _HEIGHT = 3, 4.2, 2.6
_LEGEND = 9


def draw_monitors(source: Path, out: Path) -> Path:
    """Draw a Parquet file of monitors; panels that nothing was logged for are left out.

    Raises:
        EpishotError: matplotlib is not installed, or there is nothing to draw.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise EpishotError("Figures need matplotlib; install it with `pip install 'epishot[figures]'`.") from None
    table = pd.read_parquet(source)
    panels = [(title, _series(table, wanted)) for title, wanted in _PANELS]
    panels = [(title, series) for title, series in panels if series]
    if not panels:
        raise EpishotError(f"{source} holds no monitor that can be drawn.")
    rows = -(-len(panels) // _COLUMNS)
    figure = Figure(figsize=(_COLUMNS * _WIDTH, rows * _HEIGHT), layout="constrained")
    bounds = table.groupby("stage")["step"].min()
    for number, (title, series) in enumerate(panels, start=1):
        ax = figure.add_subplot(rows, _COLUMNS, number)
        for name, own in series.items():
            dark = name == "held-out"
            ax.plot(own["step"], own["value"], lw=1.8 if dark else 1.0, color="black" if dark else None, label=name)
        for step in bounds:
            ax.axvline(step, color="#D9D9D9", lw=0.8, zorder=0)
        if title in ("losses", "gradients in the encoder"):
            ax.set_yscale("symlog", linthresh=1e-3)
        if 1 < len(series) <= _LEGEND:
            ax.legend(fontsize=6, frameon=False)
        ax.set_title(title, fontsize=9, loc="left")
        ax.tick_params(labelsize=7)
        ax.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("training step", fontsize=8)
    figure.savefig(out)
    return out


def _series(table: pd.DataFrame, wanted: tuple[str, ...]) -> dict[str, pd.DataFrame]:
    found = {}
    for (monitor, cell), own in table.groupby(["monitor", table["cell"].fillna("")]):
        name = str(monitor)
        head = next((one for one in wanted if name == one or (one.endswith(":") and name.startswith(one))), None)
        if head is None or (head == "gradient:" and not name.endswith(":encoder")) or own["value"].isna().all():
            continue
        label = name.removeprefix(head).removesuffix(":encoder") if head.endswith(":") else name
        found[str(cell) or label] = own.sort_values("step")
    return found
