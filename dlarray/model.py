"""MLP: layers one after the other, and the vector θ of all their parameters.

The model is configuration and holds no arrays. θ is a point in the space of its parameters: ``init`` makes it, every
function takes it as an argument, and training changes nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from dlarray.activations import Activation
from dlarray.core.array import Array, is_array, is_floating, is_integer, same_library
from dlarray.core.check import at_least_one, plain_numbers
from dlarray.core.keywords import WithSynonyms, explains_keywords
from dlarray.core.layer import Layer, Shape
from dlarray.core.layout import Layout, Theta
from dlarray.core.libraries import root_module
from dlarray.core.random import Bits
from dlarray.core.registry import make
from dlarray.device import Device, resolve
from dlarray.layers import Chain, Dense, Dropout
from dlarray.losses import Loss

__all__ = ["MLP", "mlp", "on_device"]


@dataclass(frozen=True)
class MLP(WithSynonyms):
    """The multilayer perceptron: a function of ``inputs`` numbers, through the layers, to the outputs of the last one.

    Layers are any ``Layer``; activations may be given by name: ``MLP(64, [Dense(128), "relu", Dense(10)])``. The
    outputs are logits or numbers: ``loss.output_activation`` turns them into predictions.

    Raises ValueError if there are no layers, if inputs is below 1, and if a layer cannot take the outputs of the layer
    before it, with the name of the layer.

    Examples
    --------
    >>> import dlarray
    >>> model = dlarray.MLP(2, [dlarray.Dense(3), "tanh", dlarray.Dense(1)])
    >>> theta = model.init(seed=0)
    >>> {name: p.shape for name, p in model.parameters(theta).items()}
    {'0.W': (2, 3), '0.b': (3,), '2.W': (3, 1), '2.b': (1,)}
    >>> model.predict(theta, dlarray.asarray([[1.0, 2.0]], dtype="float32")).shape
    (1, 1)
    """

    inputs: int
    layers: Sequence[Layer]

    def __post_init__(self) -> None:
        plain_numbers(self)
        at_least_one("inputs", self.inputs)
        object.__setattr__(self, "layers", self.chain.layers)
        self.chain.width(self.inputs)

    @cached_property
    def chain(self) -> Chain:
        """All layers as one layer."""
        return Chain(self.layers)

    @cached_property
    def layout(self) -> Layout:
        """Names and slots of the parameters in one vector."""
        return Layout(tuple(self.chain.shapes(self.inputs).items()))

    @cached_property
    def buffer_layout(self) -> Layout:
        """Names and slots of the buffers in one vector."""
        return Layout(tuple(self.chain.buffers(self.inputs).items()))

    @property
    def outputs(self) -> int:
        """The number of outputs."""
        return self.chain.width(self.inputs)

    def layout_of(self, theta: Theta) -> Layout:
        """The layout of a θ: one vector, or one for each parameter on libraries whose arrays cannot be written."""
        return _fitting(self.layout, theta)

    def buffers_layout_of(self, buffers: Theta) -> Layout:
        """The layout of buffers, like ``layout_of``."""
        return _fitting(self.buffer_layout, buffers)

    def init(self, seed: int = 0, device: str | Device | None = None, dtype: str = "float32") -> Theta:
        """The initial θ: random weights, drawn on the host and copied once, the same on every device.

        Each parameter has a separate random stream, so an added layer does not change the initial values of others.
        Raises ValueError for a seed outside [0, 2**63) and for a dtype that is not floating-point; DeviceError for the
        device.
        """
        return self._initial(self.layout, seed, resolve(device), dtype)

    def init_buffers(self, device: str | Device | None = None, dtype: str = "float32") -> Theta:
        """The initial buffers: means of 0 and variances of 1; an empty tuple if no layer has buffers."""
        return self._initial(self.buffer_layout, 0, resolve(device), dtype)

    def _initial(self, layout: Layout, seed: int, device: Device, dtype: str) -> Theta:
        if np.dtype(dtype).kind != "f":
            raise ValueError(f"parameters must be floating-point numbers, got dtype {dtype!r}")
        initializers = self.chain.initializers()
        arrays = {
            name: np.asarray(initializers[name](Bits(seed, f"parameter {name}"), shape), dtype=dtype)
            for name, shape in layout.shapes
        }
        return on_device(layout, arrays, device)

    def parameters(self, theta: Theta) -> dict[str, Array]:
        """The parameters in θ by name, "0.W", "0.b", "2.W", …: views of θ if the library has views."""
        return self.layout_of(theta).split(theta)

    def forward(self, theta: Theta, x: Array, key: Array | None = None) -> tuple[Array, Any]:
        """Forward feed in training: the outputs and what backward needs. ``key`` is for layers with random numbers.

        x is (examples, inputs). Raises ValueError for another shape, and if a layer needs a key and there is none;
        TypeError for numbers of the wrong kind, and if x and θ are arrays of two libraries.
        """
        self.check_inputs(x)
        if self.chain.random and key is None:
            raise ValueError(
                "a layer of this model draws random numbers: give key=, from dlarray.core.random.key_words"
            )
        return self.chain.forward(x, key, **self._parameters_for(x, theta))

    def backward(self, theta: Theta, saved: Any, dz: Array) -> Theta:
        """Back propagation: from the gradient with respect to the outputs to the gradient with respect to θ."""
        return self.layout_of(theta).join(self.chain.gradient(saved, dz))

    def loss_and_gradient(
        self, theta: Theta, x: Array, t: Array, loss: Loss, weight: Array | None = None, key: Array | None = None
    ) -> tuple[Array, Theta]:
        """The loss of a batch and its gradient with respect to θ, in θ's layout. Pure: no argument changes."""
        z, saved = self.forward(theta, x, key)
        value, terms = loss.forward(z, t, weight)
        return value, self.backward(theta, saved, loss.backward(terms))

    def predict(self, theta: Theta, x: Array, buffers: Theta = ()) -> Array:
        """The outputs at inference, (examples, outputs). ``buffers`` are needed if layers have buffers.

        Raises ValueError if x has another shape or buffers are missing; TypeError for numbers of the wrong kind, and if
        x and θ are arrays of two libraries.
        """
        self.check_inputs(x)
        named: dict[str, Array] = {}
        if self.buffer_layout.shapes:
            if not buffers:
                raise ValueError("a layer of this model has buffers: give buffers=, from init_buffers or from training")
            named = self.named_buffers(buffers)
        return self.chain.predict(x, **self._parameters_for(x, theta), **named)

    def _parameters_for(self, x: Array, theta: Theta) -> dict[str, Array]:
        """The parameters by name. Raises TypeError if they are not arrays of x's library."""
        parameters = self.parameters(theta)
        if theta and not same_library(x, theta[0]):
            given = f"{root_module(x)} and {root_module(theta[0])}"
            raise TypeError(f"x and theta must be of one library, got {given}; dlarray.to_device moves arrays")
        return parameters

    def named_buffers(self, buffers: Theta) -> dict[str, Array]:
        """The buffers by name, such as "1.mean" and "1.variance"."""
        return self.buffers_layout_of(buffers).split(buffers)

    def update_buffers(self, saved: Any, buffers: Theta) -> Theta:
        """The buffers after a training pass."""
        if not buffers:
            return buffers
        layout = self.buffers_layout_of(buffers)
        return layout.join(self.chain.update_buffers(saved, **layout.split(buffers)))

    def decays(self, name: str) -> bool:
        """Whether weight decay applies to the parameter of this name: it does to matrices, not to biases or slopes."""
        return len(self.layout.slots[name].shape) >= 2

    def check_inputs(self, x: Array) -> None:
        """Raise ValueError if x is not (examples, inputs), TypeError if its numbers are of the wrong kind."""
        if not is_array(x):
            raise TypeError(f"x must be an array, got {type(x).__name__}; dlarray.asarray makes one from nested lists")
        self.check_shape(tuple(x.shape))
        if self.layers[0].integers:
            if not is_integer(x):
                raise TypeError(f"the first layer takes integers, got x of type {x.dtype}")
        elif not is_floating(x):
            raise TypeError(f"the first layer takes floating-point numbers, got x of type {x.dtype}")

    def check_shape(self, shape: Shape) -> None:
        """Raise ValueError if this shape is not (examples, inputs)."""
        if len(shape) != 2:
            raise ValueError(f"x must have two axes, (examples, inputs), got shape {shape}")
        if shape[1] != self.inputs:
            raise ValueError(f"the model takes {self.inputs} inputs, got x with {shape[1]} features, shape {shape}")

    def summary(self) -> str:
        """A table of the layers: outputs and parameters of each.

        ``dlarray.memory_estimate`` gives the memory that training needs.
        """
        widths = self.chain.widths(self.inputs)
        rows = [("", "layer", "output", "parameters", "")]
        for i, (f, n, outputs) in enumerate(zip(self.layers, widths, widths[1:], strict=False)):
            shapes = f.shapes(n)
            detail = ", ".join(f"{name} {'×'.join(map(str, shape))}" for name, shape in shapes.items())
            rows.append((str(i), _short(f), str(outputs), f"{Layout(tuple(shapes.items())).count:,}", detail))
        columns = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            f"{i:>{columns[0]}}  {layer:<{columns[1]}}  {out:>{columns[2]}}  {count:>{columns[3]}}  {detail}".rstrip()
            for i, layer, out, count, detail in rows
        ]
        rule = "─" * max(map(len, lines))
        buffers = f", {self.buffer_layout.count:,} in buffers" if self.buffer_layout.shapes else ""
        count = f"{self.layout.count:,} parameters{buffers}"
        return "\n".join([f"MLP of {self.inputs} inputs", rule, lines[0], rule, *lines[1:], rule, count])


def on_device(layout: Layout, arrays: Mapping[str, np.ndarray], device: Device) -> Theta:
    """Host arrays by name as vectors on a device: one, or one for each array if arrays cannot be written."""
    layout = layout if device.backend.writes_in_place else layout.split_up()
    return layout.register(tuple(device.asarray(vector) for vector in layout.join(arrays)))


@explains_keywords({})
def mlp(inputs: int, *units: int, activation: str | Activation = "relu", dropout: float = 0.0) -> MLP:
    """The short form: ``mlp(64, 128, 10)`` has 64 inputs, a hidden layer of 128 units with ReLU, and 10 outputs.

    The activation follows every Dense layer but the last, and Dropout follows the activation if a rate is given. Raises
    ValueError if no units are given or are below 1, if the rate is outside [0, 1), and for an unknown activation, with
    the nearest name.

    Examples
    --------
    >>> import dlarray
    >>> print(dlarray.mlp(64, 128, 10, activation="gelu", dropout=0.1).summary())
    MLP of 64 inputs
    ─────────────────────────────────────────────────────────
       layer              output  parameters
    ─────────────────────────────────────────────────────────
    0  Dense(128)            128       8,320  W 64×128, b 128
    1  GELU()                128           0
    2  Dropout(rate=0.1)     128           0
    3  Dense(10)              10       1,290  W 128×10, b 10
    ─────────────────────────────────────────────────────────
    9,610 parameters
    """
    if not units:
        raise ValueError("a network needs at least one layer: mlp(inputs, …, outputs)")
    f = make(Activation, activation)
    drop = [Dropout(dropout)] if dropout else []
    hidden = [layer for n in units[:-1] for layer in (Dense(n), f, *drop)]
    return MLP(inputs, [*hidden, Dense(units[-1])])


def _fitting(layout: Layout, vectors: Theta) -> Layout:
    """The layout of these vectors: one vector or one per array. If it is neither, ``split`` of the result raises."""
    if not isinstance(vectors, tuple) or len(vectors) != len(layout.shapes):  # pyright: ignore[reportUnnecessaryIsInstance]
        return layout
    together = len(vectors) == 1 and tuple(getattr(vectors[0], "shape", ())) == layout.lengths
    return layout if together or not vectors else layout.split_up()


def _short(f: Layer) -> str:
    """A layer as Python code, without fields that have their defaults."""
    if isinstance(f, Chain):
        return f"{type(f).__name__}({', '.join(map(_short, f.layers))})"
    given = [
        f"{getattr(f, d.name)}" if d.default is MISSING else f"{d.name}={getattr(f, d.name)}"
        for d in fields(f)  # pyright: ignore[reportArgumentType]
        if d.default is MISSING or getattr(f, d.name) != d.default
    ]
    return f"{type(f).__name__}({', '.join(given)})"
