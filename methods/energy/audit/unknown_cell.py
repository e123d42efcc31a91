"""Alignment: who knows cells by id has nothing to say of another; who reads supports reads only what is shown."""

from __future__ import annotations

import torch

from ....tasks.errors import MethodError
from ...audits.finding import Finding
from ...base import Regime
from ..config import EstimatorKind, Unseen
from ..parts import CellFacts, SupportRows
from .subject import Subject
from .verdict import not_evaluable, place, verdict


def unknown_cell(subject: Subject) -> Finding:
    """Every reader by id is asked for code -1 and for one past the last, and must raise."""
    model, environment = subject.model, subject.declared.environment
    rows, _ = subject.support_rows(subject.held.supports(Regime.NONE))
    problems, where, asked = [], "", 0
    readers = {"teacher": model.teacher}
    if environment.student is EstimatorKind.ID_TABLE and environment.unseen is Unseen.RAISE:
        readers["student"] = model.student
    for name, reader in readers.items():
        if reader is None:
            continue
        for code in (-1, model.n_cells):
            asked += 1
            try:
                with torch.no_grad():
                    reader(rows, CellFacts(torch.tensor([code])))
            except (MethodError, IndexError):
                continue
            problems.append(f"The {name} answers for a cell that it does not know (code {code})")
            where = where or place(reader.estimator)
    if not asked:
        return not_evaluable("unknown-cell", "no part of this model knows cells by id and must refuse others.")
    return verdict(
        "unknown-cell",
        problems,
        "Readers by id refuse a cell that they do not know.",
        {"asked": asked, "answered": len(problems)},
        where,
    )


def support_reading(subject: Subject) -> Finding:
    """Hidden labels and padding do not matter, the order of rows does not matter, shown labels are what is read."""
    if not subject.reads_support:
        return not_evaluable("support-reading", "no regime with a support is served.")
    supports = subject.held.supports(Regime.UNLABELLED)
    rows, facts = subject.support_rows(supports)
    episodes, k = supports.rows.shape
    label = torch.from_numpy(subject.held.pool_label[subject.held.rows].astype("int64"))
    hidden = torch.zeros(episodes, dtype=torch.bool)
    there = torch.ones(episodes, k, dtype=torch.bool)
    there[:, k // 2 :] = False

    def read(support: SupportRows) -> torch.Tensor:
        with torch.no_grad():
            found = subject.model.read(support, facts)
        return torch.cat([found.parameters, found.embedding], dim=1)

    hide = read(rows._replace(label=label, labelled=hidden))
    flip = read(rows._replace(label=1 - label, labelled=hidden))
    padded = rows._replace(present=there, label=label, labelled=~hidden)
    clean = read(padded)
    noise = padded._replace(
        potential=padded.potential.masked_fill(~there, 7.0),
        latent=padded.latent.masked_fill(~there.unsqueeze(-1), 7.0),
        hidden=padded.hidden.masked_fill(~there.unsqueeze(-1), 7.0),
        base=padded.base.masked_fill(~there, 7.0),
    )
    dirty = read(noise)
    order = torch.arange(k - 1, -1, -1)
    whole = rows._replace(label=label, labelled=~hidden)
    turned = whole._replace(
        **{
            name: getattr(whole, name)[:, order]
            for name in ("potential", "latent", "hidden", "base", "label", "present")
        }
    )
    gaps = {"hidden_labels": _gap(hide, flip), "padding": _gap(clean, dirty), "order": _gap(read(whole), read(turned))}
    texts = {
        "hidden_labels": "Labels that are hidden change the reading of a support",
        "padding": "Empty slots of a support change its reading",
        "order": "The order of a support's rows changes its reading",
    }
    limits = {"hidden_labels": 0.0, "padding": 1e-9, "order": 1e-7}
    problems = [f"{texts[name]} by {gap:.2g}" for name, gap in gaps.items() if gap > limits[name]]
    return verdict(
        "support-reading",
        problems,
        "Of a support only shown labels and present rows are read.",
        {f"change_{name}": gap for name, gap in gaps.items()},
        place(subject.model.student.estimator),
    )


def _gap(one: torch.Tensor, two: torch.Tensor) -> float:
    return float((one - two).abs().max()) if one.numel() else 0.0
