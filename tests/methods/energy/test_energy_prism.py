"""PRISM and the plain cross-attention network as encoders of pairs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from epishot.methods.energy.config import EncoderConfig, EncoderKind
from epishot.methods.energy.encoders.attention import split_heads
from epishot.methods.energy.encoders.build import build_encoder
from epishot.methods.energy.encoders.cbat import AdaptiveStage, _penalty
from epishot.methods.energy.encoders.joint import join
from epishot.methods.energy.encoders.tokens import Tokens
from epishot.methods.energy.parts import PairInputs
from epishot.tasks.errors import MethodError

KINDS = [EncoderKind.PRISM, EncoderKind.CROSS_ATTENTION]


def _codes(n: int, length: int, seed: int) -> Tensor:
    return torch.randint(0, 4, (n, length), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def _inputs(n: int = 12) -> PairInputs:
    distance = torch.rand(n, 1, generator=torch.Generator().manual_seed(9)) + 4
    inputs = PairInputs(distance, _codes(n, 90, 1), _codes(n, 130, 2))
    inputs.enhancer[3, 40:] = 4  # padding
    inputs.promoter[4, 20:60] = 4  # a gap
    inputs.enhancer[5] = 4  # nothing known
    inputs.promoter[7] = inputs.promoter[8]
    return inputs


def _build(kind: EncoderKind, inputs: PairInputs, **sizes: object):
    torch.manual_seed(0)
    config = {"kmer": 3, "token_embedding": 8, "channels": 8, "kernel": 5, "pool": 6, "heads": 2, **sizes}
    encoder = build_encoder(EncoderConfig(kind=kind, **config), inputs)
    # Away from zero biases and unit scales, behind which a missing mask could hide.
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return encoder


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_gets_a_finite_gradient(kind):
    inputs = _inputs()
    encoder = _build(kind, inputs).train()
    hidden, penalty = encoder(inputs)
    assert hidden.shape == (12, 9)
    loss = hidden.tanh().square().sum() + (0.0 if penalty is None else 10 * penalty)
    loss.backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert bool(torch.isfinite(parameter.grad).all()), name
        assert bool((parameter.grad != 0).any()), name


@pytest.mark.parametrize("kind", KINDS)
def test_permuting_pairs_permutes_hidden_vectors(kind):
    inputs = _inputs()
    encoder = _build(kind, inputs).double().eval()
    order = torch.randperm(12, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(encoder(inputs.take(order)).hidden, encoder(inputs).hidden[order], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pair_does_not_depend_on_its_neighbours_even_in_training(kind):
    inputs = _inputs()
    encoder = _build(kind, inputs, token_dropout=0.0).double().train()
    some = torch.tensor([5, 3, 8])
    torch.testing.assert_close(encoder(inputs.take(some)).hidden, encoder(inputs).hidden[some], rtol=0, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_with_n_at_the_end_has_no_influence(kind):
    inputs = _inputs()
    encoder = _build(kind, inputs).double().eval()
    padded = inputs._replace(
        enhancer=torch.nn.functional.pad(inputs.enhancer, (0, 77), value=4),
        promoter=torch.nn.functional.pad(inputs.promoter, (0, 13), value=4),
    )
    # The last token of the unpadded side may be cut short, never changed.
    torch.testing.assert_close(encoder(padded).hidden, encoder(inputs).hidden, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_both_sides_and_their_order_matter(kind):
    inputs = _inputs()
    encoder = _build(kind, inputs).double().eval()
    base = encoder(inputs).hidden
    for side in ("enhancer", "promoter"):
        changed = encoder(inputs._replace(**{side: getattr(inputs, side).flip(1)})).hidden
        assert ((changed - base)[0, :-1].abs() > 1e-6).any()
        assert torch.equal(changed[:, -1], base[:, -1])


@pytest.mark.parametrize("kind", KINDS)
def test_scoring_in_chunks_is_the_same_and_no_pairs_are_fine(kind, monkeypatch):
    inputs = _inputs()
    encoder = _build(kind, inputs).double().eval()
    expected = encoder(inputs).hidden
    monkeypatch.setattr("epishot.methods.energy.encoders.pair_network._CHUNK", 5)
    with torch.no_grad():
        torch.testing.assert_close(encoder(inputs).hidden, expected, rtol=0, atol=1e-11)
        nothing = encoder(inputs.take(torch.zeros(0, dtype=torch.int64))).hidden
    assert nothing.shape == (0, 9)


@pytest.mark.parametrize("kind", KINDS)
def test_same_energy_in_training_and_inference_without_dropout(kind):
    inputs = _inputs()
    encoder = _build(kind, inputs, token_dropout=0.0).double()
    torch.testing.assert_close(encoder.train()(inputs).hidden, encoder.eval()(inputs).hidden, rtol=0, atol=0)


def test_only_prism_has_a_penalty_and_only_in_training():
    inputs = _inputs()
    prism, cross = (_build(kind, inputs) for kind in KINDS)
    assert prism.train()(inputs).penalty.item() > 0
    assert prism.eval()(inputs).penalty is None
    assert cross.train()(inputs).penalty is None


def test_penalty_equals_its_formula_written_as_loops():
    stage = AdaptiveStage(4, 2, 0.0).double().eval()
    generator = torch.Generator().manual_seed(0)
    lengths = [(5, 4), (2, 1), (5, 3)]
    own_valid = torch.arange(5) < torch.tensor([a for a, _ in lengths])[:, None]
    other_valid = torch.arange(4) < torch.tensor([b for _, b in lengths])[:, None]
    own, other = (
        Tokens(torch.randn(3, w, 4, generator=generator, dtype=torch.float64) * v.unsqueeze(-1), v)
        for w, v in ((5, own_valid), (4, other_valid))
    )
    joint = join(own, torch.randn(3, 2, 4, generator=generator, dtype=torch.float64), other)
    penalty = stage(joint)[1].item()
    x = stage.norm(joint.values)
    score, bias = stage.prior(x, joint)
    query, key = stage.query(x[:, :5]), stage.memory(x)[..., :4]
    query, key = split_heads(query, 2), split_heads(key, 2)
    attention = torch.softmax(query @ key.mT / 2**0.5 + bias[:, None, None, :], -1)
    waste, count = 0.0, 0
    sums, seen = torch.zeros(11, dtype=torch.float64), torch.zeros(11)
    for row, (a, b) in enumerate(lengths):
        received = attention[row, :, :a].sum((0, 1))
        for place in range(a + 2 + b):
            waste += (score[row, place] * (1 - received[place] / received.max())).item()
            count += 1
            sums[place] += score[row, place].detach()
            seen[place] += 1
    share = sums / seen / (sums / seen).sum()
    divergence = sum((1 / 11) * torch.log((1 / 11) / p) for p in share).item()
    assert penalty == pytest.approx(0.01 * (waste / count + 0.1 * divergence), rel=1e-6)
    assert _penalty(score, attention, joint).item() == pytest.approx(penalty, rel=1e-12)


def test_published_sizes_can_be_built_and_run():
    inputs = PairInputs(torch.rand(2, 1), _codes(2, 1000, 1), _codes(2, 4000, 2))
    published = {"kmer": 6, "token_embedding": 768, "channels": 64, "kernel": 43, "pool": 24, "heads": 4}
    encoder = _build(EncoderKind.PRISM, inputs, **published).eval()
    with torch.no_grad():
        assert bool(torch.isfinite(encoder(inputs).hidden).all())
        assert encoder.enhancer(inputs.enhancer).values.shape == (2, 42, 64)


def test_an_odd_number_of_channels_per_head_is_refused():
    with pytest.raises(MethodError, match="even number of channels per head"):
        _build(EncoderKind.PRISM, _inputs(), channels=6, heads=2)
