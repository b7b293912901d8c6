"""The rows of the test matrix: their names, their devices, and how arrays and functions are passed to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import numpy as np

import dlarray.device as dd
from dlarray.core.trees import leaves
from dlarray.device import backend as backends
from dlarray.planner.native.executor import available


@dataclass(frozen=True)
class On:
    """A row of the matrix: a device, and how the tests use it."""

    name: str
    device: str
    dtype: str = "float64"
    read_only: bool = False
    jit: bool = False
    executor: str = ""
    context: Callable[[], AbstractContextManager[Any]] = field(default=nullcontext)

    @property
    def target(self) -> dd.Device:
        return dd.resolve(self.device)

    @property
    def cupy(self) -> bool:
        """Whether it is CuPy's: its GPUs may be emulated."""
        return self.device.partition(":")[0] == "cuda"

    @property
    def xp(self) -> Any:
        return self.target.backend.namespace()

    @property
    def rtol(self) -> float:
        return 1e-12 if self.dtype == "float64" else 2e-6

    def host(self, values: Any) -> np.ndarray:
        """The values as on this device: floats in its dtype, integers in 32 bits."""
        x = np.asarray(values)
        return x.astype({"f": self.dtype, "i": "int32", "u": "int32", "b": "bool"}[x.dtype.kind])

    def array(self, values: Any) -> Any:
        x = self.target.asarray(self.host(values))
        if self.read_only:
            x.flags.writeable = False
        return x

    def numpy(self, x: Any) -> np.ndarray:
        return np.asarray(x) if isinstance(x, np.generic) else dd.to_numpy(x)

    def run(self, f: Callable[..., Any], *args: Any, **kw: Any) -> Any:
        """f(*args, **kw) as this device runs it: compiled on JAX, planned if it has an executor, else eagerly."""
        if self.jit:
            import jax

            return jax.jit(f)(*args, **kw)
        if self.executor:
            return self._planned(lambda state, batch: (state, f(*batch[0], **batch[1])))((), (args, kw))[1]
        result = f(*args, **kw)
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
        found = self.numpy(actual)
        expected = np.asarray(expected, dtype=np.float64)
        assert found.dtype == self.dtype, f"the result has type {found.dtype}, the input had {self.dtype}"
        assert found.shape == expected.shape
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
        known = np.isfinite(expected)
        np.testing.assert_array_equal(found[~known], expected[~known])
        error = np.abs(found[known].astype(np.float64) - expected[known])
        bound = self.rtol * np.maximum(np.abs(expected[known]), scale)
        worst = np.max(error - bound, initial=-np.inf)
        assert worst <= 0, f"off by {np.max(error)}, allowed {self.rtol} relative to max(|expected|, {scale})"

    def missing(self) -> str | None:
        """Why this device cannot be used here; None if it can."""
        if self.executor == "native" and not available():
            return 'the package llvmlite is not installed: pip install "dlarray[fast]"'
        try:
            with self.context():
                dd.resolve(self.device)
        except (dd.DeviceError, ImportError) as error:
            return str(error).partition("\n")[0]
        return None


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


@contextmanager
def _dpnp() -> Iterator[None]:
    if find_spec("dpnp") is None:
        raise ImportError("the package dpnp is not installed: pip install dpnp")
    from tests.support.dpnp_backend import known

    with known():
        yield


MATRIX = [
    On("numpy-float64", "cpu"),
    On("numpy-float32", "cpu", "float32"),
    On("numpy-readonly", "cpu", read_only=True),
    On("numpy-planned", "cpu", executor="ufuncs"),
    On("numpy-planned-float32", "cpu", "float32", executor="ufuncs"),
    On("numpy-native", "cpu", executor="native"),
    On("numpy-native-float32", "cpu", "float32", executor="native"),
    On("strict-2024.12", "strict", context=lambda: _strict("2024.12")),
    On("strict-2025.12", "strict", context=lambda: _strict("2025.12")),
    On("strict-device1", "strict:device1", context=lambda: _strict("2025.12")),
    On("strict-no_float64", "strict:no_float64", "float32", context=lambda: _strict("2025.12")),
    On("strict-no_x64", "strict:no_x64", "float32", context=lambda: _strict("2025.12")),
    On("torch-float64", "torch"),
    On("torch-float32", "torch", "float32"),
    On("jax-x64", "jax", jit=True, context=lambda: _x64(True)),
    On("jax-float32", "jax", "float32", jit=True, context=lambda: _x64(False)),
    On("cuda-float64", "cuda"),
    On("cuda-float32", "cuda", "float32"),
    On("cuda-device1-float32", "cuda:1", "float32", context=_second_gpu),
    On("cuda-planned-float64", "cuda", executor="cuda"),
    On("cuda-planned-float32", "cuda", "float32", executor="cuda"),
    On("torch-cuda-float64", "torch:cuda:0"),
    On("torch-cuda-float32", "torch:cuda:0", "float32"),
    On("jax-cuda-x64", "jax:cuda:0", jit=True, context=lambda: _x64(True)),
    On("jax-cuda-float32", "jax:cuda:0", "float32", jit=True, context=lambda: _x64(False)),
    On("dpnp-float64", "dpnp", context=_dpnp),
    On("dpnp-float32", "dpnp", "float32", context=_dpnp),
]
NAMED = {on.device.partition(":")[0] for on in MATRIX}
MATRIX += [
    On(f"{backend.name}-{dtype}", backend.name, dtype)
    for backend in backends.importable()
    if not NAMED & {backend.name, *backend.short_names}
    for dtype in ("float64", "float32")
]
"""A backend that no row above names has two rows: adding one needs no change here."""


def selected(asked: str) -> list[On]:
    """The rows for a comma-separated list of row names, devices and backends' names; all rows for an empty list."""
    chosen: list[On] = []
    for word in filter(None, map(str.strip, asked.split(","))):
        found = [on for on in MATRIX if word in (on.name, on.device, on.name.partition("-")[0])]
        if not found:
            names = ", ".join(on.name for on in MATRIX)
            raise ValueError(f"no device of the matrix is named {word!r}; there are {names}")
        chosen += [on for on in found if on not in chosen]
    return chosen or MATRIX
