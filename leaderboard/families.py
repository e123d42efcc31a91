"""Which methods a figure has room to name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

#: Methods that a panel names, of a family and in all.
OF_A_FAMILY = 6
IN_ALL = 18
LEFT_OUT = (
    f" The best {IN_ALL} methods of each panel, and of those whose names begin alike the best {OF_A_FAMILY}, are "
)


def leading(rows: Iterable[tuple[str, str]], of_a_family: int = OF_A_FAMILY, in_all: int = IN_ALL) -> frozenset[str]:
    """Names of the best methods of each family, and of all controls and reference rows.

    A family are the methods whose names begin with the same word, up to the first hyphen. A method under other
    settings, `name[option=value]`, is left out where the method itself has a row.

    Args:
        rows: (name, kind), the best first. of_a_family, in_all: methods at most.
    """
    seen: Counter[str] = Counter()
    names = set()
    rows = tuple(rows)
    present = {name for name, _ in rows}
    for name, kind in rows:
        if kind in ("control", "reference"):
            names.add(name)
            continue
        if "[" in name and name.partition("[")[0] in present:
            continue
        family = name.partition("-")[0]
        if seen[family] < of_a_family and seen.total() < in_all:
            names.add(name)
            seen[family] += 1
    return frozenset(names)
