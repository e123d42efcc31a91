"""Which methods of a large family a figure has room to name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

#: Methods of a family that a panel names.
OF_A_FAMILY = 6
LEFT_OUT = f" Of methods whose names begin alike the best {OF_A_FAMILY} of each panel are "


def leading(rows: Iterable[tuple[str, str]], most: int = OF_A_FAMILY) -> frozenset[str]:
    """Names of the best methods of each family, and of all controls and reference rows.

    A family are the methods whose names begin with the same word, up to the first hyphen. A method under other
    settings, `name[option=value]`, is left out where the method itself has a row.

    Args:
        rows: (name, kind), the best first. most: methods of a family.
    """
    seen: Counter[str] = Counter()
    names = set()
    rows = tuple(rows)
    present = {name for name, _ in rows}
    for name, kind in rows:
        if "[" in name and name.partition("[")[0] in present:
            continue
        family = name.partition("-")[0]
        if kind in ("control", "reference") or seen[family] < most:
            names.add(name)
            seen[family] += kind not in ("control", "reference")
    return frozenset(names)
