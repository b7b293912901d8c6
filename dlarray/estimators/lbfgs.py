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
from dlarray.estimators.descent import Gradient, SparseGradient
from dlarray.estimators.hooks import Hooks
from dlarray.estimators.inputs import Rows, is_sparse
from dlarray.estimators.last_good import LastGood
from dlarray.estimators.network import dense_names
from dlarray.estimators.parameters import prints
from dlarray.estimators.training import kept
from dlarray.model import MLP, on_device

__all__ = ["LBFGS", "train_by_lbfgs"]


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


def train_by_lbfgs(estimator: Any, rows: Rows, device: Device, dtype: str, hooks: Hooks, last_good: LastGood) -> None:
    """Train an estimator by L-BFGS. Sets weights, ``loss_`` and ``n_iter_``. ValueError for random layers."""
    model = estimator._model
    if model.chain.random or model.buffer_layout.shapes:
        raise ValueError("lbfgs needs the same loss in every iteration: no dropout, no batch_norm")
    if estimator.alpha and estimator.l1_ratio:
        raise ValueError("lbfgs needs a smooth penalty: give l1_ratio=0, or another solver")
    if estimator.learning_rate == "plateau":
        raise ValueError("lbfgs has no learning rate that learning_rate='plateau' could change: use another solver")
    if hooks.run_callbacks:
        raise ValueError(f"lbfgs calls no callbacks with hooks, got {hooks.run_callbacks[0]!r}: give a function")
    names = dense_names(model)
    order = (*(W for W, _ in names), *(b for _, b in names), *estimator._others)
    compiled: list[Any] = []

    def compile_(step: Any) -> Any:
        compiled.append(kept(step, device))
        return compiled[-1]

    sparse = is_sparse(rows.x)
    plain = Gradient(model, estimator._loss.unchecked())
    gradient = SparseGradient(model, estimator._loss.unchecked(), compile_) if sparse else compile_(plain)
    problem = LBFGS(model, gradient, order, float(estimator.alpha), rows, device, dtype)
    context = hooks.epoch_begins()
    count = 0

    def after(vector: np.ndarray, value: float) -> bool:
        nonlocal context, count
        count += 1
        if prints(estimator):
            print(f"Iteration {count}, loss = {value:.8f}")  # noqa: T201 - what ``verbose`` asks for
        if np.isfinite(vector).all():
            last_good.save_iteration(lambda: problem.unpack(vector), loss_=value, n_iter_=count)
        if not hooks.needed:
            return False
        estimator._set_parameters(problem.unpack(vector))
        stop = hooks.epoch_ends(context, estimator._snapshot)
        context = hooks.epoch_begins() if count < estimator.max_iter and not stop else None
        return stop

    tol, fun = float(estimator.tol), int(estimator.max_fun)
    try:
        with last_good.restored_on_error():
            reached, estimator.loss_, estimator.n_iter_ = problem.run(
                problem.pack(estimator._parameters()), estimator.max_iter, fun, tol, after
            )
            estimator._set_parameters(problem.unpack(reached))
    finally:
        for step in compiled:
            if hasattr(step, "forget"):  # it would keep the examples
                step.forget()
    hooks.cancel_epoch(context)
