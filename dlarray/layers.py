"""Layers with parameters, layers that drop, and layers made of layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from dlarray.activations import Activation
from dlarray.array import Array, array_namespace, device
from dlarray.check import at_least_one, fraction, plain_numbers
from dlarray.initializers import Initializer, Normal, Zeros
from dlarray.layer import Layer, Shape
from dlarray.names import by_name, make
from dlarray.random import fold, keep

__all__ = ["Chain", "Dense", "Dropout", "Embedding", "Residual"]


@dataclass(frozen=True)
class Dense(Layer):
    """y = x W + b,  dx = dy Wᵀ,  dW = xᵀ dy,  db = Σ dy.

    Every input is connected with every unit: x is (examples, inputs), W (inputs, units), b (units,) and y (examples,
    units). W starts by ``weight``, or where that is None by what suits the activation behind (He's uniform distribution
    for ReLU and its kin, Glorot's for the others); b starts by ``bias``. Initializers may be given by name.
    Raises ValueError where units is below 1.

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
    bias: Initializer = Zeros()

    def __post_init__(self) -> None:
        plain_numbers(self)
        at_least_one("units", self.units)
        if self.weight is not None:
            object.__setattr__(self, "weight", make(Initializer, self.weight))
        object.__setattr__(self, "bias", make(Initializer, self.bias))

    def shapes(self, inputs: int) -> dict[str, Shape]:
        return {"W": (inputs, self.units), "b": (self.units,)}

    def initializers(self) -> dict[str, Any]:
        return {"W": self.weight, "b": self.bias}

    def width(self, inputs: int) -> int:
        return self.units

    def forward(self, x: Array, W: Array, b: Array) -> tuple[Array, Array]:
        y = x @ W
        y += b
        return y, x

    def backward(self, x: Array, dy: Array, W: Array, b: Array) -> Array:
        return dy @ W.T

    def gradient(self, x: Array, dy: Array, /) -> dict[str, Array]:
        return {"W": x.T @ dy, "b": array_namespace(dy).sum(dy, axis=0)}


@dataclass(frozen=True)
class Dropout(Layer):
    """y = x m / (1 - rate),  dx = dy m / (1 - rate),  m = 1 with probability 1 - rate, else 0.

    Each number is dropped on its own in training and none at inference; the division keeps the mean (Srivastava et
    al. 2014, in the inverted form of torch's Dropout). The mask depends on seed, layer and step alone, so it is the
    same on every device. Raises ValueError where rate is outside [0, 1).
    """

    rate: float = 0.5

    def __post_init__(self) -> None:
        plain_numbers(self)
        fraction("rate", self.rate)

    @property
    def random(self) -> bool:
        return self.rate > 0

    def forward(self, x: Array, key: Array | None = None) -> tuple[Array, Array | None]:
        if key is None:  # only where the rate is 0: the chain gives every random layer a key
            return x, None
        m = array_namespace(x).astype(keep(key, tuple(x.shape), 1 - self.rate), x.dtype)
        m *= 1 / (1 - self.rate)
        return x * m, m

    def backward(self, m: Array | None, dy: Array) -> Array:
        return dy if m is None else dy * m

    def predict(self, x: Array) -> Array:
        return x


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


@dataclass(frozen=True)
class Chain(Layer):
    """y = f_k(… f₂(f₁(x)) …), and backwards by the chain rule: from the output along the path taken forward.

    Parameters are named "0.W", "0.b", "1.slope", …: the layer's place, a dot, and the layer's own name.
    Activations may be given by name. Raises ValueError where there are no layers, or where the widths do not meet.
    """

    layers: Sequence[Layer]

    def __post_init__(self) -> None:
        if isinstance(self.layers, (str, Layer)):
            raise TypeError(f"layers must be a list of layers, got {self.layers!r}; put it between brackets")
        given: Sequence[Any] = self.layers
        layers = tuple(f if isinstance(f, Layer) else make(Activation, f) for f in given)
        if not layers:
            raise ValueError("a network needs at least one layer")
        if any(f.integers for f in layers[1:]):
            raise ValueError("an Embedding must be the first layer: it takes integers")
        object.__setattr__(self, "layers", layers)
        object.__setattr__(self, "integers", layers[0].integers)

    def widths(self, inputs: int) -> list[int]:
        """The number of inputs of each layer, and last the number of outputs."""
        widths = [inputs]
        for i, f in enumerate(self.layers):
            try:
                widths.append(f.width(widths[-1]))
            except ValueError as error:
                raise ValueError(f"layer {i}, {f}, cannot take {widths[-1]} inputs: {error}") from None
        return widths

    def width(self, inputs: int) -> int:
        return self.widths(inputs)[-1]

    def shapes(self, inputs: int) -> dict[str, Shape]:
        return {
            f"{i}.{name}": shape
            for i, (f, n) in enumerate(zip(self.layers, self.widths(inputs), strict=False))
            for name, shape in f.shapes(n).items()
        }

    def buffers(self, inputs: int) -> dict[str, Shape]:
        return {
            f"{i}.{name}": shape
            for i, (f, n) in enumerate(zip(self.layers, self.widths(inputs), strict=False))
            for name, shape in f.buffers(n).items()
        }

    def initializers(self) -> dict[str, Any]:
        return {
            f"{i}.{name}": initializer or self._suited(i)
            for i, f in enumerate(self.layers)
            for name, initializer in f.initializers().items()
        }

    def _suited(self, i: int) -> Initializer:
        """What the activation behind layer i asks of its weights; Glorot's where the next weights come first."""
        for f in self.layers[i + 1 :]:
            if isinstance(f, Activation):
                return by_name(Initializer, f.initializer)()
            if None in f.initializers().values():
                break
        return by_name(Initializer, Activation.initializer)()

    @property
    def random(self) -> bool:
        return any(f.random for f in self.layers)

    @property
    def least_examples(self) -> int:
        return max(f.least_examples for f in self.layers)

    def forward(self, x: Array, key: Array | None = None, **p: Array) -> tuple[Array, Any]:
        tape: list[Any] = []
        for i, (f, q) in enumerate(self._each(p)):
            x, saved = f.forward(x, **q, **({"key": fold(key, i)} if f.random else {}))
            tape.append((saved, q))
        return x, tuple(tape)

    def backward(self, saved: Any, dy: Array, **p: Array) -> Array:
        return self.pullback(saved, dy, **p)[0]

    def gradient(self, saved: Any, dy: Array, /) -> dict[str, Array]:
        dp: dict[str, Array] = {}
        for i in reversed(range(1, len(self.layers))):
            dy = self._back(i, saved, dy, dp)
        dp |= _prefixed(0, self.layers[0].gradient(saved[0][0], dy))
        return dp

    def pullback(self, saved: Any, dy: Array, /, **p: Array) -> tuple[Array, dict[str, Array]]:
        dp: dict[str, Array] = {}
        for i in reversed(range(len(self.layers))):
            dy = self._back(i, saved, dy, dp)
        return dy, dp

    def _back(self, i: int, tape: Any, dy: Array, dp: dict[str, Array]) -> Array:
        """dx of layer i; its parameters' gradients are added to dp."""
        saved, q = tape[i]
        dx, own = self.layers[i].pullback(saved, dy, **q)
        dp |= _prefixed(i, own)
        return dx

    def predict(self, x: Array, **p: Array) -> Array:
        for f, q in self._each(p):
            x = f.predict(x, **q)
        return x

    def refresh(self, saved: Any, /, **buffers: Array) -> dict[str, Array]:
        return _joined(f.refresh(saved[i][0], **b) for i, (f, b) in enumerate(self._each(buffers)))

    def statistics(self, saved: Any, /) -> dict[str, Array]:
        return _joined(f.statistics(kept) for f, (kept, _) in zip(self.layers, saved, strict=True))

    def _each(self, named: dict[str, Array]) -> Iterator[tuple[Layer, dict[str, Array]]]:
        """Each layer with its own arrays under its own names."""
        own: list[dict[str, Array]] = [{} for _ in self.layers]
        for name, array in named.items():
            i, _, rest = name.partition(".")
            own[int(i)][rest] = array
        return zip(self.layers, own, strict=True)


@dataclass(frozen=True)
class Residual(Chain):
    """y = x + f(x),  dx = dy + df(dy): a few layers f and a path around them.

    The identity lets the gradient pass unhindered however deep the network is (He et al. 2016). Raises ValueError
    where f has not as many outputs as inputs.
    """

    def width(self, inputs: int) -> int:
        if (outputs := super().width(inputs)) != inputs:
            raise ValueError(f"the layers inside give {outputs} outputs, which cannot be added to {inputs} inputs")
        return outputs

    def forward(self, x: Array, key: Array | None = None, **p: Array) -> tuple[Array, Any]:
        y, tape = super().forward(x, key, **p)
        return x + y, tape

    def pullback(self, saved: Any, dy: Array, /, **p: Array) -> tuple[Array, dict[str, Array]]:
        dx, dp = super().pullback(saved, dy, **p)
        return dx + dy, dp

    def predict(self, x: Array, **p: Array) -> Array:
        return x + super().predict(x, **p)


def _prefixed(i: int, named: dict[str, Array]) -> dict[str, Array]:
    return {f"{i}.{name}": array for name, array in named.items()}


def _joined(each: Iterable[dict[str, Array]]) -> dict[str, Array]:
    """Arrays by the number of their layer and their name."""
    return {name: array for i, named in enumerate(each) for name, array in _prefixed(i, named).items()}
