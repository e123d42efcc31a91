"""Where tensors live: on the GPU where there is one, else on the CPU."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import torch
from torch import Tensor

from ..tasks.errors import MethodError

#: Overrules the choice: `cpu`, `cuda`, `cuda:1`.
VARIABLE = "EPISHOT_DEVICE"
_on_cpu = ContextVar("on_cpu", default=False)


def device() -> torch.device:
    """The device on which networks are trained and score: CUDA where it is there, else the CPU.

    Random draws are made on the CPU whatever the device, so that the same seed starts from the same weights and sees
    the same episodes; sums are taken in another order, so scores agree to rounding.

    Raises:
        MethodError: `EPISHOT_DEVICE` names no device, or one that this machine does not have.
    """
    wanted = "cpu" if _on_cpu.get() else os.environ.get(VARIABLE)
    if not wanted:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(wanted)
    except RuntimeError:
        raise MethodError(f"{VARIABLE}={wanted} names no device; it may be cpu, cuda or cuda:0.") from None
    if found.type not in {"cpu", "cuda"}:
        raise MethodError(f"{VARIABLE}={wanted}: networks run on cpu or cuda.")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise MethodError(f"{VARIABLE}={wanted}: this machine has {torch.cuda.device_count()} CUDA devices.")
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
    """The array as a tensor on `device()`; on the CPU it shares the array's memory."""
    return torch.from_numpy(values).to(device())
