"""Where tensors live: on the GPU where there is one, else on the CPU. Importing this module does not import torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from ..tasks.errors import MethodError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

#: Overrules the choice: `cpu`, `cuda`, `cuda:1`, or `auto`. Fits of `epishot run` use the CPU unless it is set: there
#: every fit has one core, and the same fit gives the same bits.
VARIABLE = "EPISHOT_DEVICE"
_on_cpu = ContextVar("on_cpu", default=False)


def device() -> torch.device:
    """The device on which networks are trained and score: CUDA where it is there, else the CPU.

    Random draws are made on the CPU whatever the device, so that the same seed starts from the same weights and sees
    the same episodes and noise. A GPU adds up in another order, so that trained networks differ by more than rounding.

    Raises:
        MethodError: `EPISHOT_DEVICE` names no device, or one that this machine does not have.
    """
    import torch

    wanted = "cpu" if _on_cpu.get() else os.environ.get(VARIABLE, "auto")
    # Unlike is_available(), the count does not keep child processes from using CUDA.
    count = 0 if wanted == "cpu" else torch.cuda.device_count()
    if wanted == "auto":
        return torch.device("cuda" if count else "cpu")
    try:
        found = torch.device(wanted)
    except RuntimeError:
        raise MethodError(f"{VARIABLE}={wanted} names no device; it may be auto, cpu, cuda or cuda:0.") from None
    if found.type not in {"cpu", "cuda"}:
        raise MethodError(f"{VARIABLE}={wanted}: networks run on cpu or cuda.")
    if found.type == "cuda" and (found.index or 0) >= count:
        raise MethodError(f"{VARIABLE}={wanted}: this machine has {count} CUDA devices.")
    return found


@contextmanager
def on_cpu() -> Iterator[None]:
    """Let `device()` be the CPU inside; audits look at every tensor, and so work there."""
    token = _on_cpu.set(True)
    try:
        yield
    finally:
        _on_cpu.reset(token)


def placed(values: np.ndarray) -> Tensor:
    """The array as a tensor on `device()`, for data that enter a method; on the CPU it shares the array's memory."""
    import torch

    return torch.from_numpy(values).to(device())


def normal_like(values: Tensor) -> Tensor:
    """Standard normal numbers in the shape, dtype and place of `values`, drawn on the CPU."""
    import torch

    return torch.randn(values.shape, dtype=values.dtype).to(values.device)
