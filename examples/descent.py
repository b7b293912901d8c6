"""
Six optimizers on the same loss
===============================

Batch, mini-batch and stochastic gradient descent, momentum, Adagrad, Adam.

The model is a straight line, ŷ = w x + b. It has two parameters, so its loss is a surface that can be drawn. The
surface is a long valley, because the mean of x is not 0. Each picture shows 60 steps of one optimizer, from the square
towards the minimum, the star. Batch descent takes the direct way but uses all examples in each step. Stochastic
descent uses one example and is noisy. Momentum overshoots the minimum and comes back. The steps of Adagrad shrink.
Those of Adam are nearly of one length at first.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np

import dlarray
from dlarray.plot import AMBER

STEPS, EXAMPLES = 60, 200
START = (-1.0, 4.0)
LEVELS = np.geomspace(0.01, 50, 12)

dice = np.random.default_rng(0)
x = dice.uniform(0, 3, (EXAMPLES, 1))
y = 2 * x + 1 + dice.normal(0, 0.5, x.shape)

model = dlarray.MLP(1, [dlarray.Dense(1, weight=dlarray.Constant(START[0]), bias=dlarray.Constant(START[1]))])
loss = dlarray.MeanSquaredError()

RUNS = {
    "batch": (dlarray.GradientDescent(0.1), EXAMPLES),
    "mini-batch of 20": (dlarray.GradientDescent(0.1), 20),
    "stochastic": (dlarray.GradientDescent(0.1), 1),
    "momentum 0.9": (dlarray.Momentum(0.05, momentum=0.9), EXAMPLES),
    "Adagrad": (dlarray.Adagrad(0.8), EXAMPLES),
    "Adam": (dlarray.Adam(0.25), EXAMPLES),
}


def descend(optimizer: dlarray.Optimizer, batch_size: int) -> np.ndarray:
    """(w, b) before the first step and after each."""
    theta = model.init()
    layout, state = model.layout_of(theta), optimizer.init_all(theta)
    path = [START]
    for _ in range(STEPS):
        rows = dice.choice(EXAMPLES, batch_size, replace=False)
        batch = (dlarray.asarray(values[rows], dtype="float32") for values in (x, y))
        _, g = model.loss_and_gradient(theta, *batch, loss)
        theta, state = optimizer.step_parameters(theta, g, state, layout)
        path.append(tuple(float(dlarray.to_numpy(p).ravel()[0]) for p in model.parameters(theta).values()))
    return np.asarray(path)


# %%
# The loss on a grid of θ. An optimizer sees only the gradient at its own point.

ws, bs = np.linspace(-1.7, 4.2, 60), np.linspace(-1.5, 5.4, 60)
surface = np.asarray([[np.mean((w * x + b - y) ** 2) for w in ws] for b in bs])
best = np.linalg.lstsq(np.concatenate([x, np.ones_like(x)], axis=1), y, rcond=None)[0].ravel()
lowest = np.mean((best[0] * x + best[1] - y) ** 2)
height = np.maximum(surface - lowest, LEVELS[0])
print(f"minimum {lowest:.4f} at w = {best[0]:.3f}, b = {best[1]:.3f}; start at w = {START[0]}, b = {START[1]}")

figure, axes = plt.subplots(2, 3, figsize=(12, 7.4), sharex=True, sharey=True, layout="constrained")
for ax, (name, (optimizer, batch_size)) in zip(axes.flat, RUNS.items(), strict=True):
    path = descend(optimizer, batch_size)
    (w, b), away = path[-1], np.linalg.norm(path[-1] - best)
    above = np.mean((w * x + b - y) ** 2) - lowest
    seen = f"{STEPS * batch_size:,} examples seen"
    print(f"{name:17} {STEPS} steps, {seen:>20}: loss {above:.4f} above the minimum, θ {away:.3f} away")
    shade = ax.contourf(ws, bs, height, levels=LEVELS, cmap="viridis_r", norm="log", extend="max")
    ax.plot(*path.T, color="black", linewidth=3)
    ax.plot(
        *path.T, color=AMBER, linewidth=1.5, marker="o", markersize=3.5, markeredgecolor="black", markeredgewidth=0.4
    )
    ax.plot(*START, marker="s", color="white", markeredgecolor="black", markersize=8)
    ax.plot(*best, marker="*", color="white", markeredgecolor="black", markersize=15)
    ax.set_title(f"{name}\n{seen}, final excess loss {above:.3f}", fontsize=10)
for ax in axes[-1]:
    ax.set_xlabel("weight w")
for ax in axes[:, 0]:
    ax.set_ylabel("bias b")
figure.colorbar(
    shade, ax=axes, label="mean squared error above the minimum", shrink=0.8, ticks=[0.01, 0.1, 1, 10], format="%g"
)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "descent.png", dpi=110)
