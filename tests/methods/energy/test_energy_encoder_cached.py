"""Cached embeddings are found by what a sequence is, exactly, or refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from epishot.methods.energy.config import EncoderConfig, EncoderKind
from epishot.methods.energy.encoders.build import build_encoder
from epishot.methods.energy.encoders.cache_file import sequence_keys, write_cache
from epishot.methods.energy.parts import PairInputs
from epishot.tasks.errors import MethodError

N = 40


@pytest.fixture
def tables(tmp_path):
    """A cache file beside the arrays that it was made of."""
    rng = np.random.default_rng(0)
    made = {
        "enhancer_codes": rng.integers(0, 4, (N, 30), dtype=np.uint8),
        "enhancer_vectors": rng.normal(5, 2, (N, 6)).astype(np.float32),
        "promoter_codes": rng.integers(0, 4, (N, 20), dtype=np.uint8),
        "promoter_vectors": rng.normal(-1, 9, (N, 4)).astype(np.float32),
    }
    write_cache(tmp_path / "cache.safetensors", **made)
    return str(tmp_path / "cache.safetensors"), made


def _inputs(made, left, right) -> PairInputs:
    return PairInputs(
        torch.rand(len(left), 1),
        torch.from_numpy(made["enhancer_codes"][left]),
        torch.from_numpy(made["promoter_codes"][right]),
    )


def _build(path: str, inputs: PairInputs):
    return build_encoder(EncoderConfig(kind=EncoderKind.CACHED, cache=path, width=5), inputs)


def test_lookups_are_exact_in_any_order_and_combination(tables):
    path, made = tables
    rng = np.random.default_rng(1)
    left, right = rng.integers(0, N, 100), rng.integers(0, N, 100)
    encoder = _build(path, _inputs(made, left, right))
    expected = np.hstack([made["enhancer_vectors"][left], made["promoter_vectors"][right]])
    np.testing.assert_array_equal(encoder.vectors(_inputs(made, left, right)).numpy(), expected)
    assert encoder(_inputs(made, left, right)).hidden.shape == (100, 6)


def test_vectors_are_no_part_of_the_weights_and_follow_the_precision(tables):
    path, made = tables
    encoder = _build(path, _inputs(made, np.arange(N), np.arange(N)))
    assert not {"enhancer", "promoter"} & set(encoder.state_dict())
    assert encoder.double()(_inputs(made, [3], [4])).hidden.dtype == torch.float64


def test_a_key_does_not_depend_on_padding():
    codes = np.array([[0, 1, 4, 2], [4, 4, 4, 4]], np.uint8)
    wide = np.pad(codes, ((0, 0), (0, 5)), constant_values=4)
    assert sequence_keys(codes) == sequence_keys(wide)
    assert sequence_keys(codes)[0] != sequence_keys(codes[:, :2])[0]
    assert sequence_keys(np.empty((0, 3), np.uint8)) == []


def test_a_missing_sequence_names_the_side_and_the_cure(tables):
    path, made = tables
    inputs = _inputs(made, np.arange(N), np.arange(N))
    encoder = _build(path, inputs)
    strange = inputs.promoter.clone()
    strange[7] = 3 - strange[7]
    with pytest.raises(MethodError, match=r"lacks 1 of 40 promoter sequences; .*write_cache"):
        encoder(inputs._replace(promoter=strange))


def test_no_file_and_a_wrong_file_are_refused(tmp_path, tables):
    made = tables[1]
    inputs = _inputs(made, np.arange(N), np.arange(N))
    with pytest.raises(MethodError, match="There is no embedding cache"):
        _build(str(tmp_path / "none"), inputs)
    (tmp_path / "other").write_bytes(b"something else")
    with pytest.raises(MethodError, match="is not an embedding cache"):
        _build(str(tmp_path / "other"), inputs)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"enhancer_vectors": np.zeros((3, 2))}, "one vector per sequence"),
        ({"promoter_vectors": np.full((N, 2), np.nan)}, "not finite"),
        ({"enhancer_codes": np.zeros((N, 30), np.uint8)}, "same enhancer sequence with two different vectors"),
    ],
)
def test_impossible_tables_are_not_written(tables, tmp_path, change, text):
    with pytest.raises(MethodError, match=text):
        write_cache(tmp_path / "bad", **{**tables[1], **change})
    assert not (tmp_path / "bad").exists()
