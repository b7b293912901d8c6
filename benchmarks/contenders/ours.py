"""dlarray in each of its stages, on NumPy, CuPy, JAX, torch and onnxruntime. What needs a GPU says so on a CPU."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from contenders.base import ManySteps, Measured, Shuffled, hide_llvmlite, on_gpu
from dlarray.bench import FullStep, Workload
from dlarray.device import Device, resolve, to_numpy
from setting import JAX, TORCH, Setting

Compile = Callable[..., Any]


class Ours(FullStep, Measured):
    """dlarray's step, compiled or eager, on the setting's device or on that of another library."""

    def __init__(self, workload: Workload, setting: Setting, compile: Compile | None = None, library: str = "") -> None:  # noqa: A002 - the field's word
        self.setting, self.library, self.case = setting, library, workload.case
        half = setting.precision if setting.precision == "bfloat16" else None
        try:
            super().__init__(workload, resolve(library or setting.device), compile, precision=half)
        except ValueError as error:  # the backend has no such products
            raise NotImplementedError(str(error)) from None

    def gradient(self) -> list[np.ndarray]:
        self.restart()
        self.wait(self.step(0))
        averages = tuple(state["m"] for state in self._bound.state["optimizer"])
        found = self.case.model.parameters(averages)
        return [to_numpy(m).astype(np.float64) / (1 - 0.9) for m in found.values()]

    def about(self) -> dict[str, Any]:
        return {} if self.library or self.setting.device == "cpu" else cuda_versions()


class Repeated(ManySteps, Ours):
    """Many steps in one call: the data lie on the device whole, and an order says which examples are next.

    ``repeat(step, k)`` makes ``(state, data, order, start, batch, count) -> (state, losses)`` of a compiled step.
    """

    def __init__(
        self,
        workload: Workload,
        setting: Setting,
        compile: Compile | None,  # noqa: A002 - the field's word
        repeat: Compile,
        library: str = "",
    ) -> None:
        super().__init__(workload, setting, compile, library)
        self.together = setting.in_one_call
        self.examples = Shuffled.of(workload, self.together)
        self.data = (self._device.asarray(self.examples.x), self._device.asarray(self.examples.t), None)
        self.order = self._device.asarray(self.examples.order)
        self.many = repeat(self._compiled, setting.together)

    def step(self, i: int) -> Any:
        start, batch, left = self.examples.start(i), self.examples.batch, self.examples.count
        bound = self._bound
        found: list[Any] = []
        while left:
            bound.state, losses = self.many(bound.state, self.data, self.order, start, batch, left)
            if not (done := losses.shape[0]):
                raise NotImplementedError("these steps are done one by one")
            found.append(losses)
            start, left = start + done * batch, left - done
        return found

    def values(self, losses: Any) -> np.ndarray:
        return np.concatenate([to_numpy(each) for each in losses])


def cuda_versions() -> dict[str, Any]:
    """Of CuPy's CUDA, the driver and cuBLAS."""
    cuda: Any = import_module("cupy.cuda")
    runtime = cuda.runtime
    found: dict[str, Any] = {
        "CUDA runtime of CuPy": runtime.runtimeGetVersion(),
        "CUDA of the driver": runtime.driverGetVersion(),
        "cuBLAS of CuPy": import_module("cupy.cuda.cublas").getVersion(cuda.device.get_cublas_handle()),
    }
    try:
        return found | {"nvmath-python": version("nvmath-python")}
    except PackageNotFoundError:
        return found


def refuse_fallback() -> None:
    """A step that cannot be planned is an error here, not a warning: it would be measured under a wrong name."""
    from dlarray.planner import PlannerWarning

    warnings.simplefilter("error", PlannerWarning)


def compiler(executor: str = "", check: bool = True) -> Compile:
    """The planner for NumPy with one of its executors; by default the fastest that works here."""
    from dlarray.planner import compile, fastest  # noqa: A004 - the field's word

    refuse_fallback()
    return partial(compile, executor=executor or fastest(), check=check)


def stage(name: str) -> Compile:
    """The compiler of a stage on a GPU."""
    from dlarray_cupy.planned import STAGES

    refuse_fallback()
    return STAGES[name]


def prepared(library: str, setting: Setting) -> Device:
    """The device of JAX or torch, with its products in the setting's precision."""
    if library == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", JAX[setting.precision])
    else:
        import torch

        torch.set_float32_matmul_precision(TORCH[setting.precision])
    return resolve(library)


def numpy(workload: Workload, setting: Setting) -> Measured:
    """NumPy and nothing else, as on a machine without llvmlite."""
    hide_llvmlite()
    return Ours(workload, setting, compiler("ufuncs"))


def fast(workload: Workload, setting: Setting) -> Measured:
    """NumPy with the extra ``fast``: steps as native functions."""
    return Ours(workload, setting, compiler("native"))


def fast_repeated(workload: Workload, setting: Setting) -> Measured:
    """Many of these steps in one call of native code, as ``fit`` does them."""
    return Repeated(workload, setting, compiler("native"), resolve("cpu").backend.repeat)


def eager(workload: Workload, setting: Setting) -> Measured:
    """The formulas, one operation at a time."""
    return Ours(workload, setting)


def fused(workload: Workload, setting: Setting) -> Measured:
    """Planned kernels, launched one by one; on a CPU NumPy's planner."""
    return Ours(workload, setting, compiler() if setting.device == "cpu" else stage("fused"))


def captured(workload: Workload, setting: Setting) -> Measured:
    """The same kernels and cublasLt's products as one CUDA graph."""
    return Ours(workload, on_gpu(setting), stage("captured"))


def epilogues(workload: Workload, setting: Setting) -> Measured:
    """The graph with bias, ReLU and their gradients inside products, where that is faster."""
    return Ours(workload, on_gpu(setting), stage("epilogues"))


def repeated(workload: Workload, setting: Setting) -> Measured:
    """Many steps as one graph."""
    compiled = stage("epilogues") if on_gpu(setting) else None
    from dlarray_cupy.planned import repeated as repeat

    return Repeated(workload, setting, compiled, repeat)


def on_jax(workload: Workload, setting: Setting) -> Measured:
    """JAX's arrays, which lie on the GPU where JAX has it; the step compiled by XLA."""
    return Ours(workload, setting, prepared("jax", setting).backend.compile, "jax")


def repeated_on_jax(workload: Workload, setting: Setting) -> Measured:
    """Many of these steps in one call, by JAX's scan."""
    return Repeated(workload, setting, None, prepared("jax", setting).backend.repeat, "jax")


def on_torch(workload: Workload, setting: Setting) -> Measured:
    """torch's tensors, the step as ``fit`` runs it: planned."""
    refuse_fallback()
    torch = prepared("torch", setting)
    return Ours(workload, setting, torch.backend.compile if torch.backend.compiles_on(torch.handle) else None, "torch")


def on_torch_compiled(workload: Workload, setting: Setting) -> Measured:
    """torch's tensors, the step compiled by torch."""
    from dlarray_torch import compiled_by_torch

    prepared("torch", setting)
    return Ours(workload, setting, compiled_by_torch, "torch")


def on_torch_eager(workload: Workload, setting: Setting) -> Measured:
    """torch's tensors, the formulas one operation at a time."""
    prepared("torch", setting)
    return Ours(workload, setting, None, "torch")


def on_onnx(workload: Workload, setting: Setting) -> Measured:
    """The step as one ONNX graph, which onnxruntime runs with the state bound."""
    return Ours(workload, setting, resolve("onnx").backend.compile, "onnx")


def reference(workload: Workload, setting: Setting) -> Measured:
    """The formulas in float64 on the CPU, whatever the setting: all are compared with that."""
    case = replace(workload.case, dtype="float64")
    wide = [(x.astype("float64"), t) for x, t in workload.batches]
    return Ours(Workload(case, workload.weights, wide), Setting())
