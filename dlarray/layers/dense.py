"""Dense: every input is connected to every unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dlarray.core.array import Array, array_namespace
from dlarray.core.check import at_least_one, plain_numbers
from dlarray.core.layer import Layer, Shape
from dlarray.core.registry import make
from dlarray.initializers import Initializer, Zeros

__all__ = ["Dense"]


@dataclass(frozen=True)
class Dense(Layer):
    """y = x W + b,  dx = dy Wᵀ,  dW = xᵀ dy,  db = Σ dy.

    Every input is connected to every unit: x is (examples, inputs), W (inputs, units), b (units,) and y (examples,
    units). ``weight`` initializes W; None means the initializer that the activation after the layer names: He's uniform
    distribution for ReLU and similar ones, LeCun's normal one for SELU, Glorot's uniform one for the others. ``bias``
    initializes b; ``bias=False`` is a layer without b, such as before BatchNorm, which subtracts it again. Initializers
    may be given by name. Raises ValueError if units is below 1.

    Examples
    --------
    >>> import numpy as np
    >>> import dlarray
    >>> dense = dlarray.Dense(2)
    >>> x, W, b = np.asarray([[1.0, 2.0, 3.0]]), np.ones((3, 2)), np.asarray([0.0, 1.0])
    >>> y, saved = dense.forward(x, W, b)
    >>> y
    array([[6., 7.]])
    >>> {name: g.shape for name, g in dense.gradient(saved, np.ones((1, 2))).items()}
    {'W': (3, 2), 'b': (2,)}
    """

    units: int
    weight: Initializer | None = None
    bias: Initializer | bool = Zeros()

    def __post_init__(self) -> None:
        plain_numbers(self)
        at_least_one("units", self.units)
        if self.weight is not None:
            object.__setattr__(self, "weight", make(Initializer, self.weight))
        if self.bias is not False:
            object.__setattr__(self, "bias", Zeros() if self.bias is True else make(Initializer, self.bias))

    def shapes(self, inputs: int) -> dict[str, Shape]:
        return {"W": (inputs, self.units)} | ({} if self.bias is False else {"b": (self.units,)})

    def initializers(self) -> dict[str, Any]:
        return {"W": self.weight} | ({} if self.bias is False else {"b": self.bias})

    def width(self, inputs: int) -> int:
        return self.units

    def forward(self, x: Array, W: Array, b: Array | None = None) -> tuple[Array, Array]:
        y = x @ W
        if b is not None:
            y += b
        return y, x

    def backward(self, x: Array, dy: Array, W: Array, b: Array | None = None) -> Array:
        xp = array_namespace(W)
        return dy @ xp.matrix_transpose(W)

    def gradient(self, x: Array, dy: Array, /) -> dict[str, Array]:
        xp = array_namespace(dy)
        return {"W": xp.matrix_transpose(x) @ dy} | ({} if self.bias is False else {"b": xp.sum(dy, axis=0)})
