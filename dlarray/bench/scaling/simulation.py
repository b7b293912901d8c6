"""Steps of many ranks that are not equally fast, drawn from the spread of measured steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlarray.bench.scaling.messages import Link, all_reduce
from dlarray.bench.scaling.step import LayerWork, StepCost, left, of_shards, started, written

__all__ = ["simulate"]


def simulate(
    work: Sequence[LayerWork],
    cost: StepCost,
    link: Link,
    batch: float,
    ranks: int,
    spread: Sequence[float] = (1.0,),
    *,
    steps: int = 200,
    progress: float = 0.0,
    shard: bool = False,
    seed: int = 0,
) -> np.ndarray:
    """The seconds of ``steps`` steps, one rank on each machine.

    In each step every rank draws one of ``spread``, measured step times divided by the one to which ``cost`` was
    fitted, which multiplies all that it computes. A layer's sums start when the slowest rank has written its gradients,
    and advance as in ``predict``. They are synchronous, so a step ends with its slowest rank. With a spread of 1 every
    step takes the time of ``predict``.
    """
    draw = np.random.default_rng(seed)
    factor = draw.choice(np.asarray(spread, dtype=float), size=(steps, ranks)).max(axis=1)
    gradient, sharing = cost.gradient(batch / ranks), cost.sharing if ranks > 1 else 0.0
    if shard:
        return factor * (gradient + sharing + cost.update / ranks) + of_shards(work, link, ranks)
    times = [factor * time for time in written(work, gradient)]
    return times[-1] + left(times, started(work, ranks, all_reduce), link, progress) + factor * (sharing + cost.update)
