"""The pieces of the sequence networks against independent computations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from epishot.methods.energy.encoders.attention import Temperature, attend
from epishot.methods.energy.encoders.cbat import PRIOR_BOUND, DepthwiseMix, KeyPrior, LocalStage
from epishot.methods.energy.encoders.joint import ANCHOR, OTHER, OWN, REACH, join
from epishot.methods.energy.encoders.pooling import AttentionPool
from epishot.methods.energy.encoders.rope import RotarySelfAttention, rotate, token_positions
from epishot.methods.energy.encoders.sparsemax import sparsemax
from epishot.methods.energy.encoders.tokens import Tokens, distinct
from epishot.methods.energy.encoders.word_convolution import WordConvolution


def _randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("shift", [1, 17, 1000])
def test_rotary_dot_products_depend_on_relative_position_only(shift):
    query, key = _randn(9, 8, seed=1), _randn(9, 8, seed=2)
    place = torch.arange(9)
    products = rotate(query, place) @ rotate(key, place).T
    shifted = rotate(query, place + shift) @ rotate(key, place + shift).T
    torch.testing.assert_close(products, shifted, rtol=0, atol=1e-11)
    moved = rotate(query, place) @ rotate(key, place + shift).T
    assert (products - moved).abs().max() > 0.1


def test_rotation_is_the_complex_exponential_and_keeps_length():
    x, place = _randn(5, 6), torch.arange(5)
    rotated = rotate(x, place).numpy()
    frequency = 1e4 ** (-np.arange(0, 6, 2) / 6)
    expected = (x[:, :3] + 1j * x[:, 3:]).numpy() * np.exp(1j * place.numpy()[:, None] * frequency)
    np.testing.assert_allclose(rotated, np.hstack([expected.real, expected.imag]), atol=1e-13)
    with pytest.raises(ValueError, match="even"):
        rotate(_randn(5, 3), place)


def test_long_sequences_are_squeezed_into_the_longest():
    assert token_positions(5, 10).tolist() == [0, 1, 2, 3, 4]
    assert token_positions(20, 10).tolist() == [i / 2 for i in range(20)]


def _projection(scores: np.ndarray) -> np.ndarray:
    """Bisection for the threshold that makes the positive parts sum to one."""
    low, high = scores.min() - 1, scores.max()
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.maximum(scores - middle, 0).sum() > 1 else (low, middle)
    return np.maximum(scores - low, 0)


def test_sparsemax_equals_bisection():
    scores = _randn(20, 7) * torch.logspace(-2, 1, 20, dtype=torch.float64)[:, None]
    expected = np.stack([_projection(row) for row in scores.numpy()])
    np.testing.assert_allclose(sparsemax(scores).numpy(), expected, atol=1e-12)
    assert (expected == 0).any()


def test_sparsemax_gives_masked_places_nothing():
    scores = _randn(6, 8)
    valid = torch.rand(6, 8, generator=torch.Generator().manual_seed(0)) > 0.4
    valid[5] = False
    weights = sparsemax(scores, valid).numpy()
    for row in range(5):
        keep = valid[row].numpy()
        np.testing.assert_allclose(weights[row][keep], _projection(scores[row].numpy()[keep]), atol=1e-10)
        assert (weights[row][~keep] == 0).all()
    assert (weights[5] == 0).all()


def test_sparsemax_has_the_right_gradient():
    assert torch.autograd.gradcheck(sparsemax, _randn(4, 5).requires_grad_())


def test_attention_is_softmax_over_what_is_allowed():
    query, key, value = _randn(2, 3, 4, 5, seed=1), _randn(2, 3, 6, 5, seed=2), _randn(2, 3, 6, 5, seed=3)
    allowed = torch.rand(2, 1, 4, 6, generator=torch.Generator().manual_seed(0)) > 0.5
    allowed[0, 0, 2] = False
    logits = (query @ key.mT / 5**0.5).masked_fill(~allowed, -torch.inf)
    expected = torch.softmax(logits, -1).nan_to_num(0.0) @ value
    torch.testing.assert_close(attend(query, key, value, allowed), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("kernel", "pool", "unknown"), [(5, 4, False), (4, 3, True), (1, 50, True)])
def test_word_convolution_is_embedding_convolution_and_pooling(kernel, pool, unknown):
    torch.manual_seed(0)
    network = WordConvolution(words=10, embedding=3, channels=4, kernel=kernel, pool=pool).double()
    ids = torch.randint(1, 10, (6, 23), generator=torch.Generator().manual_seed(1))
    if unknown:
        ids[0, 5:17] = ids[1] = ids[2, -3:] = 0
    embedded = nn.functional.pad(network.embedding, (0, 0, 1, 0))[ids].transpose(1, 2)
    padded = nn.functional.pad(embedded, (kernel // 2, kernel - 1 - kernel // 2))
    steps = nn.functional.conv1d(padded, network.weight.permute(2, 1, 0), network.bias)
    steps = torch.relu(steps) * (ids > 0).unsqueeze(1)
    expected = nn.functional.max_pool1d(steps, pool, ceil_mode=True).transpose(1, 2)
    got = network(ids)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)
    weights = _randn(*expected.shape)
    parameters = list(network.parameters())
    for ours, reference in zip(
        torch.autograd.grad((got * weights).sum(), parameters),
        torch.autograd.grad((expected * weights).sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(ours, reference, rtol=0, atol=1e-11)


def test_word_convolution_in_parts_is_the_same(monkeypatch):
    network = WordConvolution(words=10, embedding=3, channels=4, kernel=5, pool=4)
    ids = torch.randint(0, 10, (7, 30))
    whole = network(ids)
    monkeypatch.setattr("epishot.methods.energy.encoders.word_convolution._LOOKUPS", 2 * 30 * 5)
    torch.testing.assert_close(network(ids), whole)


def test_the_fused_convolution_is_the_sum_of_three_depthwise_ones():
    mix = DepthwiseMix(4).double()
    with torch.no_grad():
        mix.share.copy_(torch.tensor([0.3, -1.0, 0.5]))
    x = _randn(2, 40, 4)
    expected = sum(
        share * nn.functional.conv1d(x.mT, kernel.unsqueeze(1), padding=kernel.shape[1] // 2, groups=4).mT
        for share, kernel in zip(torch.softmax(mix.share, 0), mix.kernels, strict=True)
    )
    torch.testing.assert_close(mix(x), expected, rtol=0, atol=1e-12)


def test_distinct_sequences_are_found_again():
    codes = torch.randint(0, 2, (50, 4), dtype=torch.uint8)
    few, number = distinct(codes)
    assert torch.equal(few[number], codes)
    assert len(few) == len({tuple(row) for row in codes.tolist()})


def test_temperature_starts_where_told_and_keeps_its_floor():
    temperature = Temperature(2.0, 0.5).double()
    assert temperature().item() == pytest.approx(2.0, abs=1e-6)
    with torch.no_grad():
        temperature.raw.fill_(-100.0)
    assert temperature().item() >= 0.5


def _tokens(lengths: list[int], width: int, seed: int) -> Tokens:
    valid = torch.arange(width) < torch.tensor(lengths)[:, None]
    return Tokens(_randn(len(lengths), width, 4, seed=seed) * valid.unsqueeze(-1), valid)


def test_self_attention_ignores_padding_and_sees_order():
    attention = RotarySelfAttention(4, 2, 0.0).double()
    tokens = _tokens([5, 3], 7, 0)
    out = attention(*tokens)
    torch.testing.assert_close(out[1, :3], attention(tokens.values[1:, :3], None)[0], rtol=0, atol=1e-12)
    assert bool((out[1, 3:] == 0).all())
    turned = attention(tokens.values[:1, :5].flip(1), None).flip(1)
    assert not torch.allclose(turned, out[:1, :5])


def test_pooling_ignores_padding_and_an_empty_sequence_is_zero():
    pool = AttentionPool(4, guided=True).double()
    other = _randn(3, 4, seed=5)
    tokens = _tokens([6, 2, 0], 6, 1)
    pooled = pool(tokens, other)
    torch.testing.assert_close(pooled[1:2], pool(Tokens(tokens.values[1:2, :2], None), other[1:2]), rtol=0, atol=1e-12)
    assert bool((pooled[2] == 0).all())


def test_joint_sequence_is_packed_and_blocks_the_other_side_from_itself():
    own, other = _tokens([3, 1], 3, 1), _tokens([2, 4], 4, 2)
    anchors = _randn(2, 2, 4, seed=3)
    joint = join(own, anchors, other)
    assert joint.kind[1, :7].tolist() == [OWN, ANCHOR, ANCHOR, OTHER, OTHER, OTHER, OTHER]
    assert joint.valid.sum(1).tolist() == [7, 7]
    torch.testing.assert_close(joint.values[1, :7], torch.cat([own.values[1, :1], anchors[1], other.values[1]]))
    near = joint.near()
    assert not near[1, 3:7, 3:7].any()
    assert near[1, :3, :7].all()
    assert near[1, 3:7, :3].all()
    assert not near[:, :, 7:].any()
    torch.testing.assert_close(joint.places()[0, :7], torch.arange(7, dtype=torch.float64) / 7)


def test_local_attention_does_not_see_beyond_its_reach():
    length = REACH + 10
    tokens = Tokens(_randn(1, length, 2), None)
    near = join(tokens, _randn(1, 1, 2), Tokens(_randn(1, 1, 2), None)).near()[0]
    assert near[0, REACH]
    assert not near[0, REACH + 1]


def test_local_stage_keeps_padding_empty_and_rows_apart():
    stage = LocalStage(4, 2, 0.0).double()
    with torch.no_grad():
        stage.norm.bias.fill_(0.5)
    joint = join(_tokens([3, 2], 3, 1), _randn(2, 2, 4), _tokens([5, 1], 5, 2))
    values = stage(joint).values
    assert bool((values[~joint.valid] == 0).all())
    short = join(Tokens(joint.values[1:, :2], None), joint.values[1:, 2:4], Tokens(joint.values[1:, 4:5], None))
    torch.testing.assert_close(stage(short).values[0], values[1, :5], rtol=0, atol=1e-12)


def test_the_prior_of_a_key_is_bounded_whatever_its_weights():
    prior = KeyPrior(4).double()
    joint = join(_tokens([3, 2], 3, 1), _randn(2, 2, 4), _tokens([5, 1], 5, 2))
    with torch.no_grad():
        prior.score.weight.mul_(100.0)
        prior.temperature.raw.fill_(-5.0)
    score, bias = prior(joint.values, joint)
    assert 0.99 * PRIOR_BOUND < bias[joint.valid].abs().max() <= PRIOR_BOUND
    assert bool((bias[~joint.valid] < -1e3).all())
    assert bool(((score[joint.valid] >= 0) & (score[joint.valid] < 3)).all())
    assert bool((score[~joint.valid] == 0).all())
