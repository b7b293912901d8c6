"""Embedding: a row of numbers for each category."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from dlarray.core.array import Array, array_namespace, device
from dlarray.core.check import at_least_one, plain_numbers
from dlarray.core.layer import Layer, Shape
from dlarray.core.registry import make
from dlarray.initializers import Initializer, Normal

__all__ = ["Embedding"]


@dataclass(frozen=True)
class Embedding(Layer):
    """y = W[x],  dW = oneHot(x)ᵀ dy.

    Each category has a row of W, its position in a space of ``units`` dimensions. x is (examples, fields) of integers
    in [0, categories), W (categories, units), y (examples, fields · units). Integers have no gradient, so it can only
    be the first layer. The gradient is a product with one-hot rows: no scatter, which the array API does not have.
    Raises ValueError where categories or units is below 1; a category out of range is caught by ``fit``, on the host.
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
        return xp.reshape(rows, (x.shape[0], x.shape[1] * self.units)), x

    def backward(self, x: Array, dy: Array, W: Array) -> Array:
        raise TypeError("an Embedding must be the first layer: integers have no gradient")

    def gradient(self, x: Array, dy: Array, /) -> dict[str, Array]:
        xp = array_namespace(dy)
        categories = xp.arange(self.categories, dtype=x.dtype, device=device(x))
        one_hot = xp.astype(xp.reshape(x, (-1, 1)) == categories, dy.dtype)
        return {"W": one_hot.T @ xp.reshape(dy, (-1, self.units))}
