"""
Early stopping, checkpoints, learning-rate search
=================================================

Training that chooses its learning rate, stops by itself, and continues after an interruption.

The data are 569 breast tumours, benign or malignant, with 30 measurements each. A short run with a growing learning
rate finds a good one. The training stops when the validation loss no longer falls, and returns the weights of the best
epoch. Another training is interrupted half-way and resumed from its last checkpoint: the result is the same, bit for
bit.
"""

import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer

import dlarray
from dlarray import datasets, plot
from dlarray.plot import BLUE, GREY, ORANGE

x, y = load_breast_cancer(return_X_y=True)
chosen = datasets.stratified(y, 0.3, seed=0)
x_train, x_test = datasets.standardize(x[~chosen], x[chosen])
y_train, y_test = y[~chosen], y[chosen]
model = dlarray.mlp(30, 32, 32, 1, activation="relu", dropout=0.2)

found = dlarray.find_learning_rate(model, x_train, y_train, optimizer="adam")
rate = float(f"{found.suggestion:.1g}")
print(f"the loss falls fastest at a learning rate of {found.suggestion:.2g}; used: {rate:g}")

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "run.safetensors"
    stopping = dlarray.EarlyStopping("validation_loss", patience=10)
    options = {
        "optimizer": dlarray.Adam(rate),
        "epochs": 200,
        "validation": (x_test, y_test),
        "class_weight": "balanced",
        "progress": False,
    }
    dlarray.fit(
        model, x_train, y_train, callbacks=[stopping, dlarray.Checkpoint(path, steps=10)], max_steps=77, **options
    )
    resumed = dlarray.fit(model, x_train, y_train, callbacks=[stopping], resume=path, **options)
    whole = dlarray.fit(model, x_train, y_train, callbacks=[stopping], **options)

same = all(
    np.array_equal(dlarray.to_numpy(a), dlarray.to_numpy(b)) for a, b in zip(resumed.theta, whole.theta, strict=True)
)
print(f"interrupted after 77 steps and resumed: {'the same bits' if same else 'other bits'}")
print(f"stopped after {len(whole.history.epochs)} epochs: {whole.history.stopped}")
losses = whole.history["validation_loss"]
best = int(np.argmin(losses)) + 1
metrics = whole.evaluate(x_test, y_test)
print(f"best epoch {best}, with its weights: loss {metrics['loss']:.4f}, accuracy {metrics['accuracy']:.1%}")

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained")
plot.lr_finder(found, left)
epochs = np.arange(1, len(losses) + 1)
right.plot(epochs, whole.history["loss"], color=BLUE, label="training (classes balanced)")
right.plot(epochs, losses, color=ORANGE, label="validation")
right.plot([best], [losses[best - 1]], "o", color="black", markersize=8, label=f"best epoch, {best}: weights returned")
right.axvline(77 / len(whole.history.steps) * len(losses), color=GREY, linestyle=":", label="interrupted, resumed")
right.set(xlabel="epoch", ylabel="loss", title="Early stopping on the validation loss")
right.legend(frameon=False)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "early_stopping.png", dpi=110)
