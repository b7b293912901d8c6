"""Smoke test of an installed wheel, to be run with its Python in a folder of its own: python smoke.py.

Every backend is found by entry point, a small network learns, and the command line works.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import dlarray
from dlarray.device import backend

assert Path(dlarray.__file__).is_relative_to(sys.prefix), f"{dlarray.__file__} is no installed wheel"


def command(*words: str) -> str:
    """What ``dlarray`` prints, with the script's own exit status and standard error."""
    script = Path(sys.executable).with_name("dlarray")
    environment = os.environ | {"COLUMNS": "200", "MPLBACKEND": "agg"}
    return subprocess.run([script, *words], check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout


# Backends
backends = {name: backend.get(name) for name in backend.names()}
assert "numpy" in backends
assert all(found.name == name for name, found in backends.items()), backends
libraries = {module for found in backends.values() for module in found.array_modules} - {"numpy", "dlarray_onnx"}
assert not libraries & sys.modules.keys()
table = {status.name: status for status in dlarray.devices()}
assert table["cpu"].usable
assert all(status.usable or status.reason for status in table.values())

# A network that learns exclusive or
x = np.asarray([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
y = np.asarray([0, 1, 1, 0], dtype=np.int32)
model = dlarray.mlp(2, 16, 2, activation="tanh")
trained = dlarray.fit(model, x, y, optimizer=dlarray.Adam(0.05), epochs=200, batch_size=None, progress=False)
assert trained.classify(x).tolist() == y.tolist()
trained.save("xor.safetensors")
assert dlarray.load("xor.safetensors").classify(x).tolist() == y.tolist()

# The command line
assert "numpy" in command("devices")
printed = command("train", "digits", "--epochs", "2")
assert "device: cpu" in printed, printed
assert "test accuracy" in printed, printed
assert Path("digits.png").stat().st_size > 10_000
assert Path("digits.safetensors").stat().st_size > 10_000
print(printed.strip().splitlines()[-2].strip())
print(f"dlarray {dlarray.__version__} works as installed")
