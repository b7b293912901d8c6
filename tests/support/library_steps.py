"""The library's own formulas as steps: what the printers of kernels are tested with, besides kernels made by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dlarray.testing.own import own

__all__ = ["library_steps"]


def _numbers(*shapes: tuple[int, ...], dtype: str, positive: bool = False) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    made = [3 * rng.normal(size=s).astype(dtype) for s in shapes]
    return [np.abs(a) + 0.1 for a in made] if positive else made


def library_steps(dtype: str, every: bool = True) -> dict[str, tuple[Callable[[Any, Any], tuple[Any, Any]], Any, Any]]:
    """A step, its state and its batch for every activation, loss, optimizer and layer that needs no configuration.

    With ``every``, losses with each of their options, otherwise with their defaults only.
    """
    import dlarray.layers
    import dlarray.layers.normalization  # noqa: F401 - its layers are found as subclasses
    from dlarray.core.layer import Activation, Layer
    from dlarray.optimizers import Optimizer
    from dlarray.testing.loss_cases import LOSSES, outputs, targets

    steps: dict[str, tuple[Any, Any, Any]] = {}
    for name, cls in own(Activation, Layer).items():
        try:
            f = cls()
        except TypeError:
            continue  # it wants to know its units
        if f.random or f.integers:
            continue
        for rows, cols in ((20, 10), (9, 40)):  # a narrow kernel and a wide one
            p = dict(zip(f.shapes(cols), _numbers(*f.shapes(cols).values(), dtype=dtype, positive=True), strict=True))

            def there_and_back(p: Any, batch: Any, f: Any = f) -> tuple[Any, Any]:
                z, dy = batch
                y, saved = f.forward(z, **p)
                return p, (y, f.backward(saved, dy, **p), f.gradient(saved, dy))

            steps[f"{name} {rows} x {cols}"] = (
                there_and_back,
                p,
                tuple(_numbers((rows, cols), (rows, cols), dtype=dtype)),
            )
    for loss in LOSSES:
        if not every and loss != type(loss)():
            continue
        rng = np.random.default_rng(3)
        t = targets(loss, rng)
        t = t.astype(dtype) if t.dtype.kind == "f" else t.astype(np.int32)

        def there(state: Any, batch: Any, loss: Any = loss) -> tuple[Any, Any]:
            value, saved = loss.forward(*batch)
            return state, (value, loss.backward(saved))

        steps[repr(loss)] = there, (), (outputs(loss, rng).astype(dtype), t)
    for name, cls in own(Optimizer).items():
        try:
            optimizer = cls()
        except TypeError:
            continue
        theta, g = _numbers((130,), (130,), dtype=dtype)

        def move(state: Any, batch: Any, optimizer: Any = optimizer) -> tuple[Any, Any]:
            theta, own, g = state
            return (*optimizer.step(theta, g + batch[0], own), g), ()

        state = optimizer.init(theta, None)
        steps[name] = move, (theta, {k: np.asarray(v) for k, v in state.items()}, g), (g.copy(),)
    return steps
