"""Small steps on ranks, and their batches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

import dlarray as dl
from dlarray.core.ranks import Ranks
from dlarray.training import Step
from dlarray.training.parallel_step import spread
from dlarray.training.sharded import sharded

__all__ = ["LAYERS", "PLAIN", "examples", "over", "own_rows", "start"]

CPU = dl.device.resolve("cpu")
PLAIN = [dl.Dense(7), "tanh", dl.Dense(5), "relu", dl.Dense(3)]
LAYERS = [dl.Dense(7), "tanh", dl.Dense(5), dl.BatchNorm(), "relu", dl.Dense(3)]


def over(ranks: Ranks, layers: Any = LAYERS, optimizer: Any = None, shard: bool = False) -> Step:
    """A step of four inputs and three classes on these ranks; on one rank the plain step."""
    step = Step(dl.MLP(4, layers), dl.SparseCategoricalCrossEntropy(), optimizer or dl.Momentum(0.1))
    if ranks.size == 1:
        return step
    if shard:
        step = replace(step, optimizer=sharded(step.optimizer, ranks, CPU))
    return spread(step, ranks)


def start(step: Step, dtype: str = "float64") -> Any:
    """Its state before the first step."""
    return step.init(step.model.init(1, CPU, dtype), step.model.init_buffers(CPU, dtype), 0, CPU)


def examples(rows: int, seed: int = 0, dtype: str = "float64") -> Any:
    """Inputs and labels for it."""
    r = np.random.default_rng(seed)
    return r.standard_normal((rows, 4)).astype(dtype), r.integers(0, 3, rows).astype(np.int32), None


def own_rows(ranks: Ranks, step: Step, batch: Any) -> Any:
    """A rank's rows of a batch, their share of its weight, and the number of rows before them."""
    if ranks.size == 1:
        return batch
    x, t, weight = batch
    dtype = x.dtype if x.dtype.kind == "f" else np.dtype("float64")
    i, j = ranks.bounds(len(x))[ranks.rank : ranks.rank + 2]
    weights = step.loss.example_weights(t, weight, dtype)
    weights = np.ones(len(x)) if weights is None else weights
    total = np.sum(weights)
    share = 1.0 if step.loss.reduction == "sum" else np.sum(weights[i:j]) / total if total else 0.0
    own = x[i:j].copy(), t[i:j].copy(), None if weight is None else weight[i:j].copy()
    return *own, np.asarray(share, dtype), np.asarray([i], np.int32)
