"""Memory that a plan reserves."""

from __future__ import annotations

import numpy as np

__all__ = ["aligned"]

ALIGNMENT = 64
"""Bytes: buffers start on a multiple of a cache line, which is also the size of the widest vectors."""


def aligned(nbytes: int) -> np.ndarray:
    """A buffer of zeros, as bytes."""
    raw = np.zeros(nbytes + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + nbytes]
