"""
A backend of your own
=====================

Tell dlarray of an array library that it has never heard of, in some thirty lines.

The library here is NumPy under another name, with one thing more: its arrays count the matrix products that they take
part in. A real one would be a package ``dlarray_mynumpy`` which announces itself in its pyproject.toml::

    [project.entry-points."dlarray.backends"]
    mynumpy = "dlarray_mynumpy"

Without that line it is found all the same where a module of that name can be imported, and here this file is that
module. No formula is written again: the losses are NumPy's, bit for bit. And the count shows back propagation at work:
a network of L layers needs L products forward and 2 L - 1 back, for nobody asks for the gradient of its inputs.
"""

import sys
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import dlarray
from dlarray.device.backend import Backend


class Array(np.ndarray):
    """NumPy's array, counting."""

    products = 0

    def __matmul__(self, other: Any) -> Any:
        Array.products += 1
        return super().__matmul__(other)

    def __rmatmul__(self, other: Any) -> Any:
        Array.products += 1
        return super().__rmatmul__(other)


# %%
# All that dlarray must know.


class MyNumPy(Backend):
    """The abacus, and the ways in and out."""

    name = "mynumpy"
    arrays = (__name__,)  # where its array types are defined

    def namespace(self) -> Any:
        import array_api_compat.numpy as xp

        return xp

    def devices(self) -> list[str]:
        return ["abacus"]

    def place(self, device: str) -> str:
        if device != "abacus":
            raise ValueError(f"mynumpy has the device abacus alone, got {device!r}")
        return device

    def asarray(self, host: np.ndarray, place: str) -> Array:
        return np.array(host).view(Array)

    def to_numpy(self, x: Array) -> np.ndarray:
        return np.asarray(x)


backend = MyNumPy()
sys.modules["dlarray_mynumpy"] = sys.modules[__name__]


# %%
# Train on both, count, draw.


def train(device: str, layers: int, epochs: int) -> list[float]:
    """The loss of every step of a network with so many layers that learns which points lie in a circle."""
    dice = np.random.default_rng(0)
    x = dice.uniform(-1, 1, (256, 2))
    inside = np.astype(np.sum(x * x, axis=1) < 0.6, np.int32)
    model = dlarray.mlp(2, *[16] * (layers - 1), 1, activation="tanh")
    optimizer = dlarray.Adam(0.01)
    return dlarray.fit(
        model, x, inside, optimizer=optimizer, epochs=epochs, metrics=[], device=device, compile=False, progress=False
    ).history.steps


def main(path: str) -> None:
    """Train on both, count, draw."""
    print(f"new arrays may go to {dlarray.device_of(dlarray.asarray([1.0], 'mynumpy'))} now")
    ours, numpys = train("mynumpy", 3, 60), train("cpu", 3, 60)
    apart = max(abs(a - b) for a, b in zip(ours, numpys, strict=True))
    print(f"{len(ours)} steps on each device: losses end at {ours[-1]:.4f} and are at most {apart} apart")

    layers, counts = range(1, 7), []
    for n in layers:
        before = Array.products
        steps = len(train("mynumpy", n, 1))
        counts.append((Array.products - before) / steps)
        print(f"{n} layers: {counts[-1]:g} matrix products in a step")

    print("so L layers take L products forward and 2 L - 1 back")

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    left.plot(range(1, len(numpys) + 1), numpys, color="#56B4E9", linewidth=5, label="cpu: NumPy")
    left.plot(range(1, len(ours) + 1), ours, color="black", linewidth=1, label="mynumpy:abacus")
    left.set(title="The same losses", xlabel="step", ylabel="binary cross-entropy")
    left.legend()
    right.bar(layers, layers, color="#0072B2", label="forward: L")
    right.bar(
        layers,
        [c - n for n, c in zip(layers, counts, strict=True)],
        bottom=layers,
        color="#E69F00",
        label="back: 2 L - 1",
    )
    right.set(title="What the abacus counted", xlabel="layers L", ylabel="matrix products in a step")
    right.legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "custom_backend.png")
