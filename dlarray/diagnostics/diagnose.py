"""One step of training, looked at from inside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any, cast

import numpy as np

from dlarray.core.array import Array, array_namespace
from dlarray.core.layer import Layer
from dlarray.core.layout import Theta
from dlarray.core.random import fold_in, key_words
from dlarray.core.registry import make
from dlarray.device import device_of, to_numpy
from dlarray.device.backend import Backend
from dlarray.diagnostics.formulas import duplicates, norm, share
from dlarray.diagnostics.probe import leaves, with_probes
from dlarray.diagnostics.problems import find_problems
from dlarray.diagnostics.report import Diagnosis
from dlarray.diagnostics.statistics import Distribution, LayerStatistics, ParameterStatistics
from dlarray.losses import Loss
from dlarray.model import MLP
from dlarray.optimizers import Optimizer
from dlarray.training.data import Examples, check_home, chosen_loss, home
from dlarray.training.trained import Trained

__all__ = ["diagnose", "diagnose_at"]


def diagnose(
    trained: Trained,
    x: Array,
    y: Array,
    *,
    optimizer: str | Optimizer = "adam",
    weight: Array | None = None,
    seed: int = 0,
) -> Diagnosis:
    """What one more step of training on these examples looks like from inside, layer by layer, and what is wrong.

    ``diagnose_at`` for a trained model, with its loss. Raises ValueError and TypeError as that does.
    """
    if not isinstance(trained, Trained):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            f"diagnose takes a trained model, got {type(trained).__name__}; "
            "dlarray.diagnose_at(model, theta, x, y) takes a model and its parameters"
        )
    return diagnose_at(
        trained.model, trained.theta, x, y, loss=trained.loss, optimizer=optimizer, weight=weight, seed=seed
    )


def diagnose_at(
    model: MLP,
    theta: Theta,
    x: Array,
    y: Array,
    *,
    loss: str | Loss | None = None,
    optimizer: str | Optimizer = "adam",
    weight: Array | None = None,
    seed: int = 0,
) -> Diagnosis:
    """What one step of training on these examples looks like from inside, layer by layer, and what ails the network.

    All examples go through at once, as one batch in training: dropout drops (by the seed), BatchNorm takes the batch's
    own statistics. A few hundred examples are enough; fewer than 32 are too few to call a unit dead. ``loss`` and
    ``optimizer`` are what ``fit`` would be given; the step is the optimizer's first. θ is not changed. Works where θ
    lies, and reads its figures at the end, in one piece.

    Parameters
    ----------
    model, theta
        The network, and the point at which it is looked at: ``model.init()``, or ``trained.theta``.
    x, y
        Inputs (n, inputs) and targets as the loss wants them. Host arrays go to where θ lies.
    loss, optimizer, weight
        As in ``fit``.
    seed
        Of dropout's masks.

    Returns
    -------
    Diagnosis
        ``print`` it, draw it by ``dlarray.plot.diagnosis``, or ask for ``.verdict``, ``.troubles``, ``.layers`` and
        ``.to_dict()``.

    Raises
    ------
    ValueError, TypeError
        For bad input, as ``fit`` raises them.
    """
    if not isinstance(model, MLP):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"model must be an MLP, such as dlarray.mlp(64, 128, 10), got {type(model).__name__}")
    model.parameters(theta)  # raises where θ is of another layout
    optimizer = make(Optimizer, optimizer)
    loss = chosen_loss(model, loss, y)
    target = device_of(theta[0]) if theta else home(x, None)
    check_home(x, target)
    dtype = to_numpy(theta[0][:1]).dtype.name if theta else "float32"
    examples = Examples.on(target, model, loss, x, y, weight, dtype)
    if (least := model.chain.min_batch_size) > len(examples):
        raise ValueError(f"this model trains on {least} examples or more at once, got {len(examples)}")
    key = fold_in(target.asarray(key_words(seed, "masks")), 0) if model.chain.random else None
    look = _Look(model, loss.unchecked(), optimizer)
    seen = look if target.backend.writes_in_place else _compiled(look, target.backend)
    with np.errstate(over="ignore", invalid="ignore"):  # what is infinite is found in the figures, and told in words
        told: Any = _read(seen((), (theta, examples.x, examples.t, examples.weight, key))[1])
    parameters = {name: ParameterStatistics(shape, **told["parameters"][name]) for name, shape in model.layout.shapes}
    layers = [_layer(name, f, n, told["layers"][name], parameters) for name, f, n in leaves(model.chain, model.inputs)]
    troubles = find_problems(layers, len(examples), told["loss"], told["loss_after"])
    judged = tuple(replace(f, problems=tuple(t.kind for t in troubles if f.name in t.layers)) for f in layers)
    return Diagnosis(judged, troubles, told["loss"], told["loss_after"], len(examples), str(optimizer))


@dataclass(frozen=True)
class _Look:
    """All that is measured, on the device: a tree of 0-d arrays. In the form of a step, so a backend can compile it."""

    model: MLP
    loss: Loss
    optimizer: Optimizer

    def __call__(self, state: Any, batch: Any) -> tuple[Any, dict[str, Any]]:
        theta, x, t, weight, key = batch
        parameters = self.model.parameters(theta)
        chain, shells = with_probes(self.model.chain)
        z, saved = chain.forward(x, key, **parameters)
        value, terms = self.loss.forward(z, t, weight)
        g = chain.gradient(saved, self.loss.backward(terms))
        moved = self._moved(theta, g)
        after = self.model.parameters(moved)
        value_after, _ = self.loss.forward(self.model.forward(moved, x, key)[0], t, weight)
        return state, {
            "loss": value,
            "loss_after": value_after,
            "layers": {shell.name: shell.seen for shell in shells},
            "parameters": {name: _measured(p, g[name], after[name] - p) for name, p in parameters.items()},
        }

    def _moved(self, theta: Theta, g: dict[str, Array]) -> Theta:
        """θ after the optimizer's first step, which consumes what it is given: copies."""
        layout = self.model.layout_of(theta)
        masks = layout.mask(self.model.decays, theta) if theta else ()
        start, slope = (
            tuple(array_namespace(v).asarray(v, copy=True) for v in vectors) for vectors in (theta, layout.join(g))
        )
        return self.optimizer.step_all(start, slope, self.optimizer.init_all(start, masks))[0]


@lru_cache(maxsize=8)
def _compiled(look: _Look, backend: Backend) -> Any:
    """The look in one piece, where each operation by itself would be compiled: seconds, and once for a model."""
    return backend.compile(look)


def _measured(p: Array, g: Array, step: Array) -> dict[str, Array]:
    """What ``ParameterFigures`` holds, as 0-d arrays."""
    found = {"norm": norm(p), "gradient": norm(g), "step": norm(step), "zeros": share(p == 0, p)}
    return found | ({"duplicates": duplicates(p, g)} if p.ndim == 2 else {})


def _read(tree: dict[str, Any]) -> dict[str, Any]:
    """A tree of 0-d arrays as one of Python's floats: one transfer."""
    arrays = list(_arrays(tree))
    numbers = to_numpy(array_namespace(*arrays).stack(arrays))
    return _filled(tree, (float(number) for number in numbers))


def _arrays(tree: Any) -> Iterator[Array]:
    if isinstance(tree, dict):
        for branch in cast("dict[str, Any]", tree).values():
            yield from _arrays(branch)
    else:
        yield tree


def _filled(tree: Any, numbers: Iterator[float]) -> Any:
    if isinstance(tree, dict):
        return {name: _filled(branch, numbers) for name, branch in cast("dict[str, Any]", tree).items()}
    return next(numbers)


def _layer(
    name: str, f: Layer, outputs: int, told: dict[str, float], parameters: dict[str, ParameterStatistics]
) -> LayerStatistics:
    before, gradient = told.get("before"), told["gradient"]
    own = {own: p for whole, p in parameters.items() for head, _, own in [whole.rpartition(".")] if head == name}
    return LayerStatistics(
        name=name,
        kind=type(f).__name__,
        outputs=outputs,
        output=Distribution(**{field.name: told[field.name] for field in fields(Distribution)}),
        zeros=told["zeros"],
        gradient=gradient,
        gain=before / gradient if before is not None and gradient else None,
        dead=told.get("dead"),
        saturated=told.get("saturated"),
        parameters=own,
    )
