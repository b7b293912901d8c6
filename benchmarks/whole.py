"""All batches as one table with an order, for players that do many steps in one call."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlarray.bench import BATCHES, Problem


@dataclass(frozen=True)
class Whole:
    """Examples in disorder, and the order that gives the problem's batches again, over and over.

    Call i does ``count`` steps from ``start(i)`` on: examples ``order[start + j · batch]`` and those that follow.
    """

    x: np.ndarray
    t: np.ndarray
    order: np.ndarray
    batch: int
    count: int

    @classmethod
    def of(cls, problem: Problem, count: int) -> Whole:
        """The table of a problem, for calls of ``count`` steps."""
        x, t = (np.concatenate(parts) for parts in zip(*problem.batches, strict=True))
        places = np.random.default_rng(1).permutation(len(x)).astype(np.int32)
        rows = np.empty_like(places)
        rows[places] = np.arange(len(x), dtype=np.int32)
        repeats = -(-(count + BATCHES) // BATCHES)
        return cls(x[rows], t[rows], np.tile(places, repeats), problem.case.batch, count)

    def start(self, call: int) -> int:
        """Where in the order a call begins."""
        return call * self.count % BATCHES * self.batch
