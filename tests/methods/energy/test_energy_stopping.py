"""Early stopping: which cells validate, by what score, and which weights are kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from epishot.methods.energy.stopping import EarlyStopping, choose_validation_cells, mean_average_precision
from epishot.tasks.errors import MethodError

LABEL = np.array([0, 1, 0, 1, 0, 0, 1, 1, 0, 1])
CELL = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4])


def test_cells_with_both_classes_validate_and_one_is_left_to_train_on():
    seen = set()
    for seed in range(30):
        chosen = choose_validation_cells(LABEL, CELL, 5, 2, np.random.default_rng(seed))
        assert np.unique(chosen).size == 2
        seen |= set(chosen.tolist())
    assert seen == {0, 1, 4}
    again = [choose_validation_cells(LABEL, CELL, 5, 2, np.random.default_rng(3)).tolist() for _ in range(2)]
    assert again[0] == again[1]


@pytest.mark.parametrize("wanted", [3, 4])
def test_too_few_cells_are_refused(wanted):
    with pytest.raises(MethodError, match="there are 3"):
        choose_validation_cells(LABEL, CELL, 5, wanted, np.random.default_rng(0))


def test_the_score_is_the_mean_over_cells_not_over_rows():
    label = np.array([1, 0, 1, 0, 0, 0])
    cell = np.array([0, 0, 1, 1, 1, 1])
    # Cell 0 ranks its positive last of two (1/2), cell 1 third of four (1/3); offsets between cells do not count.
    score = np.array([0.0, 1.0, 102.0, 104.0, 103.0, 101.0])
    assert mean_average_precision(label, score, cell) == pytest.approx((1 / 2 + 1 / 3) / 2)


def test_the_best_state_is_a_copy_and_patience_counts_looks_without_gain():
    stopping, state = EarlyStopping(2), {"w": torch.tensor([1.0])}
    assert stopping.best is None
    assert not stopping.update(0.5, state)
    state["w"].fill_(9.0)
    assert not stopping.update(0.4, state)
    assert not stopping.update(0.6, {"w": torch.tensor([3.0])})
    assert not stopping.update(0.6, state)
    assert stopping.update(0.1, state)
    assert stopping.score == 0.6
    assert stopping.best["w"].item() == 3.0
