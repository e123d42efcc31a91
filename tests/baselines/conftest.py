"""The optional library learn2learn: its tests are skipped without it, except where they may not be."""

from __future__ import annotations

import os

import pytest

from epishot.baselines.learn2learn_import import Learn2learn, learn2learn
from epishot.tasks.errors import MethodError


@pytest.fixture(scope="session")
def library() -> Learn2learn:
    """The real learn2learn; `make test` sets EPISHOT_REQUIRE_LEARN2LEARN, and then its absence is a failure."""
    try:
        return learn2learn()
    except MethodError as error:
        if os.environ.get("EPISHOT_REQUIRE_LEARN2LEARN"):
            raise
        pytest.skip(str(error))
