"""Training runs: the loss of each step beside that of NumPy with the same dtype, and it falls.

Both runs begin at the same bits, and take the same batches and masks. They differ by rounding, which each step carries
on, so the limits are larger than those of one formula.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from dlarray.activations import GELU, ReLU, Tanh
from dlarray.layers import BatchNorm, Dense, Dropout, Embedding, LayerNorm, Residual
from dlarray.model import MLP, mlp
from dlarray.optimizers import Adam, Momentum, Nesterov, Optimizer
from dlarray.testing.check import Check, Deviation, NotApplicable
from dlarray.testing.columns import Column
from dlarray.testing.contract import BASIC
from dlarray.training import Trained, fit

__all__ = ["LIMIT", "RUNS", "checks", "expected", "train"]

LIMIT = 16.0
"""In ulp of the loss. θ that is off by up to 4 ulp after each step changes the losses of these runs by up to 10 ulp."""

EXAMPLES, INPUTS, CLASSES, EPOCHS, BATCH = 96, 8, 4, 4, 32


def _numbers() -> tuple[np.ndarray, np.ndarray]:
    """Inputs, and labels that depend on their signs and sizes."""
    x = np.random.default_rng(1).normal(size=(EXAMPLES, INPUTS))
    return x, np.argmax(np.abs(x[:, :CLASSES]), axis=1).astype(np.int32)


def _categories() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    x = rng.integers(0, 6, (EXAMPLES, 3)).astype(np.int32)
    return x, (x[:, :1] * 0.5 - x[:, 1:2] * x[:, 2:3] * 0.2 + rng.normal(size=(EXAMPLES, 1)) * 0.1)


RUNS: dict[str, tuple[MLP, Optimizer, Callable[[], tuple[np.ndarray, np.ndarray]]]] = {
    "dense": (mlp(INPUTS, 12, CLASSES), Adam(0.01), _numbers),
    "dropout": (MLP(INPUTS, [Dense(12), ReLU(), Dropout(0.2), Dense(CLASSES)]), Nesterov(0.1), _numbers),
    "batch norm": (MLP(INPUTS, [Dense(12), BatchNorm(), GELU(), Dense(CLASSES)]), Momentum(0.05), _numbers),
    "layer norm, residual": (
        MLP(INPUTS, [LayerNorm(), Residual([Dense(INPUTS), Tanh()]), Dense(CLASSES)]),
        Adam(0.01),
        _numbers,
    ),
    "embedding": (MLP(3, [Embedding(6, 4), Dense(8), Tanh(), Dense(1)]), Adam(0.01), _categories),
}
"""The model, the optimizer and the examples of each run."""


def checks() -> list[Check]:
    """One check for each run, and one for what comes after training."""
    return [
        *(Check("training", name, partial(_run, name), BASIC, LIMIT) for name in RUNS),
        Check("training", "predictions", _predictions, BASIC, LIMIT),
    ]


def train(name: str, device: Any, dtype: str, **options: Any) -> Trained:
    """The result of one of the runs."""
    model, optimizer, examples = RUNS[name]
    x, t = examples()
    return fit(
        model,
        x,
        t,
        optimizer=optimizer,
        epochs=EPOCHS,
        batch_size=BATCH,
        device=device,
        dtype=dtype,
        metrics=[],
        progress=False,
        **options,
    )


@cache
def expected(name: str, dtype: str) -> Trained:
    """The result of one of the runs on NumPy, step by step and not compiled."""
    return train(name, "cpu", dtype, compile=False)


def _run(name: str, column: Column) -> Deviation:
    if RUNS[name][0].chain.random and not (column.backend.int32_wraps and column.backend.bit_operations):
        raise NotApplicable("the backend states that it has not the integers that random numbers need")
    found = np.array(train(name, column.target, column.dtype).history.steps)
    reference = np.array(expected(name, column.dtype).history.steps)
    assert found.shape == reference.shape, f"{found.size} steps, expected {reference.size}"
    assert np.all(np.isfinite(found)), f"a loss is not finite: {found.tolist()}"
    first, last = (float(np.mean(part)) for part in (found[: EXAMPLES // BATCH], found[-EXAMPLES // BATCH :]))
    assert last < first, f"the loss did not fall: {first:.6g} in the first epoch, {last:.6g} in the last"
    off = np.abs(found - reference) / np.abs(reference) / column.eps
    return Deviation(float(np.max(off)), f"step {int(np.argmax(off)) + 1}")


def _predictions(column: Column) -> float:
    """Host in, host out: predictions of a trained model are NumPy arrays, and an array of the device stays there."""
    x, _ = _numbers()
    trained = train("batch norm", column.target, column.dtype)
    found = trained.predict(column.host(x))
    assert isinstance(found, np.ndarray), f"predictions of NumPy inputs are {type(found).__name__}"
    given = column.array(x)
    there = trained.predict(given)
    assert type(there) is type(given), f"predictions of arrays of the device are {type(there).__name__}"
    close = np.max(np.abs(column.numpy(there) - found)) / column.eps
    assert close <= 4, f"predictions differ by {close:.3g} ulp between inputs on the host and on the device"
    reference = expected("batch norm", column.dtype).predict(column.host(x))
    return float(np.max(np.abs(found.astype(np.float64) - reference)) / column.eps)
