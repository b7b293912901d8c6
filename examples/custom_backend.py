"""
A custom backend
================

A backend for another array library takes about twenty lines.

The library here is NumPy under another name, with arrays that count their matrix products. A real backend would be a
package ``dlarray_mynumpy`` with an entry point in its pyproject.toml::

    [project.entry-points."dlarray.backends"]
    mynumpy = "dlarray_mynumpy"

Without the entry point, a module of that name is found if it can be imported; here this file is that module. No
formula is written again, and the losses are equal to those of NumPy, bit for bit. The count shows the cost of back
propagation: a network of L layers takes L products forward and 2 L - 1 backward, because the gradient of its inputs is
not computed.
"""

import sys
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import dlarray
from dlarray.backend import OneDevice
from dlarray.plot import AMBER, BLUE, SKY


class Array(np.ndarray):
    """An array of NumPy that counts matrix products."""

    products = 0

    def __matmul__(self, other: Any) -> Any:
        Array.products += 1
        return super().__matmul__(other)

    def __rmatmul__(self, other: Any) -> Any:
        Array.products += 1
        return super().__rmatmul__(other)


# %%
# The backend: all that dlarray needs.


class MyNumPy(OneDevice):
    """One device, "cpu", and the conversion from and to NumPy."""

    name = "mynumpy"
    array_modules = (__name__,)  # where its array types are defined

    def namespace(self) -> Any:
        import array_api_compat.numpy as xp

        return xp

    def asarray(self, host: np.ndarray, handle: str) -> Array:
        return np.array(host).view(Array)

    def to_numpy(self, x: Array) -> np.ndarray:
        return np.asarray(x)


backend = MyNumPy()
sys.modules["dlarray_mynumpy"] = sys.modules[__name__]


# %%
# Train on both devices, count the products, draw.


def train(device: str, layers: int, epochs: int) -> list[float]:
    """The loss of each step of a network of this many layers that classifies points as inside or outside a circle."""
    dice = np.random.default_rng(0)
    x = dice.uniform(-1, 1, (256, 2))
    inside = np.astype(np.sum(x * x, axis=1) < 0.6, np.int32)
    model = dlarray.mlp(2, *[16] * (layers - 1), 1, activation="tanh")
    optimizer = dlarray.Adam(0.01)
    return dlarray.fit(
        model, x, inside, optimizer=optimizer, epochs=epochs, metrics=[], device=device, compile=False, progress=False
    ).history.steps


def main(path: str) -> None:
    """Train on both devices, count the products, draw."""
    print(f"new arrays can now be made on {dlarray.device_of(dlarray.asarray([1.0], 'mynumpy'))}")
    ours, numpys = train("mynumpy", 3, 60), train("cpu", 3, 60)
    apart = max(abs(a - b) for a, b in zip(ours, numpys, strict=True))
    print(f"{len(ours)} steps on each device: the last loss is {ours[-1]:.4f}, the largest difference {apart}")

    layers, counts = range(1, 7), []
    for n in layers:
        before = Array.products
        steps = len(train("mynumpy", n, 1))
        counts.append((Array.products - before) / steps)
        print(f"{n} layers: {counts[-1]:g} matrix products in a step")

    print("L layers take L products forward and 2 L - 1 backward")

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    left.plot(range(1, len(numpys) + 1), numpys, color=SKY, linewidth=5, label="cpu: NumPy")
    left.plot(range(1, len(ours) + 1), ours, color="black", linewidth=1, label="mynumpy:cpu: its backend")
    left.set(title="The same losses", xlabel="step", ylabel="binary cross-entropy")
    left.legend()
    right.bar(layers, layers, color=BLUE, label="forward: L")
    right.bar(
        layers,
        [c - n for n, c in zip(layers, counts, strict=True)],
        bottom=layers,
        color=AMBER,
        label="backward: 2 L - 1",
    )
    right.set(title="Matrix products counted", xlabel="layers L", ylabel="matrix products in a step")
    right.legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "custom_backend.png")
