"""Estimators that know a cell by its id or its chromatin: tables, teacher, prototypes, cell features, fusion."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from epishot.methods.energy.config import EnvironmentConfig, EstimatorKind, Unseen
from epishot.methods.energy.environments.build import build_estimator
from epishot.methods.energy.environments.cell_features import CellFeatures, cell_statistics, hull_gap
from epishot.methods.energy.environments.fusion import fuse
from epishot.methods.energy.environments.graph import PrototypeGraph, rbf_adjacency
from epishot.methods.energy.environments.id_table import IdTable
from epishot.methods.energy.environments.prototypes import PrototypeKernel
from epishot.methods.energy.environments.teacher import Teacher
from epishot.methods.energy.parts import CellFacts, SupportRows
from epishot.tasks.errors import MethodError


def supports(latent: torch.Tensor) -> SupportRows:
    episodes, k, _ = latent.shape
    zero = torch.zeros(episodes, k, dtype=latent.dtype)
    return SupportRows(
        zero,
        latent,
        latent,
        zero,
        None,
        torch.zeros(episodes, dtype=torch.bool),
        torch.ones(episodes, k, dtype=torch.bool),
    )


NOTHING = supports(torch.zeros(2, 0, 4, dtype=torch.float64))


def facts(*code: int) -> CellFacts:
    return CellFacts(torch.tensor(code))


@pytest.mark.parametrize("code", [-1, -2, 4, 99])
@pytest.mark.parametrize("estimator", [IdTable(4, 3), Teacher(4, 2, 3)], ids=["table", "teacher"])
def test_an_unseen_cell_is_refused(estimator, code):
    with pytest.raises(MethodError, match=rf"asked for \[{code}\]"):
        estimator(NOTHING, facts(0, code))


@pytest.mark.parametrize("unseen", [Unseen.MEAN, Unseen.NONE])
def test_a_negative_control_answers_for_unseen_cells_but_not_for_codes_out_of_range(unseen):
    table = IdTable(4, 3, unseen)
    out = table(NOTHING, facts(2, -1))
    assert torch.equal(out[0], table.table[2])
    torch.testing.assert_close(out[1], table.table.mean(0) if unseen is Unseen.MEAN else torch.zeros(3))
    for code in (4, -2):
        with pytest.raises(MethodError):
            table(NOTHING, facts(0, code))


def test_cells_of_a_table_start_apart():
    table = IdTable(6, 8)
    assert torch.pdist(table.table.detach()).min() > 0.1


def test_no_estimator_says_zero():
    net = build_estimator(EstimatorKind.NONE, EnvironmentConfig(dim=5), latent=4, hidden=7, n_cells=3)
    out = net(supports(torch.randn(2, 6, 4)), facts(0, -1))
    assert torch.equal(out, torch.zeros(2, 5))


def kernel(per_cell=1, cells=3, tau=1.0, decay=0.9) -> PrototypeKernel:
    torch.manual_seed(1)
    return PrototypeKernel(cells, per_cell, size=4, features=2, decay=decay, tau=tau).double()


def test_a_prototype_is_the_running_mean_of_its_cells_batches():
    net = kernel(decay=0.75)
    first, second = torch.randn(5, 2, dtype=torch.float64), torch.randn(8, 2, dtype=torch.float64)
    net.update(first, 1)
    torch.testing.assert_close(net.prototypes[1], first.mean(0))
    net.update(second, 1)
    torch.testing.assert_close(net.prototypes[1], 0.75 * first.mean(0) + 0.25 * second.mean(0))
    assert net.seen.tolist() == [False, True, False]
    assert bool((net.prototypes[[0, 2]] == 0).all())


def test_several_prototypes_of_a_cell_find_its_clusters():
    net = kernel(per_cell=2)
    g = torch.Generator().manual_seed(0)
    for _ in range(60):
        side = torch.where(torch.rand(40, 1, generator=g) < 0.5, 1.0, -1.0)
        net.update(side * torch.tensor([0.8, 0.0]) + 0.05 * torch.randn(40, 2, generator=g), 0)
    found = net.prototypes[:2].sort(dim=0).values
    torch.testing.assert_close(found[:, 0], torch.tensor([-0.8, 0.8], dtype=torch.float64), atol=0.03, rtol=0)


def test_a_prototype_without_near_rows_stays():
    net = kernel(per_cell=2)
    net.update(torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64), 0)
    before = net.prototypes.clone()
    net.update(torch.tensor([[0.9, 0.0]], dtype=torch.float64), 0)
    moved = (net.prototypes != before).any(1)
    assert moved.tolist()[:2].count(True) == 1


def test_prototypes_refuse_bad_rows_and_cells():
    with pytest.raises(MethodError, match="not for 3"):
        kernel().update(torch.zeros(2, 2), 3)
    with pytest.raises(MethodError, match="not finite"):
        kernel().update(torch.full((2, 2), float("nan")), 0)


def test_mixed_supports_move_no_prototype_and_padding_counts_for_nothing():
    net = kernel()
    rows = supports(torch.randn(2, 6, 2, dtype=torch.float64))
    net.observe(rows, torch.tensor([-1, -1]))
    assert not net.seen.any()
    present = torch.arange(6).expand(2, 6) < 3
    net.observe(rows._replace(present=present), torch.tensor([-1, 2]))
    torch.testing.assert_close(net.prototypes[2], torch.tanh(rows.latent[1, :3]).mean(0))


def _trained_kernel(per_cell=1, tau=0.05) -> tuple[PrototypeKernel, torch.Tensor]:
    net = kernel(per_cell, tau=tau)
    centres = torch.tensor([[0.5, 0.0], [-0.5, 0.3], [0.0, -0.6]], dtype=torch.float64)
    g = torch.Generator().manual_seed(0)
    for _ in range(20):
        noise = 0.1 * torch.randn(3, 30, 2, generator=g, dtype=torch.float64)
        net.observe(supports(torch.atanh(centres.unsqueeze(1) + noise)), torch.arange(3))
    return net, centres


@pytest.mark.parametrize("per_cell", [1, 3])
def test_a_known_cell_reads_its_own_value(per_cell):
    net, centres = _trained_kernel(per_cell)
    g = torch.Generator().manual_seed(9)
    rows = supports(torch.atanh(centres.unsqueeze(1) + 0.1 * torch.randn(3, 400, 2, generator=g, dtype=torch.float64)))
    out = net(rows, facts(-1, -1, -1)).detach()
    own = net.values.detach().mean(1)
    cosine = torch.nn.functional.cosine_similarity(out.unsqueeze(1), own.unsqueeze(0), dim=-1)
    assert cosine.argmax(1).tolist() == [0, 1, 2]
    assert cosine.diagonal().min() > 0.8
    assert torch.equal(out, net(rows, facts(0, 1, 2)).detach())


def test_one_prototype_per_cell_is_the_softmax_over_squared_distances():
    net, _ = _trained_kernel(tau=0.3)
    net.spread.fill_(100.0)  # no reversion
    rows = supports(torch.randn(2, 7, 2, dtype=torch.float64))
    mean = torch.tanh(rows.latent).mean(1)
    weight = torch.softmax(-(mean.unsqueeze(1) - net.prototypes).square().sum(-1) / 0.3, dim=1)
    torch.testing.assert_close(net(rows, facts(-1, -1)), 7 / 23 * weight @ net.values[:, 0])


def test_a_cell_far_from_every_prototype_reverts_to_the_prior():
    net, centres = _trained_kernel()
    direction = torch.tensor([0.7, 0.7], dtype=torch.float64)
    places = [centres[0], 0.7 * direction, 0.99 * direction, 1.4 * direction]
    norms = [
        float(net(supports(torch.atanh(p.clamp(max=0.999)).expand(1, 200, 2)), facts(-1)).detach().norm())
        for p in places
    ]
    assert norms[0] > norms[1] > norms[2] > norms[3]
    assert norms[3] < 1e-3 * norms[0]


def test_a_kernel_that_has_seen_nothing_says_nothing():
    assert not kernel()(supports(torch.randn(2, 6, 2, dtype=torch.float64)), facts(-1, -1)).any()


def test_a_hidden_cell_is_read_by_the_others_as_if_it_had_never_been_seen():
    net, _ = _trained_kernel(tau=0.3)
    rows = supports(torch.randn(3, 7, 2, dtype=torch.float64))
    hidden = facts(-1, -1, -1)._replace(hidden=torch.tensor([1, 2, -1]))
    before, open_before = net(rows, hidden), net(rows, facts(1, 2, 0))
    assert (before - open_before)[:2].abs().min() > 1e-6
    torch.testing.assert_close(before[2], open_before[2])
    gradient = torch.autograd.grad(before[0].sum(), net.values)[0]
    assert not gradient[1].any()
    assert bool(gradient[[0, 2]].abs().sum((1, 2)).all())
    with torch.no_grad():
        net.prototypes[1] += 0.4
        net.values[1] += 1.0
    after = net(rows, hidden)
    torch.testing.assert_close(after[0], before[0])
    assert (after - before)[1:].abs().max(1).values.min() > 1e-6
    never = kernel(tau=0.3)
    never.load_state_dict(net.state_dict())
    never.seen[1] = False
    torch.testing.assert_close(never(rows, facts(-1, -1, -1))[0], after[0])


def test_the_only_cell_hidden_leaves_the_prior_and_finite_gradients():
    net = kernel()
    net.update(torch.randn(5, 2, dtype=torch.float64), 1)
    rows = supports(torch.randn(2, 6, 2, dtype=torch.float64))
    out = net(rows, facts(-1, -1)._replace(hidden=torch.tensor([1, -1])))
    assert not out[0].any()
    assert out[1].any()
    out.square().sum().backward()
    assert bool(torch.isfinite(net.values.grad).all())


def test_prototypes_are_saved_with_the_weights():
    net, _ = _trained_kernel()
    other = kernel(tau=0.05)
    other.load_state_dict(net.state_dict())
    rows = supports(torch.randn(2, 6, 2, dtype=torch.float64))
    assert torch.equal(net(rows, facts(-1, -1)), other(rows, facts(-1, -1)))


def test_the_adjacency_is_the_normalised_neighbour_graph():
    g = torch.Generator().manual_seed(0)
    nodes = 0.3 * torch.randn(9, 4, generator=g, dtype=torch.float64)
    adjacency = rbf_adjacency(nodes, 2)
    points = nodes.numpy()
    distance = np.square(points[:, None] - points[None]).sum(-1)
    expected = np.zeros((9, 9))
    for i in range(9):
        for j in sorted(set(range(9)) - {i}, key=lambda other: distance[i, other])[:2]:
            expected[i, j] = expected[j, i] = np.exp(-distance[i, j] / 0.5)
    expected += np.eye(9)
    degree = expected.sum(1)
    np.testing.assert_allclose(adjacency.numpy(), expected / np.sqrt(np.outer(degree, degree)), atol=1e-12)


def test_the_teachers_graph_is_a_graph_from_the_start():
    torch.manual_seed(0)
    teacher = Teacher(5, 4, 16)
    adjacency = teacher.adjacency.detach()
    assert torch.equal(adjacency, adjacency.T)
    off = adjacency - torch.diag(adjacency.diagonal())
    assert bool((off.max(1).values > 0.05).all())
    assert adjacency.diagonal().max() < 0.95


def test_a_neighbour_changes_what_a_node_says_and_a_stranger_does_not():
    torch.manual_seed(0)
    graph = PrototypeGraph(2, neighbours=1).double()
    nodes = torch.tensor([[0.0, 0.0], [0.2, 0.0], [50.0, 0.0], [50.2, 0.0]], dtype=torch.float64, requires_grad=True)
    gradient = torch.autograd.grad(graph(nodes)[0].sum(), nodes)[0]
    assert bool((gradient[1] != 0).any())
    assert not gradient[2:].any()


def test_the_teacher_mixes_on_the_simplex_and_trains_everything():
    torch.manual_seed(0)
    teacher = Teacher(5, 4, 6)
    weights = teacher.weights(torch.arange(5))
    torch.testing.assert_close(weights.sum(1), torch.ones(5))
    torch.testing.assert_close(weights[2, 8:12].sum(), torch.tensor(0.7))
    assert torch.pdist(teacher(NOTHING, CellFacts(torch.arange(5))).detach()).min() > 0.01
    (teacher(NOTHING, CellFacts(torch.arange(5))) * torch.randn(5, 6)).sum().backward()
    assert all(bool((p.grad != 0).any()) for p in teacher.parameters())
    assert teacher.prototypes is teacher.nodes


@pytest.mark.parametrize("cells", [1, 2])
def test_a_teacher_of_few_cells_works(cells):
    assert torch.isfinite(Teacher(cells, 1, 4)(NOTHING, facts(0, 0))).all()


def test_statistics_do_not_depend_on_the_order_of_rows():
    rng = np.random.default_rng(0)
    features = rng.exponential(100.0, (501, 6)).astype(np.float32)
    features[rng.random((501, 6)) < 0.1] = np.nan
    statistics = cell_statistics(features)
    assert statistics.shape == (30,)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(501)
        np.testing.assert_array_equal(cell_statistics(features[order]), statistics)
    column = np.log1p(features[:, 2][~np.isnan(features[:, 2])].astype(float))
    expected = [column.mean(), column.std(), *np.quantile(column, [0.1, 0.5, 0.9])]
    np.testing.assert_allclose(statistics[2::6], expected)


def test_a_feature_that_is_missing_throughout_has_no_statistics():
    features = np.ones((4, 2))
    features[:, 1] = np.nan
    assert np.isnan(cell_statistics(features)[1::2]).all()
    assert np.isfinite(cell_statistics(features)[0::2]).all()


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3,)])
def test_statistics_of_nothing_are_refused(shape):
    with pytest.raises(MethodError, match="Statistics of a cell"):
        cell_statistics(np.zeros(shape))


def observed(cells=6, width=10, seed=0) -> torch.Tensor:
    return torch.randn(cells, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cell_features(cells=6) -> tuple[CellFeatures, torch.Tensor]:
    torch.manual_seed(0)
    values = 3.0 + 5.0 * observed(cells)
    return CellFeatures(4, values).double(), values


def test_the_mean_training_cell_has_the_embedding_of_nothing():
    net, values = cell_features()
    out = net(NOTHING, CellFacts(torch.full((1,), -1), values.mean(0, keepdim=True)))
    torch.testing.assert_close(out, torch.zeros_like(out), atol=1e-6, rtol=0)
    assert net(NOTHING, CellFacts(torch.arange(6), values)).norm(dim=1).min() > 1e-3


def test_unknown_statistics_stand_for_the_mean():
    net, values = cell_features()
    missing = values[:1].clone()
    missing[0, 3] = float("nan")
    filled = missing.clone()
    filled[0, 3] = values[:, 3].mean()
    facts_of = [CellFacts(torch.zeros(1, dtype=torch.int64), v) for v in (missing, filled)]
    torch.testing.assert_close(net(NOTHING, facts_of[0]), net(NOTHING, facts_of[1]), atol=1e-6, rtol=0)
    with_gap = values.clone()
    with_gap[2, 3] = float("nan")
    assert torch.isfinite(CellFeatures(4, with_gap).double()(NOTHING, CellFacts(torch.arange(6), with_gap))).all()


def test_few_training_cells_are_shrunk_more_than_many():
    norms = []
    for cells in (3, 30):
        net, values = cell_features(cells)
        norms.append(float(((values - net.mean) / net.scale @ net.basis).square().mean(0).sum().sqrt()))
    assert norms[0] < 0.5 * norms[1]


def test_a_cell_far_outside_is_not_extrapolated_to():
    net, values = cell_features()
    mean = values.mean(0)
    away = torch.stack([mean + step * (values[0] - mean) for step in (1.0, 100.0, 1000.0)])
    near, far, farther = net(NOTHING, CellFacts(torch.full((3,), -1), away))
    assert near.norm() > 0
    torch.testing.assert_close(far, farther, rtol=0.05, atol=1e-3)


def test_gradients_reach_every_parameter_of_cell_features():
    net, values = cell_features()
    net(NOTHING, CellFacts(torch.arange(6), values)).square().sum().backward()
    assert all(bool((p.grad != 0).any()) for p in net.parameters())


@pytest.mark.parametrize("cells", [1, 2])
def test_cell_features_of_one_or_two_cells_are_finite(cells):
    net, values = cell_features(cells)
    assert torch.isfinite(net(NOTHING, CellFacts(torch.arange(cells), values))).all()


@pytest.mark.parametrize("given", [None, torch.zeros(2, 3)])
def test_cell_features_need_the_statistics(given):
    net, _ = cell_features()
    with pytest.raises(MethodError, match="needs 10 statistics"):
        net(NOTHING, CellFacts(torch.tensor([-1, -1]), given))
    with pytest.raises(MethodError, match="statistics of the 6 training cells"):
        build_estimator(EstimatorKind.CELL_FEATURES, EnvironmentConfig(), latent=4, hidden=7, n_cells=6, observed=given)


def test_the_hull_gap_is_zero_inside_and_the_distance_outside():
    corners = np.array([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])  # sd 1 in both columns
    assert hull_gap(np.array([0.3, -0.7]), corners) == 0.0
    assert hull_gap(corners[2], corners) == 0.0
    assert hull_gap(np.array([3.0, 0.2]), corners) == pytest.approx(2.0 / np.sqrt(2))
    assert hull_gap(np.array([4.0, 5.0]), corners) == pytest.approx(5.0 / np.sqrt(2))
    assert hull_gap(np.array([3.0, 0.2]) * [1.0, 1000.0], corners * [1.0, 1000.0]) == pytest.approx(2.0 / np.sqrt(2))
    assert hull_gap(corners.mean(0), corners[:1].repeat(3, 0)) == pytest.approx(1.0)


def test_the_hull_gap_of_mixtures_in_many_dimensions_is_zero():
    rng = np.random.default_rng(0)
    training = rng.normal(size=(6, 30))
    for _ in range(5):
        assert hull_gap(rng.dirichlet(np.ones(6)) @ training, training) == pytest.approx(0.0, abs=1e-9)
    assert hull_gap(rng.normal(size=30), training) > 0.1


def test_the_hull_gap_leaves_unknown_statistics_out_and_refuses_other_widths():
    corners = np.array([[1.0, 1.0, np.nan], [-1.0, 1.0, 0.0], [1.0, -1.0, 0.0], [-1.0, -1.0, 0.0]])
    assert hull_gap(np.array([3.0, 0.2, 9.0]), corners) == pytest.approx(2.0 / np.sqrt(2))
    with pytest.raises(MethodError, match="cannot be compared"):
        hull_gap(np.zeros(2), corners)


def test_unknown_cells_take_the_students_word_exactly():
    student = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], requires_grad=True)
    teacher = torch.tensor([[5.0, 0.0], [7.0, 8.0], [float("nan"), 1.0]], requires_grad=True)
    known = torch.tensor([True, True, False])
    fused = fuse(student, teacher, 0.25, known)
    np.testing.assert_allclose(fused[:2].detach().numpy(), [[2.0, 1.5], [4.0, 5.0]])
    assert torch.equal(fused[2], student[2])
    assert torch.equal(fuse(student, teacher, 0.0, known), student)
    assert torch.equal(fuse(student, teacher, 1.0, known)[:2], teacher[:2])
    fused.sum().backward()
    assert teacher.grad.tolist() == [[0.25, 0.25], [0.25, 0.25], [0.0, 0.0]]
    assert student.grad[2].tolist() == [1.0, 1.0]
    with pytest.raises(MethodError, match="must lie in"):
        fuse(student, teacher, 1.5, known)


@pytest.mark.parametrize("kind", list(EstimatorKind))
@pytest.mark.parametrize("branch", [False, True])
def test_every_kind_is_built_with_the_configured_size(kind, branch):
    config = EnvironmentConfig(dim=6, branch=branch)
    net = build_estimator(kind, config, latent=4, hidden=7, n_cells=3, observed=observed(3).float())
    rows = supports(torch.randn(2, 5, 4))._replace(hidden=torch.randn(2, 5, 7))
    out = net(rows, CellFacts(torch.tensor([0, 2]), observed(2).float()))
    assert (net.size, out.shape, out.dtype) == (6, (2, 6), torch.float32)
    if branch and kind in {EstimatorKind.MEAN, EstimatorKind.PROTOTYPES, EstimatorKind.ISAB}:
        assert net.branch(rows.hidden).shape == (2, 5, 6)


def test_an_estimator_needs_a_training_cell():
    with pytest.raises(MethodError, match="at least one training cell"):
        build_estimator(EstimatorKind.ID_TABLE, EnvironmentConfig(), latent=4, hidden=7, n_cells=0)
