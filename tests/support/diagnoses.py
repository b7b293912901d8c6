"""Examples, and parameters on the device of a row of the matrix, for the tests of diagnoses."""

from __future__ import annotations

from typing import Any

import numpy as np

import dlarray as dl
from dlarray.model import on_device
from tests.support.matrix import On

rng = np.random.default_rng(7)
X = rng.normal(size=(40, 3))
LABELS = rng.integers(0, 2, 40)
DENSE = dl.Dense


def theta_on(on: On, model: dl.MLP, seed: int = 0) -> Any:
    theta = model.init(seed, on.device, on.dtype)
    if on.read_only:
        for vector in theta:
            vector.flags.writeable = False
    return theta


def theta_of(on: On, model: dl.MLP, arrays: dict[str, np.ndarray]) -> Any:
    return on_device(model.layout, {n: a.astype(on.dtype) for n, a in arrays.items()}, on.target)
