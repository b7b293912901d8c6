"""Rows chosen at random from blocks, at most so many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dlarray.core.random import Bits
from dlarray.tables.values import polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["KeptRows", "row_numbers_as_uniform"]

CHUNK = 2**16


class KeptRows:
    """The ``most`` rows with the smallest random numbers, of all that are added: each has the same chance."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._frames: list[pl.DataFrame] = []
        self._keys: list[np.ndarray] = []
        self._limit = np.inf
        self.rows = 0

    def add(self, frame: pl.DataFrame, keys: np.ndarray) -> None:
        """Add rows with their random numbers."""
        self.rows += frame.height
        chosen = keys < self._limit
        self._frames.append(frame.filter(chosen))
        self._keys.append(keys[chosen])
        if sum(map(len, self._keys)) > 2 * self._most:
            self._drop()

    def frame(self) -> pl.DataFrame | None:
        """The rows, in the order in which they were added; None without any."""
        if not self._frames:
            return None
        self._drop()
        return self._frames[0]

    def _drop(self) -> None:
        frame, keys = polars().concat(self._frames), np.concatenate(self._keys)
        if len(keys) > self._most:
            self._limit = float(np.partition(keys, self._most - 1)[self._most - 1])
            chosen = keys <= self._limit
            frame, keys = frame.filter(chosen), keys[chosen]
        self._frames, self._keys = [frame], [keys]


def row_numbers_as_uniform(numbers: np.ndarray, seed: int, purpose: str) -> np.ndarray:
    """For each row number a number in [0, 1), the same wherever the row is read."""
    found = np.empty(len(numbers))
    chunks = numbers // CHUNK
    for chunk in np.unique(chunks):
        rows = chunks == chunk
        found[rows] = Bits(seed, f"{purpose} {chunk}").uniform(CHUNK)[numbers[rows] % CHUNK]
    return found
