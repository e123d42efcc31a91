"""Student and teacher: permutation invariance, empty and unlabelled supports, unseen cells."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from epishot.methods.energy.environment import Student, SupportRows, Teacher, fuse
from epishot.tasks.errors import MethodError

T = torch.tensor(0.8, dtype=torch.float64)


@pytest.fixture
def student() -> Student:
    torch.manual_seed(0)
    net = Student(d=4, embedding=6).double()
    torch.nn.init.normal_(net.resist.weight)
    return net


def _rows(episodes=3, k=9, label=True, labelled=True, seed=1) -> SupportRows:
    g = torch.Generator().manual_seed(seed)
    return SupportRows(
        potential=torch.randn(episodes, k, generator=g, dtype=torch.float64),
        latent=torch.randn(episodes, k, 4, generator=g, dtype=torch.float64),
        label=torch.randint(0, 2, (episodes, k), generator=g) if label else None,
        labelled=torch.full((episodes,), labelled),
        present=torch.ones(episodes, k, dtype=torch.bool),
    )


def _take(rows: SupportRows, order) -> SupportRows:
    return rows._replace(
        potential=rows.potential[:, order],
        latent=rows.latent[:, order],
        label=None if rows.label is None else rows.label[:, order],
        present=rows.present[:, order],
    )


@pytest.mark.parametrize("label", [True, False])
def test_any_order_of_the_support_gives_the_same_environment(student, label):
    rows = _rows(label=label)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(5))
    for one, other in zip(student(rows, T), student(_take(rows, order), T), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-13)


def test_padding_changes_nothing(student):
    rows = _rows(k=5)
    padded = _rows(k=9, seed=8)
    for name in ("potential", "latent", "label"):
        getattr(padded, name)[:, :5] = getattr(rows, name)
    padded = padded._replace(present=torch.arange(9).expand(3, 9) < 5)
    for one, other in zip(student(rows, T), student(padded, T), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-13)


def test_an_empty_support_gives_the_learned_resistance_and_no_embedding(student):
    environment = student(_take(_rows(), torch.arange(0)), T)
    assert bool((environment.embedding == 0).all())
    assert environment.resistance.tolist() == pytest.approx([student.empty_resistance.item()] * 3)


def test_labels_matter_when_given_and_are_not_seen_when_hidden(student):
    rows = _rows()
    flipped = rows._replace(label=1 - rows.label)
    assert not torch.allclose(student(rows, T).resistance, student(flipped, T).resistance)
    hidden, hidden_flipped = (r._replace(labelled=torch.zeros(3, dtype=torch.bool)) for r in (rows, flipped))
    torch.testing.assert_close(student(hidden, T), student(hidden_flipped, T), rtol=0, atol=0)
    torch.testing.assert_close(student(hidden, T), student(rows._replace(label=None), T), rtol=0, atol=0)


def test_a_support_of_one_class_is_read(student):
    rows = _rows()._replace(label=torch.zeros(3, 9, dtype=torch.int64))
    assert bool(torch.isfinite(student(rows, T).resistance).all())


def test_resistances_are_never_negative(student):
    assert student(_rows(episodes=200, seed=4), T).resistance.min() >= 0
    assert Teacher(4)(torch.arange(4)).min() >= 0


def test_no_gradient_leaves_the_student_through_its_inputs(student):
    rows = _rows()
    potential, latent = rows.potential.requires_grad_(), rows.latent.requires_grad_()
    temperature = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    environment = student(rows, temperature)
    total = environment.resistance.sum() + environment.embedding.sum()
    gradients = torch.autograd.grad(total, [potential, latent, temperature], allow_unused=True)
    assert all(gradient is None for gradient in gradients)


@pytest.mark.parametrize("cell", [-1, 4, 99])
def test_the_teacher_refuses_an_unseen_cell(cell):
    with pytest.raises(MethodError, match=rf"asked for \[{cell}\]"):
        Teacher(4)(torch.tensor([0, cell]))


def test_fusion_with_alpha_zero_is_the_student():
    student, teacher = torch.tensor([1.0, 2.0]), torch.tensor([5.0, 0.0])
    assert torch.equal(fuse(student, teacher, 0.0), student)
    assert torch.equal(fuse(student, teacher, 1.0), teacher)
    np.testing.assert_allclose(fuse(student, teacher, 0.25).numpy(), [2.0, 1.5])
