"""One step of training, looked at from inside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dlarray.array import Array, array_namespace
from dlarray.device import device_of, to_numpy
from dlarray.diagnostics.figures import LayerFigures, ParameterFigures, Spread
from dlarray.diagnostics.formulas import norm, share, twins
from dlarray.diagnostics.report import Diagnosis
from dlarray.diagnostics.verdicts import judge
from dlarray.diagnostics.watch import Watched, watch
from dlarray.layout import Theta
from dlarray.losses import Loss
from dlarray.model import MLP
from dlarray.names import make
from dlarray.optimizers import Optimizer
from dlarray.random import fold, key_words
from dlarray.training.data import Examples, check_home, chosen_loss, home

__all__ = ["diagnose"]


def diagnose(
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
        ``print`` it, ``.plot()`` it, or ask for ``.verdict``, ``.troubles``, ``.layers`` and ``.to_dict()``.

    Raises
    ------
    ValueError, TypeError
        For bad input, as ``fit`` raises them.
    """
    if not isinstance(model, MLP):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"model must be an MLP, such as dlarray.mlp(64, 128, 10), got {type(model).__name__}")
    parameters = model.parameters(theta)
    optimizer = make(Optimizer, optimizer)
    loss = chosen_loss(model, loss, y)
    target = device_of(theta[0]) if theta else home(x, None)
    check_home(x, target)
    dtype = to_numpy(theta[0][:1]).dtype.name if theta else "float32"
    examples = Examples.on(target, model, loss, x, y, weight, dtype)
    if (least := model.chain.least_examples) > len(examples):
        raise ValueError(f"this model trains on {least} examples or more at once, got {len(examples)}")
    chain, shells = watch(model.chain)
    key = fold(target.asarray(key_words(seed, "masks")), 0) if chain.random else None
    with np.errstate(over="ignore", invalid="ignore"):  # what is infinite is found in the figures, and told in words
        z, saved = chain.forward(examples.x, key, **parameters)
        value, terms = loss.forward(z, examples.t, examples.weight)
        g = chain.gradient(saved, loss.backward(terms))
        after = _after(model, theta, g, optimizer)
        seen = {name: _measured(p, g[name], after[name] - p) for name, p in parameters.items()}
        moved = model.layout_of(theta).join(after)
        value_after, _ = loss.forward(model.forward(moved, examples.x, key)[0], examples.t, examples.weight)
        flat = [value, value_after]
        flat += [a for shell in shells for a in (*shell.spread, *shell.seen.values())]
        flat += [a for measured in seen.values() for a in measured.values()]
        numbers = iter(_read(flat))
    loss_before, loss_after = next(numbers), next(numbers)
    raw = [
        (shell, Spread(*(next(numbers) for _ in shell.spread)), {n: next(numbers) for n in shell.seen})
        for shell in shells
    ]
    figures = {
        name: ParameterFigures(tuple(parameters[name].shape), **{n: next(numbers) for n in measured})
        for name, measured in seen.items()
    }
    layers = [_layer(shell, spread, told, figures) for shell, spread, told in raw]
    troubles = judge(layers, len(examples), loss_before, loss_after)
    judged = tuple(replace(f, verdicts=tuple(t.kind for t in troubles if f.name in t.layers)) for f in layers)
    return Diagnosis(judged, troubles, loss_before, loss_after, len(examples), str(optimizer))


def _after(model: MLP, theta: Theta, g: dict[str, Array], optimizer: Optimizer) -> dict[str, Array]:
    """The parameters after the optimizer's first step, which consumes what it is given: copies."""
    layout = model.layout_of(theta)
    copies = [tuple(array_namespace(v).asarray(v, copy=True) for v in vectors) for vectors in (theta, layout.join(g))]
    masks = layout.mask(model.decays, theta) if theta else ()
    moved, _ = optimizer.move(copies[0], copies[1], optimizer.start(copies[0], masks))
    return layout.split(moved)


def _measured(p: Array, g: Array, step: Array) -> dict[str, Array]:
    """What ``ParameterFigures`` holds, as 0-d arrays."""
    found = {"norm": norm(p), "gradient": norm(g), "step": norm(step), "zeros": share(p == 0, p)}
    return found | ({"equal": twins(p, g)} if p.ndim == 2 else {})


def _read(numbers: list[Array]) -> list[float]:
    """0-d arrays as Python's floats: one transfer."""
    return [float(number) for number in to_numpy(array_namespace(*numbers).stack(numbers))]


def _layer(
    shell: Watched, spread: Spread, told: dict[str, float], parameters: dict[str, ParameterFigures]
) -> LayerFigures:
    before = told.get("before")
    gain = before / told["gradient"] if before is not None and told["gradient"] else None
    own = {
        name.removeprefix(f"{shell.name}."): p
        for name, p in parameters.items()
        if name.rpartition(".")[0] == shell.name
    }
    return LayerFigures(
        name=shell.name,
        kind=type(shell.layer).__name__,
        outputs=shell.outputs,
        output=spread,
        zeros=told["zeros"],
        gradient=told["gradient"],
        gain=gain,
        dead=told.get("dead"),
        saturated=told.get("saturated"),
        parameters=own,
    )
