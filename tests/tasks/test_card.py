"""The task card refuses what it does not know and what contradicts itself."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from epishot.tasks.card import TaskCard

FACTS: dict[str, Any] = {
    "name": "toy",
    "version": "1",
    "summary": "toy",
    "source": {"repository": "generated", "revision": "1"},
    "genome_build": "hg19",
    "licence": "MIT",
    "citation": "none",
    "label_meaning": "toy",
    "cells": ["A", "B", "C"],
    "families": [["A", "C"]],
    "features": [{"name": "DNase", "unit": "RPM", "side": "enhancer"}],
    "activity": ["DNase"],
    "support_pool_chromosomes": ["chr1"],
}


def test_a_complete_card_is_accepted_and_survives_json() -> None:
    card = TaskCard.model_validate(FACTS)
    assert TaskCard.model_validate_json(card.model_dump_json()) == card
    assert card.feature_names == ("DNase",)


def test_families_are_held_out_together() -> None:
    card = TaskCard.model_validate(FACTS)
    assert card.family("A") == ("A", "C")
    assert card.family("C") == ("A", "C")
    assert card.family("B") == ("B",)


@pytest.mark.parametrize(
    "key",
    ["source", "genome_build", "licence", "citation", "label_meaning", "features", "cells", "support_pool_chromosomes"],
)
def test_facts_are_required(key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        TaskCard.model_validate({name: value for name, value in FACTS.items() if name != key})


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"licenze": "MIT"}, "licenze"),
        ({"source": {"repository": "x", "revision": "1", "branch": "main"}}, "branch"),
        ({"source": {"repository": "x"}}, "revision"),
        ({"features": [{"name": "DNase", "side": "enhancer"}]}, "unit"),
        ({"features": [{"name": "DNase", "unit": " ", "side": "enhancer"}]}, "unit"),
        ({"features": [{"name": "DNase", "unit": "RPM", "side": "left"}]}, "side"),
        ({"features": FACTS["features"] * 2}, "feature names repeat"),
        ({"activity": ["H3K27ac"]}, "activity names no feature"),
        ({"cells": ["A"]}, "cells"),
        ({"cells": ["A", "B", "C", "A"]}, "cells repeat"),
        ({"families": [["A", "D"]]}, "unknown cells"),
        ({"families": [["A", "B"], ["B", "C"]]}, "two families"),
        ({"licence": "  "}, "licence"),
        ({"name": "a@b"}, "name"),
        ({"sequence_length": [0, 10]}, "sequence_length"),
        ({"coordinates": "some"}, "coordinates"),
    ],
)
def test_what_is_unknown_or_contradictory_is_refused(change: dict[str, Any], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        TaskCard.model_validate({**FACTS, **change})


def test_a_card_cannot_be_changed() -> None:
    card = TaskCard.model_validate(FACTS)
    with pytest.raises(ValidationError):
        card.version = "2"  # type: ignore[misc]
