"""The interface of every layer: one formula forward, its chain rule backward.

    y, saved = layer.forward(x, **p)         training; p holds the layer's own parameters by name
    dx       = layer.backward(saved, dy, **p)
    dp       = layer.gradient(saved, dy)     {name: array}
    y        = layer.predict(x, **p)         inference

``dx`` stands for dL/dx, the gradient of the loss with respect to x, and so on for every array.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from dlarray.core.array import Array

__all__ = ["Activation", "Layer", "Shape"]

Shape = tuple[int, ...]


class Layer:
    """A function of x and of named parameters that knows its own derivative. Holds configuration, never arrays.

    Subclasses are frozen dataclasses. ``saved`` is whatever forward wants to keep for backward. ``backward`` and
    ``gradient`` are apart so that the first layer's dx, which nobody needs, is never computed.
    """

    abstract: ClassVar[bool] = True
    integers: ClassVar[bool] = False
    """Whether x holds integers, as an Embedding's does, rather than floating-point numbers."""

    forward: Callable[..., tuple[Array, Any]]
    backward: Callable[..., Array]

    def gradient(self, saved: Any, dy: Array, /) -> dict[str, Array]:
        """The gradient of the loss with respect to each parameter; none where there is no parameter."""
        return {}

    def pullback(self, saved: Any, dy: Array, /, **p: Array) -> tuple[Array, dict[str, Array]]:
        """Both at once: (dx, {name: array}). A layer made of layers overrides this to walk back only once."""
        return self.backward(saved, dy, **p), self.gradient(saved, dy)

    def predict(self, *x: Array, **p: Array) -> Array:
        """The layer at inference; layers that behave otherwise than in training override it."""
        return self.forward(*x, **p)[0]

    def shapes(self, inputs: int) -> dict[str, Shape]:
        """The shapes of the trainable parameters for this many inputs."""
        return {}

    def buffers(self, inputs: int) -> dict[str, Shape]:
        """The shapes of the numbers that are kept but not trained, such as BatchNorm's running mean."""
        return {}

    def update_buffers(self, saved: Any, /, **buffers: Array) -> dict[str, Array]:
        """The buffers after a training pass; ``predict`` is given them beside the parameters."""
        return buffers

    def statistics(self, saved: Any, /) -> dict[str, Array]:
        """The buffers as this training pass alone would have them, where they are averages over batches.

        The callbacks that average θ measure them anew, as means over one pass through the examples.
        """
        return {}

    def initializers(self) -> dict[str, Any]:
        """An initializer for every parameter and buffer by name; None: the choice of the activation that follows."""
        return {}

    @property
    def random(self) -> bool:
        """Whether forward draws random numbers: it is then given ``key=``, an array of ``core.random``."""
        return False

    @property
    def min_batch_size(self) -> int:
        """How many examples a batch of training must hold: more than one where statistics are taken over them."""
        return 1

    def width(self, inputs: int) -> int:
        """The number of outputs for this many inputs. Raises ValueError where the layer cannot take so many."""
        return inputs


class Activation(Layer):
    """A layer that acts on each number (or, as softmax, on each row) and mixes no inputs with weights.

    ``initializer`` names the distribution for the weights of the Dense layer in front of it.
    """

    abstract: ClassVar[bool] = True
    initializer: ClassVar[str] = "glorot_uniform"
