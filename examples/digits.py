"""
Handwritten digits
==================

What ``dlarray train digits`` does, in Python.

The data are 1,797 images of 8 by 8 pixels. Set the variable DLARRAY_DEVICE (cpu, cuda, torch, jax, …) to run the same
file on another array library, with the same initial weights, the same batches and the same losses up to rounding.
"""

import sys
from pathlib import Path

import dlarray
from dlarray import datasets, plot

picture = Path(sys.argv[1] if len(sys.argv) > 1 else "digits.png")
data = datasets.digits(seed=0)
model = dlarray.mlp(64, 256, 10, activation="relu")

print(f"device: {dlarray.current_device()}")
print(model.summary())

# %%
# All other arguments have defaults. The targets are whole numbers, so the loss is the cross-entropy.

trained = dlarray.fit(
    model,
    data.x_train,
    data.y_train,
    optimizer="adam",
    epochs=30,
    batch_size=32,
    validation=(data.x_test, data.y_test),
    seed=0,
)

# %%
# Measure the test accuracy, save the model, draw the report.

accuracy = trained.evaluate(data.x_test, data.y_test)["accuracy"]
print(f"test accuracy: {accuracy:.2%} of {len(data.y_test)} digits")

trained.save(picture.with_suffix(".safetensors"))
report = plot.training_report(trained, data.x_test, data.y_test, data.images_test, title="Digits")
plot.save(report, picture)
