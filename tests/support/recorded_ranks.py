"""Two ranks, one of which is this process, and the other one only a record; steps of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import dlarray as dl
from dlarray.core.ranks import Ranks
from dlarray.training import Step
from tests.support.rank_steps import LAYERS, examples, over, own_rows, start

__all__ = ["Formula", "Recorder", "recorded"]


class Recorder(Ranks):
    """Two ranks, of which the other one gives the same numbers. ``events`` has what happens, in order."""

    rank, size = 0, 2

    def __init__(self) -> None:
        self.events: list[str] = []

    def _sum(self, x: Any) -> Any:
        self.events.append(f"sum {np.shape(x)}")
        return x + x

    def _start_sum(self, x: Any) -> Any:
        self.events.append(f"start {x.shape}")

        def wait() -> None:
            self.events.append(f"wait {x.shape}")
            np.copyto(x, x + x)

        return wait

    def _scatter_sum(self, x: Any) -> Any:
        self.events.append(f"scatter_sum {x.shape}")
        return 2 * self.piece(x)

    def _gather(self, piece: Any, length: int) -> Any:
        self.events.append(f"gather {piece.shape}")
        return np.concatenate([piece, piece])[:length]


@dataclass
class Formula:
    """A step of a few lines: ``formula(ranks, xp, state, batch)``."""

    ranks: Ranks
    formula: Any

    def __call__(self, state: Any, x: Any) -> Any:
        return self.formula(self.ranks, dl.array_namespace(x), state, x)


def recorded(layers: Any = LAYERS, **options: Any) -> tuple[Step, Any, Any, Recorder]:
    """A step of two ranks, its state, a batch and the ranks."""
    ranks = Recorder()
    step = over(ranks, layers, **options)
    return step, start(step), own_rows(ranks, step, examples(8)), ranks
