"""Composite names such as `chr9:613609-614420|HMEC|EH37E0985881`, taken apart into their meanings.

BENGI and the tools trained on it (TransEPI, TargetFinder) name an enhancer `position|cell|accession` and a
promoter `position|cell|gene|transcript|strand`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pyarrow as pa

from ..tasks.errors import EpishotError

_POSITION = re.compile(r"(?P<chrom>[A-Za-z0-9_.]+):(?P<start>\d+)-(?P<end>\d+)(?::[+.-])?")
_GENE, _TRANSCRIPT = re.compile(r"ENS[A-Z]*G\d{6,}.*"), re.compile(r"ENS[A-Z]*T\d{6,}.*")


def expand_names(text: Mapping[str, pa.Array], where: str) -> dict[str, pa.Array]:
    """Columns by meaning, composite names replaced by what they hold.

    A meaning that has a column of its own keeps it: a name fills in only what is not there.

    Raises:
        EpishotError: enhancer and promoter names are of different cells.
    """
    found = dict(text)
    parts: dict[str, dict[str, pa.Array]] = {}
    for role, take in (("enhancer_name", _enhancer), ("promoter_name", _promoter)):
        if role in found:
            parts[role] = _parts(found.pop(role), take)
    cells = [part["cell"] for part in parts.values() if "cell" in part]
    if len(cells) == 2 and not cells[0].equals(cells[1]):
        row = next(i for i, (a, b) in enumerate(zip(*map(pa.Array.to_pylist, cells), strict=True)) if a != b)
        raise EpishotError(f"{where}, row {row + 1}: the enhancer and the promoter are named after different cells.")
    own_position = {"chrom", "start", "end"} <= set(text)
    for part in parts.values():
        for meaning, column in part.items():
            # Half of a position from a column and half from a name would be no position.
            if meaning in ("chrom", "start", "end") and not own_position:
                found[meaning] = column
            else:
                found.setdefault(meaning, column)
    return found


def _enhancer(words: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in words:
        position = _POSITION.fullmatch(word)
        if position and "chrom" not in found:
            found |= position.groupdict()
    if len(words) == 3 and "chrom" in found:
        found |= {"cell": words[1], "enhancer_id": words[2]}
    return found


def _promoter(words: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in words:
        if _GENE.fullmatch(word):
            found.setdefault("gene", word)
        elif _TRANSCRIPT.fullmatch(word):
            found.setdefault("transcript", word)
    if len(words) == 5 and _POSITION.fullmatch(words[0]):
        found["cell"] = words[1]
        found.setdefault("gene", words[2])
        found.setdefault("transcript", words[3])
    return found


def _parts(names: pa.Array, take: Callable[[list[str]], dict[str, str]]) -> dict[str, pa.Array]:
    """What the distinct names hold, spread over the rows; a meaning that no name has is left out."""
    encoded = names.dictionary_encode()
    distinct = [take(name.split("|")) for name in encoded.dictionary.to_pylist()]
    meanings = sorted({meaning for one in distinct for meaning in one})
    columns = {m: pa.array([one.get(m) for one in distinct], pa.string()) for m in meanings}
    return {meaning: column.take(encoded.indices) for meaning, column in columns.items()}
