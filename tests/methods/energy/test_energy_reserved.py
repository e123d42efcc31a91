"""Rows kept from the main stages for the last one: enough to learn cells from, or none at all."""

from __future__ import annotations

import numpy as np
import pytest

from epishot.methods.base import FitContext, PairTable, TrainTable
from epishot.methods.energy import training
from epishot.methods.energy.presets import EnergyAdditive

SMALL = {
    "encoder": {"width": 8, "latent": 4, "head_width": 5},
    "sampler": {"block_rows": 16, "support_sizes": [0, 8]},
}


def _fit(monkeypatch, rows, positives, share=0.05):
    """A brief fit on two cells of 50 loci; the rows that each stage draws from, and the method."""
    rng = np.random.default_rng(0)
    n = 2 * rows
    label = np.concatenate([rng.permutation(np.arange(rows) < positives) for _ in range(2)]).astype(np.int8)
    pairs = PairTable(
        n=n,
        features=rng.random((n, 3)).astype(np.float32),
        distance=10 ** rng.uniform(3.5, 6.0, n),
        chrom=rng.integers(0, 50, n).astype(np.int32),
    )
    seen, build = [], training.build_sampler
    monkeypatch.setattr(training, "build_sampler", lambda *a, **k: (seen.append(a[1]), build(*a, **k))[1])
    method = EnergyAdditive(**SMALL, reserved_share=share)
    assert method.reserved_rows is None
    cell = np.repeat(np.arange(2, dtype=np.int32), rows)
    method.fit(TrainTable(pairs=pairs, label=label, cell=cell, n_cells=2), FitContext(seed=0, budget=0.01))
    return seen, method


def test_reserved_rows_are_kept_from_the_main_stages(monkeypatch):
    (potential, joint, last), method = _fit(monkeypatch, 3000, 600)
    assert method.reserved_rows == last.size > 0
    assert not set(last) & set(joint)
    np.testing.assert_array_equal(potential, joint)
    assert last.size + joint.size == 6000


@pytest.mark.parametrize(("rows", "positives", "share"), [(200, 30, 0.05), (3000, 15, 0.05), (3000, 600, 0.0)])
def test_where_they_would_not_suffice_no_stage_loses_a_row(monkeypatch, rows, positives, share):
    stages, method = _fit(monkeypatch, rows, positives, share)
    assert method.reserved_rows == 0
    for drawn in stages:
        np.testing.assert_array_equal(drawn, np.arange(2 * rows))


def test_as_many_as_are_allowed_are_kept_before_none(monkeypatch):
    # A twentieth holds about 12 positives of a cell, four times that some 48: enough.
    (_, joint, last), method = _fit(monkeypatch, 4200, 240)
    assert method.reserved_rows == last.size
    assert 0.1 < last.size / 8400 < 0.3
    assert last.size + joint.size == 8400
