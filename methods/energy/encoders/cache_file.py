"""Files of precomputed sequence embeddings, found again by what the sequence is."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from ....tasks.errors import MethodError

#: Two different sequences share a 128-bit key with probability below 1e-26 among a million.
_KEY_BYTES = 16
_UNKNOWN_BASE = 4
SIDES = ("enhancer", "promoter")


def sequence_keys(codes: np.ndarray) -> list[bytes]:
    """A 128-bit BLAKE2b key per sequence.

    N at the end counts as padding and is left out, so that a key does not depend on the width of the table
    that a sequence stands in.

    Args:
        codes: (n, L) uint8 codes A, C, G, T, N = 0..4.
    """
    codes = np.ascontiguousarray(codes, dtype=np.uint8)
    # A known column in front gives every row an end, even one that is all N.
    known = np.pad(codes != _UNKNOWN_BASE, ((0, 0), (1, 0)), constant_values=True)
    ends = codes.shape[1] - known[:, ::-1].argmax(axis=1)
    return [
        hashlib.blake2b(row[:end].tobytes(), digest_size=_KEY_BYTES).digest()
        for row, end in zip(codes, ends, strict=True)
    ]


def write_cache(
    path: str | Path,
    *,
    enhancer_codes: np.ndarray,
    enhancer_vectors: np.ndarray,
    promoter_codes: np.ndarray,
    promoter_vectors: np.ndarray,
) -> None:
    """Write embeddings of enhancers and promoters to a safetensors file, one entry per distinct sequence.

    Args:
        path: of the file.
        enhancer_codes, promoter_codes: (n_E, L_E) and (n_P, L_P) uint8 codes; repeated rows are fine.
        enhancer_vectors, promoter_vectors: (n_E, d_E) and (n_P, d_P) finite floats, kept as float32.

    Raises:
        MethodError: codes and vectors disagree in number, a vector is not finite, or one sequence has two vectors.
    """
    tensors: dict[str, np.ndarray] = {}
    for side, codes, vectors in zip(
        SIDES, (enhancer_codes, promoter_codes), (enhancer_vectors, promoter_vectors), strict=True
    ):
        vectors = np.asarray(vectors, dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(codes):
            raise MethodError(
                f"The {side} cache needs one vector per sequence: {len(codes)} sequences came with vectors of "
                f"shape {vectors.shape}."
            )
        if not np.isfinite(vectors).all():
            raise MethodError(f"The {side} vectors hold values that are not finite; mend them before caching.")
        place: dict[bytes, int] = {}
        for row, key in enumerate(sequence_keys(codes)):
            first = place.setdefault(key, row)
            if not np.array_equal(vectors[first], vectors[row]):
                raise MethodError(f"Rows {first} and {row} are the same {side} sequence with two different vectors.")
        keys = np.frombuffer(b"".join(place), dtype=np.uint8).reshape(-1, _KEY_BYTES)
        tensors[f"{side}.keys"] = np.ascontiguousarray(keys)
        tensors[f"{side}.vectors"] = np.ascontiguousarray(vectors[list(place.values())])
    save_file(tensors, str(path))


def read_cache(path: str | Path) -> dict[str, tuple[dict[bytes, int], np.ndarray]]:
    """Per side: key -> row, and (m, d) float32 vectors.

    Raises:
        MethodError: there is no such file, or it is not one that `write_cache` wrote.
    """
    try:
        tensors = load_file(str(path))
        return {
            side: (
                {key.tobytes(): row for row, key in enumerate(tensors[f"{side}.keys"])},
                tensors[f"{side}.vectors"],
            )
            for side in SIDES
        }
    except FileNotFoundError:
        raise MethodError(f"There is no embedding cache at {str(path)!r}; write one with `write_cache`.") from None
    except (SafetensorError, KeyError) as error:
        raise MethodError(
            f"The file {str(path)!r} is not an embedding cache ({error}); write one with `write_cache`."
        ) from None
