"""A small task with features, coordinates and enough pairs for every audit to be evaluable."""

from __future__ import annotations

from pathlib import Path

import pytest

from epishot.tasks.catalog import load_task
from epishot.tasks.task import Task

TASK = "synthetic@cells=4,pairs=800"


@pytest.fixture(scope="session")
def task() -> Task:
    return load_task(TASK)


@pytest.fixture(scope="session")
def faulty() -> Path:
    return Path(__file__).with_name("faulty_plugins.py")
