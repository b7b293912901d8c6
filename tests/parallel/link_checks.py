"""Training over a slow link: the losses of one rank, and no step faster than the link."""

from __future__ import annotations

import time
from typing import Any

from tests.parallel.option_checks import MLP, ROUNDING, compare, train


def check_training(comm: Any) -> tuple[float, int]:
    alone = train(model=MLP)
    train(model=MLP, epochs=1, parallel=comm)  # the first messages between ranks make connections
    start = time.perf_counter()
    together = train(model=MLP, parallel=comm)
    seconds = time.perf_counter() - start
    compare(alone, together, ROUNDING["float64"])
    return seconds, len(together.history.steps)
