"""The rows of the test matrix: their names, their devices, and how arrays and functions are passed to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import dlarray.device as dd
from dlarray.core.trees import leaves
from dlarray.device import backend as backends
from dlarray.planner.native.executor import available
from dlarray.testing.columns import Column


@dataclass(frozen=True)
class On(Column):
    """A row of the matrix: a device, and how the tests use it."""

    read_only: bool = False
    jit: bool = False
    executor: str = ""
    within: Callable[[], AbstractContextManager[Any]] = field(default=nullcontext)

    def context(self) -> AbstractContextManager[Any]:
        return self.within()

    @property
    def cupy(self) -> bool:
        """Whether it is CuPy's: its GPUs may be emulated."""
        return self.device.partition(":")[0] == "cuda"

    @property
    def rtol(self) -> float:
        return 1e-12 if self.dtype == "float64" else 2e-6

    def array(self, values: Any) -> Any:
        x = super().array(values)
        if self.read_only:
            x.flags.writeable = False
        return x

    def run(self, f: Callable[..., Any], *args: Any, **kw: Any) -> Any:
        """f(*args, **kw) as this device runs it: compiled on JAX, planned if it has an executor, else eagerly."""
        if self.jit:
            import jax

            return jax.jit(f)(*args, **kw)
        if self.executor:
            return self._planned(lambda state, batch: (state, f(*batch[0], **batch[1])))((), (args, kw))[1]
        result = self.target.backend.settle(f(*args, **kw))
        if self.read_only:  # results are arguments of other functions
            for x in leaves(result):
                if isinstance(x, np.ndarray):
                    x.flags.writeable = False
        return result

    def _planned(self, step: Callable[..., Any]) -> Callable[..., Any]:
        if self.executor == "cuda":
            return self.target.backend.compile(step)
        from dlarray.planner import compile as plan

        return plan(step, executor=self.executor)

    def close(self, actual: Any, expected: Any, scale: float = 1.0) -> None:
        """Assert that two arrays agree up to rounding, relative to the larger of |expected| and ``scale``."""
        off = self.ulp(actual, np.asarray(expected, dtype=np.float64), scale) * self.eps
        assert off <= self.rtol, f"off by {off:.3g} relative to max(|expected|, {scale}), allowed {self.rtol}"

    def missing(self) -> str | None:
        """Why this device cannot be used here; None if it can."""
        if self.executor == "native" and not available():
            return 'the package llvmlite is not installed: pip install "dlarray[fast]"'
        return super().missing()


@contextmanager
def _strict(version: str) -> Iterator[None]:
    import array_api_strict

    flags = array_api_strict.ArrayAPIStrictFlags(
        api_version=version, boolean_indexing=False, data_dependent_shapes=False, enabled_extensions=()
    )
    with flags:
        yield


@contextmanager
def _x64(enabled: bool) -> Iterator[None]:
    import jax

    with jax.enable_x64(enabled):
        yield


@contextmanager
def _second_gpu() -> Iterator[None]:
    """Formulas that a test calls itself compute on CuPy's current device."""
    with dd.resolve("cuda:1").entered():
        yield


MATRIX = [
    On("numpy-float64", "cpu"),
    On("numpy-float32", "cpu", "float32"),
    On("numpy-readonly", "cpu", read_only=True),
    On("numpy-planned", "cpu", executor="ufuncs"),
    On("numpy-planned-float32", "cpu", "float32", executor="ufuncs"),
    On("numpy-native", "cpu", executor="native"),
    On("numpy-native-float32", "cpu", "float32", executor="native"),
    On("strict-2024.12", "strict", within=lambda: _strict("2024.12")),
    On("strict-2025.12", "strict", within=lambda: _strict("2025.12")),
    On("strict-device1", "strict:device1", within=lambda: _strict("2025.12")),
    On("strict-no_float64", "strict:no_float64", "float32", within=lambda: _strict("2025.12")),
    On("strict-no_x64", "strict:no_x64", "float32", within=lambda: _strict("2025.12")),
    On("torch-float64", "torch"),
    On("torch-float32", "torch", "float32"),
    On("jax-x64", "jax", jit=True, within=lambda: _x64(True)),
    On("jax-float32", "jax", "float32", jit=True, within=lambda: _x64(False)),
    On("cuda-float64", "cuda"),
    On("cuda-float32", "cuda", "float32"),
    On("cuda-device1-float32", "cuda:1", "float32", within=_second_gpu),
    On("cuda-planned-float64", "cuda", executor="cuda"),
    On("cuda-planned-float32", "cuda", "float32", executor="cuda"),
    On("torch-cuda-float64", "torch:cuda:0"),
    On("torch-cuda-float32", "torch:cuda:0", "float32"),
    On("jax-cuda-x64", "jax:cuda:0", jit=True, within=lambda: _x64(True)),
    On("jax-cuda-float32", "jax:cuda:0", "float32", jit=True, within=lambda: _x64(False)),
]
NAMED = {on.device.partition(":")[0] for on in MATRIX}
ASKED = [
    On(f"{backend.name}-{dtype}", backend.name, dtype)
    for backend in backends.importable()
    if not NAMED & {backend.name, *backend.short_names}
    for dtype in ("float64", "float32")
]
"""A backend that no row above names has two rows, which run if ``--device`` names them. Adding one
needs no change here.

By default ``dlarray.testing`` checks it, which takes seconds.
"""


def selected(asked: str) -> list[On]:
    """The rows for a comma-separated list of row names, devices and backends' names; ``MATRIX`` for an empty list."""
    chosen: list[On] = []
    for word in filter(None, map(str.strip, asked.split(","))):
        found = [on for on in MATRIX + ASKED if word in (on.name, on.device, on.name.partition("-")[0])]
        if not found:
            names = ", ".join(on.name for on in MATRIX + ASKED)
            raise ValueError(f"no device of the matrix is named {word!r}; there are {names}")
        chosen += [on for on in found if on not in chosen]
    return chosen or MATRIX
