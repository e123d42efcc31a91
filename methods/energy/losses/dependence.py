"""Losses against dependence of the pair side on the cell: orthogonality, correlation, HSIC, mutual information.

Where a cell has several blocks in a step, its embedding z_E(c) is their mean, so that what is compared with z
varies with the cell alone.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, one_hot

from ..config import Count, Positive, Section
from ..names import Group, LossName
from ..parts import Step
from .adversarial import reverse_gradient
from .base import Loss, Sizes, parse_options
from .kernels import delta, hsic, rbf
from .rows import cell_means, nothing, thin

_BOTH_SIDES = frozenset({Group.ENCODER, Group.TEACHER, Group.STUDENT, Group.PROTOTYPES})
_LIGHT = frozenset({Group.ENCODER})
_EPSILON = 1e-8


def squared_pearson(x: Tensor, y: Tensor) -> Tensor:
    """(n, p), (n, q) -> (p, q) squared Pearson correlations, 0 where a column is constant."""
    x, y = x - x.mean(0), y - y.mean(0)
    covariance = x.T @ y / x.shape[0]
    scale = (x.square().mean(0).unsqueeze(1) + _EPSILON) * (y.square().mean(0).unsqueeze(0) + _EPSILON)
    return covariance.square() / scale


class OrthogonalOptions(Section):
    """`form`: |cos| or cos^2."""

    form: Literal["absolute", "squared"] = "absolute"


class Orthogonal(Loss):
    """Mean over rows of |cos(z, z_E)| or its square; 0 for a zero vector.

    Where z and z_E differ in size, z_E is carried over by a fixed map with orthonormal rows or columns.
    """

    name: ClassVar[LossName] = LossName.ORTHOGONAL
    reach = _BOTH_SIDES
    small = _LIGHT
    carry: Tensor

    def __init__(self, sizes: Sizes, **options: object) -> None:
        super().__init__(sizes)
        self.options = parse_options(self.name, OrthogonalOptions, options)
        carry = torch.eye(sizes.latent)
        if sizes.latent != sizes.embedding:
            start = torch.randn(sizes.latent, sizes.embedding, generator=torch.Generator().manual_seed(0))
            u, _, v = torch.linalg.svd(start, full_matrices=False)
            carry = u @ v
        self.register_buffer("carry", carry)

    def forward(self, step: Step) -> Tensor:
        """Of every query row's z and its block's z_E."""
        if not step.environment.embedding.shape[-1]:
            return nothing(step)
        environment = step.environment.embedding @ self.carry.T.to(step.latent.dtype)
        cosine = cosine_similarity(step.latent, environment.unsqueeze(1), dim=-1, eps=_EPSILON)
        return (cosine.abs() if self.options.form == "absolute" else cosine.square()).mean()


class Correlation(Loss):
    """Mean over coordinate pairs of the squared Pearson correlation of z and z_E(c).

    Zero correlation is not independence: z and z^2 of a symmetric z have none.
    """

    name: ClassVar[LossName] = LossName.CORRELATION
    reach = _BOTH_SIDES
    small = _LIGHT
    cells = 2

    def forward(self, step: Step) -> Tensor:
        """Over all query rows of the step."""
        if not step.environment.embedding.shape[-1]:
            return nothing(step)
        cells = cell_means(step.environment.embedding, step.cell)
        return squared_pearson(step.latent.flatten(0, 1), cells.mean[cells.place]).mean()


class Decorrelation(Loss):
    """corr(U, M(c))^2, centred, with M(c) the first natural parameter of the cell."""

    name: ClassVar[LossName] = LossName.DECORRELATION
    reach = frozenset({Group.ENCODER, Group.TEACHER, Group.STUDENT, Group.COUPLING})
    small = _LIGHT
    cells = 2

    def forward(self, step: Step) -> Tensor:
        """Over all query rows of the step."""
        if not step.environment.parameters.shape[-1]:
            return nothing(step)
        cells = cell_means(step.environment.parameters[:, :1], step.cell)
        return squared_pearson(step.potential.reshape(-1, 1), cells.mean[cells.place]).mean()


class HsicOptions(Section):
    """`rows`: at most so many, evenly spread. `conditional`: within each class, weighted by its rows."""

    rows: Count = 256
    conditional: bool = False


class Hsic(Loss):
    """HSIC(z, c) = tr(K H L H) / (n - 1)^2, RBF of median bandwidth on z, delta kernel on c (Gretton et al. 2005)."""

    name: ClassVar[LossName] = LossName.HSIC
    reach = _BOTH_SIDES
    small = _LIGHT
    cells = 2

    def __init__(self, sizes: Sizes, **options: object) -> None:
        super().__init__(sizes)
        self.options = parse_options(self.name, HsicOptions, options)

    def forward(self, step: Step) -> Tensor:
        """Over at most `rows` query rows of the step."""
        chosen = thin(step.cell.numel(), self.options.rows)
        latent, cell, label = step.latent.flatten(0, 1)[chosen], step.cell.reshape(-1)[chosen], step.label.reshape(-1)
        if not self.options.conditional:
            return hsic(rbf(latent), delta(cell))
        own = [label[chosen] == value for value in (False, True)]
        parts = [hsic(rbf(latent[rows]), delta(cell[rows])) * rows.sum() for rows in own if int(rows.sum()) > 1]
        return torch.stack(parts).sum() / chosen.numel() if parts else nothing(step)


class MineOptions(Section):
    """`alpha` of the gradient reversal, `width` of the critic, `rows`: at most so many, evenly spread."""

    alpha: Positive = 1.0
    width: Count = 32
    rows: Count = 256


class Mine(Loss):
    """Minus the Donsker-Varadhan bound of I(z; z_E), E[T] - log E'[exp T] (MINE; Belghazi et al. 2018).

    The critic T tightens the bound; z and z_E receive the reversed gradient and lower it. It is a lower bound:
    a small value is no proof of independence. The product of margins is summed exactly over the cells of the step.
    """

    name: ClassVar[LossName] = LossName.MINE
    reach = _BOTH_SIDES | {Group.DISCRIMINATOR}
    small = _LIGHT
    cells = 2
    nonnegative = False

    def __init__(self, sizes: Sizes, **options: object) -> None:
        super().__init__(sizes)
        self.options = parse_options(self.name, MineOptions, options)
        width = self.options.width
        self.pair = nn.Linear(sizes.latent, width)
        self.cell = nn.Linear(sizes.embedding, width, bias=False)
        self.out = nn.Linear(width, 1)

    def forward(self, step: Step) -> Tensor:
        """-(mean T(z_i, z_E(c_i)) - log mean_i sum_c p_c exp T(z_i, z_E(c))), p_c the rows' shares of the cells."""
        cells = cell_means(step.environment.embedding, step.cell)
        chosen = thin(step.cell.numel(), self.options.rows)
        latent = reverse_gradient(step.latent.flatten(0, 1)[chosen], self.options.alpha)
        embedding = reverse_gradient(cells.mean, self.options.alpha)
        return -self.bound(latent, embedding, cells.place[chosen])

    def bound(self, latent: Tensor, embedding: Tensor, index: Tensor) -> Tensor:
        """The bound of the present critic on (n, d) z, (C, d_e) z_E and each row's place (n,) among the cells."""
        both = torch.relu(self.pair(latent).unsqueeze(1) + self.cell(embedding).unsqueeze(0))
        critic = self.out(both).squeeze(-1)  # (n, C)
        own = one_hot(index, embedding.shape[0]).to(critic.dtype)
        joint = (critic * own).sum(1).mean()
        product = torch.logsumexp((critic + own.mean(0).log()).flatten(), dim=0) - math.log(index.shape[0])
        return joint - product
