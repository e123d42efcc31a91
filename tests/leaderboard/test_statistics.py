from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from epishot.leaderboard.statistics import MacroScore, above, holm, paired_z, tie_groups, two_sided_p


def score(value: float, noise: np.ndarray) -> MacroScore:
    return MacroScore(value, value + noise)


def test_z_uses_the_paired_difference_not_the_separate_spreads() -> None:
    rng = np.random.default_rng(1)
    shared, own = rng.normal(0, 1, 1000), rng.normal(0, 0.01, 1000)
    z = paired_z(score(0.53, shared + own), score(0.50, shared))
    assert z == pytest.approx(0.03 / np.std(own, ddof=1))
    assert abs(paired_z(score(0.53, shared), score(0.50, rng.permutation(shared)))) < 1


def test_identical_rows_tie_and_a_difference_without_spread_is_certain() -> None:
    noise = np.zeros(1000)
    assert paired_z(score(0.5, noise), score(0.5, noise)) == 0
    assert paired_z(score(0.4, noise), score(0.5, noise)) == -np.inf


def test_holm_steps_down_and_stops_at_the_first_failure() -> None:
    # 0.01 <= 0.05/4; 0.02 > 0.05/3, so the rest stand although 0.03 <= 0.05/1.
    assert holm([0.03, 0.01, 0.02, 0.04]) == [False, True, False, False]
    assert holm([0.01, 0.016, 0.02, 0.04]) == [True, True, True, True]
    assert holm([]) == []


def test_two_sided_p_is_the_normal_one() -> None:
    assert two_sided_p(-1.959963984540054) == pytest.approx(0.05)
    assert two_sided_p(np.inf) == 0
    assert two_sided_p(3.0) == pytest.approx(2 * (1 - norm.cdf(3)))


def test_tie_groups_start_again_on_the_rest() -> None:
    rng = np.random.default_rng(2)
    scores = {
        name: score(value, rng.normal(0, 0.01, 1000))
        for name, value in {"a": 0.60, "b": 0.595, "c": 0.40, "d": 0.395, "e": 0.1}.items()
    }
    assert tie_groups(scores) == {"a": 1, "b": 1, "c": 2, "d": 2, "e": 3}


def test_tie_groups_reach_their_level() -> None:
    """Five equal rows: some row is split off in at most about 5 % of boards."""
    rng = np.random.default_rng(3)
    split = 0
    for _ in range(400):
        truth = rng.normal(0, 1, (5, 1))
        scores = {str(i): MacroScore(float(truth[i, 0]), truth[i] + rng.normal(0, 1, 1000)) for i in range(5)}
        split += max(tie_groups(scores).values()) > 1
    # Comparing with the observed maximum makes it liberal; it must stay of the order of the level.
    assert split / 400 < 0.15


def test_above_needs_a_positive_separable_difference() -> None:
    rng = np.random.default_rng(4)
    baseline = score(0.5, rng.normal(0, 0.01, 1000))
    rows = {name: score(v, rng.normal(0, 0.01, 1000)) for name, v in {"up": 0.7, "same": 0.505, "down": 0.3}.items()}
    assert above(rows, baseline) == {"up": True, "same": False, "down": False}
