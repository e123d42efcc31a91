"""Comma-separated option values, with errors that say what is known."""

from __future__ import annotations

import difflib
import re
from enum import Enum
from typing import TypeVar

from ..tasks.errors import EpishotError

E = TypeVar("E", bound=Enum)


def words(text: str | None) -> list[str]:
    """The non-empty parts of a comma-separated list; commas in brackets belong to a part (`maml[a=1,b=2]`)."""
    return [part.strip() for part in re.split(r",(?![^\[]*\])", text or "") if part.strip()]


def integers(text: str, option: str) -> tuple[int, ...]:
    """Whole numbers of a comma-separated list.

    Raises:
        EpishotError: a part is no whole number.
    """
    found = []
    for word in words(text):
        try:
            found.append(int(word))
        except ValueError:
            raise EpishotError(
                f"{option} takes whole numbers separated by commas, not {word!r}, e.g. {option} 0,16,64."
            ) from None
    return tuple(found)


def members(kind: type[E], text: str, option: str) -> tuple[E, ...]:
    """Members of an enum named in a comma-separated list.

    Raises:
        EpishotError: a part names no member; a near one is suggested.
    """
    found = []
    known = [member.value for member in kind]
    for word in words(text):
        if word not in known:
            near = difflib.get_close_matches(word, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise EpishotError(f"{option} does not know {word!r}.{hint} Known: {', '.join(known)}.")
        found.append(kind(word))
    return tuple(found)
