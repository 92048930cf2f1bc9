"""Randomness without state: the same seed, name and index give the same number, in any order."""

import zlib

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Counts = NDArray[np.int64]

_WORD = 0xFFFFFFFFFFFFFFFF
_GOLDEN = 0x9E3779B97F4A7C15


def key(seed: int, name: str) -> int:
    """Give the 64-bit starting point of one named stream of a seeded world."""
    return (seed * _GOLDEN + zlib.crc32(name.encode()) * 0xD1B54A32D192ED03) & _WORD


def uniform(stream: int, indices: Counts) -> Numbers:
    """Give one number in [0, 1) for each index of a stream.

    SplitMix64 as a counter: Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
    OOPSLA 2014, figure 17.
    """
    with np.errstate(over="ignore"):
        z = np.uint64(stream) + (indices.astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def between(stream: int, low: float, high: float, index: int = 0) -> float:
    """Give one number of a stream between two bounds: the fixed traits of a device."""
    return low + (high - low) * float(uniform(stream, np.array([index], np.int64))[0])
