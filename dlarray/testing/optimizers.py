"""Every optimizer and schedule of the library: θ and the state over several steps, clipping, and learning rates.

The gradients are given numbers, not those of a loss: an error in θ does not change them, so it is not amplified, and no
number that is rounding alone decides a sign.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from dlarray.core.array import Array, copy_array
from dlarray.core.layout import Layout
from dlarray.optimizers import (
    LAMB,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    AMSGrad,
    Clipped,
    GradientDescent,
    Lion,
    Momentum,
    Muon,
    NAdam,
    Optimizer,
    RAdam,
    RMSprop,
    Rprop,
    clip_by_global_norm,
    clip_by_norm,
    clip_by_value,
)
from dlarray.schedules import (
    ConstantRate,
    CosineDecay,
    CosineRestarts,
    Cyclic,
    ExponentialDecay,
    InverseTimeDecay,
    MultiStepDecay,
    OneCycle,
    PolynomialDecay,
    Schedule,
    StepDecay,
    WarmUp,
)
from dlarray.testing.check import Check, Deviation
from dlarray.testing.columns import Column
from dlarray.testing.contract import BASIC
from dlarray.testing.formula import beside, largest, short
from dlarray.testing.own import own

__all__ = ["LIMIT", "SCHEDULES", "VARIANTS", "cases", "checks", "numbers", "schedules"]

LIMIT = 8.0
"""In ulp of the largest number of θ, or of each array of the state, after 6 steps."""

STEPS, SHAPE = 6, (4, 6)

VARIANTS: list[Optimizer] = [
    GradientDescent(0.1, weight_decay=0.1),
    GradientDescent(CosineDecay(0.3, 4, 0.1)),
    Momentum(0.1, momentum=0.5),
    Adagrad(0.1, eps_mode="inside", initial_accumulator=0.1),
    RMSprop(0.1, momentum=0.7),
    RMSprop(0.1, eps_mode="inside", centered=True),
    Adadelta(0.5, rho=0.95),
    *(Adam(0.1, eps=1e-2, eps_mode=mode) for mode in ("outside", "inside", "hat")),
    Adam(0.1, beta1=0.0),
    AdamW(0.1, weight_decay=0.2),
    AMSGrad(0.1, weight_decay=0.1),
    NAdam(0.1, momentum_decay=0.1),
    RAdam(0.1, beta2=0.9),
    Adamax(0.1, eps_mode="outside"),
    Lion(0.1, weight_decay=0.1),
    Rprop(0.1, grow=1.5),
    LAMB(0.1, weight_decay=0.1),
    Muon(0.1, scaling="original"),
]
"""Optimizers with other numbers than their defaults, most with steps that are large beside θ."""

SCHEDULES: list[Schedule] = [
    ConstantRate(0.3),
    StepDecay(0.3, every=7, factor=0.5),
    MultiStepDecay(0.3, (5, 40, 40, 199), 0.5),
    ExponentialDecay(0.3, factor=0.97, every=3),
    InverseTimeDecay(0.3, decay=0.5, every=4),
    PolynomialDecay(0.3, 50, power=2.5, end=0.01),
    CosineDecay(0.3, 60, end=0.02),
    CosineRestarts(0.3, 10, end=0.1),
    CosineRestarts(0.3, 5, growth=3),
    Cyclic(0.1, 0.3, 10),
    Cyclic(0.05, 0.3, 7, 13, factor=0.5),
    WarmUp(20, CosineDecay(0.3, 60)),
    OneCycle(0.3, 100),
]
"""Schedules have no defaults: at least one of each class."""

TIMES = np.array([*range(0, 131, 3), 199, 200, 201, 1000.0])


def cases() -> list[Optimizer]:
    """Every optimizer of the library with its defaults, and the variants."""
    made: list[Callable[[], Optimizer]] = [*own(Optimizer).values()]
    return [make() for make in made] + VARIANTS


def schedules() -> dict[str, list[Schedule]]:
    """The schedules of each class of the library, by its name."""
    return {name: [s for s in SCHEDULES if type(s) is cls] for name, cls in own(Schedule).items()}


def checks() -> list[Check]:
    """One check for each optimizer and each schedule, with its variants, and for clipping."""
    by_class = {name: [o for o in cases() if type(o) is cls] for name, cls in own(Optimizer).items()}
    return [
        *(
            Check("optimizers", name, lambda column, given=given: _measure(column, given), BASIC, LIMIT)
            for name, given in by_class.items()
        ),
        Check("optimizers", "vectors of several parameters", _layerwise, BASIC, LIMIT),
        Check("optimizers", "clipped gradients", _clipped, BASIC, LIMIT),
        *(
            Check("schedules", name, lambda column, given=given: _rates(column, given), BASIC, LIMIT)
            for name, given in schedules().items()
        ),
    ]


def numbers() -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """θ, and the gradients of the steps: of several magnitudes, some of which change their sign."""
    rng = np.random.default_rng(5)
    size = 10.0 ** rng.uniform(-3, 1, SHAPE)
    return rng.normal(size=SHAPE), tuple(size * rng.normal(size=SHAPE) for _ in range(STEPS))


def _measure(column: Column, optimizers: list[Optimizer]) -> Deviation:
    return largest((short(o), lambda o=o: _one(column, o)) for o in optimizers)


def _one(column: Column, optimizer: Optimizer) -> Deviation:
    def run(theta: Array, gs: tuple[Array, ...], mask: Array) -> dict[str, Array]:
        theta = copy_array(theta)  # a step consumes θ and g
        state = optimizer.init(theta, mask)
        for g in gs:
            theta, state = optimizer.step(theta, copy_array(g), state)
        return {"θ": theta} | state

    theta, gs = numbers()
    mask = (np.arange(theta.size).reshape(SHAPE) % 3 > 0).astype(np.float64)
    return beside(column, run, theta, gs, mask, scale=None)


def _layerwise(column: Column) -> Deviation:
    """LAMB and Muon on the vectors of a model, as a step calls them."""

    def run(theta: Array, gs: tuple[Array, ...], optimizer: Optimizer) -> dict[str, Array]:
        layout = Layout((("W", SHAPE), ("b", (SHAPE[1],))), per_parameter=not column.backend.writes_in_place)

        def point(x: Array) -> tuple[Array, ...]:
            return layout.join({"W": copy_array(x), "b": copy_array(x[0, :])})

        thetas = point(theta)
        states = optimizer.init_all(thetas)
        for g in gs:
            thetas, states = optimizer.step_parameters(thetas, point(g), states, layout)
        return {name: copy_array(x) for name, x in layout.split(thetas).items()}

    theta, gs = numbers()
    given: list[Optimizer] = [LAMB(0.1), Muon(0.1)]
    return largest((short(o), lambda o=o: beside(column, run, theta, gs, o, scale=None)) for o in given)


def _clipped(column: Column) -> Deviation:
    """Both values of each limit: gradients are clipped, and are not."""
    _, (a, b, *_) = numbers()
    layout = Layout((("a", a.shape), ("b", b.shape)))

    def run(gs: tuple[Array, ...], clip: Callable[..., tuple[Array, ...]], limit: float) -> dict[str, Array]:
        optimizer = Clipped(GradientDescent(0.1), clip, limit)
        theta, _ = optimizer.step(gs[0] * 0.5, copy_array(gs[0]), optimizer.init(gs[0]))
        return {"θ": theta} | {f"g{i}": g for i, g in enumerate(clip(gs, limit))}

    vector = layout.join({"a": a, "b": b})
    tried: list[tuple[str, tuple[np.ndarray, ...], Callable[..., Any]]] = [
        ("by value", (a, b), clip_by_value),
        ("by norm", vector, partial(clip_by_norm, layout=layout)),
        ("by global norm", (a, b), clip_by_global_norm),
    ]
    return largest(
        (f"{name}, {limit}", partial(beside, column, run, gs, clip, limit, scale=None))
        for name, gs, clip in tried
        for limit in (0.5, 1e3)
    )


def _rates(column: Column, given: list[Schedule]) -> Deviation:
    """Beyond the last step a rate may be 0, so a deviation is relative to the largest rate."""

    def run(t: Array, schedule: Schedule) -> dict[str, Array]:
        return {"rate": schedule(t)}

    return largest((short(s), lambda s=s: beside(column, run, TIMES, s, scale=None)) for s in given)
