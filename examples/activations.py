"""
Every activation beside its slope
=================================

Where it is flat, no gradient comes through.

A new class in the library, or in this file, appears by itself: classes are found by walking the subclasses of
``dlarray.Activation``. What to look for: where the slope (orange) is 0, no gradient comes through. Sigmoid and tanh
have that on both sides (the vanishing gradient), ReLU on the left (the dying neuron); leaky ReLU and its kin leave
some. Softmax and log-softmax act on a row of numbers: drawn is the first of the row (z, 0).
"""

import sys

import matplotlib.pyplot as plt
import numpy as np

import dlarray

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#999999"
REACH, DEPTH = 4.0, 10

# %%
# Each activation is a layer, so a network of the activation alone gives its values forward and, with 1 coming back,
# its slope backward.

z = np.linspace(-REACH, REACH, 801, dtype=np.float32)
rows = dlarray.asarray(np.stack([z, np.zeros_like(z)], axis=1))
first = dlarray.asarray(np.stack([np.ones_like(z), np.zeros_like(z)], axis=1))

kinds = dlarray.core.registry.classes(dlarray.Activation)
columns = 5
lines = -(-len(kinds) // columns)
figure, axes = plt.subplots(lines, columns, figsize=(13, 2.5 * lines), sharex=True, sharey=True, layout="constrained")
print(
    f"{'activation':14} {'values':>16} {'largest slope':>14} {'its ' + str(DEPTH) + 'th power':>16} {'slope at -4':>12}"
)

for ax, (name, kind) in zip(axes.flat, kinds.items(), strict=False):
    model = dlarray.MLP(2, [kind()])  # a network of the activation alone; PReLU brings a parameter
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
    ax.plot(z, slope, color=ORANGE, linewidth=2.2, linestyle="--", label="slope da/dz")
    ax.set(title=kind.__name__, ylim=(-2.2, 2.6))

# %%
# The same in a picture.

for ax in axes.flat[len(kinds) :]:
    ax.set_axis_off()
for ax in axes[-1]:
    ax.set_xlabel("z")
axes.flat[0].legend(loc="lower right", fontsize=8)
print(f"\n{len(kinds)} activations. The gradient is multiplied by a slope in every layer: sigmoid's is at most 0.25,")
print(
    f"so {DEPTH} layers of it leave at most {0.25**DEPTH:.1e} of the gradient; ReLU's is 1, or 0 where the node is off."
)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "activations.png", dpi=110)
