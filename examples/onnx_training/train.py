"""Train in onnxruntime, without dlarray: python train.py FOLDER EPOCHS.

The folder has the three graphs of dlarray.onnx.export_training, and the examples: x.npy and target.npy. The trained
arrays are saved there as trained.npz.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime

BATCH = 32

folder, epochs = Path(sys.argv[1]), int(sys.argv[2])
initial, step, predict = (
    onnxruntime.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
    for name in ("initial", "step", "predict")
)
x, target = np.load(folder / "x.npy"), np.load(folder / "target.npy")

names = [output.name for output in initial.get_outputs()]
state = dict(zip(names, initial.run(names, {}), strict=True))
outputs = ["loss", *(f"next.{name}" for name in names)]
for epoch in range(epochs):
    losses = []
    for i in range(0, len(x), BATCH):  # the last batch may be smaller
        batch = {"x": x[i : i + BATCH], "target": target[i : i + BATCH]}
        loss, *arrays = step.run(outputs, state | batch)
        state = dict(zip(names, arrays, strict=True))
        losses.append(loss)
    print(f"epoch {epoch + 1}: loss {np.mean(losses):.6f}")

weights = {entry.name: state[entry.name] for entry in predict.get_inputs() if entry.name != "x"}
(label,) = predict.run(["label"], weights | {"x": x})
print(f"accuracy: {np.mean(label == target):.4f}")
np.savez(folder / "trained.npz", **state)
