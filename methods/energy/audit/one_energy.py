"""Alignment: what a method scores is the declared energy of its live parts, for every support and every regime."""

from __future__ import annotations

import numpy as np
import torch

from ...audits.finding import Finding
from ...base import Supports
from ..config import Unseen
from .subject import Subject
from .thresholds import REPLAY_ERROR
from .verdict import place, verdict


def one_energy(subject: Subject) -> Finding:
    """Scores against coupling(U, z, student's reading), put together by the audit from the parts themselves."""
    gaps, problems = {}, []
    for regime in subject.regimes:
        supports = subject.held.supports(regime)
        found, expected = subject.score(supports), replayed(subject, supports)
        scale = float(np.abs(expected).max()) + 1.0
        per_support = np.abs(found - expected).max(1) / scale
        gaps[f"gap_{regime.value}"] = float(per_support.max())
        wrong = int((per_support > REPLAY_ERROR).sum())
        if wrong:
            problems.append(
                f"{wrong} of {supports.n_episodes} supports ({regime.value}) are scored by something else than the "
                f"energy of the live parts, off by {per_support.max():.2g}"
            )
    evidence = {**gaps, "threshold": REPLAY_ERROR}
    return verdict(
        "one-energy",
        problems,
        "Every score is the energy that was trained, with the student's reading.",
        evidence,
        place(subject.method),
    )


def replayed(subject: Subject, supports: Supports) -> np.ndarray:
    """(E, n) logits of the held-out query by student, posterior and coupling, none of the model's own shortcuts."""
    model = subject.model
    with torch.no_grad():
        encoded = subject.encoded(subject.held.query)
        rows, facts = subject.support_rows(supports)
        if subject.declared.readout == "potential":
            return np.broadcast_to(encoded.potential.numpy(), (supports.n_episodes, subject.held.query.n))
        if subject.declared.environment.unseen is Unseen.NONE:
            environment = model.neutral(supports.n_episodes)
        else:
            embedding, raw = model.student(rows, facts)
            if model.posterior is not None and model.coupling.x_dependent:
                # Declared for interactions: what few cells have taught of them is held back towards no interaction.
                default = model.student.modulator.default
                raw = default + model.posterior.share.to(raw) * (raw - default)
            if model.posterior is not None and rows.label is not None and rows.label.shape[1]:
                raw = model._most_probable(raw, rows)
            environment = model._environment(raw, embedding)
        size = model.coupling.n_raw
        own = environment.parameters[:, size:] if model.temperature.extra else None
        logits = subject.coupled(encoded, environment.parameters[:, :size], model.temperature(own))
    return logits.double().numpy()
