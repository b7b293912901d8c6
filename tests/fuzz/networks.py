"""Random networks: steps of dlarray's layers, losses and optimizers, and of users' ones."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import dlarray as dl
from dlarray.activations import Activation
from dlarray.losses.terms import SumOfTerms
from dlarray.optimizers.base import FirstOrder
from dlarray.testing.own import own
from dlarray.training import Step
from tests.fuzz.inputs import Inputs, Setup, draw_setup, shaken

__all__ = ["Network", "drawn"]

OUTPUTS = 3
CPU = dl.device.resolve("cpu")


@dataclass(frozen=True)
class Cauchy(Activation):
    """A user's activation: a = z / (1 + z²)."""

    def forward(self, z: Any) -> tuple[Any, Any]:
        return z / (1 + z * z), z

    def backward(self, z: Any, da: Any) -> Any:
        q = 1 + z * z
        return da * (1 - z * z) / (q * q)


@dataclass(frozen=True)
class Quartic(SumOfTerms):
    """A user's loss: (z - t)⁴."""

    def terms(self, z: Any, t: Any) -> tuple[Any, Any]:
        d = z - t
        return d * d * d * d, d

    def slopes(self, d: Any) -> Any:
        return 4 * d * d * d


@dataclass(frozen=True)
class SignDescent(FirstOrder):
    """A user's optimizer: θ -= η sign g."""

    def step(self, theta: Any, g: Any, state: Any) -> tuple[Any, Any]:
        rate, _, state = self.tick(theta, g, state)
        theta, g = self.decay(theta, g, rate, state)
        theta -= rate * dl.array_namespace(g).sign(g)
        return theta, state


ACTIVATIONS = [f"{cls.__name__}()" for cls in own(Activation).values()] + [
    "Cauchy()",
    "GELU('tanh')",
    "Swish(trainable=True)",
]
LAYERS = ["Dropout(0.3)", "BatchNorm()", "LayerNorm()", "RMSNorm()", "Residual([Dense({n}), 'tanh'])", "Dropout(0.0)"]
NORMALISING_ROWS = ["LayerNorm()", "RMSNorm()"]
"""Of one or two numbers these give 1 and -1, with an exact gradient of 0, so rounding decides signs."""
CONTINUOUS = [
    "MeanSquaredError()",
    "MeanAbsoluteError()",
    "Huber()",
    "LogCosh()",
    "RootMeanSquaredError()",
    "Quartic()",
]
CONTINUOUS += ["MeanSquaredError(reduction='sum')", "Huber(0.3)"]
LABELS = ["SparseCategoricalCrossEntropy()", "SparseCategoricalCrossEntropy(label_smoothing=0.1)"]
LABELS += ["SparseCategoricalCrossEntropy(class_weight=(0.5, 3.0, 1.25))"]
BINARY = [
    "BinaryCrossEntropy()",
    "Focal()",
    "Hinge()",
    "SquaredHinge()",
    "Focal(0.0)",
    "BinaryCrossEntropy(class_weight=(0.5, 3.0))",
]
ROWS = ["CategoricalCrossEntropy()", "KLDivergence()"]
OPTIMIZERS = [
    "GradientDescent({rate})",
    "Momentum({rate})",
    "Nesterov({rate})",
    "Adam({rate})",
    "AdamW({rate})",
    "AMSGrad({rate})",
]
OPTIMIZERS += [
    "NAdam({rate})",
    "Adamax({rate})",
    "Adagrad({rate})",
    "RMSprop({rate}, momentum=0.5, centered=True)",
    "Adadelta()",
]
OPTIMIZERS += [
    "Lion({rate})",
    "SignDescent({rate})",
    "GradientDescent({rate}, weight_decay=0.1)",
    "Adam({rate}, eps=0.1)",
]
OPTIMIZERS += ["Clipped(Momentum({rate}), clip_by_global_norm, 0.1)", "Clipped(Adam({rate}), clip_by_value, 0.01)"]
STEADY = [
    "GradientDescent({rate})",
    "Momentum({rate})",
    "Adam({rate}, eps=0.1)",
    "Clipped(Momentum({rate}), clip_by_global_norm, 0.1)",
]
"""Optimizers for weights with an exact gradient of 0, as a bias before batch norm: others divide by its magnitude."""
CANCELLING = ["Hinge()", "MeanAbsoluteError()"]
"""Losses with derivatives 1 and -1, whose sum can be 0 except for rounding."""
RATES = ["0.01", "0.1", "StepDecay(0.1, 2, 0.5)", "ConstantRate(0.05)"]


class NetworkInputs(Inputs):
    """Batches for a network: inputs, targets, and a weight for each example or None."""

    def __init__(self, setup: Setup, shake: float, network: Network) -> None:
        super().__init__(setup, shake)
        self._network = network

    def batch(self, call: int, state: Any) -> Any:
        s, network = self.setup, self._network
        r = np.random.default_rng([s.seed, 4, 0 if s.supply == "same" else call])
        n = max(s.rows[call % len(s.rows)], 2 * network.accumulate)
        x, t, weight = r.standard_normal((n, s.features)), r.standard_normal((n, OUTPUTS)), r.uniform(0, 2, n)
        if network.layers[0].startswith("Embedding"):
            x = r.integers(0, 4, (n, s.features))
        if network.loss in LABELS:
            t = r.integers(0, OUTPUTS, n)
        elif network.loss in BINARY:
            t = r.integers(0, 2, (n, OUTPUTS)).astype(float)
        elif network.loss in ROWS:
            t = r.dirichlet(np.ones(OUTPUTS), n)
        if call == 0 and s.first == "zeros":
            x, t, weight = x * 0, t * 0 if network.loss not in ROWS else t, weight * 0
        if call == 0 and s.first == "equal rows":
            x = np.repeat(x[:1], n, axis=0)
        arrays = [
            self._leaf(shaken(v.astype(np.int32 if v.dtype.kind == "i" else s.dtype), self.shake, r), i, call, name)
            for i, (name, v) in enumerate(zip(("x", "t", "weight"), (x, t, weight), strict=True))
        ]
        return (*arrays[:2], arrays[2] if network.weighted else None)


@dataclass(frozen=True)
class Network:
    """A network with loss and optimizer, or its prediction, as source."""

    setup: Setup
    layers: tuple[str, ...]
    loss: str
    optimizer: str
    weighted: bool
    accumulate: int
    inference: bool = False

    def source(self) -> str:
        """The expression that makes it."""
        model = f"MLP({self.setup.features}, [{', '.join(self.layers)}])"
        if self.inference:
            return f"model = {model}\npredict = lambda fixed, x: model.predict(fixed[0], x, fixed[1])"
        return f"step = Step({model}, {self.loss}, {self.optimizer}, accumulate={self.accumulate})"

    def inputs(self, shake: float) -> Inputs:
        """The arrays of one run."""
        return NetworkInputs(self.setup, shake, self)

    def function(self, inputs: Inputs, shake: float) -> Any:
        """The step, or the prediction."""
        step = self._step()
        if self.inference:
            return lambda fixed, x: step.model.predict(fixed[0], x, fixed[1])
        return step

    def start(self, inputs: Inputs, call: int = 0) -> Any:
        """A new state, or weights and buffers."""
        step, dtype = self._step(), self.setup.dtype
        theta, buffers = step.model.init(self.setup.seed + call, CPU, dtype), step.model.init_buffers(CPU, dtype)
        theta = tuple(shaken(v, inputs.shake, np.random.default_rng(call)) for v in theta)
        return (theta, buffers) if self.inference else step.init(theta, buffers, 0, CPU)

    def _step(self) -> Step:
        where = {name: getattr(dl, name) for name in dl.__all__} | {
            "Step": Step,
            "Cauchy": Cauchy,
            "Quartic": Quartic,
            "SignDescent": SignDescent,
        }
        model = dl.MLP(self.setup.features, [eval(layer, dict(where)) for layer in self.layers])
        return Step(model, eval(self.loss, dict(where)), eval(self.optimizer, dict(where)), self.accumulate)

    def text(self) -> str:
        """The network for a reader."""
        return f"{self.source()}\n# weights of examples: {self.weighted}\n# {self.setup}"

    def simpler(self) -> Iterator[Network]:
        """Simpler networks: each lacks one thing."""
        plain = Setup(self.setup.seed)
        for name in ("layouts", "moving", "supply", "restart", "first", "rows", "dtype", "calls"):
            if getattr(self.setup, name) != getattr(plain, name):
                yield replace(self, setup=replace(self.setup, **{name: getattr(plain, name)}))
        for i in reversed(range(len(self.layers) - 1)):
            yield replace(self, layers=self.layers[:i] + self.layers[i + 1 :])
        changes = {
            "loss": "MeanSquaredError()",
            "optimizer": "GradientDescent(0.1)",
            "weighted": False,
            "accumulate": 1,
        }
        for name, value in changes.items():
            if getattr(self, name) != value and (name != "loss" or self.loss in CONTINUOUS):
                yield replace(self, **{name: value})


def drawn(seed: int) -> Network:
    """The network of this seed."""
    r = random.Random(seed)
    setup = replace(draw_setup(r, seed), shared="nothing", captured=False, mixed=False)
    layers = ["Embedding(4, 3)"] * (r.random() < 0.1)
    for _ in range(r.choice([0, 1, 1, 2, 3])):
        n = r.choice([1, 2, 5, 8])
        layers.append(f"Dense({n})")
        between = [layer for layer in LAYERS if n > 2 or layer not in NORMALISING_ROWS]
        layers += [layer.format(n=n) for layer in r.sample(between, r.choice([0, 0, 1, 2]))]
        layers.append(r.choice(ACTIVATIONS))
    layers.append(f"Dense({OUTPUTS})")
    if "BatchNorm()" in layers and setup.first in ("zeros", "ones", "equal rows"):
        setup = replace(setup, first="generic")  # of equal rows it normalises rounding errors
    loss = r.choice(r.choice([CONTINUOUS, LABELS, BINARY, ROWS]))
    optimizer = r.choice(STEADY if "BatchNorm()" in layers or loss in CANCELLING else OPTIMIZERS).format(
        rate=r.choice(RATES)
    )
    weighted = r.random() < 0.4
    return Network(setup, tuple(layers), loss, optimizer, weighted, r.choice([1, 1, 1, 2]), r.random() < 0.2)
