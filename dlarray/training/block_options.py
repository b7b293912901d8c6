"""The options of ``fit`` for data in blocks: what is refused, the classes, and their weights."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from dlarray.blocks.base import Blocks
from dlarray.blocks.reader import naming_block
from dlarray.device import resolve
from dlarray.device.description import bytes_text
from dlarray.device.memory import host_memory
from dlarray.training.block_source import PrepareBlock
from dlarray.training.class_weight import class_totals, class_weights
from dlarray.training.data import targets_on
from dlarray.training.data_names import DataNames
from dlarray.training.labels import Label, find_classes

__all__ = ["block_class_weights", "block_labels", "block_names", "check_block_options", "check_memory"]


def check_block_options(batch_size: int | None, steps_per_epoch: int | None, weight: Any, data: str | None) -> None:
    """Raise ValueError for options that data in blocks cannot have."""
    if batch_size is None:
        raise ValueError("batch_size=None takes all examples at once, and data in blocks need not fit in memory")
    if steps_per_epoch is not None:
        raise ValueError("steps_per_epoch is for batches from an iterable; an epoch of data in blocks is all of them")
    if weight is not None:
        raise ValueError("weight is for arrays: blocks hold the weights of their rows, open_blocks(x, y, weight)")
    if data not in (None, "host"):
        raise ValueError(f"data={data!r} is for arrays: data in blocks stay on the host, and batches are moved")


def check_memory(blocks: Blocks, batch_size: int, dtype: str) -> None:
    """Warn if the groups do not fit into the free memory of the host."""
    needed, memory = blocks.memory(batch_size, dtype), host_memory()
    if memory is not None and needed > memory[0]:
        warnings.warn(
            f"{blocks.group_size} blocks at a time need {bytes_text(needed)}, and {bytes_text(memory[0])} are free: "
            f"open_blocks(…, blocks_per_group={max(blocks.group_size * memory[0] // (2 * needed), 1)}) needs less",
            stacklevel=5,
        )


def block_names(blocks: Blocks) -> DataNames:
    """The names of the columns and classes. The labels of all blocks are read if they are texts."""
    if blocks.classes is not None:
        return DataNames(blocks.features, blocks.classes)
    y = np.asarray(blocks.example[1])
    if find_classes(y) is None:
        return DataNames(blocks.features)
    if y.dtype.kind == "b":
        return DataNames(blocks.features, (False, True))
    labels: set[Label] = set()
    for i in _filled(blocks):
        with naming_block(blocks, i):
            labels.update(find_classes(blocks.targets(i)[0]) or ())
    return DataNames(blocks.features, tuple(sorted(labels)))  # pyright: ignore[reportArgumentType] - of one type


def block_labels(blocks: Blocks, names: DataNames) -> DataNames:
    """What turns the labels in the blocks into the numbers of their classes: nothing, if they are numbers already."""
    return DataNames(classes=None if blocks.classes is not None else names.classes)


def block_class_weights(blocks: Blocks, prepare: PrepareBlock, given: Any) -> np.ndarray | None:
    """The weight of each class, (classes,). For "balanced" the targets and weights of all blocks are read.

    Takes and raises the same as ``apply_class_weight``.
    """
    if given is None:
        return None
    model, loss = prepare.model, prepare.loss
    totals = np.zeros(0)
    for i in _filled(blocks):
        with naming_block(blocks, i):
            y, weight = blocks.targets(i)
            t = targets_on(resolve("cpu"), model, loss, prepare.labels.targets(y), prepare.dtype)
            own = class_totals(t, weight, loss, model.outputs)
        totals = totals + own if len(totals) else own
        if not isinstance(given, str):
            break  # only the number of classes is needed
    return class_weights(given, totals)


def _filled(blocks: Blocks) -> list[int]:
    return [i for i, length in enumerate(blocks.lengths) if length]
