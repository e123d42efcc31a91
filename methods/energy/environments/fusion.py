"""The fusion of teacher and student."""

from __future__ import annotations

import torch
from torch import Tensor

from ....tasks.errors import MethodError


def fuse(student: Tensor, teacher: Tensor, alpha: float, known: Tensor) -> Tensor:
    """alpha teacher + (1 - alpha) student in known cells, exactly the student's in all others.

    The rule is the same in training and inference. It works on natural parameters (R, M, ...), so that the
    mean of two resistances is a resistance.

    Args:
        student: (E, P). teacher: (E, P); rows of unknown cells are not read. alpha: in [0, 1].
        known: (E,) bool, the cell is a training cell and known by its id.

    Raises:
        MethodError: alpha is outside [0, 1].
    """
    if not 0.0 <= alpha <= 1.0:
        raise MethodError(f"The share of the teacher in the fusion must lie in [0, 1], not {alpha}.")
    return torch.where(known.unsqueeze(1), alpha * teacher + (1.0 - alpha) * student, student)
