"""Weights of an energy model in one safetensors file, which is only read back if it still computes the same."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ...tasks.errors import MethodError
from .config import EnergyConfig

FORMAT = "epishot-energy"
VERSION = "1"
#: A probe may differ by this much, relative to its largest value (at least 1): other machines sum in other orders.
TOLERANCE = 1e-12
_WEIGHTS, _PROBE, _ANSWER = "weights/", "probe/", "answer"

#: What a model makes of a probe, as one tensor.
Run = Callable[[nn.Module, Mapping[str, Tensor]], Tensor]


class Header(NamedTuple):
    """What a file says of its model: `meta` as it was saved, and the shape of every saved weight and buffer."""

    config: EnergyConfig
    meta: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]


def save_weights(
    path: Path, model: nn.Module, config: EnergyConfig, meta: Mapping[str, Any], probe: Mapping[str, Tensor], run: Run
) -> None:
    """Write a model, its configuration and what it makes of a probe; an existing file is replaced at once or not.

    Args:
        path: of the file. model: its parameters and persistent buffers are saved as they are, dtype included.
        config: of the model. meta: JSON values that `build` needs beside it, such as sizes.
        probe: inputs, by name. run: computes the output that a loaded model has to reproduce.

    Raises:
        MethodError: `meta` is not JSON, a state is not a tensor, the output is not finite, or the file cannot be made.
    """
    state = model.state_dict()
    odd = sorted(name for name, value in state.items() if not isinstance(value, Tensor))
    if odd:
        raise MethodError(f"Only tensors can be saved as weights, which {', '.join(odd)} is not.")
    answer = _answer(model, probe, run)
    if not bool(torch.isfinite(answer).all()):
        raise MethodError("The model's output on the probe is not finite, so the weights are not worth saving.")
    try:
        header = {
            "format": FORMAT,
            "version": VERSION,
            "config": json.dumps(config.model_dump(mode="json"), sort_keys=True),
            "meta": json.dumps(dict(meta), sort_keys=True, allow_nan=False),
        }
    except (TypeError, ValueError) as error:
        raise MethodError(f"`meta` must hold JSON values: {error}.") from None
    tensors = {_WEIGHTS + name: value for name, value in state.items()}
    tensors |= {_PROBE + name: value for name, value in probe.items()}
    tensors[_ANSWER] = answer
    # Tied weights are written twice, for the format refuses tensors that share memory.
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    path = Path(path)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        save_file(tensors, str(part), metadata=header)
        os.replace(part, path)
    except (OSError, SafetensorError) as error:
        raise MethodError(f"The weights cannot be written to {path}: {error}.") from None
    finally:
        part.unlink(missing_ok=True)


def read_header(path: Path) -> Header:
    """What the file says of its model, without reading the weights.

    Raises:
        MethodError: no such file, not one of energy weights, or of another version.
    """
    return _read(Path(path))[0]


def read_probe(path: Path) -> dict[str, Tensor]:
    """The probe's inputs, by name.

    Raises:
        MethodError: as `read_header`.
    """
    return _probe_of(_read(Path(path), weights=True)[1])


def load_weights(path: Path, build: Callable[[EnergyConfig, Mapping[str, Any]], nn.Module], run: Run) -> nn.Module:
    """The saved model in evaluation mode: built anew, filled, and held to the stored output.

    Args:
        path: of the file. build: makes an untrained model from the configuration and `meta`, in the dtype that was
            saved. Persistent buffers whose shape came from the training data must have that shape already
            (`read_header` tells it). run: as given to `save_weights`.

    Raises:
        MethodError: the file cannot be read; tensors are missing, unexpected or of another shape or dtype (named, and
            nothing is loaded then); or the model computes something else than the saved one did.
    """
    path = Path(path)
    header, tensors = _read(path, weights=True)
    saved = {name.removeprefix(_WEIGHTS): value for name, value in tensors.items() if name.startswith(_WEIGHTS)}
    probe = _probe_of(tensors)
    model = build(header.config, header.meta)
    own = model.state_dict()
    faults = [f"{name} is missing" for name in sorted(own.keys() - saved.keys())]
    faults += [f"{name} is unexpected" for name in sorted(saved.keys() - own.keys())]
    for name in sorted(own.keys() & saved.keys()):
        there, here = (f"{tuple(value.shape)} {value.dtype}" for value in (saved[name], own[name]))
        if there != here:
            faults.append(f"{name} is {there} in the file and {here} in the model")
    if faults:
        raise MethodError(f"The weights in {path} do not fit the model: {'; '.join(faults)}.")
    model.load_state_dict(saved, strict=True)
    model.eval()
    expected, found = tensors[_ANSWER], _answer(model, probe, run)
    if expected.shape != found.shape:
        raise MethodError(f"The model loaded from {path} gives another shape of output than it was saved with.")
    gap = float((expected - found).abs().max()) if expected.numel() else 0.0
    largest = max(1.0, float(expected.abs().max())) if expected.numel() else 1.0
    if not gap <= TOLERANCE * largest:
        raise MethodError(f"The model loaded from {path} misses its stored output by {gap:.3g}; it is not the same.")
    return model


def _probe_of(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(_PROBE): value for name, value in tensors.items() if name.startswith(_PROBE)}


def _answer(model: nn.Module, probe: Mapping[str, Tensor], run: Run) -> Tensor:
    """The output in float64, in evaluation mode; the model's own mode is put back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            return run(model, probe).cpu().to(torch.float64)
    finally:
        for module, training in modes:
            module.training = training


def _read(path: Path, *, weights: bool = False) -> tuple[Header, dict[str, Tensor]]:
    try:
        with safe_open(str(path), framework="pt") as file:
            facts = file.metadata() or {}
            if facts.get("format") != FORMAT:
                raise MethodError(f"{path} does not hold weights of an energy model.")
            if facts.get("version") != VERSION:
                raise MethodError(f"{path} has version {facts.get('version')} of the format; {VERSION} can be read.")
            names = list(file.keys())
            shapes = {
                name.removeprefix(_WEIGHTS): tuple(file.get_slice(name).get_shape())
                for name in names
                if name.startswith(_WEIGHTS)
            }
            tensors = {name: file.get_tensor(name) for name in names} if weights else {}
        header = Header(
            EnergyConfig.parse(json.loads(facts["config"]), where=str(path)), json.loads(facts["meta"]), shapes
        )
        if _ANSWER not in names:
            raise MethodError(f"{path} holds no stored output to compare with.")
    except (OSError, SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise MethodError(f"The weights in {path} cannot be read: {error}.") from None
    return header, tensors
