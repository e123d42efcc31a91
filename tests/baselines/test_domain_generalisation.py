"""Domain generalisation: each objective is the paper's formula, and each method learns and stays a plugin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.metrics import average_precision_score

from epishot.baselines.domain_generalisation import Coral, Dann, Erm, GroupDro, Irm, Minibatch, Mixup, _features
from epishot.baselines.networks import init_mlp, mlp
from epishot.methods.base import FitContext, PairTable, TrainTable, no_support
from epishot.tasks.errors import MethodError

ALL = [Erm, Coral, Dann, GroupDro, Irm, Mixup]


def _batch(progress=0.9, n=60, seed=0):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, 4, generator=generator, dtype=torch.float64)
    label = (torch.rand(n, generator=generator) < 0.4).double()
    parameters = init_mlp([4, 8, 5, 1], generator, torch.float64)
    return parameters, Minibatch(inputs, label, torch.arange(n) % 3, progress)


def _bce(logit, label):
    return float(np.mean(np.logaddexp(0, logit) - label * logit))


def test_objectives_equal_independent_computations():
    parameters, batch = _batch()
    logit = mlp(parameters, batch.inputs).squeeze(-1).numpy()
    label, cell = batch.label.numpy(), batch.cell.numpy()
    assert float(Erm().objective(parameters, batch)) == pytest.approx(_bce(logit, label))

    features = _features(parameters, batch.inputs)[0].numpy()
    pairs = [(0, 1), (0, 2), (1, 2)]
    means = [features[cell == c].mean(0) for c in range(3)]
    covariances = [np.cov(features[cell == c].T) for c in range(3)]
    moments = np.mean([((means[i] - means[j]) ** 2).mean() for i, j in pairs])
    moments += np.mean([((covariances[i] - covariances[j]) ** 2).mean() for i, j in pairs])
    assert float(Coral(strength=0.7).objective(parameters, batch)) == pytest.approx(_bce(logit, label) + 0.7 * moments)

    risks, slopes = [], []
    for c in range(3):
        own, y = logit[cell == c], label[cell == c]
        risks.append(_bce(own, y))
        near = 1e-6
        slopes.append((_bce((1 + near) * own, y) - _bce((1 - near) * own, y)) / (2 * near))
    expected = np.mean([r + 2.0 * s**2 for r, s in zip(risks, slopes, strict=True)])
    assert float(Irm(strength=2.0).objective(parameters, batch)) == pytest.approx(expected, rel=1e-6)
    assert float(Irm(strength=2.0).objective(parameters, batch._replace(progress=0.1))) == pytest.approx(np.mean(risks))

    dro = GroupDro(strength=0.5)
    dro.start(3, np.random.default_rng(0))
    shares = [label[cell == c].mean() for c in range(3)]
    entropies = [-(p * np.log(p) + (1 - p) * np.log(1 - p)) for p in shares]
    weights = np.exp(0.5 * (np.array(risks) - entropies))
    expected = (weights / weights.sum() * risks).sum()
    assert float(dro.objective(parameters, batch)) == pytest.approx(expected, rel=1e-5)


def test_mixup_without_mixing_is_erm_and_with_it_is_not():
    parameters, batch = _batch()
    parameters = {name: value.float() for name, value in parameters.items()}
    batch = Minibatch(batch.inputs.float(), batch.label.float(), batch.cell, 0.5)
    plain = float(Erm().objective(parameters, batch))
    for strength, same in ((0.0, True), (2.0, False)):
        mixup = Mixup(strength=strength)
        mixup.start(3, np.random.default_rng(1))
        assert (float(mixup.objective(parameters, batch)) == pytest.approx(plain, abs=1e-6)) is same


def test_the_adversary_pushes_features_and_critic_in_opposite_directions():
    parameters, batch = _batch(progress=1.0)
    dann = Dann(hidden=(8, 5), strength=0.3)
    critic = {f"critic.{k}": v.double() for k, v in dann.critic(3, torch.Generator().manual_seed(1)).items()}
    live = {name: value.clone().requires_grad_() for name, value in (parameters | critic).items()}
    dann.objective(live, batch).backward()
    features = _features(live, batch.inputs)[0]
    bare = {name.removeprefix("critic."): value for name, value in live.items() if name.startswith("critic.")}
    told = torch.nn.functional.cross_entropy(mlp(bare, features), batch.cell)
    logit = mlp({k: live[k] for k in parameters}, batch.inputs).squeeze(-1)
    fit = torch.nn.functional.binary_cross_entropy_with_logits(logit, batch.label)
    by_cell = torch.autograd.grad(told, [live["weight0"], live["critic.weight0"]], retain_graph=True)
    by_label = torch.autograd.grad(fit, live["weight0"])[0]
    torch.testing.assert_close(live["weight0"].grad, by_label - 0.3 * by_cell[0], rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(live["critic.weight0"].grad, by_cell[1])


def _cell(n, offset, seed):
    rng = np.random.default_rng(seed)
    features = rng.random((n, 4)).astype(np.float32)
    distance = 10 ** rng.uniform(3.5, 6.0, n)
    label = (rng.random(n) < expit(5 * (features[:, 0] - 0.5) - 1.5 * (np.log10(distance) - 4.5) + offset)).astype(
        np.int8
    )
    return PairTable(n=n, features=features, distance=distance), label


@pytest.mark.parametrize("method", ALL, ids=lambda method: method.name)
def test_it_learns_the_same_from_the_same_seed(method):
    cells = [_cell(600, offset, seed) for seed, offset in enumerate((-2.0, -0.5, -1.0))]
    pairs = PairTable(
        n=1800,
        features=np.concatenate([p.features for p, _ in cells]),
        distance=np.concatenate([p.distance for p, _ in cells]),
    )
    train = TrainTable(pairs, np.concatenate([y for _, y in cells]), np.repeat(np.arange(3, dtype=np.int32), 600), 3)
    held, label = _cell(800, -1.0, 9)
    scores = []
    for seed in (1, 1, 2):
        fitted = method(hidden=(32, 32))
        fitted.fit(train, FitContext(seed=seed, budget=0.25))
        scores.append(fitted.score(no_support(held), held, held)[0])
    np.testing.assert_array_equal(scores[0], scores[1])
    assert np.abs(scores[0] - scores[2]).max() > 1e-3
    assert average_precision_score(label, scores[0]) > label.mean() + 0.2
    with pytest.raises(MethodError, match="strength must be 0 or more"):
        method(strength=-1.0)
