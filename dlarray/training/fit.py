"""The walk: epochs of steps through the examples."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, cast

import numpy as np
from tqdm import tqdm

from dlarray.array import Array, array_namespace, is_array
from dlarray.check import at_least_one, fraction, one_of
from dlarray.device import Device, to_numpy
from dlarray.layout import Theta
from dlarray.losses import Loss
from dlarray.model import MLP, on_device
from dlarray.names import make
from dlarray.optimizers import Optimizer
from dlarray.random import Bits
from dlarray.training.data import Examples, chosen_loss, home
from dlarray.training.history import History
from dlarray.training.step import Step, WalkState
from dlarray.training.trained import Metric, Trained, named_metrics

__all__ = ["Diverged", "fit"]

_Compiler = Callable[[Step], Callable[..., Any]]


class Diverged(ArithmeticError):  # noqa: N818 - it says what the weights have done
    """Loss or weights became infinite or NaN. ``step`` says when, ``trained`` holds the model before that epoch."""

    def __init__(self, what: str, step: int, trained: Trained) -> None:
        super().__init__(
            f"{what} at step {step}: the weights have diverged. A smaller learning rate, clipped "
            f"gradients or standardised inputs help; .trained holds the last good weights"
        )
        self.step = step
        self.trained = trained


def fit(
    model: MLP,
    x: Array,
    y: Array,
    *,
    loss: str | Loss | None = None,
    optimizer: str | Optimizer = "adam",
    epochs: int = 20,
    batch_size: int | None = 32,
    shuffle: bool = True,
    weight: Array | None = None,
    validation: float | tuple[Array, Array] | None = None,
    metrics: Sequence[str | Metric] | None = None,
    accumulate: int = 1,
    seed: int = 0,
    theta: Theta | None = None,
    device: str | Device | None = None,
    dtype: str = "float32",
    compile: bool | _Compiler | None = None,  # noqa: A002 - the field's word for it
    progress: bool = True,
) -> Trained:
    """Train a model on examples: forward feed, loss, back propagation and a step of the optimizer, batch by batch.

    Parameters
    ----------
    model
        What is trained. It is configuration and does not change; the result holds the weights.
    x, y
        Inputs (n, inputs) and targets as the loss wants them: class labels (n,) or numbers (n, outputs). Host arrays go
        to the device once; arrays on a device stay there. Numbers are cast to ``dtype``.
    loss
        A loss or its name. By default the sparse categorical cross-entropy for whole numbers (binary where the model
        has one output) and the mean squared error for others.
    optimizer
        An optimizer or its name.
    epochs
        How many times all examples are seen.
    batch_size
        Examples per step: None is batch descent (all of them), 1 stochastic, anything between mini-batch. The last
        batch of an epoch may be smaller. More than there are: a warning, and all.
    shuffle
        Whether each epoch has an order of its own, drawn from the seed.
    weight
        A weight per example, (n,).
    validation
        Examples (x, y) that are not trained on, or the fraction of the examples to be set apart at random.
    metrics
        Functions of ``dlarray.metrics`` or their names, measured after each epoch on the validation examples, or
        without such on the training examples: accuracy for classes, R² for numbers. An empty list measures none.
    accumulate
        Into how many parts a batch is cut, to save memory; the step is the same.
    seed
        Weights, order and masks all come from it, the same on every device.
    theta
        Where to begin; by default ``model.init(seed)``. It is copied.
    device
        Where to train; by default where x lies, and for host arrays the current device.
    dtype
        The type of the weights: "float32" or "float64".
    compile
        Whether the step is compiled, as the device's backend does it: by default on NumPy, on JAX and on torch's CPU.
        Or a compiler of one's own: a function that takes the step and returns a faster one.
    progress
        Whether a bar with loss and metrics is drawn (on a terminal only).

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
    Diverged
        When the loss or the weights become infinite or NaN; it holds the last good weights.

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
    if not is_array(x):
        raise TypeError(f"x must be an array, got {type(x).__name__}; numpy.asarray makes one from nested lists")
    at_least_one("epochs", epochs)
    at_least_one("accumulate", accumulate)
    one_of("dtype", dtype, ("float32", "float64"))
    loss = chosen_loss(model, loss, y)
    measured = named_metrics(metrics, loss, model.outputs)
    optimizer = make(Optimizer, optimizer)
    target = home(x, device)
    examples = Examples.on(target, model, loss, x, y, weight, dtype)
    seen = examples
    if isinstance(validation, Real):
        examples, seen = examples.split(fraction("validation", validation), seed, target)
    elif validation is not None:
        seen = Examples.on(target, model, loss, *_pair(validation), dtype=dtype)
    n = len(examples)
    least = model.chain.least_examples
    batch_size = _fitting_batch_size(n if batch_size is None else batch_size, n, accumulate, least)
    start = model.init(seed, target, dtype) if theta is None else _copied(model, theta, target, dtype)
    step = Step(model, loss, optimizer, accumulate)
    walk = _Walk(
        step=_compiled(step, target, compile),
        trained=Trained(model, start, model.init_buffers(target, dtype), loss, target, dtype, History()),
        examples=examples,
        seen=seen,
        prefix="" if validation is None else "validation_",
        metrics=measured,
        batch_size=batch_size,
        seed=seed,
        shuffle=shuffle,
    )
    state = step.start(_duplicate(start), _duplicate(walk.trained.buffers), seed, target)
    return walk.run(state, epochs, progress)


@dataclass(frozen=True)
class _Walk:
    """What stays the same from epoch to epoch."""

    step: Any
    trained: Trained
    examples: Examples
    seen: Examples
    prefix: str
    metrics: Mapping[str, Metric]
    batch_size: int
    seed: int
    shuffle: bool

    def run(self, state: WalkState, epochs: int, progress: bool) -> Trained:
        total = epochs * math.ceil(len(self.examples) / self.batch_size)
        good = self.trained
        bar = tqdm(total=total, unit="step", desc=good.device.name, disable=None if progress else True)
        with bar, np.errstate(over="ignore", invalid="ignore"):  # Diverged says it once, and in words
            for epoch in range(epochs):
                losses: list[Array] = []
                for batch in self.examples.batches(self.batch_size, self._order(epoch)):
                    state, value = self.step(state, batch)
                    losses.append(value)
                    bar.update()
                self._record(good, state, losses)
                good = self._with(state)
                bar.set_postfix_str(", ".join(f"{name}={value:.4g}" for name, value in good.history.epochs[-1].items()))
        return good

    def _order(self, epoch: int) -> Array | None:
        if not self.shuffle or self.batch_size >= len(self.examples):
            return None  # the mean over all examples does not depend on their order
        order = Bits(self.seed, f"order {epoch}").permutation(len(self.examples))
        return self.trained.device.asarray(order.astype(np.int32))

    def _record(self, good: Trained, state: WalkState, losses: list[Array]) -> None:
        """Read the epoch's losses, once, and stop where one of them or what they led to is not a number."""
        values = [float(to_numpy(value)) for value in losses]
        done = len(good.history.steps)
        for i, value in enumerate(values):
            if not math.isfinite(value):
                raise Diverged(f"the loss became {value}", done + i + 1, good)
        if not _finite(state["theta"] + state["buffers"]):
            raise Diverged("a weight became infinite or NaN", done + len(values), good)
        good.history.steps.extend(values)
        good.history.epochs.append({"loss": math.fsum(values) / len(values)})

    def _with(self, state: WalkState) -> Trained:
        """The model as it is now, measured; a copy, because the next step writes into the state."""
        old = self.trained
        theta, buffers = _duplicate(state["theta"]), _duplicate(state["buffers"])
        now = old.at(theta, buffers)
        if self.prefix or self.metrics:
            figures = now.measure(self.seen, self.metrics)
            if not self.prefix:
                del figures["loss"]  # the mean over the epoch's steps stands there already
            now.history.epochs[-1].update({f"{self.prefix}{name}": value for name, value in figures.items()})
        return now


def _compiled(step: Step, device: Device, wanted: bool | _Compiler | None) -> Callable[..., Any]:
    """The step through the compiler that is wanted, or as it is."""
    if callable(wanted):
        return wanted(step)
    if wanted is None:
        wanted = device.backend.compiles_on(device.place)
    return device.backend.compile(step) if wanted else step


def _pair(validation: Any) -> tuple[Array, Array]:
    if not isinstance(validation, tuple):
        raise TypeError(f"validation must be a fraction or examples (x, y), got a {type(validation).__name__}")
    items = cast("tuple[Any, ...]", validation)
    if len(items) != 2:
        raise TypeError(f"validation must be a fraction or examples (x, y), got {len(items)} items")
    return items[0], items[1]


def _fitting_batch_size(batch_size: int, n: int, accumulate: int, least: int) -> int:
    """At most n. Refused before the walk where a batch, or a part of one, would hold less than ``least`` examples."""

    def smallest(size: int) -> int:
        last = n % size or size
        return last // min(accumulate, last)

    if (found := smallest(min(at_least_one("batch_size", batch_size), n))) < least:
        sizes = [*range(min(batch_size, n), n + 1), *range(batch_size, 0, -1)]
        fitting = (size for size in sizes if smallest(size) >= least)
        raise ValueError(
            f"BatchNorm needs at least {least} examples in a batch of training, and of {n} examples with batch_size "
            f"{batch_size} and accumulate {accumulate} the smallest holds {found}: "
            + next((f"batch_size={size} would do" for size in fitting), "there are too few examples, or too many parts")
        )
    if batch_size > n:
        warnings.warn(
            f"batch_size {batch_size} is more than the {n} examples there are: all of them are used", stacklevel=3
        )
    return min(batch_size, n)


def _copied(model: MLP, theta: Theta, device: Device, dtype: str) -> Theta:
    """θ on the device in the layout and type that belong there."""
    parameters = {name: np.asarray(to_numpy(p), dtype=dtype) for name, p in model.parameters(theta).items()}
    if not _finite(tuple(parameters.values())):
        raise ValueError("theta must be finite, got a weight that is infinite or NaN")
    return on_device(model.layout, parameters, device)


def _finite(vectors: Theta) -> bool:
    return all(bool(xp.all(xp.isfinite(vector))) for vector in vectors for xp in [array_namespace(vector)])


def _duplicate(vectors: Theta) -> Theta:
    return tuple(array_namespace(vector).asarray(vector, copy=True) for vector in vectors)
