"""Alignment: an information bottleneck is stochastic in training and silent in evaluation."""

from __future__ import annotations

import torch

from ...audits.finding import Finding
from .subject import Subject
from .verdict import not_evaluable, place, verdict


def bottleneck(subject: Subject) -> Finding:
    """Two passes of the same hidden vectors differ in training mode and agree in evaluation mode."""
    if not subject.declared.encoder.bottleneck:
        return not_evaluable("bottleneck", "no bottleneck is declared.")
    wrapper = subject.model.wrapper
    hidden = subject.encoded(subject.held.query).hidden
    gaps = {}
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for mode in (True, False):
            wrapper.train(mode)
            first, second = wrapper(hidden), wrapper(hidden)
            gaps[mode] = float((first.latent - second.latent).abs().max())
        wrapper.eval()
        sigma = None if first.log_variance is None else float((0.5 * first.log_variance).exp().min())
    problems = []
    if not gaps[True] > 0:
        problems.append("Two training passes of the bottleneck give the same latents, so nothing is compressed")
    if gaps[False] > 0:
        problems.append("The bottleneck still draws noise in evaluation")
    if sigma is not None and sigma < subject.declared.encoder.sigma_min - 1e-9:
        problems.append(f"A standard deviation of the bottleneck is {sigma:.3g}, below the declared floor")
    evidence = {
        "training_difference": gaps[True],
        "evaluation_difference": gaps[False],
        "smallest_sigma": sigma,
        "sigma_min": subject.declared.encoder.sigma_min,
    }
    return verdict(
        "bottleneck",
        problems,
        "The bottleneck is stochastic in training and silent in evaluation.",
        evidence,
        place(wrapper),
    )
