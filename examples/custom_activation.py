"""
An activation of your own
=========================

One class, a formula forward and its chain rule backward, and nothing else to edit.

Snake, a = z + sin²z (Ziyin, Hartwig and Ueda 2020), lets a network learn what repeats. It is not in the library; below
it is defined, compared with a finite difference, and used by its name. Then three networks that differ in nothing but
their activation learn waves on a slope: snake follows them in a number of steps in which ReLU and tanh do not.
"""

import sys
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np

import dlarray
from dlarray.core.array import Array


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
# Is the chain rule right? Arrays decide where computing happens: these are NumPy's, in float64.

z, step = np.linspace(-4, 4, 201), 1e-5
snake = Snake()
a, saved = snake.forward(z)
exact = snake.backward(saved, np.ones_like(z))
difference = (snake.predict(z + step) - snake.predict(z - step)) / (2 * step)
print(f"backward against a finite difference: at most {np.max(np.abs(exact - difference)):.1e} apart")


# %%
# Three networks that differ in nothing but their activation learn a wave on a slope. "snake" is found by its name since
# the class exists.


def wave(x: np.ndarray) -> np.ndarray:
    """The truth."""
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
    ax.plot(x, y, ".", color="#999999", label="examples")
    ax.plot(line, wave(line), color="black", linewidth=1, label="truth")
    ax.plot(line, trained.predict(line), color="#D55E00", linewidth=2.2, label="learnt")
    ax.set(xlabel="x", title=f"{name}: {error:.3f} away from the truth")
axes[0].set_ylabel("y")
axes[0].legend()
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "custom_activation.png", dpi=110)
