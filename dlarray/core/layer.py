"""The interface of every layer: one formula forward, its chain rule backward.

    y, saved = layer.forward(x, **p)         training; p holds the layer's own parameters by name
    dx       = layer.backward(saved, dy, **p)
    dp       = layer.gradient(saved, dy)     {name: array}
    y        = layer.predict(x, **p)         inference

``dx`` stands for dL/dx, the gradient of the loss with respect to x, and so on for every array.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

from dlarray.core.array import Array
from dlarray.core.keywords import WithSynonyms
from dlarray.core.ranks import Ranks

__all__ = ["Activation", "Layer", "Shape", "Wrapped"]

Shape = tuple[int, ...]


class Layer(WithSynonyms):
    """A function of x and of named parameters, with its derivative. It holds configuration and no arrays.

    Subclasses are frozen dataclasses. ``saved`` is what ``forward`` keeps for ``backward`` and ``gradient``. These two
    are separate methods because dx of the first layer is never needed.
    """

    abstract: ClassVar[bool] = True
    integers: ClassVar[bool] = False
    """Whether x holds integers, as for an Embedding, instead of floating-point numbers."""

    forward: Callable[..., tuple[Array, Any]]
    backward: Callable[..., Array]

    def gradient(self, saved: Any, dy: Array, /) -> dict[str, Array]:
        """The gradient of the loss with respect to each parameter, by name; empty if there are no parameters."""
        return {}

    def pullback(self, saved: Any, dy: Array, /, **p: Array) -> tuple[Array, dict[str, Array]]:
        """dx and the gradient: (dx, {name: array}). A layer made of layers overrides it to go back only once."""
        return self.backward(saved, dy, **p), self.gradient(saved, dy)

    def predict(self, *x: Array, **p: Array) -> Array:
        """The outputs at inference; by default those of ``forward``. Dropout and BatchNorm override it."""
        return self.forward(*x, **p)[0]

    def shapes(self, inputs: int) -> dict[str, Shape]:
        """The shapes of the trained parameters for this number of inputs, by name."""
        return {}

    def buffers(self, inputs: int) -> dict[str, Shape]:
        """The shapes of the arrays that are kept and not trained, by name, such as BatchNorm's running mean."""
        return {}

    def update_buffers(self, saved: Any, /, **buffers: Array) -> dict[str, Array]:
        """The buffers after a training step. ``predict`` takes them as arguments next to the parameters."""
        return buffers

    def statistics(self, saved: Any, /) -> dict[str, Array]:
        """The values of this batch alone for those buffers that are averages over batches.

        Callbacks that average θ use them to recompute the buffers, as means over one pass through the examples.
        """
        return {}

    def initializers(self) -> dict[str, Any]:
        """An initializer for every parameter and buffer, by name; None means that of the activation that follows."""
        return {}

    @property
    def random(self) -> bool:
        """Whether ``forward`` draws random numbers; it then takes ``key=``, an array of ``core.random``."""
        return False

    @property
    def min_batch_size(self) -> int:
        """The least number of examples in a training batch: more than one if statistics over the batch are computed."""
        return 1

    def over(self, ranks: Ranks) -> Self:
        """The same layer for a batch whose rows are spread over ranks; by default itself.

        A layer that computes over the examples, as BatchNorm's means, needs the sums of all ranks in forward and
        backward. Its ``gradient`` stays that of the rows of this rank.
        """
        return self

    def width(self, inputs: int) -> int:
        """The number of outputs for this number of inputs. Raises ValueError if the layer cannot take them."""
        return inputs


class Activation(Layer):
    """A layer that acts on each number, or on each row as softmax does, and has no weights that mix inputs.

    ``initializer`` names the distribution of the weights of the Dense layer before it.
    """

    abstract: ClassVar[bool] = True
    initializer: ClassVar[str] = "glorot_uniform"
    gives_probabilities: ClassVar[bool] = False
    """Whether its outputs are probabilities: each by itself, like sigmoid's, or all of a row, like softmax's."""


class Wrapped(Layer):
    """What stands for another layer in a chain. Subclasses define the methods around which they do something."""

    abstract = True

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.integers = layer.integers  # pyright: ignore[reportAttributeAccessIssue] - of this layer, not of the class

    @property
    def random(self) -> bool:
        return self.layer.random

    @property
    def min_batch_size(self) -> int:
        return self.layer.min_batch_size

    def width(self, inputs: int) -> int:
        return self.layer.width(inputs)
