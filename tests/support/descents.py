"""Descents of an optimizer on a function with a written gradient."""

import numpy as np

from dlarray.core.array import array_namespace
from dlarray.core.trees import copy_tree

# A convex function whose gradient is written in operators alone, so the same lines serve every library: coupled
# neighbours, curvatures from 1e-3 to 10, a quartic term, and one number whose gradients are tiny (1e-7), where ε rules.
CURVATURE = np.array([10.0, 3.0, 1.0, 0.3, 0.1, 1e-2, 1e-3, 1e-7])
START = np.array([1.0, -2.0, 0.5, 3.0, -1.5, 2.5, -0.7, 0.9])
MASK = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0])


def gradient(theta, curvature):
    """Of Σ c (θ²/2 + θ⁴/40), and of c_i c_j θ_i θ_j / 50 for neighbours i, j on a ring."""
    xp = array_namespace(theta)
    slope = curvature * theta
    neighbours = xp.roll(slope, 1) + xp.roll(slope, -1)
    return slope + curvature * (theta**3 / 10 + neighbours / 50)


def descend(optimizer, theta, curvature, steps=100, mask=None):
    """The path of θ: steps + 1 rows."""
    theta = np.array(theta)
    state = optimizer.init(theta, mask)
    path = [theta.copy()]
    for _ in range(steps):
        theta, state = optimizer.step(theta, gradient(theta, curvature), state)
        path.append(theta.copy())
    assert state["t"] == steps
    return np.array(path)


def writable(tree):
    """Copies: a step consumes its arguments, and on one device of the matrix arrays cannot be written."""
    return copy_tree(tree)
