"""Every loss reaches exactly the parameter groups that the routing table allows."""

from __future__ import annotations

import pytest
import torch

from epishot.methods.energy.config import CouplingKind, EnergyConfig
from epishot.methods.energy.environment import SupportRows
from epishot.methods.energy.losses import (
    Immax,
    distillation,
    likelihood,
    pairwise_ranking,
    potential_calibration,
    sparsity,
)
from epishot.methods.energy.model import Encoded, EnergyModel
from epishot.methods.energy.routing import REACH, Boundary, Group, LossName, route

#: Where a loss is allowed but the arithmetic of a coupling leaves nothing to send.
SILENT = {
    # The ranking inside a cell does not see an offset, so no resistance either (systems.md E3).
    (LossName.RANK, Group.TEACHER): {CouplingKind.ADDITIVE, CouplingKind.BILINEAR},
    (LossName.RANK, Group.STUDENT): {CouplingKind.ADDITIVE},
}


def _losses(kind: CouplingKind):
    torch.manual_seed(0)
    config = EnergyConfig(coupling=kind, width=8, latent=3, head_width=4, environment_dim=4, rank=2)
    inputs = torch.rand(80, 5)
    model = EnergyModel(config, inputs, n_cells=3).double()
    if kind is CouplingKind.BILINEAR:
        torch.nn.init.normal_(model.coupling.pair)
    torch.nn.init.normal_(model.student.resist.weight)
    boundary = Boundary(model.encode(inputs[:40].double()))
    encoded = Encoded(boundary.leaves[0].view(4, 10), boundary.leaves[1].view(4, 10, 3))
    with torch.no_grad():
        pool = model.encode(inputs[40:].double())
    support = SupportRows(
        pool.potential.view(4, 10),
        pool.latent.view(4, 10, 3),
        torch.randint(0, 2, (4, 10)),
        torch.tensor([True, True, False, True]),
        torch.ones(4, 10, dtype=torch.bool),
    )
    student = model.read(support)
    cell = torch.tensor([0, 2, 1, -1])
    environment = model.known(student, cell)
    logits = model.logits(encoded, environment)
    label = (torch.arange(10) < 4).expand(4, 10)
    losses = {
        LossName.TASK: Immax().double()(logits, label),
        LossName.RANK: pairwise_ranking(logits[:, :4], logits[:, 4:]),
        LossName.LIKELIHOOD: likelihood(logits[:, :4], logits[:, 4:], torch.full((4,), 0.1).double()),
        LossName.CALIBRATION: potential_calibration(boundary.leaves[0]),
        LossName.DISTILL: distillation(student.resistance[:3], model.teacher(cell[:3])),
        LossName.SPARSE: sparsity(environment.resistance),
    }
    return model, boundary, losses


def _arrived(parameters) -> float:
    return sum(0.0 if p.grad is None else p.grad.abs().sum().item() for p in parameters)


@pytest.mark.parametrize("kind", list(CouplingKind))
@pytest.mark.parametrize("name", list(LossName))
def test_a_loss_reaches_its_groups_and_no_other(kind, name):
    model, boundary, losses = _losses(kind)
    groups = model.groups()
    route({name: losses[name]}, groups, boundary)
    for group, parameters in groups.items():
        if group not in REACH[name]:
            assert _arrived(parameters) == 0.0, f"{name} reached {group}"
        elif kind in SILENT.get((name, group), ()) or not parameters:
            assert _arrived(parameters) < 1e-12
        else:
            assert _arrived(parameters) > 1e-9, f"{name} did not reach {group}"


def test_without_routing_distillation_and_sparsity_would_reach_more():
    """The table does something: plain backward of the sparse loss reaches what the table allows only."""
    model, boundary, losses = _losses(CouplingKind.BILINEAR)
    route({LossName.LIKELIHOOD: losses[LossName.LIKELIHOOD]}, model.groups(), boundary)
    assert boundary.leaves[0].grad is None
    plain = torch.autograd.grad(losses[LossName.LIKELIHOOD], boundary.leaves[0], retain_graph=True)[0]
    assert plain.abs().sum() > 0


def test_losses_add_up():
    model, boundary, losses = _losses(CouplingKind.BILINEAR)
    groups = model.groups()
    parameters = [p for group in groups.values() for p in group]
    expected = [torch.zeros_like(p) for p in parameters]
    for name in LossName:
        for leaf in boundary.leaves:
            leaf.grad = None
        single_model, single_boundary, single = _losses(CouplingKind.BILINEAR)
        route({name: single[name]}, single_model.groups(), single_boundary)
        twins = [p for group in single_model.groups().values() for p in group]
        for total, twin in zip(expected, twins, strict=True):
            total += 0.0 if twin.grad is None else twin.grad
    route(losses, groups, boundary)
    for parameter, total in zip(parameters, expected, strict=True):
        actual = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(actual, total, rtol=1e-9, atol=1e-12)


def test_the_boundary_gives_the_same_gradient_as_no_boundary():
    model, boundary, losses = _losses(CouplingKind.ADDITIVE)
    route({LossName.CALIBRATION: losses[LossName.CALIBRATION]}, model.groups(), boundary)
    routed = [p.grad.clone() for p in model.groups()[Group.ENCODER] if p.grad is not None]
    twin, twin_boundary, _ = _losses(CouplingKind.ADDITIVE)
    potential_calibration(twin_boundary.outputs[0]).backward()
    plain = [p.grad for p in twin.groups()[Group.ENCODER] if p.grad is not None]
    assert len(routed) == len(plain)
    for one, other in zip(routed, plain, strict=True):
        torch.testing.assert_close(one, other)
