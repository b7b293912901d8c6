"""``fit``: what training is asked for, checked, and the walk that does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from os import PathLike
from typing import Any

import numpy as np

from dlarray.core.array import Array, is_array
from dlarray.core.check import at_least_one, fraction, one_of
from dlarray.core.layout import Theta
from dlarray.core.trees import copy_tree
from dlarray.device import Device, resolve
from dlarray.losses import Loss
from dlarray.model import MLP
from dlarray.optimizers import Optimizer
from dlarray.training.batch_source import ArraySource, BatchSource, IterableSource, UploadSource, is_batch_iterable
from dlarray.training.callback import Callback, Run
from dlarray.training.class_weight import apply_class_weight
from dlarray.training.comparison import comparable
from dlarray.training.data import Examples, choose_loss, training_device
from dlarray.training.data_placement import data_placement
from dlarray.training.history import History
from dlarray.training.loop import MEMORY_ADVICE, Loop
from dlarray.training.mixed_precision import mixed_precision
from dlarray.training.options import (
    Compiler,
    PrepareBatch,
    check_iterable,
    choose_batch_size,
    choose_callbacks,
    choose_optimizer,
    compile_step,
    copied,
    validation_pair,
)
from dlarray.training.read_run import read_run
from dlarray.training.step import Step
from dlarray.training.trained import Metric, Trained, named_metrics

__all__ = ["fit"]


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
    steps_per_execution: int = 1,
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
    resume: str | PathLike[str] | None = None,
    device: str | Device | None = None,
    dtype: str = "float32",
    precision: str | None = None,
    compile: bool | Compiler | None = None,  # noqa: A002 - the field's word for it
    progress: bool | None = None,
) -> Trained:
    """Train a model on examples: forward feed, loss, back propagation and a step of the optimizer, batch by batch.

    Parameters
    ----------
    model
        What is trained. It is configuration and does not change; the result holds the weights.
    x, y
        Inputs (n, inputs) and targets as the loss wants them: class labels (n,) or numbers (n, outputs). Host arrays go
        to the device once, if they fit; arrays on a device stay there. Numbers are cast to ``dtype``.
    loss
        A loss or its name. By default the sparse categorical cross-entropy for whole numbers (binary where the model
        has one output) and the mean squared error for others.
    optimizer
        An optimizer or its name.
    epochs
        How many times all examples are seen.
    max_steps, max_time
        Where to stop before that: after so many steps, or seconds.
    steps_per_epoch
        For batches from an iterable: how many make an epoch. The next epoch goes on where the last one ended.
    steps_per_execution
        How many steps are given to the device as one, where that saves time: on JAX and CUDA, for small networks whose
        batches cost more to fetch and to start than to compute. The steps are the same; elsewhere, and where a callback
        looks at each, they are taken one by one.
    batch_size
        Examples per step: None is batch descent (all of them), 1 stochastic, anything between mini-batch. The last
        batch of an epoch may be smaller. More than there are: a warning, and all.
    shuffle
        Whether each epoch has an order of its own, drawn from the seed.
    weight
        A weight per example, (n,).
    class_weight
        What an example weighs by its class, times its own weight: a mapping or a sequence, or "balanced", by which
        every class weighs as much as any other: n / (classes · examples of the class). Not for validation.
    validation
        Examples (x, y) that are not trained on, or the fraction of the examples to be set apart at random.
    metrics
        Functions of ``dlarray.metrics`` or their names, measured after each epoch on the validation examples, or
        without such on the training examples: accuracy for classes, R² for numbers. An empty list measures none.
    accumulate
        Into how many parts a batch is cut, to save memory. The step is the same, class weights included, but for what
        looks at more than one example: BatchNorm's statistics and Dropout's masks are each part's own. ValueError for a
        loss that is no sum over examples, such as RMSE.
    clip_norm, clip_value
        A limit for the norm of all gradients together, or for each number of them: ``Clipped(optimizer, …)``.
    callbacks
        What is called on the way, of ``dlarray.callbacks`` or of one's own, or their names, in this order.
    seed
        Weights, order and masks all come from it, the same on every device.
    data
        Where the examples lie: on the "device", or on the "host", from where each batch is brought to the device while
        the step before is under way. By default on the device, as long as they fit there beside a step; where they do
        not, on the host, with a warning. The numbers are the same. Arrays that lie on a device stay there.
    theta
        Where to begin; by default ``model.init(seed)``. It is copied.
    resume
        A file of the callback ``Checkpoint``: the walk goes on from there, with the same model, examples and options,
        and takes the steps that the run would have taken which wrote it, bit for bit.
    device
        Where to train; by default where x lies, and for host arrays the current device.
    dtype
        The type of the weights: "float32" or "float64".
    precision
        The type in which matrix products are computed, where it is not the weights' own: "bfloat16" or "float16", on
        devices whose library has such products. Everything else stays in float32, and the loss of float16 is scaled.
    compile
        Whether the step is compiled, as the device's backend does it: by default on NumPy, on JAX and on torch's CPU.
        Or a compiler of one's own: a function that takes the step and returns a faster one. A compiled step runs the
        Python of layers, losses and optimizers once or twice for each shape of the batch and repeats what it computed:
        numbers that your own classes hold or draw, other than arrays of the state, are those of the first step.
    progress
        Whether a bar with loss and metrics is drawn on the error stream: by default on a terminal only; True draws it
        anywhere, such as in a notebook.

    Returns
    -------
    Trained
        The model with its θ, and the history.

    Raises
    ------
    ValueError, TypeError
        For bad input, before anything has changed.
    DeviceError
        For a device that cannot be used.
    DivergedError
        When the loss or the weights become infinite or NaN; it holds the last good weights.
    Interrupted
        A KeyboardInterrupt that holds the model after the last whole epoch.
    OutOfMemoryError
        A MemoryError, where the device has not the memory.
    CheckpointError
        For a file to resume from that is none.

    Whatever ends the training itself, an error of a callback, of the iterable or of the device, has the model after the
    last whole epoch, or where training began, as ``trained``.

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
        raise TypeError(f"model must be an MLP, such as dlarray.mlp(64, 128, 10), got {type(model).__name__}")
    stream = IterableSource(x, steps_per_epoch) if y is None and is_batch_iterable(x) else None
    if stream is None and not is_array(x):
        raise TypeError(f"x must be an array, got {type(x).__name__}; numpy.asarray makes one from nested lists")
    for name, number in {
        "epochs": epochs,
        "accumulate": accumulate,
        "steps_per_execution": steps_per_execution,
    }.items():
        at_least_one(name, number)
    for name, number in {"max_steps": max_steps, "steps_per_epoch": steps_per_epoch}.items():
        if number is not None:
            at_least_one(name, number)
    one_of("dtype", dtype, ("float32", "float64"))
    if theta is not None and resume is not None:
        raise ValueError("give theta or resume, not both: a checkpoint holds the θ to go on from")
    x, y = (x, y) if stream is None else stream.first[:2]
    loss = choose_loss(model, loss, y)
    optimizer = choose_optimizer(optimizer, clip_norm, clip_value)
    called = choose_callbacks(callbacks, max_time)
    target = training_device(x, device)
    step = mixed_precision(Step(model, loss, optimizer, accumulate), precision, target, dtype)
    with target.working("to train", MEMORY_ADVICE):
        if stream is None:
            if steps_per_epoch is not None:
                raise ValueError("steps_per_epoch is for batches from an iterable; arrays are cut by batch_size")
            measured = named_metrics(metrics, loss, model.outputs)
            apart = isinstance(validation, Real)
            others = () if validation is None or apart else validation_pair(validation)
            lie = data_placement(data, target, step, (x, y, weight, *others), batch_size, dtype, 2 if apart else 1)
            examples = Examples.on(lie, model, loss, x, y, weight, dtype)
            seen = examples
            if isinstance(validation, Real):
                examples, seen = examples.split(fraction("validation", validation), seed, lie)
            elif validation is not None:
                seen = Examples.on(lie, model, loss, *validation_pair(validation), dtype=dtype)
            if class_weight is not None:
                examples = apply_class_weight(examples, class_weight, loss, model.outputs, dtype)
            n, least = len(examples), model.chain.min_batch_size
            size = choose_batch_size(n if batch_size is None else batch_size, n, accumulate, least)
            drawn = ArraySource(examples, size, seed, shuffle, lie)
            source: BatchSource = drawn if lie is target else UploadSource(drawn, target)
            settings = {"examples": n, "batch_size": size, "shuffle": bool(shuffle)}
        else:
            check_iterable(stream, epochs, weight, class_weight, validation, metrics)
            measured = named_metrics([] if validation is None else metrics, loss, model.outputs)
            seen = (
                None
                if validation is None
                else Examples.on(target, model, loss, *validation_pair(validation), dtype=dtype)
            )
            lie = resolve("cpu") if isinstance(x, np.ndarray) else target  # else each batch is where it comes from
            stream.prepare = PrepareBatch(lie, model, loss, dtype, class_weight)
            source = stream if lie == target else UploadSource(stream, target)
            settings = {"steps_per_epoch": steps_per_epoch}
        loop = Loop(
            step=compile_step(step, target, compile, precision),
            source=source,
            measured_on=seen,
            prefix="" if validation is None else "validation_",
            metrics=measured,
            callbacks=called,
            max_steps=max_steps,
            repeat=target.backend.repeat(step, steps_per_execution) if steps_per_execution > 1 else None,
            steps_per_call=steps_per_execution,
        )
        begin = model.init(seed, target, dtype) if theta is None else copied(model, theta, target, dtype)
        buffers = model.init_buffers(target, dtype)
        state = step.init(copy_tree(begin), copy_tree(buffers), seed, target)
        start = Trained(model, begin, buffers, loss, target, dtype, History())
        run = Run(start, state, optimizer, epochs, seed, loop.names)
        del begin, buffers, start, state  # the walk holds them for as long as they are needed
        run.step = step
        run.settings = settings | {
            "class_weight": comparable(class_weight),
            "optimizer": comparable(optimizer),
            "accumulate": accumulate,
            "seed": seed,
            "dtype": dtype,
            "precision": precision,
        }
        if resume is not None:
            read_run(resume, run, source, called)
        for callback in called:  # in the order in which a resumed run finds what they remember
            run.memory(callback)
        return loop.run(run, progress)
