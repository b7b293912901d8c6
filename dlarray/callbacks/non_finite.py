"""Find the layer that produced the first infinity or NaN, forward or backward, on the batch where it happened."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from dlarray.core.array import Array, array_namespace, is_floating, number
from dlarray.core.check import at_least_one
from dlarray.core.layout import Theta
from dlarray.core.random import fold_in
from dlarray.layers import Chain
from dlarray.losses import Loss
from dlarray.model import MLP
from dlarray.training.callback import Callback, Run
from dlarray.training.errors import DivergedError
from dlarray.training.loop import all_finite
from dlarray.training.step import Batch
from dlarray.training.trained import Trained

__all__ = ["NonFiniteError", "StopOnNonFinite", "first_non_finite"]


class NonFiniteError(DivergedError):
    """A step produced a number that is not finite. ``where`` names its source; ``trained`` is the model before."""

    def __init__(self, where: str, step: int, trained: Trained) -> None:
        super().__init__(f"{where} produced the first number that is not finite", step, trained)
        self.where = where


@dataclass(frozen=True)
class StopOnNonFinite(Callback):
    """Stop at the step that makes the loss or θ infinite or NaN, and name the layer that produced it first.

    It raises a NonFiniteError, a DivergedError whose ``trained`` is the model before that step. It is meant for
    debugging: every ``every`` steps it copies θ and waits for the device. Raises ValueError for every below 1.
    """

    every: int = 1

    def __post_init__(self) -> None:
        at_least_one("every", self.every)

    def on_start(self, run: Run) -> None:
        run.memory(self)["_before"] = run.trained

    def on_step(self, run: Run) -> None:
        if run.steps % self.every:
            return
        mine = run.memory(self)
        before: Trained = mine["_before"]
        if not math.isfinite(run.latest_loss) or not all_finite(run.state["theta"] + run.state["buffers"]):
            run.last_good = before
            raise NonFiniteError(self._where(run, before), run.steps, before)
        mine["_before"] = run.trained

    def _where(self, run: Run, before: Trained) -> str:
        if run.batch is None:
            return "a batch"
        model = run.model if run.step is None else run.step.model
        key = fold_in(fold_in(run.state["key"], run.steps - 1), 0) if model.chain.random else None
        found = first_non_finite(model, run.loss, before.theta, run.batch, key)
        if found or self.every > 1:
            return found or f"one of {self.every} steps"
        parts = run.model.parameters(run.state["theta"])
        wrong = [name for name, p in parts.items() if not all_finite((p,))]
        return f"the optimizer's step (every layer was finite), in {', '.join(wrong) or 'a buffer'},"


def first_non_finite(model: MLP, loss: Loss, theta: Theta, batch: Batch, key: Array | None = None) -> str:
    """What produces the first number that is not finite on a batch (x, t, weight), forward or backward; "" if all are.

    Such as "layer 2, Dense(units=64, …), forward". ``key`` is for random layers, as in ``model.forward``.
    """
    x, t, weight = batch
    if not _is_finite(x):
        return "the input"
    named = model.parameters(theta)
    if wrong := [name for name, p in named.items() if not all_finite((p,))]:
        return f"the weight {wrong[0]}, before the step,"
    found, z, tape = _forward(model.chain, x, key, named, "")
    if found:
        return f"{found}, forward"
    value, saved = loss.forward(z, t, weight)
    if not _is_finite(value):
        return f"the loss, {loss}, forward"
    dz = loss.backward(saved)
    if not _is_finite(dz):
        return f"the loss, {loss}, backward"
    found = _backward(model.chain, tape, dz, "", first=True)[0]
    return f"{found}, backward" if found else ""


def _forward(chain: Chain, x: Array, key: Array | None, named: dict[str, Array], path: str) -> tuple[str, Array, Any]:
    """The first such layer of a chain, the output, and what backward needs."""
    tape: list[Any] = []
    for i, f in enumerate(chain.layers):
        own = {name[len(f"{i}.") :]: p for name, p in named.items() if name.startswith(f"{i}.")}
        word = fold_in(key, i) if key is not None and f.random else None
        y, saved = f.forward(x, **own, **({} if word is None else {"key": word}))
        inner = _forward(f, x, word, own, f"{path}{i}.")[0] if isinstance(f, Chain) else ""
        if inner or not _is_finite(y):  # check inner layers first: tanh, for example, makes an infinity finite again
            return inner or f"layer {path}{i}, {f}", y, ()
        tape.append((saved, own))
        x = y
    return "", x, tuple(tape)


def _backward(chain: Chain, tape: Any, dy: Array, path: str, first: bool) -> tuple[str, Array]:
    """The first such layer backward, and dx. The dx of the model's first layer is not computed."""
    for i in reversed(range(len(chain.layers))):
        f, (saved, own) = chain.layers[i], tape[i]
        at_the_bottom = first and i == 0
        dx, dp = (dy, f.gradient(saved, dy)) if at_the_bottom else f.pullback(saved, dy, **own)
        inner = _backward(f, saved, dy, f"{path}{i}.", at_the_bottom)[0] if isinstance(f, Chain) else ""
        if inner or not all(map(_is_finite, [dx, *dp.values()])):
            return inner or f"layer {path}{i}, {f}", dx
        dy = dx
    return "", dy


def _is_finite(x: Array) -> bool:
    xp = array_namespace(x)
    return not is_floating(x) or bool(number(xp.all(xp.isfinite(x))))
