"""Layers made of layers: one after the other, and with a connection that bypasses them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from dlarray.activations import Activation
from dlarray.core.array import Array
from dlarray.core.layer import Layer, Shape
from dlarray.core.random import fold_in
from dlarray.core.ranks import Ranks
from dlarray.core.registry import by_name, make
from dlarray.initializers import Initializer

__all__ = ["Chain", "Residual"]


@dataclass(frozen=True)
class Chain(Layer):
    """y = f_k(… f₂(f₁(x)) …); backward is the chain rule, from the last layer to the first.

    Parameters are named "0.W", "0.b", "1.slope", …: the layer's number, a dot, and the layer's own name for it.
    Activations may be given by name. Raises ValueError if there are no layers, or if a layer cannot take the outputs of
    the layer before it.
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
        """The number of inputs of each layer, and at the end the number of outputs."""
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
        """The initializer that the activation after layer i names; Glorot's if other weights come before one."""
        for f in self.layers[i + 1 :]:
            if isinstance(f, Activation):
                return by_name(Initializer, f.initializer)()
            if None in f.initializers().values():
                break
        return by_name(Initializer, Activation.initializer)()

    def over(self, ranks: Ranks) -> Self:
        return replace(self, layers=[f.over(ranks) for f in self.layers])

    @property
    def random(self) -> bool:
        return any(f.random for f in self.layers)

    @property
    def min_batch_size(self) -> int:
        return max(f.min_batch_size for f in self.layers)

    def forward(self, x: Array, key: Array | None = None, **p: Array) -> tuple[Array, Any]:
        tape: list[Any] = []
        for i, (f, q) in enumerate(self._each(p)):
            x, saved = f.forward(x, **q, **({"key": fold_in(key, i)} if f.random else {}))
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
        """dx of layer i; adds the gradients of its parameters to dp."""
        saved, q = tape[i]
        dx, own = self.layers[i].pullback(saved, dy, **q)
        dp |= _prefixed(i, own)
        return dx

    def predict(self, x: Array, **p: Array) -> Array:
        for f, q in self._each(p):
            x = f.predict(x, **q)
        return x

    def update_buffers(self, saved: Any, /, **buffers: Array) -> dict[str, Array]:
        return _joined(f.update_buffers(saved[i][0], **b) for i, (f, b) in enumerate(self._each(buffers)))

    def statistics(self, saved: Any, /) -> dict[str, Array]:
        return _joined(f.statistics(own) for f, (own, _) in zip(self.layers, saved, strict=True))

    def _each(self, named: dict[str, Array]) -> Iterator[tuple[Layer, dict[str, Array]]]:
        """Each layer with its arrays, by the layer's own names."""
        own: list[dict[str, Array]] = [{} for _ in self.layers]
        for name, array in named.items():
            i, _, rest = name.partition(".")
            own[int(i)][rest] = array
        return zip(self.layers, own, strict=True)


@dataclass(frozen=True)
class Residual(Chain):
    """y = x + f(x),  dx = dy + df(dy): layers f and a connection that bypasses them.

    Through the identity the gradient passes unchanged, at any depth of the network (He et al. 2016). Raises ValueError
    if f has not as many outputs as inputs.
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
    """Arrays by the number of their layer, a dot and their name."""
    return {name: array for i, named in enumerate(each) for name, array in _prefixed(i, named).items()}
