"""
A custom activation
===================

One class with a formula forward and its derivative backward; nothing else needs to change.

Snake, a = z + sin²z (Ziyin, Hartwig and Ueda 2020), helps a network to learn periodic functions. It is not in the
library; this program defines it, checks its derivative against a finite difference, and uses it by its name. Then
three networks that differ only in their activation learn a rising wave. Snake learns it in a number of steps that is
too small for ReLU and tanh.
"""

import sys
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np

import dlarray
from dlarray import Array
from dlarray.plot import GREY, ORANGE


@dataclass(frozen=True)
class Snake(dlarray.Activation):
    """a = z + sin²z,  dz = (1 + sin 2z) da."""

    def forward(self, z: Array) -> tuple[Array, Array]:
        xp = dlarray.array_namespace(z)
        sine = xp.sin(z)
        return z + sine * sine, z

    def backward(self, z: Array, da: Array) -> Array:
        xp = dlarray.array_namespace(z)
        return (1 + xp.sin(2 * z)) * da


# %%
# Check the derivative, here on NumPy arrays in float64.

z, step = np.linspace(-4, 4, 201), 1e-5
snake = Snake()
a, saved = snake.forward(z)
exact = snake.backward(saved, np.ones_like(z))
difference = (snake.predict(z + step) - snake.predict(z - step)) / (2 * step)
print(f"backward against a finite difference: at most {np.max(np.abs(exact - difference)):.1e} apart")


# %%
# Train three networks that differ only in their activation. The name "snake" is known as soon as the class is defined.


def wave(x: np.ndarray) -> np.ndarray:
    """The function to learn."""
    return np.sin(3.6 * x) + 0.5 * x


dice = np.random.default_rng(0)
x = np.sort(dice.uniform(-3, 3, 200)).reshape(-1, 1)
y = wave(x) + dice.normal(0, 0.05, x.shape)
line = np.linspace(-3, 3, 601).reshape(-1, 1)

figure, axes = plt.subplots(1, 3, figsize=(13, 4), sharey=True, layout="constrained")
for ax, name in zip(axes, ("relu", "tanh", "snake"), strict=True):
    model = dlarray.mlp(1, 32, 32, 1, activation=name)
    rate = dlarray.CosineDecay(0.01, steps=1600)
    trained = dlarray.fit(
        model, x, y, optimizer=dlarray.Adam(rate), epochs=200, batch_size=25, metrics=[], progress=False
    )
    error = np.sqrt(np.mean((trained.predict(line) - wave(line)) ** 2))
    print(f"{name:6} is on average {error:.3f} away from the truth")
    ax.plot(x, y, ".", color=GREY, label="examples")
    ax.plot(line, wave(line), color="black", linewidth=1, label="truth")
    ax.plot(line, trained.predict(line), color=ORANGE, linewidth=2.2, label="learnt")
    ax.set(xlabel="x", title=f"{name}: {error:.3f} away from the truth")
axes[0].set_ylabel("y")
axes[0].legend()
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "custom_activation.png", dpi=110)
