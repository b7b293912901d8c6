"""JAX: arrays that cannot be written, and a compiler (XLA) for whole steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from dlarray.backend import Backend
from dlarray.core.array import Array
from dlarray.device.memory import host_memory

__all__ = ["JaxBackend", "backend"]


class JaxBackend(Backend):
    """Arrays of JAX. ``compile`` is jax.jit with the state donated, so the step can reuse its memory."""

    name = "jax"
    array_modules = ("jax", "jaxlib")
    requirement = "dlarray[jax]"
    auto_rank = 10
    writes_in_place = False
    compiles = True
    half_types = ("bfloat16", "float16")
    compiles_half = True
    compiler_note = "XLA compiles them, and jax.jit(step).lower(state, batch).compile().as_text() shows what it made"

    def namespace(self) -> Any:
        import jax.numpy as xp

        return xp

    def devices(self) -> list[str]:
        import jax

        return [f"{d.platform}:{d.id}" if d.platform != "cpu" else _cpu(d.id) for d in jax.devices()]

    def handle(self, device: str) -> Any:
        import jax

        platform, colon, number = device.partition(":")
        found = jax.devices(platform)
        if colon and number not in map(str, range(len(found))):
            raise ValueError(f"jax has {len(found)} devices of {platform}, got {device!r}")
        return found[int(number or 0)]

    def asarray(self, host: np.ndarray, handle: Any) -> Array:
        import jax

        # JAX would silently round or wrap these numbers. Integers that fit in 32 bits are allowed.
        wide = host.dtype.kind in "fiu" and host.dtype.itemsize == 8 and not jax.config.jax_enable_x64
        if wide and (host.dtype.kind == "f" or not np.array_equal(host.astype(np.int32), host)):
            raise ValueError(
                f"JAX supports {host.dtype} only after jax.config.update('jax_enable_x64', True); "
                "call it, or use types of 32 bits"
            )
        return jax.device_put(np.array(host), handle)

    def to_numpy(self, x: Array) -> np.ndarray:
        return np.asarray(x)

    def concat_to_numpy(self, arrays: Sequence[Array]) -> np.ndarray:
        # A concatenation on the device would be compiled for every number of operands.
        if arrays[0].device.platform != "cpu":
            for x in arrays:
                x.copy_to_host_async()  # start all transfers, then wait for the first
        return np.concatenate([np.asarray(x).reshape(-1) for x in arrays])

    def device_of(self, x: Array) -> str:
        return f"{x.device.platform}:{x.device.id}" if x.device.platform != "cpu" else _cpu(x.device.id)

    def to_device(self, x: Array, handle: Any) -> Array:
        import jax

        return x if x.device == handle else jax.device_put(x, handle)

    def erfc(self) -> Callable[[Array], Array]:
        from jax.scipy.special import erfc

        return erfc

    def allowing(self, dtype: str) -> AbstractContextManager[Any]:
        import jax

        return jax.enable_x64(True) if dtype == "float64" else nullcontext()

    def synchronize(self, handle: Any) -> None:
        import jax

        jax.effects_barrier()

    def memory(self, handle: Any) -> tuple[int, int] | None:
        if handle.platform == "cpu":
            return host_memory()
        found = handle.memory_stats()
        if not found or "bytes_limit" not in found:
            return None
        return found["bytes_limit"] - found.get("bytes_in_use", 0), found["bytes_limit"]

    def is_out_of_memory(self, error: BaseException) -> bool:
        import jax

        if isinstance(error, jax.errors.JaxRuntimeError):
            return "RESOURCE_EXHAUSTED" in str(error)
        return isinstance(error, MemoryError)

    def compile(self, step: Callable[..., Any]) -> Callable[..., Any]:
        import jax

        return jax.jit(step, donate_argnums=0)

    def repeat(self, step: Callable[..., Any], steps: int) -> Callable[..., tuple[Any, Array]]:
        """Steps as one loop of XLA, jax.lax.scan: outside of it, slicing a batch takes longer than a small step."""
        import jax

        step = getattr(step, "__wrapped__", step)  # what jax.jit has compiled: the loop is compiled as a whole

        def run(state: Any, data: Any, order: Any, start: Any, batch: int, count: int) -> Any:
            def once(state: Any, i: Any) -> Any:
                def following(x: Any) -> Any:
                    return jax.lax.dynamic_slice_in_dim(x, start + i * batch, batch)

                def chosen(x: Any) -> Any:
                    return x[following(order)]

                return step(state, jax.tree.map(following if order is None else chosen, data))

            return jax.lax.scan(once, state, jax.numpy.arange(count))

        return jax.jit(run, donate_argnums=0, static_argnums=(4, 5))

    def accelerate(self, function: Callable[[Any, Array], Array]) -> Callable[[Any, Array], Array]:
        import jax

        return jax.jit(function)  # no donation: θ is used again


def _cpu(number: int) -> str:
    return f"cpu:{number}" if number else "cpu"


backend = JaxBackend()
