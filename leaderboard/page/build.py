"""`leaderboard.html`: one file that opens from disk, with style, scripts and data inside, and asks nobody for anything.

The figures are SVG drawn by the scripts in `script/`, a few hundred readable lines, not plotly: the only plotly
bundle that a Python package carries is the whole library, 4 to 5 MB in a page whose data take a few hundred kB, and
its charts are one opaque picture to a screen reader. Forest plot, curves, scatter and heat map need none of it.

A content security policy in the page allows exactly its own script and style (by digest) and no request at all.
Names come from plugins: the data lie in a JSON block in which no `<` survives, and the scripts make text nodes of
them, never markup. Equal boards give equal bytes: there is no time, path or host in the page.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files

from ..board import Board
from .model import page_model

#: In the order in which they need one another.
SCRIPTS = (
    "elements",
    "numbers",
    "board",
    "selection",
    "colours",
    "axes",
    "table",
    "details",
    "forest",
    "curves",
    "heat_map",
    "cost",
    "controls",
    "main",
)


def page_html(board: Board) -> str:
    """The whole page as text.

    Args:
        board: what `build_board` returned.
    """
    style = _part("page.css")
    body = "".join(f"\n// {name}.js\n{_part(f'script/{name}.js')}" for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{body}}})();\n'
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    page = _part("template.html")
    for mark, text in (
        ("@POLICY@", policy),
        ("@STYLE@", style),
        ("@SCRIPT@", script),
        # Last, so that no name in the data is taken for a mark.
        ("@DATA@", embedded_json(page_model(board))),
    ):
        page = page.replace(mark, text)
    return page


def embedded_json(value: object) -> str:
    """JSON that can stand in a `<script>` element: ASCII only, and nothing in it can close or open an element."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
