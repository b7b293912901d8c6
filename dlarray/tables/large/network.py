"""The network of a large table: one, trained on blocks of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from dlarray.callbacks import EarlyStopping
from dlarray.tables.large.blocks import TableBlocks
from dlarray.tables.network import PATIENCE, WEIGHTED, KeepBest, weighted_log_loss
from dlarray.tables.network_plan import NetworkOptions, NetworkPlan, plan_network
from dlarray.tables.targets import ClassificationTarget, Target
from dlarray.training import Trained, fit
from dlarray.training.class_weight import class_weights
from dlarray.training.interruption import InterruptTogether
from dlarray.training.trained import Metric

__all__ = ["plan_large", "train_large"]

MOST_ROWS = 200_000_000
"""Rows in all epochs together, by default: a network has learnt long before what so many rows can teach it."""


def plan_large(rows: int, inputs: int, target: Target, options: NetworkOptions) -> NetworkPlan:
    """The network and its training for so many rows: one network, and fewer epochs the more rows there are.

    By default there are as many epochs as make 200 million rows, at least 1 and at most 200.
    """
    plan = plan_network(rows, inputs, target, replace(options, seeds=1))
    return replace(plan, epochs=options.epochs or int(np.clip(MOST_ROWS // rows, 1, plan.epochs)))


def train_large(
    blocks: TableBlocks,
    validation: tuple[np.ndarray, np.ndarray] | None,
    counts: np.ndarray | None,
    options: NetworkOptions,
) -> Trained:
    """Train on blocks. ``counts`` are the training rows of each class, or None for a number. Raises like ``fit``."""
    target = blocks.target
    plan = plan_large(blocks.rows, len(blocks.preprocessing.features), target, options)
    weights: Mapping[int, float] | None = None
    metrics: list[str | Metric] | None = None
    monitor = None
    if options.class_weight is not None and counts is not None and isinstance(target, ClassificationTarget):
        of_classes = class_weights(options.class_weight, counts)
        weights = {number: float(weight) for number, weight in enumerate(of_classes)}
        if validation is not None:
            by_class = weighted_log_loss(options.device.asarray(of_classes, "float32"))
            metrics, monitor = ["accuracy", by_class], WEIGHTED
    stopping = [EarlyStopping(monitor, patience=PATIENCE)] if plan.early_stopping and validation is not None else []
    together = [InterruptTogether()] if options.ranks.size > 1 else []
    written = options.checkpoints
    given: Any = blocks if options.cache is None else blocks.cached(options.cache)
    return fit(
        plan.model,
        given,
        loss=target.loss,
        optimizer=plan.optimizer,
        epochs=plan.epochs,
        max_time=plan.max_time,
        batch_size=min(plan.batch_size, blocks.rows),
        class_weight=weights,
        validation=validation,
        metrics=metrics if validation is not None else [],
        callbacks=[*stopping, KeepBest(), *together, *(written.callbacks(0) if written else ())],
        seed=options.seed,
        resume=options.ranks.exchange(written.to_resume(0))[0] if written else None,
        parallel=options.ranks,
        device=options.device,
        progress=options.progress,
    )
