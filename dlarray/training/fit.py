"""``fit``: check the arguments, prepare the data and the step, and train."""

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
    choose_repeat,
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
        The model to train. It is configuration and does not change; the result holds θ.
    x, y
        Inputs (n, inputs) and the targets of the loss: class labels (n,) or numbers (n, outputs). Host arrays are moved
        to the device once, if they fit; arrays on a device stay there. Numbers are cast to ``dtype``. Instead, x
        can be an iterable of batches (x, y) or (x, y, weight), or a function that returns one.
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
        Examples (x, y) for validation, or the fraction of the examples to hold out at random.
    metrics
        Functions of ``dlarray.metrics`` or their names. They are measured after each epoch, on the validation examples
        or, without validation, on the training examples. Default: accuracy for classes, R² for numbers. An empty list
        measures none.
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
    resume
        A file of the callback ``Checkpoint``. Training continues from there, with the same model, examples and options;
        its results have the bits of a run that was not interrupted.
    device
        The device to train on; by default the device of x, for host arrays the current device.
    dtype
        The dtype of θ: "float32" or "float64".
    precision
        The dtype of matrix products, if it is not that of θ: "bfloat16" or "float16", on devices whose library has such
        products. Everything else stays in float32. With float16 the loss is scaled.
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
        raise TypeError(f"model must be an MLP, such as dlarray.mlp(64, 128, 10), got {type(model).__name__}")
    iterable = IterableSource(x, steps_per_epoch) if y is None and is_batch_iterable(x) else None
    if iterable is None and not is_array(x):
        raise TypeError(f"x must be an array, got {type(x).__name__}; numpy.asarray makes one from nested lists")
    for name, number in {
        "epochs": epochs,
        "accumulate": accumulate,
    }.items():
        at_least_one(name, number)
    for name, number in {
        "max_steps": max_steps,
        "steps_per_epoch": steps_per_epoch,
        "steps_per_execution": steps_per_execution,
    }.items():
        if number is not None:
            at_least_one(name, number)
    one_of("dtype", dtype, ("float32", "float64"))
    if theta is not None and resume is not None:
        raise ValueError("give theta or resume, not both: a checkpoint holds the θ to start from")
    x, y = (x, y) if iterable is None else iterable.first[:2]
    loss = choose_loss(model, loss, y)
    optimizer = choose_optimizer(optimizer, clip_norm, clip_value)
    called = choose_callbacks(callbacks, max_time)
    target = training_device(x, device)
    step = mixed_precision(Step(model, loss, optimizer, accumulate), precision, target, dtype)
    with target.working("to train", MEMORY_ADVICE):
        if iterable is None:
            if steps_per_epoch is not None:
                raise ValueError("steps_per_epoch is for batches from an iterable; arrays are cut by batch_size")
            measured = named_metrics(metrics, loss, model.outputs)
            hold_out = isinstance(validation, Real)
            others = () if validation is None or hold_out else validation_pair(validation)
            copies = 2 if hold_out else 1
            data_device = data_placement(data, target, step, (x, y, weight, *others), batch_size, dtype, copies)
            examples = Examples.on(data_device, model, loss, x, y, weight, dtype)
            measured_on = examples
            if isinstance(validation, Real):
                examples, measured_on = examples.split(fraction("validation", validation), seed, data_device)
            elif validation is not None:
                measured_on = Examples.on(data_device, model, loss, *validation_pair(validation), dtype=dtype)
            if class_weight is not None:
                examples = apply_class_weight(examples, class_weight, loss, model.outputs, dtype)
            n, least = len(examples), model.chain.min_batch_size
            size = choose_batch_size(n if batch_size is None else batch_size, n, accumulate, least)
            drawn = ArraySource(examples, size, seed, shuffle, data_device)
            source: BatchSource = drawn if data_device is target else UploadSource(drawn, target)
            settings = {"examples": n, "batch_size": size, "shuffle": bool(shuffle)}
        else:
            check_iterable(iterable, epochs, weight, class_weight, validation, metrics)
            measured = named_metrics([] if validation is None else metrics, loss, model.outputs)
            others = () if validation is None else validation_pair(validation)
            measured_on = Examples.on(target, model, loss, *others, dtype=dtype) if others else None
            data_device = resolve("cpu") if isinstance(x, np.ndarray) else target  # else batches stay on their device
            iterable.prepare = PrepareBatch(data_device, model, loss, dtype, class_weight)
            source = iterable if data_device == target else UploadSource(iterable, target)
            settings = {"steps_per_epoch": steps_per_epoch}
        compiled = compile_step(step, target, compile, precision)
        repeat, at_once = choose_repeat(step, compiled, target, compile, steps_per_execution)
        loop = Loop(
            step=compiled,
            source=source,
            measured_on=measured_on,
            prefix="" if validation is None else "validation_",
            metrics=measured,
            callbacks=called,
            max_steps=max_steps,
            repeat=repeat,
            steps_per_call=at_once,
        )
        begin = model.init(seed, target, dtype) if theta is None else copied(model, theta, target, dtype)
        buffers = model.init_buffers(target, dtype)
        state = step.init(copy_tree(begin), copy_tree(buffers), seed, target)
        start = Trained(model, begin, buffers, loss, target, dtype, History())
        run = Run(start, state, optimizer, epochs, seed, loop.names)
        del begin, buffers, start, state  # the run holds them only as long as they are needed
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
        for callback in called:  # in the order in which a resumed run assigns memories
            run.memory(callback)
        return loop.run(run, progress)
