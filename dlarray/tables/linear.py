"""The linear model that a network is compared with: logistic regression for classes, ridge regression for numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dlarray.core.random import Bits
from dlarray.losses import Loss

__all__ = ["linear_outputs", "linear_parameters", "minimum"]

PENALTY = 1.0
MEMORY = 10  # pairs of differences that L-BFGS keeps
ITERATIONS = 100
PRODUCTS = 2e9  # multiplications of all iterations together: under a second on one core
TOLERANCE = 1e-5  # of the largest derivative

_Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]


def linear_outputs(
    x: np.ndarray, t: np.ndarray, x_new: np.ndarray, loss: Loss, outputs: int, weight: np.ndarray | None = None
) -> np.ndarray:
    """Predictions for ``x_new`` (m, features) of the model of ``linear_parameters``."""
    w, b = linear_parameters(x, t, loss, outputs, weight)
    activation: Any = loss.output_activation
    return np.asarray(activation.predict(x_new.astype(np.float64) @ w + b)).astype(np.float32)


def linear_parameters(
    x: np.ndarray,
    t: np.ndarray,
    loss: Loss,
    outputs: int,
    weight: np.ndarray | None = None,
    start: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """W and b of z = x W + b that minimise l(z, t) + λ / 2n ‖W‖² on x and t, with λ = 1.

    ``loss`` is the loss l that the network is trained with, the mean over n rows, so this is the network without hidden
    layers. Of a large table a part of the rows is used, chosen at random, so that it takes under a second.

    Parameters
    ----------
    x, t, weight
        Inputs (n, features), targets (n,), and optional weights of the rows (n,).
    loss, outputs
        The loss and the number of outputs.
    start
        W and b to start from, such as those of similar rows; by default zeros.
    """
    features = int(x.shape[1])
    most = int(max(1000, PRODUCTS / (4 * ITERATIONS * features * outputs)))
    if len(x) > most:
        rows = np.sort(Bits(0, "linear model").permutation(len(x))[:most])
        x, t, weight = x[rows], t[rows], None if weight is None else weight[rows]
    x = x.astype(np.float64)
    t = t if t.dtype.kind == "i" else t.astype(np.float64).reshape(-1, 1)
    iterations = int(np.clip(PRODUCTS / (4 * x.size * outputs), 10, ITERATIONS))

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        w, b = theta[:-outputs].reshape(features, outputs), theta[-outputs:]
        value, saved = loss.forward(x @ w + b, t, weight)
        dz = np.asarray(loss.backward(saved))
        dw = x.T @ dz + PENALTY / len(x) * w
        penalty = PENALTY / (2 * len(x)) * float(np.sum(w * w))
        gradient: np.ndarray = np.concatenate([dw.reshape(-1), dz.sum(axis=0)])
        return float(value) + penalty, gradient

    first = np.zeros((features + 1) * outputs) if start is None else np.concatenate([start[0].reshape(-1), start[1]])
    theta = minimum(objective, first, iterations)
    return theta[:-outputs].reshape(features, outputs), theta[-outputs:]


def minimum(objective: _Objective, theta: np.ndarray, iterations: int) -> np.ndarray:
    """The minimum of a smooth convex function, by L-BFGS from ``theta``. Source: Nocedal and Wright, algorithm 7.5.

    ``objective`` gives the value and the gradient. A step is halved until the value falls enough.
    """
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    value, g = objective(theta)
    for _ in range(iterations):
        if np.max(np.abs(g)) < TOLERANCE:
            break
        direction = -_inverse_hessian_times(g, pairs)
        slope, step = float(g @ direction), 1.0 if pairs else min(1.0, 1 / float(np.sum(np.abs(g))))
        for _ in range(30):
            new, new_g = objective(theta + step * direction)
            if new <= value + 1e-4 * step * slope:
                break
            step /= 2
        else:
            break  # rounding is larger than what is left to gain
        s, y = step * direction, new_g - g
        if float(s @ y) > 1e-12 * float(y @ y):
            pairs = [*pairs[1 - MEMORY :], (s, y)]
        theta, value, g = theta + s, new, new_g
    return theta


def _inverse_hessian_times(g: np.ndarray, pairs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The two-loop recursion: differences s of θ and y of the gradient stand for the inverse Hessian."""
    q, alphas = g.copy(), list[float]()
    for s, y in reversed(pairs):
        alphas.append(float(s @ q) / float(s @ y))
        q -= alphas[-1] * y
    if pairs:
        s, y = pairs[-1]
        q *= float(s @ y) / float(y @ y)
    for s, y in pairs:
        q += (alphas.pop() - float(y @ q) / float(s @ y)) * s
    return q
