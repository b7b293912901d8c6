"""
XOR with a hidden layer
=======================

Two hidden nodes are enough to learn what a single node cannot.

Each hidden node draws a line in the plane of the inputs. The output node draws a third line in the plane of the two
hidden values, and there one line separates the ones of XOR from the zeros. The picture shows the output in the plane
of the inputs with the two hidden lines, the four points as the output node sees them, and the loss during training.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np

import dlarray
from dlarray.plot import BLUE, ORANGE

INPUTS = np.asarray([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
TARGETS = np.asarray([0, 1, 1, 0])

EPOCHS = 300


def learn(nodes: int, seed: int) -> dlarray.Trained:
    """A network with this number of hidden nodes, trained from the initial weights of this seed."""
    return dlarray.fit(
        dlarray.mlp(2, nodes, 1, activation="tanh"),
        INPUTS,
        TARGETS,
        loss="binary_cross_entropy",
        optimizer=dlarray.Adam(0.1),
        epochs=EPOCHS,
        batch_size=None,
        metrics=[],
        seed=seed,
        progress=False,
    )


# %%
# Two hidden nodes are enough, but not from all initial weights; with more nodes, more of them lead to a solution.

trained = learn(nodes=2, seed=0)
model, probability = trained.model, trained.predict(INPUTS)[:, 0]
print(model.summary())
for (x1, x2), t, p in zip(INPUTS, TARGETS, probability, strict=True):
    print(f"{x1:.0f} xor {x2:.0f} = {t}: probability of a 1 {p:.3f}")
right = int(np.sum(trained.classify(INPUTS) == TARGETS))
print(f"{right} of 4 right with {model.layout.count} parameters, loss {trained.history['loss'][-1]:.4f}")
for nodes in (2, 3, 4):  # few nodes may end in a local minimum with two right answers and two undecided
    found = sum(learn(nodes, seed).history["loss"][-1] < 0.1 for seed in range(10))
    print(f"{nodes} hidden nodes: {found} of 10 initial weights converge")

# %%
# The parameters as NumPy arrays: W₁, b₁ and W₂, b₂ of σ(tanh(x W₁ + b₁) W₂ + b₂).

W1, b1, W2, b2 = (dlarray.to_numpy(p) for p in trained.parameters.values())
hidden = np.tanh(INPUTS @ W1 + b1)

figure, (left, middle, last) = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
grid = np.linspace(-0.5, 1.5, 201)
plane = np.stack([x.ravel() for x in np.meshgrid(grid, grid)], axis=1)
answer = trained.predict(plane).reshape(grid.size, grid.size)
shade = left.contourf(grid, grid, answer, levels=np.linspace(0, 1, 12), cmap="PuOr_r")
for node, style in ((0, "--"), (1, ":")):
    z = (plane @ W1[:, node] + b1[node]).reshape(answer.shape)
    left.contour(grid, grid, z, levels=[0], colors="black", linestyles=style, linewidths=2)
left.set(
    title="The output, and the two hidden lines", xlabel="input x₁", ylabel="input x₂", xticks=[0, 1], yticks=[0, 1]
)
figure.colorbar(shade, ax=left, label="probability of a 1", ticks=[0, 0.5, 1])

h = np.linspace(-1.2, 1.2, 201)
nodes = np.stack([x.ravel() for x in np.meshgrid(h, h)], axis=1)
output = (nodes @ W2 + b2).reshape(h.size, h.size)
middle.contourf(h, h, 1 / (1 + np.exp(-output)), levels=np.linspace(0, 1, 12), cmap="PuOr_r")
middle.contour(h, h, output, levels=[0], colors="black", linewidths=2)
middle.set(title="What the output node sees", xlabel="hidden node h₁ (line - -)", ylabel="hidden node h₂ (line · ·)")
for ax, points in ((left, INPUTS), (middle, hidden)):
    ax.set_aspect("equal")
    for value, marker in ((0, "s"), (1, "o")):
        p1, p2 = points[value == TARGETS].T
        face = "black" if value else "white"
        ax.scatter(
            p1, p2, s=110, marker=marker, facecolor=face, edgecolor="black", linewidth=1.5, label=f"target {value}"
        )
middle.legend(framealpha=0.9)

last.plot(np.arange(1, EPOCHS + 1), trained.history["loss"], color=BLUE, linewidth=2)
last.axhline(np.log(2), color=ORANGE, linestyle="--", label="log 2: random guessing, or a single node")
last.set(title="Training", xlabel="epoch (4 examples each)", ylabel="cross-entropy", yscale="log")
last.legend()
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "xor.png", dpi=120)
