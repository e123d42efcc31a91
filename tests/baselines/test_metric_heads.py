"""The heads of the metric learners against independent computations in numpy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from epishot.baselines.episodic import STRENGTH_SPEED, EncodedSupport
from epishot.baselines.mahalanobis import mahalanobis, shrunken_covariances
from epishot.baselines.matching import attention_logits
from epishot.baselines.neural_process import NeuralProcess, set_mean
from epishot.baselines.ridge_head import RidgeHead, ridge_head
from epishot.methods.base import Balance


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def labels(*shape: int, seed: int = 0) -> torch.Tensor:
    return (random(*shape, seed=seed) > 0.3).double()


@pytest.mark.parametrize("k", [3, 5, 9])  # Woodbury for k < H = 5, normal equations from there on
def test_ridge_head_is_scikit_learn_s_ridge(k: int) -> None:
    code, target, weight = random(4, k, 5), random(4, k, seed=1), random(4, k, seed=2).abs()
    weight[0, 0] = 0.0
    found = ridge_head(code, target, weight, torch.tensor([0.7], dtype=torch.float64))
    for task in range(4):
        reference = Ridge(alpha=0.7, fit_intercept=False)
        reference.fit(code[task].numpy(), target[task].numpy(), sample_weight=weight[task].numpy())
        np.testing.assert_allclose(found[task].numpy(), reference.coef_, atol=1e-10)


def test_the_ridge_head_is_shrunk_toward_the_meta_learned_one() -> None:
    method = RidgeHead()
    head = {"head": random(5, seed=5), "bias": torch.zeros(1)}
    head |= {name: torch.tensor([0.4], dtype=torch.float64) for name in ("log_lambda", "log_scale")}
    penalty = np.exp(STRENGTH_SPEED * 0.4)
    code, label = random(2, 7, 5), labels(2, 7, seed=1)
    for balance, odds in ((Balance.NATURAL, 0.0), (Balance.BALANCED, -np.log(0.2 / 0.8))):
        support = EncodedSupport(code, label, torch.ones_like(label), balance, 0.2)
        (found,) = method._adapt(head, support)
        target = 2 * label - 1 - odds / np.exp(0.4)
        for task in range(2):
            x, w0 = code[task].numpy(), head["head"].numpy()
            # Substituting W = W_0 + d: ridge with the penalty on |W - W_0|.
            step = np.linalg.solve(x.T @ x + penalty * np.eye(5), x.T @ (target[task].numpy() - x @ w0))
            np.testing.assert_allclose(found[task].numpy(), w0 + step, atol=1e-10)


def test_attention_is_the_softmax_of_cosines_over_all_weighted_pairs() -> None:
    query, keys, label = random(6, 4), random(2, 5, 4, seed=1), labels(2, 5, seed=2)
    label[:, 0], label[:, 1] = 1.0, 0.0
    weight = random(2, 5, seed=3).abs()
    weight[:, 4] = 0.0
    found = attention_logits(query, keys, label, weight, torch.tensor(3.0, dtype=torch.float64)).numpy()
    for task in range(2):
        for row in range(6):
            f, g = query[row].numpy(), keys[task].numpy()
            cosine = g @ f / np.linalg.norm(g, axis=1) / np.linalg.norm(f)
            a = weight[task].numpy() * np.exp(3.0 * cosine)
            p = float((a / a.sum()) @ label[task].numpy())
            assert found[task, row] == pytest.approx(np.log(p / (1 - p)), abs=1e-9)


def test_covariances_and_distances_are_those_of_the_paper() -> None:
    embedding, weight, prior = random(3, 8, 4), torch.ones((3, 8), dtype=torch.float64), random(4, 4, seed=1)
    prior = prior @ prior.T
    label = torch.tensor([[1, 1, 1, 0, 0, 0, 0, 0], [0] * 8, [1] + [0] * 7], dtype=torch.float64)
    weight[0, 7] = 0.0
    class_n, task_n, beta = (torch.tensor([value], dtype=torch.float64) for value in (1.0, 5.0, 0.3))
    found = shrunken_covariances(embedding, label, weight, prior, class_n, task_n, beta)
    prototypes, query = random(3, 2, 4, seed=4), random(6, 4, seed=5)
    distance = mahalanobis(query, prototypes, found)
    for task in range(3):
        kept = weight[task].numpy() > 0
        x, y = embedding[task].numpy()[kept], label[task].numpy()[kept]
        share = len(x) / (len(x) + 5)
        pooled = share * np.cov(x.T, bias=True) + (1 - share) * prior.numpy()
        for value in (0, 1):
            own, n = x[y == value], np.sum(y == value)
            covariance = np.cov(own.T, bias=True) if n > 1 else np.zeros((4, 4))
            expected = n / (n + 1) * covariance + 1 / (n + 1) * pooled + 0.3 * np.eye(4)
            np.testing.assert_allclose(found[task, value].numpy(), expected, atol=1e-10)
            gap = query.numpy() - prototypes[task, value].numpy()
            expected_distance = 0.5 * np.einsum("ni,ij,nj->n", gap, np.linalg.inv(expected), gap)
            np.testing.assert_allclose(distance[task, value].numpy(), expected_distance, atol=1e-9)


def test_an_empty_support_has_the_training_covariance() -> None:
    prior, one = random(3, 3).T @ random(3, 3), torch.ones(1, dtype=torch.float64)
    empty = torch.zeros((1, 0), dtype=torch.float64)
    found = shrunken_covariances(empty.new_zeros((1, 0, 3)), empty, empty, prior, one, one, one)
    torch.testing.assert_close(found, (prior + torch.eye(3)).expand(1, 2, 3, 3))


def test_set_mean_is_a_weighted_average_and_zero_for_no_pairs() -> None:
    encoded, weight = random(2, 6, 3), random(2, 6, seed=1).abs()
    weight[:, 5] = 0.0
    mean, size = set_mean(encoded, weight)
    for task in range(2):
        expected = np.average(encoded[task].numpy(), axis=0, weights=weight[task].numpy())
        np.testing.assert_allclose(mean[task].numpy(), expected, atol=1e-12)
    assert size.tolist() == [5.0, 5.0]
    assert not set_mean(encoded[:, :0], weight[:, :0])[0].any()


def test_the_neural_process_decodes_the_average_whatever_the_order() -> None:
    method = NeuralProcess(hidden=(6,), representation=3)
    method._prevalence = 0.2
    start = method._start(4, torch.Generator().manual_seed(0))
    p = {name: tensor.double() for name, tensor in start.items()}
    code, label, query = random(2, 7, 4), labels(2, 7, seed=1), random(5, 4, seed=2)
    support = EncodedSupport(code, label, torch.ones_like(label), Balance.NATURAL, 0.2)
    found = method._predict(p, method._adapt(p, support), query)

    def two_layers(side: str, x: np.ndarray) -> np.ndarray:
        hidden = x @ p[f"{side}.weight0"].numpy() + p[f"{side}.bias0"].numpy()
        return hidden / (1 + np.exp(-hidden)) @ p[f"{side}.weight1"].numpy() + p[f"{side}.bias1"].numpy()

    for task in range(2):
        y = (label[task].numpy()[:, None] - 0.2) / 0.4
        r = two_layers("encode", np.hstack([code[task].numpy(), y])).mean(axis=0)
        rest = np.tile(np.append(r, np.log(8) / np.log(129)), (5, 1))
        expected = two_layers("decode", np.hstack([query.numpy(), rest]))[:, 0]
        np.testing.assert_allclose(found[task].numpy(), expected, atol=1e-10)
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    shuffled = support._replace(code=code[:, order], label=label[:, order])
    torch.testing.assert_close(method._predict(p, method._adapt(p, shuffled), query), found)


def test_balanced_pairs_are_weighted_to_the_natural_prevalence() -> None:
    label = torch.tensor([[1, 1, 0, 0]], dtype=torch.float64)
    support = EncodedSupport(random(1, 4, 2), label, torch.ones_like(label), Balance.BALANCED, 0.1)
    weight = support.natural_weight()
    assert float(weight.sum()) == pytest.approx(4)
    assert float((weight * label).sum() / weight.sum()) == pytest.approx(0.1)
    assert torch.equal(support._replace(balance=Balance.NATURAL).natural_weight(), support.weight)
