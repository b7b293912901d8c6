"""The network of a table model is trained on the preprocessed rows: several networks, merged into one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

import numpy as np

from dlarray.callbacks import EarlyStopping
from dlarray.core.array import Array, array_namespace
from dlarray.core.random import Bits
from dlarray.losses import SparseCategoricalCrossEntropy
from dlarray.tables.linear_share import LinearPart
from dlarray.tables.members import member_folds, merge, takes_linear
from dlarray.tables.network_plan import NetworkOptions, NetworkPlan, plan_network
from dlarray.tables.targets import ClassificationTarget, Target
from dlarray.tables.workers import rounds, spread
from dlarray.training import Callback, Interrupted, Run, Trained, fit
from dlarray.training.class_weight import class_weights
from dlarray.training.interruption import InterruptTogether
from dlarray.training.progress import progress_title
from dlarray.training.shared_step import SharedStep
from dlarray.training.trained import Metric

__all__ = ["KeepBest", "TrainedNetwork", "train_network", "weighted_log_loss"]

PATIENCE = 6
SMALL = 2500  # rows; a linear model is added to the networks of a smaller table
WEIGHTED = "validation_weighted_log_loss"


@dataclass(frozen=True)
class TrainedNetwork:
    """What ``train_network`` returns: the network, and ``outputs`` for the rows that are ``measured``, a boolean mask.

    The outputs for a row are those of the network that has left it out: ``fold`` (n,) is the number of that network,
    ``first`` is network 0. ``interrupted`` tells that the user has interrupted training; the network is then the best
    so far. ``facts`` describe the training, JSON-ready, such as epochs and batch size.
    """

    trained: Trained
    outputs: np.ndarray
    measured: np.ndarray
    fold: np.ndarray
    first: Trained
    interrupted: bool = False
    facts: Mapping[str, int | float | str | bool] = field(default_factory=dict[str, "int | float | str | bool"])


def train_network(
    x: np.ndarray,
    t: np.ndarray,
    held_out: np.ndarray,
    target: Target,
    options: NetworkOptions,
    groups: np.ndarray | None = None,
    plain: np.ndarray | None = None,
) -> TrainedNetwork:
    """Train networks, each with other rows left out for its early stopping, and merge them into one: ``merge``.

    The first network leaves out the rows that are ``held_out``, a boolean mask; so its outputs for them are measured.
    The other rows are divided among the other networks (``member_folds``): every row is used for training, and the
    merged network gives the mean of their outputs. A single network leaves out the rows that are held out, and uses
    them for nothing but validation; without any it is measured on the training rows. ``groups`` are integers, one for
    each row: rows with the same integer are left out together.

    To several networks of a small table a linear model of the features in ``plain``, a mask, is added with the share
    that gives the least loss on the rows that were left out (``add_linear``).

    With several jobs the networks are trained by workers, and an interrupt leaves those that are complete.

    Raises Interrupted or KeyboardInterrupt if the user interrupts before there is a model, and what ``fit`` raises.
    """
    plan = plan_network(int((~held_out).sum()), x.shape[1], target, options)
    fold = member_folds(t, held_out, plan.networks, groups, options.seed) if plan.networks > 1 else None
    masks = [held_out] if fold is None else [fold == k for k in range(plan.networks)]
    outputs = np.zeros((len(t), target.outputs), dtype=np.float32)
    members: list[Trained] = []
    interrupted = False
    tasks = _tasks(x, t, masks, target, options, plan)
    try:
        with closing(spread(_train, tasks, options.jobs, len(masks), "networks", options.progress)) as found:
            for trained in found:
                _predict(trained, masks[len(members)], x, outputs)
                members.append(trained)
    except KeyboardInterrupt as error:
        interrupted = True
        if not members:
            if not isinstance(error, Interrupted) or not error.trained.history.epochs:
                raise
            _predict(error.trained, masks[0], x, outputs)
            members.append(error.trained)
    measured = held_out if held_out.any() else ~held_out if fold is None else fold < len(members)
    history = members[0].history
    facts: dict[str, int | float | str | bool] = {
        "epochs": len(history.epochs),
        "batch_size": plan.batch_size,
        "networks": len(members),
        "stopped": history.stopped,
        "out_of_time": sum(_out_of_time(each) for each in members),
    }
    whole, first = merge(members), members[0]
    if fold is not None and len(members) == len(masks) and len(t) <= SMALL and takes_linear(plan.model):
        linear = LinearPart.fit(x, t, fold, members, target, options.row_weights(t, target), plain)
        facts["linear_share"] = linear.share
        whole, first, outputs = linear.added(whole, None), linear.added(first, 0), linear.outputs
    fold = np.zeros(len(t), dtype=np.int64) if fold is None else fold
    return TrainedNetwork(whole, outputs[measured], measured, fold, first, interrupted, facts)


def _tasks(
    x: np.ndarray,
    t: np.ndarray,
    masks: Sequence[np.ndarray],
    target: Target,
    options: NetworkOptions,
    plan: NetworkPlan,
) -> Iterator[tuple[Any, ...]]:
    """The arguments of ``_train`` for each network, with its part of the time that is left when it begins."""
    started = monotonic()
    compiler = SharedStep(options.device)
    several = options.jobs > 1
    quiet = replace(options, progress=False) if several else options
    for k, left_out in enumerate(masks):
        left = None
        if plan.max_time is not None:
            left = (plan.max_time - monotonic() + started) / (rounds(len(masks), options.jobs) - k // options.jobs)
            left = options.ranks.exchange(left)[0]
            if k and left <= 0:
                return
        title = f"{k + 1}/{len(masks)}" if len(masks) > 1 else ""
        yield x, t, left_out, target, quiet, replace(plan, max_time=left), k, compiler, title


def _predict(trained: Trained, left_out: np.ndarray, x: np.ndarray, outputs: np.ndarray) -> None:
    """Set the outputs for the rows that a network has left out, or for all others if it has left out none."""
    mask = left_out if left_out.any() else ~left_out
    outputs[mask] = np.asarray(trained.predict(x[mask])).reshape(-1, outputs.shape[1])


def _train(
    x: np.ndarray,
    t: np.ndarray,
    left_out: np.ndarray,
    target: Target,
    options: NetworkOptions,
    plan: NetworkPlan,
    number: int,
    compiler: SharedStep,
    title: str,
) -> Trained:
    """Network ``number``: trained on the rows that are not left out, validated on the others."""
    validation = (x[left_out], t[left_out]) if left_out.any() else None
    rows = np.flatnonzero(~left_out)
    seed = (options.seed + number) % 2**63
    if plan.most_rows is not None and len(rows) >= plan.most_rows:
        rows = rows[Bits(seed, "rows").permutation(len(rows))[: plan.most_rows]]
    weights = options.class_weight if isinstance(target, ClassificationTarget) else None
    metrics: list[str | Metric] | None = None
    monitor = None
    if weights is not None:
        of_classes = class_weights(weights, np.bincount(t[rows], minlength=target.outputs))
        metrics, monitor = ["accuracy", weighted_log_loss(options.device.asarray(of_classes, "float32"))], WEIGHTED
    together = [InterruptTogether()] if options.ranks.size > 1 else []
    stopping = [EarlyStopping(monitor, patience=PATIENCE)] if plan.early_stopping and validation is not None else []
    written = options.checkpoints
    with progress_title(title):
        return fit(
            plan.model,
            x[rows],
            t[rows],
            loss=target.loss,
            optimizer=plan.optimizer,
            epochs=plan.epochs,
            max_time=plan.max_time,
            batch_size=min(plan.batch_size, len(rows)),
            class_weight=weights,
            validation=validation,
            metrics=metrics,
            callbacks=[
                *stopping,
                KeepBest(),
                *together,
                *(written.callbacks(number, x[rows], t[rows]) if written else ()),
            ],
            seed=seed,
            resume=options.ranks.exchange(written.to_resume(number))[0] if written else None,
            parallel=options.ranks,
            device=options.device,
            compile=compiler,
            progress=options.progress,
        )


def _out_of_time(trained: Trained) -> bool:
    return trained.history.stopped.startswith("time limit")


def weighted_log_loss(of_classes: Array) -> Metric:
    """The validation loss in which each row has the weight of its class: ``fit`` does not weight it."""
    loss = SparseCategoricalCrossEntropy(from_logits=False)

    def weighted_log_loss(t: Array, p: Array) -> Array:
        return loss.forward(p, t, array_namespace(of_classes).take(of_classes, t, axis=0))[0]

    return weighted_log_loss


class KeepBest(Callback):
    """Let ``Interrupted.trained`` be what ``fit`` would return, such as the weights that EarlyStopping found best."""

    def on_end(self, run: Run) -> None:
        if isinstance(run.error, Interrupted):
            run.error.trained = run.result
