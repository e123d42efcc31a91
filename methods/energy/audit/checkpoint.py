"""Alignment: saved weights come back whole or not at all."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ....tasks.errors import MethodError
from ...audits.finding import Finding
from ..method import EnergyMethod
from .subject import Subject
from .verdict import place, verdict


def checkpoint(subject: Subject) -> Finding:
    """A loaded copy has equal weights and equal scores; a file with a tensor missing or changed is refused."""
    method, problems = subject.method, []
    supports = subject.held.supports(subject.regimes[0])
    before = subject.score(supports)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        method.save(path)
        again = _fresh(method)
        again.load(path)
        own, loaded = method.model.state_dict(), again.model.state_dict()
        different = [
            name
            for name in sorted(own.keys() | loaded.keys())
            if name not in own
            or name not in loaded
            or not torch.equal(torch.nan_to_num(own[name]), torch.nan_to_num(loaded[name]))
        ]
        gap = float(np.abs(again.score(supports, subject.held.query, subject.held.cell_table) - before).max())
        if different:
            problems.append(f"{len(different)} tensors of a loaded copy differ, {different[0]} first")
        elif gap > 0:
            problems.append(f"A loaded copy scores differently, by {gap:.2g}")
        refused = 0
        for kind in ("missing", "changed"):
            _spoil(path, kind)
            try:
                _fresh(method).load(path)
            except MethodError:
                refused += 1
            else:
                problems.append(f"A file with a {kind} tensor is loaded without complaint")
            method.save(path)
    evidence = {"different_tensors": len(different), "score_change": gap, "spoilt_files_refused": refused, "of": 2}
    return verdict(
        "checkpoint",
        problems,
        "A loaded copy is the same model, and spoilt files are refused.",
        evidence,
        f"{place(method)}.load",
    )


def _fresh(method: EnergyMethod) -> EnergyMethod:
    return type(method)(**method.config())


def _spoil(path: Path, kind: str) -> None:
    """Take the head's first tensor out of the file, or move it."""
    with safe_open(str(path), framework="pt") as file:
        header = file.metadata()
    tensors = load_file(str(path))
    name = next(name for name in sorted(tensors) if name.startswith("weights/wrapper"))
    if kind == "missing":
        del tensors[name]
    else:
        tensors[name] = tensors[name] + 0.5
    save_file(tensors, str(path), metadata=header)
