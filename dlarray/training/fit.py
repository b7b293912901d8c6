"""``fit``: check the arguments, prepare the data and the step, and train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from os import PathLike
from typing import Any

from dlarray.blocks.opening import as_blocks, is_blocks
from dlarray.blocks.thread import ReadingThread
from dlarray.core.array import Array
from dlarray.core.check import at_least_one, one_of
from dlarray.core.keywords import explains_keywords
from dlarray.core.layout import Theta
from dlarray.core.trees import copy_tree
from dlarray.device import Device
from dlarray.losses import Loss
from dlarray.model import MLP
from dlarray.optimizers import Optimizer
from dlarray.parallel import joined
from dlarray.training.agreement import check_equal_arguments
from dlarray.training.batch_source import IterableSource, is_batch_iterable
from dlarray.training.callback import Callback, Run
from dlarray.training.comparison import comparable
from dlarray.training.conversion import check_is_array
from dlarray.training.data import choose_loss, training_device
from dlarray.training.history import History
from dlarray.training.keywords import REMEDIES
from dlarray.training.loop import MEMORY_ADVICE, Loop
from dlarray.training.mixed_precision import mixed_precision
from dlarray.training.named_metrics import Metric
from dlarray.training.options import (
    Compiler,
    check_limits,
    choose_callbacks,
    choose_optimizer,
    choose_repeat,
    compile_step,
    initial_buffers,
    initial_theta,
)
from dlarray.training.parallel_batches import RankBatches
from dlarray.training.parallel_step import compile_on_ranks
from dlarray.training.preparation import Preparation, named_examples
from dlarray.training.read_run import read_run
from dlarray.training.sharded import Sharded, sharded
from dlarray.training.step import Step
from dlarray.training.trained import Trained

__all__ = ["fit"]


@explains_keywords(REMEDIES)
def fit(
    model: MLP,
    x: Any,
    y: Array | None = None,
    *,
    loss: str | Loss | None = None,
    optimizer: str | Optimizer = "adam",
    epochs: int = 20,
    max_steps: int | None = None,
    max_time: float | None = None,
    steps_per_epoch: int | None = None,
    steps_per_execution: int | None = None,
    batch_size: int | None = 32,
    shuffle: bool = True,
    weight: Array | None = None,
    class_weight: Mapping[int, float] | Sequence[float] | str | None = None,
    validation: float | tuple[Array, Array] | None = None,
    metrics: Sequence[str | Metric] | None = None,
    accumulate: int = 1,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    callbacks: Sequence[str | Callback] = (),
    seed: int = 0,
    data: str | None = None,
    theta: Theta | None = None,
    buffers: Theta | None = None,
    resume: str | PathLike[str] | None = None,
    device: str | Device | None = None,
    dtype: str = "float32",
    precision: str | None = None,
    parallel: Any = None,
    shard: bool = False,
    compile: bool | Compiler | None = None,  # noqa: A002 - the field's word for it
    progress: bool | None = None,
) -> Trained:
    """Train a model on examples: forward feed, loss, back propagation and a step of the optimizer, batch by batch.

    Parameters
    ----------
    model
        The model to train. It is configuration and does not change; the result holds θ.
    x, y
        Inputs (n, inputs) and the targets of the loss: class labels (n,) or numbers (n, outputs). Host arrays are moved
        to the device once, if they fit; arrays on a device stay there. Numbers are cast to ``dtype``. Both can be
        frames and series of pandas, polars and similar libraries; the columns of x must hold numbers. Labels can be
        strings, booleans or categories: ``classes`` of the result has them in the order of the outputs. Instead, x can
        be an iterable of batches (x, y) or (x, y, weight), or a function that returns one; or data in blocks, larger
        than memory: see ``open_blocks``.
    loss
        A loss or its name. By default the sparse categorical cross-entropy for integers (the binary one if the model
        has one output) and the mean squared error for other numbers.
    optimizer
        An optimizer or its name.
    epochs
        The number of passes over all examples.
    max_steps, max_time
        Stop earlier: after this many steps, or seconds.
    steps_per_epoch
        For batches from an iterable: the number of batches in an epoch. The next epoch continues where the last ended.
    steps_per_execution
        How many steps are at most done in one call. It saves time in small networks, whose steps cost more to start
        than to compute. By default as many as take about 10 ms where dlarray runs steps as native code, on NumPy and on
        torch's CPU, and one on other backends. The results are the same. If a callback has an ``on_step``, steps are
        done one by one.
    batch_size
        Examples per step: None for batch descent (all of them), 1 for stochastic, any other for mini-batch descent. The
        last batch of an epoch can be smaller. A larger number than there are examples: a warning, and all are used.
    shuffle
        Whether each epoch has a new random order, drawn from the seed.
    weight
        A weight for each example, (n,).
    class_weight
        A weight for each class, by which the weights of its examples are multiplied: a mapping, a sequence, or
        "balanced", which gives every class the same total weight: n / (classes · examples of the class). Not used in
        validation.
    validation
        Examples (x, y) for validation, or the fraction of the examples to hold out at random. For data in blocks other
        blocks, too.
    metrics
        Functions of ``dlarray.metrics`` or their names; "mse" and other names of a loss mean the metric with its
        formula. They are measured after each epoch, on the validation examples or, without validation, on the training
        examples. A function of your own takes targets and predictions. Default: accuracy for classes, R² for numbers;
        none for data in blocks without validation, which would be read twice. An empty list measures none.
    accumulate
        The number of parts into which a batch is split to save memory. The step is the same, class weights included,
        except for BatchNorm's statistics and Dropout's masks, which are computed for each part. ValueError for a loss
        that is not a sum over examples, such as RMSE.
    clip_norm, clip_value
        A limit for the norm of the whole gradient, or for each of its elements: ``Clipped(optimizer, …)``.
    callbacks
        Callbacks of ``dlarray.callbacks``, custom ones, or names. They are called in this order.
    seed
        The seed of initial weights, order and dropout masks. They are the same on every device.
    data
        Where the examples are stored: on the "device", or on the "host". From the host each batch is moved to the
        device while the step before it is computed. By default on the device if they fit there together with a step;
        else on the host, with a warning. The results are the same. Arrays on a device stay there.
    theta
        The initial θ, which is copied; by default ``model.init(seed)``.
    buffers
        The initial buffers, such as BatchNorm's running statistics, which are copied; by default those of a new model.
        ``theta=trained.theta, buffers=trained.buffers`` continues from a trained model.
    resume
        A file of the callback ``Checkpoint``. Training continues from there, with the same model, examples and options;
        its results have the bits of a run that was not interrupted. Columns of a frame are taken by the names in the
        file.
    device
        The device to train on; by default the device of x, for host arrays the current device.
    dtype
        The dtype of θ: "float32" or "float64".
    precision
        The dtype of matrix products, if it is not that of θ: "bfloat16" or "float16", on devices whose library has such
        products. Everything else stays in float32. With float16 the loss is scaled.
    parallel
        Train on several ranks: a communicator of mpi4py, "mpi" for all processes that ``mpiexec`` has started, or
        ``dlarray.parallel.Ranks``. Every rank calls ``fit`` with the same arguments, computes its rows of each batch,
        and returns the same result, equal to that of one rank up to rounding. Each is given all of x and y: a memory
        map of a file (``numpy.load(…, mmap_mode="r")``) costs no memory. Rank 0 alone writes files and shows progress.
        See the page *Several processes*.
    shard
        Whether each rank keeps only its share of the optimizer's state, 1 / ranks. For optimizers that move each number
        of θ by itself, such as Adam, where θ is one vector.
    compile
        Whether the device's backend compiles the step: by default on NumPy, on JAX and on torch's CPU. Or a custom
        compiler: a function that takes the step and returns a faster one. A compiled step runs the Python code of
        layers, losses and optimizers once or twice for each shape of the batch, and then repeats the operations.
        Numbers that a custom class stores or draws, other than arrays of the state, stay those of the first step.
    progress
        Whether to show a progress bar with loss and metrics on stderr: by default only on a terminal; True shows it
        anywhere, such as in a notebook.

    Returns
    -------
    Trained
        The model with its trained θ, and the history.

    Raises
    ------
    ValueError, TypeError
        For invalid arguments, before training.
    DeviceError
        For a device that cannot be used.
    DivergedError
        When the loss or θ becomes infinite or NaN. Its ``trained`` is the last good model.
    Interrupted
        A KeyboardInterrupt with the model after the last complete epoch.
    OutOfMemoryError
        A MemoryError, if the device has too little memory.
    CheckpointError
        If the file to resume from is not a checkpoint.

    Notes
    -----
    Every error during training, such as one of a callback, of the iterable or of the device, has the attribute
    ``trained``: the model after the last complete epoch, or the initial one.

    Examples
    --------
    >>> import numpy as np
    >>> import dlarray
    >>> x = np.linspace(-2, 2, 41).reshape(-1, 1)
    >>> model = dlarray.mlp(1, 16, 1, activation="tanh")
    >>> trained = dlarray.fit(model, x, np.sin(x), optimizer=dlarray.Adam(0.01), epochs=200, progress=False)
    >>> trained.history["r2"][-1] > 0.99
    True
    """
    if not isinstance(model, MLP):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            f"model must be an MLP, such as dlarray.mlp(64, 128, 10), got {type(model).__name__}: fit(model, x, y)"
        )
    with joined(parallel) as on, closing(ReadingThread()) as thread:
        blocks = as_blocks(x) if is_blocks(x) else None
        iterable = IterableSource(x, steps_per_epoch) if blocks is None and y is None and is_batch_iterable(x) else None
        at_least_one("epochs", epochs)
        at_least_one("accumulate", accumulate)
        check_limits(max_steps=max_steps, steps_per_epoch=steps_per_epoch, steps_per_execution=steps_per_execution)
        one_of("dtype", dtype, ("float32", "float64"))
        if resume is not None and (theta is not None or buffers is not None):
            raise ValueError("give theta and buffers or resume, not both: a checkpoint holds those to start from")
        names, x, y, weight = named_examples(x, y, weight, blocks, iterable, resume)
        check_is_array("x", x)
        loss = choose_loss(model, loss, y)
        names = names.check(loss, model.outputs)
        class_weight = names.class_weight(class_weight)
        optimizer = choose_optimizer(optimizer, clip_norm, clip_value)
        called = choose_callbacks(callbacks, max_time)
        target = training_device(x, device)
        step = mixed_precision(Step(model, loss, optimizer, accumulate), precision, target, dtype)
        ranks = on(target)
        if shard:
            step = replace(step, optimizer=sharded(optimizer, ranks, target))
        with target.working("to train", MEMORY_ADVICE):
            of_data = batch_size, shuffle, seed, validation, metrics, class_weight, steps_per_epoch
            preparation = Preparation(step, target, dtype, names, *of_data)
            if blocks is not None:
                prepared = preparation.blocks(blocks, epochs, weight, data, thread)
            elif iterable is None:
                prepared = preparation.arrays(x, y, weight, data)
            else:
                prepared = preparation.iterable(iterable, epochs, x, weight)
            source, repeat, at_once = prepared.source, None, 1
            if ranks.size == 1:
                compiled = compile_step(step, target, compile, precision)
                repeat, at_once = choose_repeat(step, compiled, target, compile, steps_per_execution)
            else:
                compiled = compile_on_ranks(step, ranks, target, compile, precision)
                source = RankBatches(source, ranks, step, target, dtype)
            loop = Loop(
                step=compiled,
                source=source,
                measured_on=prepared.measured_on,
                prefix="" if validation is None else "validation_",
                metrics=prepared.metrics,
                callbacks=called,
                max_steps=max_steps,
                repeat=repeat,
                steps_per_call=at_once,
            )
            settings: dict[str, Any] = {
                **prepared.settings,
                "class_weight": comparable(class_weight),
                "optimizer": comparable(optimizer),
                "accumulate": accumulate,
                "seed": seed,
                "dtype": dtype,
                "precision": precision,
                "classes": comparable(names.classes),
            }
            others = {"epochs": epochs, "max_steps": max_steps, "shard": shard, "resume": resume is not None}
            others |= {"model": comparable(model), "loss": comparable(loss), "metrics": loop.names}
            others |= {"columns of x": comparable(names.features)}
            check_equal_arguments(ranks, settings | others, prepared.source, prepared.measured_on)
            begin = ranks.broadcast_all(initial_theta(model, theta, seed, target, dtype))
            kept = ranks.broadcast_all(initial_buffers(model, buffers, target, dtype))
            state = step.init(copy_tree(begin), copy_tree(kept), seed, target)
            start = Trained(model, begin, kept, loss, target, dtype, History(), names.features, names.classes)
            run = Run(start, state, optimizer, epochs, seed, loop.names)
            del begin, kept, start, state  # the run holds them only as long as they are needed
            run.step, run.ranks, run.settings = step, ranks, settings
            run.sharded = step.optimizer if isinstance(step.optimizer, Sharded) else None
            if resume is not None:
                read_run(resume, run, prepared.source, called)
            for callback in called:  # in the order in which a resumed run assigns memories
                run.memory(callback)
            return loop.run(run, progress)
