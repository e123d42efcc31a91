"""The board as one self-contained HTML page. Reads the board only; its template, style and scripts lie beside it."""
