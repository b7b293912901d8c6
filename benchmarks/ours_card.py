"""dlarray on a card in each of its stages, and on a CPU where the stage has a meaning there.

Nothing here that needs a card has ever run on one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import ours
from setting import JAX, Setting
from timed import Clock, Events, HostClock, Measured, NoClock
from whole import Whole

from dlarray.bench import Problem, Walk
from dlarray.device import Device, resolve, to_numpy

GRAPH = "a CUDA graph needs a card"


def clock_of(setting: Setting) -> Clock:
    """The clock of CuPy's device, or the host's."""
    if setting.device == "cpu":
        return HostClock()
    import cupy

    return Events(cupy.cuda.Event, cupy.cuda.get_elapsed_time)


def versions(setting: Setting) -> dict[str, Any]:
    """CuPy's CUDA, driver and cuBLAS; nothing on a CPU."""
    if setting.device == "cpu":
        return {}
    import cupy
    from cupy.cuda import cublas

    runtime = cupy.cuda.runtime
    found = {
        "CUDA runtime of CuPy": runtime.runtimeGetVersion(),
        "CUDA of the driver": runtime.driverGetVersion(),
        "cuBLAS of CuPy": cublas.getVersion(cupy.cuda.device.get_cublas_handle()),
    }
    try:
        return found | {"nvmath-python": version("nvmath-python")}
    except PackageNotFoundError:
        return found


class Ours(Walk, Measured):
    """dlarray's step, compiled or plain, on the setting's device or another one."""

    def __init__(
        self,
        problem: Problem,
        setting: Setting,
        compile: Callable[..., Any] | None = None,  # noqa: A002 - the field's word for it
        device: str | None = None,
    ) -> None:
        self.setting, self.case = setting, problem.case
        half = setting.precision if setting.precision == "bfloat16" else None
        try:
            super().__init__(problem, resolve(device or setting.device), compile, precision=half)
        except ValueError as error:  # the backend has no such products
            raise NotImplementedError(str(error)) from None

    def clock(self) -> Clock:
        return clock_of(self.setting)

    def gradient(self) -> list[np.ndarray]:
        self.restart()
        self.wait(self.step(0))
        averages = tuple(state["m"] for state in self._state["optimizer"])
        found = self.case.model.parameters(averages)
        return [to_numpy(m).astype(np.float64) / (1 - 0.9) for m in found.values()]

    def about(self) -> dict[str, Any]:
        return versions(self.setting)


class Repeated(Ours):
    """Many steps in one call: the data lie on the device whole, and an order says which examples are next.

    ``repeat(step, k)`` makes ``(state, data, order, start, batch, count) -> (state, losses)`` of a compiled step.
    """

    def __init__(
        self,
        problem: Problem,
        setting: Setting,
        compile: Callable[..., Any] | None,  # noqa: A002 - the field's word for it
        repeat: Callable[..., Any],
        device: str | None = None,
    ) -> None:
        super().__init__(problem, setting, compile, device)
        self.together = setting.in_one_call
        self.whole = Whole.of(problem, self.together)
        self.data = (self._device.asarray(self.whole.x), self._device.asarray(self.whole.t), None)
        self.order = self._device.asarray(self.whole.order)
        self.many = repeat(self._step, setting.together)

    def step(self, i: int) -> Any:
        whole = self.whole
        start = whole.start(i)
        self._state, losses = self.many(self._state, self.data, self.order, start, whole.batch, whole.count)
        return losses

    def losses(self, steps: int, patience: float = float("inf")) -> list[float]:
        self.restart()
        calls = -(-steps // self.together)
        found = [to_numpy(self.step(i)) for i in range(calls)]
        return np.concatenate(found)[:steps].astype(float).tolist()

    def gradient(self) -> list[np.ndarray]:
        raise NotImplementedError("the gradient is gone after many steps; it is the captured step's")


def stage(name: str) -> Callable[..., Any]:
    """The compiler of a stage on a card. A step that it cannot plan is an error here, not a warning."""
    from dlarray_cupy.planned import STAGES

    from dlarray.planner import PlannerWarning

    warnings.simplefilter("error", PlannerWarning)
    return STAGES[name]


def on_a_card(setting: Setting) -> Setting:
    """The setting, if it is one with a card."""
    if setting.device == "cpu":
        raise NotImplementedError(GRAPH)
    return setting


def eager(problem: Problem, setting: Setting) -> Measured:
    """The formulas run plainly."""
    return Ours(problem, setting)


def fused(problem: Problem, setting: Setting) -> Measured:
    """Planned kernels, launched one by one; on a CPU NumPy's planner."""
    return Ours(problem, setting, ours.compiler() if setting.device == "cpu" else stage("fused"))


def captured(problem: Problem, setting: Setting) -> Measured:
    """The same kernels and cublasLt's products as one CUDA graph."""
    return Ours(problem, on_a_card(setting), stage("captured"))


def epilogues(problem: Problem, setting: Setting) -> Measured:
    """The graph with bias, ReLU and their gradients inside products, where that is faster."""
    return Ours(problem, on_a_card(setting), stage("epilogues"))


def repeated(problem: Problem, setting: Setting) -> Measured:
    """Many steps as one graph."""
    compiled = stage("epilogues") if on_a_card(setting) else None
    from dlarray_cupy.planned import repeated as repeat

    return Repeated(problem, setting, compiled, repeat)


class OnJax(Ours):
    """dlarray's step on JAX's arrays, which lie on the card where JAX has it."""

    def __init__(self, problem: Problem, setting: Setting) -> None:
        super().__init__(problem, setting, set_precision(setting).backend.compile, "jax")

    def clock(self) -> Clock:
        return NoClock()

    def about(self) -> dict[str, Any]:
        return {}


class RepeatedOnJax(Repeated):
    """Many of these steps in one call, by JAX's scan."""

    def __init__(self, problem: Problem, setting: Setting) -> None:
        super().__init__(problem, setting, None, set_precision(setting).backend.repeat, "jax")

    def clock(self) -> Clock:
        return NoClock()

    def about(self) -> dict[str, Any]:
        return {}


def set_precision(setting: Setting) -> Device:
    """JAX with its products in the setting's precision."""
    import jax

    jax.config.update("jax_default_matmul_precision", JAX[setting.precision])
    return resolve("jax")


def reference(problem: Problem, setting: Setting) -> Measured:
    """The formulas run plainly in float64 on the CPU, whatever the setting: everyone is held against that."""
    case = replace(problem.case, dtype="float64")
    wide = [(x.astype("float64"), t) for x, t in problem.batches]
    return Ours(Problem(case, problem.weights, wide), Setting())
