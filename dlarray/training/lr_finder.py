"""A search for a good learning rate: one short run whose rate grows from step to step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import count, islice
from typing import Any, cast

import numpy as np

from dlarray.core.array import Array
from dlarray.core.check import at_least_one, one_of, positive
from dlarray.core.html import html_table
from dlarray.core.keywords import explains_keywords
from dlarray.core.layout import Theta
from dlarray.core.registry import make
from dlarray.core.trees import copy_tree
from dlarray.device import Device, to_numbers
from dlarray.losses import Loss
from dlarray.model import MLP
from dlarray.optimizers import Optimizer
from dlarray.schedules import ExponentialDecay
from dlarray.training.batch_source import ArraySource
from dlarray.training.binding import bind
from dlarray.training.conversion import check_is_array
from dlarray.training.data import Examples, choose_loss, training_device
from dlarray.training.data_names import DataNames
from dlarray.training.loop import MEMORY_ADVICE
from dlarray.training.options import Compiler, choose_batch_size, compile_step, initial_theta
from dlarray.training.step import Batch, Step

__all__ = ["LRFinderResult", "find_learning_rate"]


@dataclass(frozen=True)
class LRFinderResult:
    """What ``find_learning_rate`` measured: arrays with one number per step. ``plot.lr_finder`` draws them.

    ``rates`` and ``losses`` are the rate and the loss of each step. ``smoothed`` is the bias-corrected exponential
    moving average of the losses with β = ``smoothing``. Only the steps before ``end`` count: from there on the smoothed
    loss is above four times its minimum.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothing: float = 0.9

    def __repr__(self) -> str:
        return f"LRFinderResult({', '.join(f'{name}={value}' for name, value in self._summary())})"

    def _repr_html_(self) -> str:
        return html_table("LRFinderResult", ("", "value"), self._summary())

    def _summary(self) -> list[tuple[str, str]]:
        try:
            suggestion = f"{self.suggestion:.3g}"
        except ValueError:
            suggestion = "None"
        rates = f"{self.rates[0]:.3g} to {self.rates[-1]:.3g}"
        return [("suggestion", suggestion), ("rates", rates), ("steps", str(len(self.losses))), ("end", str(self.end))]

    @property
    def smoothed(self) -> np.ndarray:
        """l̄_i = (β l̄_(i-1) + (1 - β) l_i), divided by 1 - βⁱ."""
        m, found = 0.0, np.empty(len(self.losses))
        for i, value in enumerate(self.losses.tolist()):
            m = self.smoothing * m + (1 - self.smoothing) * value
            found[i] = m / (1 - self.smoothing ** (i + 1))
        return found

    @property
    def end(self) -> int:
        """The number of steps before the loss diverged."""
        least = math.inf
        for i, value in enumerate(self.smoothed.tolist()):
            least = min(least, value)
            if not math.isfinite(value) or (least > 0 and value > 4 * least):
                return i
        return len(self.losses)

    @property
    def suggestion(self) -> float:
        """The rate at which the smoothed loss falls most steeply against the logarithm of the rate.

        The slope is taken over 1 / (1 - β) steps on both sides, the time constant of the average: between two
        neighbours, noise would be steeper. Raises ValueError if the loss falls at no rate.
        """
        end = self.end
        memory = max(1, min(round(1 / (1 - self.smoothing)), end // 4))
        fall = self.smoothed[2 * memory : end] - self.smoothed[: max(0, end - 2 * memory)]
        if not len(fall) or not np.min(fall) < 0:
            low, high = self.rates[0], self.rates[-1]
            raise ValueError(f"the loss falls at no rate between {low:.3g} and {high:.3g}: try others, or more steps")
        return float(self.rates[memory + int(np.argmin(fall))])


@explains_keywords(dict.fromkeys(("lr", "learning_rate"), "the rates go from lowest to highest"))
def find_learning_rate(
    model: MLP,
    x: Array,
    y: Array,
    *,
    loss: str | Loss | None = None,
    optimizer: str | Optimizer = "adam",
    lowest: float = 1e-6,
    highest: float = 1.0,
    steps: int = 100,
    batch_size: int | None = 32,
    smoothing: float = 0.9,
    weight: Array | None = None,
    seed: int = 0,
    theta: Theta | None = None,
    device: str | Device | None = None,
    dtype: str = "float32",
    compile: bool | Compiler | None = None,  # noqa: A002 - the field's word for it
) -> LRFinderResult:
    """Train for ``steps`` steps while the rate grows from lowest to highest by a constant factor; return the losses.

    η_i = lowest (highest / lowest)^(i / (steps - 1)). The trained weights are discarded, and no argument changes. The
    arguments that ``fit`` has too mean the same as there. Raises what ``fit`` raises for bad input; ValueError unless
    0 < lowest < highest, for steps below 2 and for smoothing outside [0, 1); TypeError for an optimizer without a
    learning_rate. Source: Smith 2017, "Cyclical Learning Rates for Training Neural Networks".
    """
    if not isinstance(model, MLP):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"model must be an MLP, such as dlarray.mlp(64, 128, 10), got {type(model).__name__}")
    x, y, weight = DataNames.of(x, y).arrays(x, y, weight)
    check_is_array("x", x)
    if not positive("lowest", lowest) < positive("highest", highest):
        raise ValueError(f"lowest must be below highest, got {lowest!r} and {highest!r}")
    if at_least_one("steps", steps) < 2:
        raise ValueError("steps must be at least 2, from lowest to highest, got 1")
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing must lie in [0, 1), got {smoothing!r}")
    one_of("dtype", dtype, ("float32", "float64"))
    loss = choose_loss(model, loss, y)
    growing = ExponentialDecay(lowest, highest / lowest, every=steps - 1)
    step = Step(model, loss, _with_rate(make(Optimizer, optimizer), growing))
    target = training_device(x, device)
    with target.working("to train", MEMORY_ADVICE):
        examples = Examples.on(target, model, loss, x, y, weight, dtype)
        n = len(examples)
        size = choose_batch_size(n if batch_size is None else batch_size, n, 1, model.chain.min_batch_size)
        source = ArraySource(examples, size, seed, True, target)
        start = initial_theta(model, theta, seed, target, dtype)
        state = step.init(copy_tree(start), model.init_buffers(target, dtype), seed, target)
        bound = bind(compile_step(step, target, compile), state)
        with np.errstate(all="ignore"):  # the loss diverges in the end, as intended
            losses = to_numbers([bound(batch) for batch in islice(_forever(source), steps)])
    rates = lowest * (highest / lowest) ** (np.arange(steps) / (steps - 1))
    return LRFinderResult(rates, np.asarray(losses), float(smoothing))


def _forever(source: ArraySource) -> Iterator[Batch]:
    for epoch in count():
        yield from source.batches(epoch)


def _with_rate(optimizer: Optimizer, rate: ExponentialDecay) -> Optimizer:
    """The optimizer with another learning rate, also if it is inside another one, as in Clipped."""
    if is_dataclass(optimizer):
        names = [field.name for field in fields(optimizer)]
        changed: Any = optimizer
        if "learning_rate" in names:
            return cast("Optimizer", replace(changed, learning_rate=rate))
        if "optimizer" in names:
            return cast("Optimizer", replace(changed, optimizer=_with_rate(changed.optimizer, rate)))
    raise TypeError(f"{type(optimizer).__name__} has no learning_rate, so no rate can be searched for it")
