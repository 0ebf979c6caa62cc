"""Uniform 64-bit hashes of values, the same in every process."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]


def hash_numbers(values: NDArray[np.float64]) -> Hashes:
    """Return the hash of each number; 0 and -0 are the same."""
    return _mixed((values + 0.0).view(np.uint64))


def hash_texts(texts: Iterable[str]) -> Hashes:
    """Return the hash of each text (BLAKE2b)."""
    digests = b"".join(
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        for text in texts
    )
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def hash_event_ids(event_ids: Sequence[str]) -> Hashes:
    """Return the hash of each event id: equal ids are taken for the same event.

    Two different ones of a million meet with a probability of 3 in 100 million.
    """
    digits = "".join(event_ids).replace("-", "")
    halves = np.frombuffer(bytes.fromhex(digits), ">u8").astype(np.uint64).reshape(-1, 2)
    return _mixed(_mixed(halves[:, 0]) ^ halves[:, 1])


def _mixed(bits: Hashes) -> Hashes:
    """Mix 64 bits: the finaliser of splitmix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
