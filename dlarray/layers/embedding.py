"""Embedding: a row of numbers for each category."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from dlarray.core.array import Array, array_namespace, one_hot
from dlarray.core.check import at_least_one, plain_numbers
from dlarray.core.layer import Layer, Shape
from dlarray.core.registry import make
from dlarray.initializers import Initializer, Normal

__all__ = ["Embedding"]


@dataclass(frozen=True)
class Embedding(Layer):
    """y = W[x],  dW = oneHot(x)ᵀ dy.

    Each category has a row of W: a vector of ``units`` numbers. x is (examples, fields) of integers in [0, categories),
    W (categories, units), y (examples, fields · units). Integers have no gradient, so an Embedding can only be the
    first layer. The gradient is a product with one-hot rows, because the array API has no scatter. Raises ValueError if
    categories or units is below 1; ``fit`` checks on the host that each category is in the range.
    """

    categories: int
    units: int
    weight: Initializer = Normal(1.0)
    integers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        plain_numbers(self)
        at_least_one("categories", self.categories)
        at_least_one("units", self.units)
        object.__setattr__(self, "weight", make(Initializer, self.weight))

    def shapes(self, inputs: int) -> dict[str, Shape]:
        return {"W": (self.categories, self.units)}

    def initializers(self) -> dict[str, Any]:
        return {"W": self.weight}

    def width(self, inputs: int) -> int:
        return inputs * self.units

    def forward(self, x: Array, W: Array) -> tuple[Array, Array]:
        xp = array_namespace(W)
        rows = xp.take(W, xp.reshape(x, (-1,)), axis=0)
        return xp.reshape(rows, (-1, x.shape[1] * self.units)), x

    def backward(self, x: Array, dy: Array, W: Array) -> Array:
        raise TypeError("an Embedding must be the first layer: integers have no gradient")

    def gradient(self, x: Array, dy: Array, /) -> dict[str, Array]:
        xp = array_namespace(dy)
        rows = one_hot(x, self.categories, dy.dtype)
        return {"W": xp.matrix_transpose(rows) @ xp.reshape(dy, (-1, self.units))}
