"""The prototypical network against itself written the obvious way: one episode at a time, in training and scoring."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from epishot.baselines import prototypical as product
from epishot.baselines.meta_training import EpisodeSampler
from epishot.baselines.networks import init_mlp, mlp, optimise
from epishot.baselines.training_rows import TrainingRows
from epishot.methods.base import Balance, FitContext, TrainTable
from epishot.methods.tables import fit_context

from .one_split import PEERS, OneSplit, flops_of, one_split, score, score_each


class OneAtATime(product.PrototypicalNetwork):
    """Every episode embeds its own pairs and prototypes; the draws and the mathematics are those of the product."""

    def fit(self, train: TrainTable, context: FitContext) -> None:
        rng = context.generator()
        data = TrainingRows(train, rng)
        self._inputs, self._prior_logit = data.scale, data.prior_logit
        sampler, anchors = EpisodeSampler(train, rng), product._Anchors(train, rng)

        def loss(parameters: dict[str, Tensor]) -> Tensor:
            network, n0 = product._split(parameters)
            balance = Balance.BALANCED if rng.random() < product._BALANCED_SHARE else Balance.NATURAL
            batch = sampler.draw(product._TASKS, int(rng.choice(product._SHOTS)), product._QUERY, balance)
            drawn = [batch.support.ravel(), batch.query.ravel(), anchors.draw()]
            support, query, anchor = data.noisy(np.concatenate(drawn)).split([rows.size for rows in drawn])
            support, query = (
                x.unflatten(0, rows.shape) for x, rows in ((support, batch.support), (query, batch.query))
            )
            losses = []
            for task, cell in enumerate(batch.cell):
                prior = anchors.leave_one_out(mlp(network, anchor))[cell]
                own = data.labels(batch.support[task])
                weight = torch.from_numpy(batch.weight[task])
                embedded = mlp(network, support[task])
                prototypes = []
                for value in (0, 1):
                    member = weight * (own == value)
                    total = (member[:, None] * embedded).sum(0) + n0[value] * prior[value]
                    prototypes.append(total / (member.sum() + n0[value]))
                asked = mlp(network, query[task])
                away = [(asked - prototype).square().sum(-1) for prototype in prototypes]
                target = data.labels(batch.query[task])
                logit = away[0] - away[1] + self._prior_logit
                losses.append(torch.nn.functional.binary_cross_entropy_with_logits(logit, target))
            return torch.stack(losses).mean()

        start = init_mlp([data.width, *self._hidden, self._embedding], data.noise)
        start["log_n0"] = torch.full((2,), float(np.log(product._START_N0)))
        trained = optimise(
            start,
            loss,
            steps=context.steps(product._STEPS),
            learning_rate=product._LEARNING_RATE,
            weight_decay=product._WEIGHT_DECAY,
            undecayed={f"weight{len(self._hidden)}"},
        )
        self._network, self._n0 = product._split(trained)
        self._prior = product._training_prototypes(lambda rows: mlp(self._network, data.inputs[rows]).detach(), train)


def fitted(cls: type[product.PrototypicalNetwork], split: OneSplit) -> product.PrototypicalNetwork:
    method = cls()
    method.fit(split.train, fit_context(split.task, budget=split.budget))
    return method


@pytest.mark.parametrize("ranking_anew", [True, False])
def test_protonet_fit_and_score(race, machine, full, request, ranking_anew: bool) -> None:
    split = one_split(request, full, product.PrototypicalNetwork.capabilities().reads)

    def ours(split: OneSplit) -> list[np.ndarray]:
        return score(fitted(product.PrototypicalNetwork, split), split)

    def obvious(split: OneSplit) -> list[np.ndarray]:
        return score_each(fitted(OneAtATime, split), split, ranking_anew=ranking_anew)

    np.testing.assert_allclose(ours(split.brief())[0], obvious(split.brief())[0], rtol=0, atol=1e-3)
    race(
        "ProtoNet fit + score of one split of `bengi`, 5 k x 10 draws",
        lambda: ours(split),
        (PEERS[ranking_anew], lambda: obvious(split)),
        10,
        rounds=3,
        floor_s=machine.floor_s(flops=flops_of(lambda: ours(split))),
    )
