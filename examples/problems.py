"""
Common training problems
========================

Vanishing and exploding gradients, dying ReLUs, saturation, equal weights, wrong learning rates.

Each network for handwritten digits has one problem, and one network has none. ``dlarray.diagnose_at`` looks at a single
training step and names the problem. Then all networks are trained, which confirms the diagnosis. The picture shows how
the gradient goes back through the layers, and the share of units that are dead or saturated.
"""

import sys

import matplotlib.pyplot as plt

import dlarray
from dlarray import Adam, Constant, Dense, Normal, plot

LAYERS, UNITS, EPOCHS = 8, 48, 10


def network(activation: str, weight: dlarray.Initializer | None = None, bias: float = 0.0) -> dlarray.MLP:
    """A network of LAYERS equal hidden layers."""
    hidden = [f for _ in range(LAYERS) for f in (Dense(UNITS, weight, Constant(bias)), activation)]
    return dlarray.MLP(64, [*hidden, Dense(10, weight)])


CASES = {
    "ReLU, He's weights": (network("relu"), Adam(0.001)),
    "sigmoid": (network("sigmoid"), Adam(0.001)),
    "weights too large": (network("relu", Normal(0.8)), Adam(0.001)),
    "biases of -10": (network("relu", bias=-10.0), Adam(0.001)),
    "tanh, biases of 5": (network("tanh", bias=5.0), Adam(0.001)),
    "all weights equal": (network("relu", Constant(0.03)), Adam(0.001)),
    "rate of 1e-7": (network("relu"), Adam(1e-7)),
    "rate of 10": (network("relu"), Adam(10.0)),
}

data = dlarray.datasets.digits()
x, y = data.x_train, data.y_train
found = {}
print(f"{'network':20} {'verdict':34} test accuracy after {EPOCHS} epochs")
for name, (model, optimizer) in CASES.items():
    found[name] = dlarray.diagnose_at(model, model.init(), x, y, optimizer=optimizer)
    trained = dlarray.fit(model, x, y, optimizer=optimizer, epochs=EPOCHS, metrics=[], compile=False, progress=False)
    accuracy = trained.evaluate(data.x_test, data.y_test)["accuracy"]
    kinds = ", ".join(problem.kind for problem in found[name].problems) or found[name].verdict
    print(f"{name:20} {kinds:34} {accuracy:6.1%}")

print()
print(found["biases of -10"])

figure, axes = plt.subplots(2, 3, figsize=(11, 7), layout="constrained")
for ax, name in zip(axes.flat, ("ReLU, He's weights", "sigmoid", "weights too large"), strict=False):
    plot.gradient_flow(found[name], ax)
    ax.set_title(f"{name}: {found[name].verdict}")
for ax, name in zip(axes.flat[3:], ("biases of -10", "tanh, biases of 5", "all weights equal"), strict=False):
    plot.inactive_units(found[name], ax)
    ax.set_title(f"{name}: {found[name].verdict}")
plot.save(figure, sys.argv[1] if len(sys.argv) > 1 else "problems.png")
