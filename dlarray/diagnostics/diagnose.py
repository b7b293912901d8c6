"""Measure one training step, and find the problems in it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import numpy as np

from dlarray.core.array import Array, array_namespace
from dlarray.core.layer import Layer
from dlarray.core.layout import Theta
from dlarray.core.random import fold_in, key_words
from dlarray.core.registry import make
from dlarray.core.trees import copy_tree, leaves, map_leaves
from dlarray.device import device_of, to_numpy
from dlarray.device.backend import Backend
from dlarray.diagnostics.formulas import duplicates, norm, share
from dlarray.diagnostics.probe import innermost_layers, with_probes
from dlarray.diagnostics.problems import find_problems
from dlarray.diagnostics.report import Diagnosis
from dlarray.diagnostics.statistics import Distribution, LayerStatistics, ParameterStatistics
from dlarray.losses import Loss
from dlarray.model import MLP
from dlarray.optimizers import Optimizer
from dlarray.training.data import Examples, check_device, choose_loss, training_device
from dlarray.training.data_names import DataNames
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
    """Measure each layer in one training step on these examples, and report what is wrong.

    This is ``diagnose_at`` for a trained model, with its loss. Raises the same ValueError and TypeError.
    """
    if not isinstance(trained, Trained):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            f"diagnose takes a trained model, got {type(trained).__name__}; "
            "dlarray.diagnose_at(model, theta, x, y) takes a model and its parameters"
        )
    x, y, weight = DataNames(trained.features, trained.classes).arrays(x, y, weight)
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
    """Measure each layer in one training step on these examples, and report what is wrong with the network.

    All examples are one batch, as in training: dropout is active (with this seed), and BatchNorm uses the statistics of
    the batch. A few hundred examples are enough; with fewer than 32, no unit is called dead. The step is the
    optimizer's first. θ does not change. Everything is computed on θ's device and transferred once, at the end.

    Parameters
    ----------
    model, theta
        The network and its parameters: ``model.init()``, or ``trained.theta``.
    x, y
        Inputs (n, inputs), and targets as the loss expects them. Host arrays are copied to θ's device.
    loss, optimizer, weight
        As in ``fit``.
    seed
        The seed of the dropout masks.

    Returns
    -------
    Diagnosis
        ``print`` it, draw it with ``dlarray.plot.diagnosis``, or read ``.verdict``, ``.problems``, ``.layers`` and
        ``.to_dict()``.

    Raises
    ------
    ValueError, TypeError
        For bad input, as in ``fit``.
    """
    if not isinstance(model, MLP):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"model must be an MLP, such as dlarray.mlp(64, 128, 10), got {type(model).__name__}")
    model.parameters(theta)  # raises if θ has another layout
    optimizer = make(Optimizer, optimizer)
    x, y, weight = DataNames.of(x, y).arrays(x, y, weight)
    loss = choose_loss(model, loss, y)
    target = device_of(theta[0]) if theta else training_device(x, None)
    check_device(x, target)
    dtype = to_numpy(theta[0][:1]).dtype.name if theta else "float32"
    with target.entered():
        examples = Examples.on(target, model, loss, x, y, weight, dtype)
        if (least := model.chain.min_batch_size) > len(examples):
            raise ValueError(f"this model trains on {least} examples or more at once, got {len(examples)}")
        key = fold_in(target.asarray(key_words(seed, "masks")), 0) if model.chain.random else None
        step = _MeasuredStep(model, loss.unchecked(), optimizer)
        run = step if target.backend.writes_in_place else _compiled(step, target.backend)
        with np.errstate(over="ignore", invalid="ignore"):  # infinite numbers are reported as a problem
            measured = _to_host(run((), (theta, examples.x, examples.t, examples.weight, key))[1])
    losses = measured["loss"], measured["loss_after"]
    parameters = {
        name: ParameterStatistics(shape, **measured["parameters"][name]) for name, shape in model.layout.shapes
    }
    layers = [
        _layer(name, f, outputs, measured["layers"][name], parameters)
        for name, f, outputs in innermost_layers(model.chain, model.inputs)
    ]
    problems = find_problems(layers, len(examples), *losses)
    named = tuple(replace(f, problems=tuple(p.kind for p in problems if f.name in p.layers)) for f in layers)
    return Diagnosis(named, problems, *losses, len(examples), str(optimizer))


@dataclass(frozen=True)
class _MeasuredStep:
    """All measurements on the device: a tree of 0-d arrays. It is called like a step, so a backend can compile it."""

    model: MLP
    loss: Loss
    optimizer: Optimizer

    def __call__(self, state: Any, batch: Any) -> tuple[Any, dict[str, Any]]:
        theta, x, t, weight, key = batch
        parameters = self.model.parameters(theta)
        chain, probes = with_probes(self.model.chain)
        z, saved = chain.forward(x, key, **parameters)
        value, terms = self.loss.forward(z, t, weight)
        g = chain.gradient(saved, self.loss.backward(terms))
        new_theta = self._step(theta, g)
        new = self.model.parameters(new_theta)
        value_after, _ = self.loss.forward(self.model.forward(new_theta, x, key)[0], t, weight)
        return state, {
            "loss": value,
            "loss_after": value_after,
            "layers": {probe.name: probe.measured for probe in probes},
            "parameters": {name: _parameter(p, g[name], new[name] - p) for name, p in parameters.items()},
        }

    def _step(self, theta: Theta, g: dict[str, Array]) -> Theta:
        """θ after the optimizer's first step. The optimizer consumes its arguments, so it gets copies."""
        layout = self.model.layout_of(theta)
        masks = layout.mask(self.model.decays, theta) if theta else ()
        initial, gradient = copy_tree((theta, layout.join(g)))
        return self.optimizer.step_parameters(initial, gradient, self.optimizer.init_all(initial, masks), layout)[0]


@lru_cache(maxsize=8)
def _compiled(step: _MeasuredStep, backend: Backend) -> Any:
    """The step compiled as a whole, once for a model: single operations would be compiled one by one, for seconds."""
    return backend.compile(step)


def _parameter(p: Array, g: Array, step: Array) -> dict[str, Array]:
    """The fields of ``ParameterStatistics``, as 0-d arrays."""
    found = {"norm": norm(p), "gradient": norm(g), "step": norm(step), "zeros": share(p == 0, p)}
    return found | ({"duplicates": duplicates(p, g)} if p.ndim == 2 else {})


def _to_host(tree: dict[str, Any]) -> dict[str, Any]:
    """A tree of 0-d arrays as a tree of Python floats, in one transfer."""
    arrays = list(leaves(tree))
    numbers = iter(to_numpy(array_namespace(*arrays).stack(arrays)))
    return map_leaves(tree, lambda _: float(next(numbers)))


def _layer(
    name: str, f: Layer, outputs: int, measured: dict[str, float], parameters: dict[str, ParameterStatistics]
) -> LayerStatistics:
    gradient, input_gradient = measured["gradient"], measured.get("input_gradient")
    own = {own: p for whole, p in parameters.items() for head, _, own in [whole.rpartition(".")] if head == name}
    return LayerStatistics(
        name=name,
        kind=type(f).__name__,
        outputs=outputs,
        output=Distribution(**{field.name: measured[field.name] for field in fields(Distribution)}),
        zeros=measured["zeros"],
        gradient=gradient,
        gain=input_gradient / gradient if input_gradient is not None and gradient else None,
        dead=measured.get("dead"),
        saturated=measured.get("saturated"),
        parameters=own,
    )
