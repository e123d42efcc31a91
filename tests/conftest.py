"""Shared fixtures: the data mirror, and one thread per test process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from epishot.baselines.learn2learn_import import Learn2learn, learn2learn
from epishot.tasks.errors import MethodError

# Unpinned boosted trees were 20 times slower on two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests build their tensors on the CPU; `tests/devices` chooses for itself.
os.environ.setdefault("EPISHOT_DEVICE", "cpu")


@pytest.fixture(scope="session")
def data_mirror() -> Path:
    """Folder of the real data's mirror; the test is skipped, loudly, where there is none."""
    folder = os.environ.get("EPISHOT_DATA")
    if not folder:
        pytest.skip("EPISHOT_DATA is not set: real-data tests need the mirror of the source files")
    return Path(folder)


@pytest.fixture(scope="session")
def library() -> Learn2learn:
    """The real learn2learn; `make test` sets EPISHOT_REQUIRE_LEARN2LEARN, and then its absence is a failure."""
    try:
        return learn2learn()
    except MethodError as error:
        if os.environ.get("EPISHOT_REQUIRE_LEARN2LEARN"):
            raise
        pytest.skip(str(error))
