"""The loss on a plane through θ that two directions span, and a path of training projected on that plane.

L(θ + a d₁ + b d₂) for every a and b of a grid. Li et al. 2018, "Visualizing the Loss Landscape of Neural Nets".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dlarray.core.array import Array
from dlarray.core.check import at_least_one, positive
from dlarray.core.html import html_table
from dlarray.core.layout import Theta
from dlarray.core.random import Bits
from dlarray.device import device_of, to_numpy
from dlarray.losses import Loss
from dlarray.model import MLP, on_device
from dlarray.training.data import Examples, check_device, choose_loss
from dlarray.training.data_names import DataNames

__all__ = ["Landscape", "loss_landscape"]

_Vectors = dict[str, np.ndarray]


@dataclass(frozen=True)
class Landscape:
    """Host arrays: ``loss[i, j]`` is L(θ + a_j d₁ + b_i d₂). ``path`` (points, 2) holds a and b of the path's points.

    a and b are in units of |θ|: d₁ and d₂ have the length of θ (random directions have that of its weights, because
    their biases are 0). ``shares``, if there is a path, is the share of its Σ |step|² along each direction.
    """

    a: np.ndarray
    b: np.ndarray
    loss: np.ndarray
    path: np.ndarray | None = None
    shares: tuple[float, float] | None = None

    def __repr__(self) -> str:
        return f"Landscape({', '.join(f'{name} {value}' for name, value in self._facts())})"

    def _repr_html_(self) -> str:
        return html_table("Loss landscape around θ", ("", ""), self._facts())

    def _facts(self) -> list[tuple[str, str]]:
        rows, columns = self.loss.shape
        facts = [
            ("points", f"{rows} × {columns}"),
            ("reach", f"{np.max(np.abs(self.a)):.3g} |θ|"),
            ("lowest loss", f"{np.min(self.loss):.4g}"),
            ("highest loss", f"{np.max(self.loss):.4g}"),
        ]
        return facts + ([] if self.path is None else [("points of the path", str(len(self.path)))])


def loss_landscape(
    model: MLP,
    theta: Theta,
    x: Array,
    y: Array,
    *,
    loss: str | Loss | None = None,
    path: Sequence[Theta] | None = None,
    buffers: Theta = (),
    reach: float | None = None,
    points: int = 25,
    seed: int = 0,
) -> Landscape:
    """The loss on a square grid of ``points`` by ``points`` around θ, of the model at inference.

    Without ``path``, the two directions are random and filter-normalised: each unit's weights have the same length in d
    as in θ, so layers with large and with small weights change by the same relative amount; biases do not change. With
    ``path``, a list of θ's (such as one for each epoch), they are the two principal directions of the path's
    differences from θ, and the grid contains the whole path.

    Parameters
    ----------
    model, theta
        The network and the point in the middle of the grid.
    x, y, loss
        The examples whose loss is computed, as in ``fit``. Host arrays are copied to θ's device.
    path
        At least three θ's of this model.
    buffers
        The network's buffers, if it has any: ``trained.buffers``.
    reach
        How far the grid goes to each side, in units of |θ|: by default 1, or 1.25 times as far as the path.
    points
        The number of points along each side of the grid.
    seed
        The seed of the random directions.

    Raises
    ------
    ValueError, TypeError
        For bad input, for a path of fewer than three points, or for a path whose points are all θ.
    """
    at_least_one("points", points)
    x, y, _ = DataNames.of(x, y).arrays(x, y)
    loss = choose_loss(model, loss, y).unchecked()  # Examples.on reads the targets once
    if not theta:
        raise ValueError("a model without parameters has no landscape")
    target = device_of(theta[0])
    check_device(x, target)
    dtype = to_numpy(theta[0][:1]).dtype.name
    with target.entered():
        examples = Examples.on(target, model, loss, x, y, dtype=dtype)
    middle = _host(model, theta)
    length = _length(middle) or 1.0
    projected = shares = None
    if path is None:
        first, second = (_filter_normalised(middle, seed, i) for i in range(2))
    else:
        steps = [_flat(_host(model, point)) - _flat(middle) for point in path]
        one, two, shares = _principal(np.asarray(steps))
        projected = np.stack([np.asarray(steps) @ one, np.asarray(steps) @ two], axis=1) / length
        first, second = (_shaped(length * d, middle) for d in (one, two))
    if reach is None:
        reach = 1.0 if projected is None else 1.25 * float(np.max(np.abs(projected)))
    side = np.linspace(-1.0, 1.0, points) * positive("reach", reach)
    values = np.empty((points, points))
    with target.entered():
        for i, b in enumerate(side):
            row: list[Array] = []
            for a in side:
                point = {name: (p + a * first[name] + b * second[name]).astype(dtype) for name, p in middle.items()}
                z = model.predict(on_device(model.layout, point, target), examples.x, buffers)
                row.append(loss.forward(z, examples.t)[0])
            values[i] = [float(to_numpy(value)) for value in row]
    return Landscape(side, side.copy(), values, projected, shares)


def _host(model: MLP, theta: Theta) -> _Vectors:
    return {name: np.asarray(to_numpy(p), dtype=np.float64) for name, p in model.parameters(theta).items()}


def _flat(vectors: _Vectors) -> np.ndarray:
    return np.concatenate([p.reshape(-1) for p in vectors.values()])


def _shaped(vector: np.ndarray, like: _Vectors) -> _Vectors:
    found: _Vectors = {}
    start = 0
    for name, p in like.items():
        found[name] = vector[start : start + p.size].reshape(p.shape)
        start += p.size
    return found


def _length(vectors: _Vectors) -> float:
    return float(np.sqrt(sum(np.sum(p * p) for p in vectors.values())))


def _filter_normalised(theta: _Vectors, seed: int, number: int) -> _Vectors:
    """A random direction in which each unit's weights, a column of W, have the same length as in θ."""
    found: _Vectors = {}
    for name, p in theta.items():
        if p.ndim < 2:
            found[name] = np.zeros_like(p)
            continue
        d = Bits(seed, f"direction {number} of {name}").normal(p.size).reshape(p.shape)
        found[name] = d / np.sqrt(np.sum(d * d, axis=0)) * np.sqrt(np.sum(p * p, axis=0))
    return found


def _principal(steps: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """The first two principal directions of steps from one point, and the share of Σ |step|² along each."""
    if len(steps) < 3:
        raise ValueError(f"path must hold at least 3 points to span a plane, got {len(steps)}")
    _, sizes, directions = np.linalg.svd(steps, full_matrices=False)
    total = float(np.sum(sizes * sizes))
    if total == 0:
        raise ValueError("all points of path equal theta: give θ after several epochs or steps of training")
    signs = np.where(np.sum(directions[:2], axis=1) < 0, -1.0, 1.0)  # the same picture whichever the library chooses
    one, two = directions[:2] * signs[:, None]
    return one, two, (float(sizes[0] ** 2) / total, float(sizes[1] ** 2) / total)
