"""What ranks agree on: equal arguments before training, an equal θ as it goes, and when to stop."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any
from zlib import crc32

import numpy as np

from dlarray.core.ranks import RankError, Ranks
from dlarray.device import device_of, to_numpy
from dlarray.training.batch_source import ArraySource, BatchSource, UploadSource
from dlarray.training.block_source import BlockExamples
from dlarray.training.callback import Run
from dlarray.training.comparison import difference
from dlarray.training.data import Examples
from dlarray.training.step import Batch

__all__ = ["agree_to_stop", "check_equal_arguments", "check_equal_state", "equal_batches"]

ROWS = 64
"""So many rows of the examples are compared before training."""


def _description(examples: Examples | BlockExamples | None) -> Any:
    """Shapes, dtypes and a digest of some rows of examples, as data that can be compared; of blocks the fingerprint."""
    if examples is None:
        return None
    if isinstance(examples, BlockExamples):
        return examples.fingerprint
    rows = np.unique(np.linspace(0, len(examples) - 1, ROWS).astype(np.int32))
    some = examples.take(device_of(examples.x).asarray(rows))
    named = {"x": (examples.x, some.x), "y": (examples.t, some.t), "weight": (examples.weight, some.weight)}
    return {
        name: {"shape": list(x.shape), "dtype": str(x.dtype), "digest of some rows": _digest((part,))}
        for name, (x, part) in named.items()
        if x is not None
    }


def check_equal_arguments(
    ranks: Ranks, arguments: dict[str, Any], source: BatchSource, measured_on: Examples | BlockExamples | None
) -> None:
    """Raise RankError, on every rank, if a rank has other arguments than rank 0; its message names what differs."""
    if ranks.size == 1:
        return
    drawn = source.source if isinstance(source, UploadSource) else source
    data = {"examples": _description(drawn.examples) if isinstance(drawn, ArraySource) else None}
    data["validation"] = _description(measured_on)
    text = json.dumps(arguments | {"data": data}, sort_keys=True)
    digests = ranks.exchange(crc32(text.encode()))
    if len(set(digests)) == 1:
        return
    everyone = [json.loads(own) for own in ranks.exchange(text)]
    for rank, own in enumerate(everyone):
        if names := sorted(name for name in everyone[0].keys() | own.keys() if everyone[0].get(name) != own.get(name)):
            shown = "; ".join(f"{n} {difference(everyone[0].get(n), own.get(n))}" for n in names)
            shown = shown.replace("was ", "rank 0 has ").replace(", is ", f", rank {rank} has ")
            raise RankError(rank, ranks.size, f"has other arguments than rank 0: {shown}")


def equal_batches(ranks: Ranks, batches: Iterator[Batch], epoch: int, start: int) -> Iterator[Batch]:
    """The batches of an iterable, whose shapes, first rows and weights are compared before each step.

    Raises RankError, on every rank, if a rank has another batch than rank 0, or none. Without it the ranks would wait
    for each other in different places, or take rows of different batches.
    """
    while True:
        start += 1
        batch = next(batches, None)
        own = None if batch is None else _summary(*batch[:3])
        everyone = ranks.exchange(own)
        for rank, other in enumerate(everyone):
            if other != everyone[0]:
                raise RankError(
                    rank,
                    ranks.size,
                    f"has other batches than rank 0: batch {start} of epoch {epoch + 1} is {_shown(other)}, "
                    f"on rank 0 {_shown(everyone[0])}. x must yield the same batches on every rank, such as in a "
                    f"random order from one seed: each rank takes its own rows of them",
                )
        if batch is None:
            return
        yield batch


def _summary(x: Any, t: Any, weight: Any) -> tuple[tuple[int, ...], tuple[int, ...], int, int | None]:
    """What is compared of a batch: shapes, a digest of the first row, and one of all weights."""
    weights = None if weight is None else _digest((weight,))
    return tuple(x.shape), tuple(t.shape), _digest((x[:1, ...], t[:1, ...])), weights


def _shown(batch: Any) -> str:
    if batch is None:
        return "missing"
    x, y, digest, weights = batch
    weighted = "no weights" if weights is None else f"that of the weights {weights}"
    return f"x {x}, y {y} (digest of the first row {digest}, {weighted})"


def check_equal_state(run: Run) -> None:
    """Raise RankError, on every rank, if θ and the buffers are not the same on all ranks."""
    if run.ranks.size == 1:
        return
    digests = run.ranks.exchange((_digest((*run.state["theta"], *run.state["buffers"])), run.epoch, run.steps))
    usual = Counter(digests).most_common(1)[0][0]
    for rank, digest in enumerate(digests):
        if digest != usual:
            raise RankError(
                rank,
                run.ranks.size,
                f"has other parameters than most ranks, after {digest[2]} steps: a callback has changed them on one "
                f"rank alone, a custom layer or loss computes over the examples without Layer.over, or the processors "
                f"differ",
            )


def agree_to_stop(run: Run) -> None:
    """If a rank has stopped, stop all, with the reason of the first such rank."""
    if run.ranks.size > 1:
        run.history.stopped = next((why for why in run.ranks.exchange(run.history.stopped) if why), "")


def _digest(arrays: tuple[Any, ...]) -> int:
    digest = 0
    for x in arrays:
        digest = crc32(np.ascontiguousarray(to_numpy(x)).data, digest)
    return digest
