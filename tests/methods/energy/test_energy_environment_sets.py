"""Estimators that read a support: order, padding, empty and unlabelled supports, gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from epishot.methods.energy.config import EnvironmentConfig, EstimatorKind
from epishot.methods.energy.environments.build import build_estimator
from epishot.methods.energy.environments.modulator import Modulator, Reader
from epishot.methods.energy.environments.moments import masked_moments
from epishot.methods.energy.environments.quantiles import masked_quantiles
from epishot.methods.energy.environments.rows import row_statistics, shrinkage
from epishot.methods.energy.parts import CellFacts, SupportRows

LATENT, HIDDEN, CELLS = 4, 7, 3
SETS = [
    EstimatorKind.MEAN,
    EstimatorKind.MOMENTS,
    EstimatorKind.QUANTILES,
    EstimatorKind.ISAB,
    EstimatorKind.PROTOTYPES,
    EstimatorKind.OPPORTUNIST,
]
READ_LABELS = [kind for kind in SETS if kind is not EstimatorKind.PROTOTYPES]
UNKNOWN = CellFacts(torch.full((3,), -1))


def supports(episodes=3, k=9, seed=1, labelled=True) -> SupportRows:
    g = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    return SupportRows(
        potential=normal(episodes, k),
        latent=normal(episodes, k, LATENT),
        hidden=normal(episodes, k, HIDDEN),
        base=normal(episodes, k) - 1.0,
        label=torch.randint(0, 2, (episodes, k), generator=g),
        labelled=torch.full((episodes,), labelled),
        present=torch.ones(episodes, k, dtype=torch.bool),
    )


def take(rows: SupportRows, order) -> SupportRows:
    return SupportRows(*(v if name == "labelled" else v[:, order] for name, v in rows._asdict().items()))


def made(kind, branch=False):
    torch.manual_seed(0)
    config = EnvironmentConfig(dim=5, branch=branch)
    net = build_estimator(kind, config, latent=LATENT, hidden=HIDDEN, n_cells=CELLS).double()
    if kind is EstimatorKind.PROTOTYPES:
        net.observe(supports(seed=3, k=30), torch.arange(CELLS))
    return net


@pytest.fixture(params=[(kind, branch) for kind in SETS for branch in (False, True)], ids=str)
def net(request):
    return made(*request.param)


def same(one, other):
    torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_any_order_of_the_rows_gives_the_same_embedding(net):
    rows = supports()
    order = torch.randperm(9, generator=torch.Generator().manual_seed(5))
    same(net(rows, UNKNOWN), net(take(rows, order), UNKNOWN))


def test_another_row_changes_the_embedding(net):
    rows = supports()
    other = supports(seed=2)
    changed = SupportRows(
        *(
            v if name in {"labelled", "present"} else torch.cat([getattr(other, name)[:, :1], v[:, 1:]], 1)
            for name, v in rows._asdict().items()
        )
    )
    assert (net(rows, UNKNOWN) - net(changed, UNKNOWN)).abs().max() > 1e-6


@pytest.mark.parametrize("junk", [50.0, float("nan"), float("inf")])
def test_padding_changes_nothing(net, junk):
    rows = supports(k=5)
    padded = {}
    for name, value in rows._asdict().items():
        if name == "labelled":
            padded[name] = value
            continue
        fill = {"present": False, "label": 1}.get(name, junk)
        padded[name] = torch.cat([value, torch.full_like(value[:, :4], fill)], dim=1)
    same(net(rows, UNKNOWN), net(SupportRows(**padded), UNKNOWN))


def test_padding_that_is_not_a_number_leaves_gradients_finite(net):
    rows = supports()
    rows = rows._replace(present=torch.arange(9).expand(3, 9) < 5)
    for value in (rows.potential, rows.latent, rows.hidden, rows.base):
        value[:, 5:] = float("nan")
    net(rows, UNKNOWN).square().sum().backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in net.parameters() if p.grad is not None)


def test_an_empty_support_gives_exactly_zero(net):
    rows = supports()
    none_present = rows._replace(present=torch.zeros(3, 9, dtype=torch.bool))
    for empty in (none_present, take(rows, torch.arange(0)), take(rows, torch.arange(0))._replace(label=None)):
        out = net(empty, UNKNOWN)
        assert out.shape == (3, 5)
        assert bool((out == 0).all())


def test_an_empty_support_among_full_ones_gives_zero_and_leaves_them_alone(net):
    rows = supports()
    present = rows.present.clone()
    present[1] = False
    mixed, full = net(rows._replace(present=present), UNKNOWN), net(rows, UNKNOWN)
    assert bool((mixed[1] == 0).all())
    same(mixed[[0, 2]], full[[0, 2]])


def test_hidden_labels_are_not_seen(net):
    rows = supports(labelled=False)
    flipped = rows._replace(label=1 - rows.label)
    torch.testing.assert_close(net(rows, UNKNOWN), net(flipped, UNKNOWN), rtol=0, atol=0)
    torch.testing.assert_close(net(rows, UNKNOWN), net(rows._replace(label=None), UNKNOWN), rtol=0, atol=0)


def test_each_support_hides_its_own_labels(net):
    rows = supports()._replace(labelled=torch.tensor([True, False, True]))
    flip = rows.label.clone()
    flip[1] = 1 - flip[1]
    torch.testing.assert_close(net(rows, UNKNOWN), net(rows._replace(label=flip), UNKNOWN), rtol=0, atol=0)


@pytest.mark.parametrize("kind", READ_LABELS, ids=str)
def test_given_labels_matter(kind):
    net, rows = made(kind), supports()
    flipped = rows._replace(label=1 - rows.label)
    assert (net(rows, UNKNOWN) - net(flipped, UNKNOWN)).abs().max() > 1e-4
    assert (net(rows, UNKNOWN) - net(rows._replace(label=None), UNKNOWN)).abs().max() > 1e-4


@pytest.mark.parametrize("value", [0, 1])
def test_a_support_of_one_class_or_one_row_is_read(net, value):
    rows = supports()
    rows = rows._replace(label=torch.full_like(rows.label, value))
    assert bool(torch.isfinite(net(rows, UNKNOWN)).all())
    assert bool(torch.isfinite(net(take(rows, torch.arange(1)), UNKNOWN)).all())


def test_equal_rows_leave_gradients_finite(net):
    rows = take(supports(), torch.zeros(6, dtype=torch.int64))
    net(rows, UNKNOWN).square().sum().backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in net.parameters() if p.grad is not None)


def test_gradients_reach_every_parameter(net):
    rows = supports(k=20, seed=3)
    (net(rows, UNKNOWN) * torch.randn(3, 5, dtype=torch.float64)).sum().backward()
    missing = [name for name, p in net.named_parameters() if p.grad is None or not bool((p.grad != 0).any())]
    assert not missing


def test_more_of_the_same_rows_say_more(net):
    rows = supports(k=4)
    many = take(rows, torch.arange(4).repeat(50))
    few, lots = net(rows, UNKNOWN), net(many, UNKNOWN)
    assert lots.norm() > 1.5 * few.norm()


def test_the_rows_hold_the_gradient_and_curvature_of_the_likelihood():
    rows = supports(k=40)
    statistics = row_statistics(rows).sum(1)
    slope, offset, along = (torch.zeros(3, n, dtype=torch.float64, requires_grad=True) for n in (1, 1, LATENT))
    logit = rows.base + offset + slope * rows.potential + torch.einsum("ekd,ed->ek", torch.tanh(rows.latent), along)
    likelihood = -torch.nn.functional.binary_cross_entropy_with_logits(logit, rows.label.double(), reduction="sum")
    by_offset, by_along = torch.autograd.grad(likelihood, [offset, along], create_graph=True)
    same(statistics[:, 2:3], by_offset.detach())
    same(statistics[:, -LATENT:], by_along.detach())
    second = torch.autograd.grad(by_offset.sum(), [offset, slope])
    same(statistics[:, 4:5], -second[0])
    same(statistics[:, 5:6], -second[1])


def test_quantiles_and_moments_equal_numpy_on_the_present_rows():
    rng = np.random.default_rng(0)
    values, present = rng.normal(size=(5, 11, 3)), rng.random((5, 11)) < 0.6
    present[4] = False
    levels = np.array([0.0, 0.1, 0.5, 0.9, 1.0])
    masked = torch.from_numpy(np.where(present[..., None], values, 0.0))
    quantiles = masked_quantiles(torch.from_numpy(values), torch.from_numpy(present), torch.from_numpy(levels)).numpy()
    mean, sd = masked_moments(masked, torch.from_numpy(present))
    for episode in range(4):
        own = values[episode][present[episode]]
        np.testing.assert_allclose(quantiles[episode], np.quantile(own, levels, axis=0), atol=1e-12)
        np.testing.assert_allclose(mean[episode], own.mean(0), atol=1e-12)
        np.testing.assert_allclose(sd[episode], own.std(0), atol=1.1e-3)
    assert not quantiles[4].any()
    assert not mean[4].any()
    assert not sd[4].any()


def test_small_supports_are_shrunk():
    assert shrinkage(supports(k=16)).tolist() == [[0.5]] * 3
    assert shrinkage(supports(k=1)).tolist() == [[pytest.approx(1 / 17)]] * 3


def test_training_starts_from_the_default_in_every_cell():
    default = torch.tensor([0.3, -1.0], dtype=torch.float64)
    reader = Reader(made(EstimatorKind.MEAN), Modulator(5, default))
    embedding, raw = reader(supports(), UNKNOWN)
    assert embedding.abs().max() > 0
    assert torch.equal(raw, default.expand(3, 2))
    torch.nn.init.normal_(reader.modulator.weight)
    empty = take(supports(), torch.arange(0))
    assert torch.equal(reader(empty, UNKNOWN).raw, default.expand(3, 2))
    assert not torch.equal(reader(supports(), UNKNOWN).raw, default.expand(3, 2))
    torch.nn.init.zeros_(reader.modulator.weight)
    reader(supports(), UNKNOWN).raw.sum().backward()
    assert bool((reader.modulator.weight.grad != 0).all())
    assert default.tolist() == [0.3, -1.0]
