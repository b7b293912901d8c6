"""L-BFGS: SciPy's quasi-Newton method on all examples at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize
from sklearn.exceptions import ConvergenceWarning

from dlarray.core.array import Array, size
from dlarray.core.layout import Theta
from dlarray.device import Device, to_numpy
from dlarray.estimators.inputs import Rows
from dlarray.model import MLP, on_device

__all__ = ["LBFGS"]


@dataclass(frozen=True)
class LBFGS:
    """J(θ) = loss + ½ α |W|² / Σ w and its gradient as SciPy needs them: one vector of float64 on the host.

    ``names`` is the order of the parameters in it: weights first, as in scikit-learn.
    """

    model: MLP
    gradient: Callable[..., Any]
    names: tuple[str, ...]
    alpha: float
    rows: Rows
    device: Device
    dtype: str

    def pack(self, arrays: dict[str, Array]) -> np.ndarray:
        """The parameters in one vector."""
        return np.concatenate([to_numpy(arrays[name]).ravel().astype(np.float64) for name in self.names])

    def unpack(self, vector: np.ndarray) -> Theta:
        """θ on the device from the vector."""
        shapes = dict(self.model.layout.shapes)
        ends = np.cumsum([size(shapes[name]) for name in self.names])
        parts = np.split(vector.astype(self.dtype), ends[:-1])
        return on_device(
            self.model.layout,
            {name: part.reshape(shapes[name]) for name, part in zip(self.names, parts, strict=True)},
            self.device,
        )

    def __call__(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        _, (value, dp, _) = self.gradient((), (self.unpack(vector), (), None, self.rows.whole))
        shapes = dict(self.model.layout.shapes)
        weights = sum(size(shapes[name]) for name in self.names if name.endswith(".W"))
        total = len(self.rows) if self.rows.weight is None else float(to_numpy(self.rows.weight).sum())
        pull = self.alpha / (total or 1.0)
        g = self.pack(dp)
        g[:weights] += pull * vector[:weights]
        return float(to_numpy(value)) + 0.5 * pull * float(vector[:weights] @ vector[:weights]), g

    def run(
        self,
        start: np.ndarray,
        max_iter: int,
        max_fun: int,
        tol: float,
        after: Callable[[np.ndarray, float], bool],
    ) -> tuple[np.ndarray, float, int]:
        """The final vector, its J, and the number of iterations. Warns if it has not converged."""

        def callback(intermediate_result: Any) -> None:
            if after(intermediate_result.x, float(intermediate_result.fun)):
                raise StopIteration

        options = {"maxfun": max_fun, "maxiter": max_iter, "gtol": tol}
        found = optimize.minimize(self, start, method="L-BFGS-B", jac=True, options=options, callback=callback)
        if found.status not in (0, 99):  # 99: a callback has stopped it
            warnings.warn(
                f"lbfgs failed to converge after {found.nit} iteration(s) (status={found.status}): {found.message}. "
                "Increase the number of iterations (max_iter) or scale the data.",
                ConvergenceWarning,
                stacklevel=5,
            )
        return found.x, np.float64(found.fun), min(int(found.nit), max_iter)
