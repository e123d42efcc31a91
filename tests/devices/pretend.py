"""A second device that is none: its tensors compute on the CPU, and refuse to meet tensors of the CPU.

With it, code that moves tensors between devices runs, with real numbers, on a machine without a GPU. The device is
called `meta`, because torch lets nobody invent one; while `PretendDevice` is active, nothing else uses that name.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("meta")
_COPY = torch.ops.aten._to_copy.default
_INDEXED = (
    torch.ops.aten.index.Tensor,
    torch.ops.aten.index_put.default,
    torch.ops.aten.index_put_.default,
    torch.ops.aten._index_put_impl_.default,
)


class _There(Tensor):
    """A tensor of the pretended device; `here` is where its numbers really are."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> _There:
        made = Tensor._make_wrapper_subclass(
            cls,
            here.size(),
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=DEVICE,
        )
        made.here = here
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})

    def tolist(self) -> Any:
        return self.here.tolist()

    def __repr__(self) -> str:  # type: ignore[override]
        return f"_There({self.here!r})"


class PretendDevice(TorchDispatchMode):
    """While active, `to(DEVICE)` and factories with `device=DEVICE` give tensors of the pretended device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, _There)]
    if any(tensor.device == DEVICE and not isinstance(tensor, _There) for tensor in tensors):
        raise RuntimeError(f"{func} was given a tensor that torch made on the device by itself: its numbers are lost")
    target = kwargs.get("device")
    target = None if target is None else torch.device(target)
    if there and func not in (_COPY, torch.ops.aten.copy_.default):
        _check_one_device(func, args, tensors)
    stays = bool(there) if target is None else target == DEVICE
    if stays and torch.Tag.nondeterministic_seeded in func.tags:
        raise RuntimeError(f"{func} draws on the device: its numbers would be others than those of the CPU")
    if target is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    with torch.utils._python_dispatch._disable_current_modes():
        out = func(*tree_map(_here, args), **tree_map(_here, kwargs))
    if func._schema.is_mutable:
        # The tensor that was changed is the one that was given.
        return args[0] if isinstance(args[0], Tensor) else out
    return tree_map(lambda value: _There(value) if isinstance(value, Tensor) and stays else value, out)


def _check_one_device(func: Any, args: Any, tensors: list[Tensor]) -> None:
    """As on a GPU: numbers without dimension may come from the CPU to be read, and so may indices of its tensors."""
    if func in _INDEXED or func._schema.is_mutable:
        first = args[0][0] if isinstance(args[0], (list, tuple)) else args[0]
        if not isinstance(first, _There):
            raise RuntimeError(f"{func} of a tensor of the CPU was given tensors of the device")
    if func in _INDEXED:
        tensors = [value for value in args[2:3] if isinstance(value, Tensor)]
    if any(not isinstance(tensor, _There) and tensor.ndim for tensor in tensors):
        raise RuntimeError(f"{func} was given tensors of two devices")


def _here(value: Any) -> Any:
    return value.here if isinstance(value, _There) else value
