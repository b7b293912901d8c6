"""
Every activation and its derivative
===================================

Where the derivative is 0, no gradient passes.

Sigmoid and tanh have a derivative near 0 on both sides (vanishing gradient), ReLU has 0 on the left (dying ReLU); the
other ReLU variants keep some. Softmax and log-softmax act on a row of numbers; the picture shows the first output for
the row (z, 0). The program finds all subclasses of ``dlarray.Activation``, so a new one appears here by itself.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np

import dlarray
from dlarray.core.registry import classes
from dlarray.plot import BLUE, GREY, ORANGE

REACH, DEPTH = 4.0, 10

# %%
# Each activation is a layer. A network of this one layer gives its values, and its derivative as the gradient for an
# output gradient of 1.

z = np.linspace(-REACH, REACH, 801, dtype=np.float32)
rows = dlarray.asarray(np.stack([z, np.zeros_like(z)], axis=1))
first = dlarray.asarray(np.stack([np.ones_like(z), np.zeros_like(z)], axis=1))

kinds = classes(dlarray.Activation)
columns = 5
lines = -(-len(kinds) // columns)
figure, axes = plt.subplots(lines, columns, figsize=(13, 2.5 * lines), sharex=True, sharey=True, layout="constrained")
print(
    f"{'activation':14} {'values':>16} {'largest slope':>14} {'its ' + str(DEPTH) + 'th power':>16} {'slope at -4':>12}"
)

for ax, (name, kind) in zip(axes.flat, kinds.items(), strict=False):
    model = dlarray.MLP(2, [kind()])  # PReLU has a parameter
    p = model.parameters(model.init())
    a, saved = model.chain.forward(rows, **p)
    slope = dlarray.to_numpy(model.chain.backward(saved, first, **p))[:, 0]
    a = dlarray.to_numpy(a)[:, 0]
    top = float(np.max(np.abs(slope)))
    values = f"{a.min():.2f} to {a.max():.2f}"
    print(f"{name:14} {values:>16} {top:>14.3f} {top**DEPTH:>16.2e} {slope[0]:>12.4f}")
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.axvline(0, color=GREY, linewidth=0.8)
    ax.plot(z, a, color=BLUE, linewidth=2.2, label="a = f(z)")
    ax.plot(z, slope, color=ORANGE, linewidth=2.2, linestyle="--", label="derivative da/dz")
    ax.set(title=kind.__name__, ylim=(-2.2, 2.6))

# %%
# The remaining lines finish the picture.

for ax in axes.flat[len(kinds) :]:
    ax.set_axis_off()
for ax in axes[-1]:
    ax.set_xlabel("z")
axes.flat[0].legend(loc="lower right", fontsize=8)
print(f"\n{len(kinds)} activations. Each layer multiplies the gradient by a derivative. Sigmoid's is at most 0.25,")
print(f"so {DEPTH} layers of it leave at most {0.25**DEPTH:.1e} of the gradient; ReLU's is 1 for z > 0, else 0.")
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "activations.png", dpi=110)
