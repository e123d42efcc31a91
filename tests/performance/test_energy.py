"""energy-additive against itself written the obvious way: one episode at a time, in training and scoring."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from epishot.methods.base import Method
from epishot.methods.energy import training
from epishot.methods.energy.model import EnergyModel
from epishot.methods.energy.parts import CellFacts, Encoded, Environment, PairInputs, SupportRows
from epishot.methods.registry import find_method
from epishot.methods.tables import fit_context

from .one_split import PEERS, OneSplit, flops_of, one_split, score, score_each

#: Without what is drawn for each pair anew, the two orders of computation agree.
_STILL = {"dropout": 0.0, "feature_dropout": 0.0, "noise": 0.0}


class OneAtATime(EnergyModel):
    """Every block of a step is encoded, and every support read, by itself; a step's supports are encoded together."""

    def encode(self, inputs: PairInputs) -> Encoded:
        rows = self.config.sampler.block_rows
        if not self.training:
            return super().encode(inputs)
        assert inputs.n % rows == 0
        assert inputs.n > rows
        blocks = [super(OneAtATime, self).encode(inputs.take(part)) for part in torch.arange(inputs.n).split(rows)]
        return Encoded._make(
            None if values[0] is None else torch.stack(values).mean() if values[0].ndim == 0 else torch.cat(values)
            for values in zip(*blocks, strict=True)
        )

    def read(self, support: SupportRows, facts: CellFacts) -> Environment:
        read = super().read
        each = [
            read(SupportRows._make(map(pick, support)), CellFacts._make(map(pick, facts)))
            for e in range(len(support.labelled))
            for pick in [lambda value, e=e: None if value is None else value[e : e + 1]]
        ]
        return _joined(each)


def _joined(each: list[Environment]) -> Environment:
    def join(values: tuple[Tensor | None, ...]) -> Tensor | None:
        if values[0] is None or values[0].ndim == 0:
            return values[0]
        return torch.cat(values)

    return Environment._make(join(values) for values in zip(*each, strict=True))


@pytest.mark.parametrize("ranking_anew", [True, False])
def test_energy_additive_fit_and_score(race, machine, full, request, monkeypatch, ranking_anew: bool) -> None:
    cls = find_method("energy-additive")
    split = one_split(request, full, cls.capabilities().reads)

    def fitted(split: OneSplit, **encoder: float) -> Method:
        method = cls(encoder=encoder)
        method.fit(split.train, fit_context(split.task, budget=split.budget))
        return method

    def ours(split: OneSplit, **encoder: float) -> list[np.ndarray]:
        return score(fitted(split, **encoder), split)

    def obvious(split: OneSplit, **encoder: float) -> list[np.ndarray]:
        with monkeypatch.context() as patched:
            patched.setattr(training, "EnergyModel", OneAtATime)
            method = fitted(split, **encoder)
        return score_each(method, split, ranking_anew=ranking_anew)

    first = split.brief()
    np.testing.assert_allclose(ours(first, **_STILL)[0], obvious(first, **_STILL)[0], rtol=0, atol=1e-3)
    race(
        "energy-additive fit + score of one split of `bengi`, 5 k x 10 draws",
        lambda: ours(split),
        (PEERS[ranking_anew], lambda: obvious(split)),
        10,
        rounds=3,
        floor_s=machine.floor_s(flops=flops_of(lambda: ours(split))),
    )
