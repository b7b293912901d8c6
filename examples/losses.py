"""
Four losses and a few outliers
==============================

Squared error, absolute error, Huber and log-cosh.

The data are fifty measurements of a straight line, eight of them wrong. The gradient of the squared error grows with
the error, so the outliers pull the line away. The gradient of the absolute error has one size for all errors, so they
do not. Huber and log-cosh are squared for small errors and absolute for large ones. The plots on the right show each
loss and its derivative.
"""

import sys
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np

import dlarray
from dlarray.plot import BLUE, GREEN, GREY, ORANGE, PINK

LOSSES = {
    "MSE": (dlarray.MeanSquaredError(), ORANGE, "-"),
    "MAE": (dlarray.MeanAbsoluteError(), BLUE, "--"),
    "Huber, δ = 1": (dlarray.Huber(delta=1.0), GREEN, "-."),
    "log-cosh": (dlarray.LogCosh(), PINK, ":"),
}
WEIGHT, BIAS, OUTLIERS = 1.5, -0.5, 8

dice = np.random.default_rng(0)
x = np.linspace(-3, 3, 50).reshape(-1, 1)
y = WEIGHT * x + BIAS + dice.normal(0, 0.3, x.shape)
y[-OUTLIERS:] -= dice.uniform(8, 14, (OUTLIERS, 1))

# %%
# Fit a line with each loss; ``reduction="none"`` returns the loss of each error.

figure, (left, shapes, slopes) = plt.subplots(1, 3, figsize=(14, 4.6), layout="constrained")
left.plot(x[:-OUTLIERS], y[:-OUTLIERS], "o", color=GREY, label="measured")
left.plot(x[-OUTLIERS:], y[-OUTLIERS:], "x", color="black", label="outliers")
left.plot(x, WEIGHT * x + BIAS, color="black", linewidth=1, label="truth")
difference = np.linspace(-4, 4, 401).reshape(-1, 1)

print(f"truth:        ŷ = {WEIGHT:6.3f} x {BIAS:+.3f}")
for name, (loss, colour, style) in LOSSES.items():
    rate = dlarray.CosineDecay(0.05, steps=600)  # MAE needs it: its gradient does not shrink near the minimum
    line = dlarray.MLP(1, [dlarray.Dense(1)])
    trained = dlarray.fit(
        line, x, y, loss=loss, optimizer=dlarray.Adam(rate), epochs=600, batch_size=None, metrics=[], progress=False
    )
    w, b = (float(dlarray.to_numpy(p).ravel()[0]) for p in line.parameters(trained.theta).values())
    away = np.sqrt(np.mean((w * x + b - WEIGHT * x - BIAS) ** 2))
    print(f"{name:13} ŷ = {w:6.3f} x {b:+.3f}   on average {away:.2f} away from the truth")
    left.plot(x, w * x + b, style, color=colour, linewidth=2.2, label=f"{name}: {away:.2f} away")

    each = replace(loss, reduction="none")
    terms, saved = each.forward(difference, np.zeros_like(difference))
    shapes.plot(difference, terms, style, color=colour, linewidth=2.2, label=name)
    slopes.plot(difference, each.backward(saved), style, color=colour, linewidth=2.2)

left.set(title="Fitted lines", xlabel="x", ylabel="y", ylim=(-14.5, 5))
shapes.set(title="Loss of one error", xlabel="error ŷ - y", ylabel="loss", ylim=(0, 8))
slopes.set(title="Its derivative", xlabel="error ŷ - y", ylabel="derivative of the loss", ylim=(-4, 4))
left.legend(fontsize=9, loc="lower left")
shapes.legend()
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "losses.png", dpi=110)
