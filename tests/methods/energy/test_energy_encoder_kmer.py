"""k-mer ids and counts against a Counter, and the linear encoder on them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from epishot.methods.energy.config import EncoderConfig, EncoderKind
from epishot.methods.energy.encoders.build import build_encoder
from epishot.methods.energy.encoders.kmer_tokens import kmer_counts, kmer_ids
from epishot.methods.energy.parts import PairInputs
from epishot.tasks.errors import MethodError

LETTERS = "ACGTN"


def _codes(n: int, length: int, seed: int = 0, letters: int = 5) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, letters, (n, length), dtype=np.uint8))


def _inputs(n: int = 60, seed: int = 0) -> PairInputs:
    distance = torch.rand(n, 1, generator=torch.Generator().manual_seed(seed)) * 3 + 3
    return PairInputs(distance, _codes(n, 40, seed, 4), _codes(n, 50, seed + 1, 4))


def _number(word: str) -> int:
    return sum(LETTERS.index(base) * 4 ** (len(word) - 1 - place) for place, base in enumerate(word))


@pytest.mark.parametrize("k", [1, 3, 4])
def test_counts_equal_a_counter_that_leaves_out_words_with_n(k):
    codes = _codes(7, 30)
    counts = kmer_counts(codes, k).numpy()
    for row, own in zip(codes.numpy(), counts, strict=True):
        text = "".join(LETTERS[code] for code in row)
        words = Counter(text[i : i + k] for i in range(len(text) - k + 1) if "N" not in text[i : i + k])
        expected = np.zeros(4**k)
        for word, count in words.items():
            expected[_number(word)] = count
        np.testing.assert_array_equal(own, expected)


def test_ids_are_zero_exactly_where_a_word_holds_an_n():
    ids = kmer_ids(torch.tensor([[0, 1, 4, 3, 3, 3]], dtype=torch.uint8), 2)
    assert ids.tolist() == [[1 + 1, 0, 0, 1 + 15, 1 + 15]]
    assert kmer_ids(torch.zeros(2, 3, dtype=torch.uint8), 5).shape == (2, 0)


def test_padding_with_n_changes_nothing():
    inputs = _inputs()
    encoder = build_encoder(EncoderConfig(kind=EncoderKind.KMER, kmer=3, width=8), inputs).eval()
    padded = inputs._replace(enhancer=torch.nn.functional.pad(inputs.enhancer, (0, 9), value=4))
    assert torch.equal(encoder(inputs).hidden, encoder(padded).hidden)
    nothing = inputs._replace(enhancer=torch.full_like(inputs.enhancer, 4))
    assert bool(torch.isfinite(encoder(nothing).hidden).all())


def test_hidden_is_linear_in_frequencies_and_ends_with_standardised_distance():
    inputs = _inputs()
    encoder = build_encoder(EncoderConfig(kind=EncoderKind.KMER, kmer=2, width=8), inputs)
    hidden = encoder(inputs).hidden
    assert hidden.shape == (60, 9)
    assert encoder.size == 9
    assert abs(hidden[:, -1].mean().item()) < 1e-5
    assert abs(hidden[:, -1].std(unbiased=False).item() - 1) < 1e-5
    frequency = torch.cat([kmer_counts(c, 2) / kmer_counts(c, 2).sum(1, keepdim=True) for c in inputs[1:]], 1)
    expected = encoder.linear((frequency - encoder.mean) / encoder.scale)
    torch.testing.assert_close(hidden[:, :-1], expected)


def test_unknown_distance_is_the_training_mean_and_can_be_left_out():
    inputs = _inputs()
    encoder = build_encoder(EncoderConfig(kind=EncoderKind.KMER, width=8), inputs)
    unknown = inputs._replace(features=torch.full((60, 1), torch.nan))
    assert bool((encoder(unknown).hidden[:, -1] == 0).all())
    without = build_encoder(EncoderConfig(kind=EncoderKind.KMER, width=8, distance=False), inputs)
    assert without(inputs).hidden.shape == (60, 8)


def test_a_task_without_sequences_is_refused():
    with pytest.raises(MethodError, match="reads DNA; this task has no sequences"):
        build_encoder(EncoderConfig(kind=EncoderKind.KMER), PairInputs(torch.rand(5, 3)))


def test_sequences_shorter_than_a_word_are_refused():
    short = _inputs()._replace(enhancer=_codes(60, 3, 0, 4))
    with pytest.raises(MethodError, match="holds no word"):
        build_encoder(EncoderConfig(kind=EncoderKind.KMER, kmer=4), short)
