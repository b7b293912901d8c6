"""
The perceptron of 1958
======================

One node: a weighted sum of the inputs, then an activation.

It learns AND and OR but cannot learn XOR: its decision boundary is a straight line, and no straight line separates the
ones of XOR from the zeros. The picture shows the output of the node for every pair of inputs, and the boundary.
Rosenblatt's node had a step function as its activation, which has no gradient; here it is a sigmoid, so that gradient
descent can train it.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np

import dlarray

INPUTS = np.asarray([[0, 0], [0, 1], [1, 0], [1, 1]])
TRUTH = {"AND": [0, 0, 0, 1], "OR": [0, 1, 1, 1], "XOR": [0, 1, 1, 0]}

node = dlarray.MLP(2, [dlarray.Dense(1)])
figure, axes = plt.subplots(1, 3, figsize=(11, 4.2), sharey=True, layout="constrained")
grid = np.linspace(-0.5, 1.5, 101)
plane = np.stack([x.ravel() for x in np.meshgrid(grid, grid)], axis=1)

# %%
# The same node is trained on each of the three functions.

for ax, (name, truth) in zip(axes, TRUTH.items(), strict=True):
    targets = np.asarray(truth)
    trained = dlarray.fit(
        node,
        INPUTS,
        targets,
        loss="binary_cross_entropy",
        optimizer=dlarray.GradientDescent(1.0),
        epochs=300,
        batch_size=None,
        progress=False,
    )
    probability = trained.predict(INPUTS)[:, 0]
    right = int(np.sum(trained.classify(INPUTS) == targets))
    print(f"\n{name}   x₁ x₂   target   probability of a 1")
    for (x1, x2), t, p in zip(INPUTS, targets, probability, strict=True):
        print(f"      {x1}  {x2}      {t}         {p:.3f}")
    verdict = "learnt" if right == 4 and np.max(np.abs(probability - targets)) < 0.25 else "not learnt"
    print(f"{name}: {verdict}, loss {trained.history['loss'][-1]:.3f} (random guessing has log 2 = {np.log(2):.3f})")

    answer = trained.predict(plane).reshape(grid.size, grid.size)
    shade = ax.contourf(grid, grid, answer, levels=np.linspace(0, 1, 12), cmap="PuOr_r")
    if verdict == "learnt":
        ax.contour(grid, grid, answer, levels=[0.5], colors="black", linewidths=2)
    for value, marker in ((0, "s"), (1, "o")):
        x1, x2 = INPUTS[targets == value].T
        face = "black" if value else "white"
        ax.scatter(
            x1, x2, s=110, marker=marker, facecolor=face, edgecolor="black", linewidth=1.5, label=f"target {value}"
        )
    ax.set(title=f"{name}: {verdict}", xlabel="input x₁", xticks=[0, 1], yticks=[0, 1], aspect="equal")

axes[0].set_ylabel("input x₂")
axes[2].legend(loc="center", framealpha=0.9)
figure.colorbar(shade, ax=axes, shrink=0.82, label="probability of a 1", ticks=[0, 0.5, 1])
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "perceptron.png", dpi=120)
