"""The data of a run, prepared for the loop: the source of its batches, and what its metrics are measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np

from dlarray.blocks.base import Blocks
from dlarray.blocks.opening import as_blocks, is_blocks
from dlarray.blocks.thread import ReadingThread
from dlarray.core.array import Array
from dlarray.core.check import at_least_one, fraction
from dlarray.device import Device, resolve
from dlarray.training.batch_source import ArraySource, BatchSource, IterableSource, UploadSource
from dlarray.training.block_options import (
    block_class_weights,
    block_labels,
    block_names,
    check_block_options,
    check_memory,
)
from dlarray.training.block_source import BlockExamples, BlockSource, PrepareBlock
from dlarray.training.class_weight import apply_class_weight
from dlarray.training.data import Examples
from dlarray.training.data_names import DataNames
from dlarray.training.data_placement import data_placement
from dlarray.training.named_metrics import Metric, named_metrics
from dlarray.training.options import PrepareBatch, check_iterable, choose_batch_size, validation_pair
from dlarray.training.read_run import resumed_names
from dlarray.training.step import Step

__all__ = ["Preparation", "Prepared", "named_examples"]


def named_examples(
    x: Any, y: Any, weight: Any, blocks: Blocks | None, iterable: IterableSource | None, resume: Any
) -> tuple[DataNames, Array, Array, Any]:
    """The names of the data, and x, y and weights as arrays: of data in blocks a row, of an iterable the first batch.

    Raises ValueError for targets beside data in blocks, and as ``DataNames`` and ``resumed_names`` do.
    """
    if blocks is not None:
        if y is not None:
            raise ValueError("x is data in blocks, which hold the targets: leave out y")
        names = block_names(blocks)
        return names, blocks.example[0], block_labels(blocks, names).targets(blocks.example[1]), weight
    if iterable is not None:
        names = DataNames()
        return names, *names.arrays(*iterable.first[:2], weight)
    names = DataNames.of(x, y)
    if resume is not None:
        names = resumed_names(resume, names, x)
    return names, *names.arrays(x, y, weight)


@dataclass(frozen=True)
class Prepared:
    """What the loop needs of the data."""

    source: BatchSource
    measured_on: Examples | BlockExamples | None
    """The examples that metrics are measured on after each epoch."""
    metrics: Mapping[str, Metric]
    settings: Mapping[str, Any]
    """The settings about data that a resumed run must have in common with this one."""


@dataclass(frozen=True)
class Preparation:
    """Prepares the data by the options of ``fit``, which are explained there. ``device`` is the one that trains."""

    step: Step
    device: Device
    dtype: str
    names: DataNames
    batch_size: int | None
    shuffle: bool
    seed: int
    validation: Any
    metrics: Sequence[str | Metric] | None
    class_weight: Any
    steps_per_epoch: int | None

    def arrays(self, x: Array, y: Array, weight: Array | None, data: str | None) -> Prepared:
        """Examples in arrays, stored on the device or on the host."""
        if self.steps_per_epoch is not None:
            raise ValueError("steps_per_epoch is for batches from an iterable; arrays are cut by batch_size")
        model, loss, accumulate = self.step.model, self.step.loss, self.step.accumulate
        validation, dtype = self.validation, self.dtype
        measured = named_metrics(self.metrics, loss, model.outputs)
        hold_out = isinstance(validation, Real)
        others = () if validation is None or hold_out else validation_pair(validation, self.names)
        copies = 2 if hold_out else 1
        given = (x, y, weight, *others)
        data_device = data_placement(data, self.device, self.step, given, self.batch_size, dtype, copies)
        examples = Examples.on(data_device, model, loss, x, y, weight, dtype)
        measured_on = examples
        if isinstance(validation, Real):
            examples, measured_on = examples.split(fraction("validation", validation), self.seed, data_device)
        elif others:
            measured_on = Examples.on(data_device, model, loss, *others, dtype=dtype)
        if self.class_weight is not None:
            examples = apply_class_weight(examples, self.class_weight, loss, model.outputs, dtype)
        n, least = len(examples), model.chain.min_batch_size
        size = choose_batch_size(n if self.batch_size is None else self.batch_size, n, accumulate, least)
        drawn = ArraySource(examples, size, self.seed, self.shuffle, data_device)
        source: BatchSource = drawn if data_device is self.device else UploadSource(drawn, self.device)
        settings = {"examples": n, "batch_size": size, "shuffle": bool(self.shuffle)}
        return Prepared(source, measured_on, measured, settings)

    def iterable(self, source: IterableSource, epochs: int, x: Array, weight: Array | None) -> Prepared:
        """Batches from an iterable, whose first inputs are ``x``."""
        check_iterable(source, epochs, weight, self.class_weight, self.validation, self.metrics)
        model, loss = self.step.model, self.step.loss
        measured = named_metrics([] if self.validation is None else self.metrics, loss, model.outputs)
        device = resolve("cpu") if isinstance(x, np.ndarray) else self.device  # else batches stay on their device
        source.prepare = PrepareBatch(device, model, loss, self.dtype, self.class_weight)
        batches = source if device == self.device else UploadSource(source, self.device)
        return Prepared(batches, self.validation_examples(), measured, {"steps_per_epoch": self.steps_per_epoch})

    def blocks(self, blocks: Blocks, epochs: int, weight: Any, data: str | None, thread: ReadingThread) -> Prepared:
        """Data in blocks, which the thread reads."""
        model, loss, validation = self.step.model, self.step.loss, self.validation
        check_block_options(self.batch_size, self.steps_per_epoch, weight, data)
        training, others = blocks, None
        if is_blocks(validation):
            others = as_blocks(validation)
        elif isinstance(validation, Real):
            training, others = blocks.split(fraction("validation", validation), self.seed)
        n, least = training.rows, model.chain.min_batch_size
        size = choose_batch_size(at_least_one("batch_size", self.batch_size), n, self.step.accumulate, least)
        prepare = PrepareBlock(model, loss, self.dtype, block_labels(blocks, self.names))
        weights = block_class_weights(training, prepare, self.class_weight)
        source = BlockSource(
            training, size, self.seed, self.shuffle, epochs, thread, replace(prepare, class_weights=weights)
        )
        check_memory(training, size, self.dtype)
        unread = validation is None and self.metrics is None
        measured = named_metrics([] if unread else self.metrics, loss, model.outputs)
        if others is None and validation is None and measured:
            others = training
        measured_on = self.validation_examples() if others is None else BlockExamples(others, thread, prepare)
        settings = {
            "examples": n,
            "batch_size": size,
            "shuffle": bool(self.shuffle),
            "blocks_per_group": training.group_size,
            "blocks": {"count": len(training), "largest": max(training.lengths)},
            "data": training.fingerprint,
        }
        uploaded = source if self.device.backend.uses_numpy_arrays else UploadSource(source, self.device)
        return Prepared(uploaded, measured_on, measured, settings)

    def validation_examples(self) -> Examples | None:
        """The given validation examples (x, y) on the device."""
        if self.validation is None:
            return None
        others = validation_pair(self.validation, self.names)
        return Examples.on(self.device, self.step.model, self.step.loss, *others, dtype=self.dtype)
