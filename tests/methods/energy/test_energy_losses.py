"""Every loss against an independently written numpy reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from epishot.methods.energy.losses import (
    Immax,
    distillation,
    likelihood,
    pairwise_ranking,
    potential_calibration,
    sparsity,
)


def _softplus(x):
    return np.logaddexp(0.0, x)


def _immax(logits, label, alpha):
    m = np.clip((2 * label - 1) * logits, -10, 10)
    mp, mn = m[label == 1], m[label == 0]
    loss = 0.5 * (_softplus(-mp / alpha).mean() + _softplus(-mn / (1 - alpha)).mean())
    psi = lambda x: -1 / (1 + np.exp(x))  # noqa: E731 (derivative of softplus(-x))
    up, down = np.abs(mp * psi(mp / alpha)).sum(), np.abs(mn * psi(mn / (1 - alpha))).sum()
    target = np.sqrt(up) / (np.sqrt(up) + np.sqrt(down))
    return loss, float(np.clip(0.9 * alpha + 0.1 * target, 0.01, 0.99))


def test_immax_and_its_alpha_follow_the_formula_over_several_batches():
    rng = np.random.default_rng(0)
    task, alpha = Immax().double(), 0.5
    for _ in range(5):
        logits = rng.normal(0, 6, 60)  # some margins are clipped
        label = (rng.random(60) < 0.2).astype(int)
        expected, alpha = _immax(logits, label, alpha)
        loss = task(torch.tensor(logits), torch.tensor(label, dtype=torch.bool))
        # torch takes softplus as linear beyond 20, which costs up to 2e-9
        assert loss.item() == pytest.approx(expected, abs=1e-8)
        assert task.alpha.item() == pytest.approx(alpha, abs=1e-8)
    assert abs(alpha - 0.5) > 0.02


def test_immax_leaves_alpha_alone_in_evaluation_and_on_one_class():
    task = Immax()
    logits = torch.tensor([1.0, -2.0, 0.5])
    loss = task(logits, torch.zeros(3, dtype=torch.bool))
    assert loss.item() == pytest.approx(log_loss([0, 0, 0], torch.sigmoid(logits).double(), labels=[0, 1]))
    task.eval()(logits, torch.tensor([True, False, False]))
    assert task.alpha.item() == 0.5


def test_pairwise_ranking_equals_brute_force_within_cells():
    rng = np.random.default_rng(1)
    positive, negative = rng.normal(size=(3, 4)), rng.normal(size=(3, 7))
    pairs = [np.log1p(np.exp(-(positive[c, i] - negative[c, j]))) for c in range(3) for i in range(4) for j in range(7)]
    value = pairwise_ranking(torch.tensor(positive), torch.tensor(negative))
    assert value.item() == pytest.approx(np.mean(pairs), abs=1e-12)


def test_pairwise_ranking_does_not_see_a_cell_offset():
    positive, negative = torch.randn(2, 3).double(), torch.randn(2, 5).double()
    offset = torch.tensor([[3.0], [-7.0]]).double()
    torch.testing.assert_close(
        pairwise_ranking(positive + offset, negative + offset), pairwise_ranking(positive, negative)
    )


def test_likelihood_of_stratified_rows_estimates_the_natural_log_loss():
    rng = np.random.default_rng(2)
    label = np.repeat([1, 0], [10, 90])
    logits = rng.normal(size=100) + 2 * label
    expected = log_loss(label, 1 / (1 + np.exp(-logits)))
    value = likelihood(
        torch.tensor(logits[None, :10]), torch.tensor(logits[None, 10:]), torch.tensor([0.1], dtype=torch.float64)
    )
    assert value.item() == pytest.approx(expected, abs=1e-12)


def test_distillation_sparsity_and_calibration():
    student, teacher = torch.tensor([1.0, 3.0], requires_grad=True), torch.tensor([2.0, 2.5], requires_grad=True)
    loss = distillation(student, teacher)
    loss.backward()
    assert loss.item() == pytest.approx((1 + 0.25) / 2)
    assert teacher.grad is None
    assert sparsity(torch.tensor([1.0, 3.0])).item() == 2.0
    assert distillation(torch.empty(0), torch.empty(0)).item() == 0.0
    wide = torch.tensor([-4.0, 6.0])  # mean 1, sd 5
    assert potential_calibration(wide).item() == pytest.approx(1 + (5 - 3) ** 2)
    narrow = torch.tensor([0.9, 1.1])  # mean 1, sd 0.1
    assert potential_calibration(narrow).item() == pytest.approx(1 + 0.4**2, rel=1e-5)
    fine = torch.tensor([-1.0, 1.0])
    assert potential_calibration(fine).item() == 0.0
