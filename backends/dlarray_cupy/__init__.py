"""CuPy: the interface of NumPy on CUDA. Operations run eagerly, one kernel each; ``fit(compile=True)`` compiles steps.

It is tested with the real CuPy on an emulated GPU, not on a real one yet. CuPy is imported only when a device is used,
and a missing driver is reported as such.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from dlarray.backend import Backend
from dlarray.core.array import Array
from dlarray.core.launcher import local_rank
from dlarray.core.ranks import Ranks
from dlarray.device.backend import HostBatch
from dlarray.device.description import Description, Names
from dlarray.device.timing import Timings
from dlarray_cupy.nccl import NCCLRanks, wait_for_ranks

__all__ = ["CupyBackend", "backend"]

_OUT_OF_MEMORY = ("cudaErrorMemoryAllocation", "CUDA_ERROR_OUT_OF_MEMORY", "CUBLAS_STATUS_ALLOC_FAILED")
"""Messages of the runtime, the driver and cuBLAS for memory outside the pool: pinned, of a graph, a workspace."""


class CupyBackend(Backend):
    """Arrays of CuPy on an NVIDIA GPU."""

    name = "cupy"
    array_modules = ("cupy",)
    short_names = ("cuda",)
    requirement = "dlarray[cuda13]"
    device_hint = (
        "an NVIDIA GPU and its driver (nvidia-smi shows both), and the extra of its CUDA version: cuda12 or cuda13"
    )
    auto_rank = 0
    half_types = ("float16",)

    def namespace(self) -> Any:
        from dlarray_cupy.namespace import namespace

        return namespace()

    def devices(self) -> list[str]:
        import cupy

        names = [f"cuda:{i}" for i in range(cupy.cuda.runtime.getDeviceCount())]
        default = local_rank() % max(len(names), 1)  # each rank of a machine has a GPU of its own
        return names[default:] + names[:default]

    def handle(self, device: str) -> Any:
        import cupy

        known = self.devices()
        if (name := known[0] if known and device == "cuda" else device) not in known:
            raise ValueError(f"CuPy has the devices {', '.join(sorted(known)) or '(none)'}, got {device!r}")
        return cupy.cuda.Device(int(name.removeprefix("cuda:")))

    def asarray(self, host: np.ndarray, handle: Any) -> Array:
        import cupy

        with handle:
            return cupy.array(host)

    def upload(self, batches: Iterable[HostBatch], handle: Any) -> Iterator[tuple[Array | None, ...]]:
        from dlarray_cupy.upload import upload

        return upload(batches, handle)

    def to_numpy(self, x: Array) -> np.ndarray:
        wait_for_ranks(x.device)
        return x.get()

    def concat_to_numpy(self, arrays: Sequence[Array]) -> np.ndarray:
        import cupy

        wait_for_ranks(arrays[0].device)
        with arrays[0].device:  # one kernel, also for many arrays: the host waits here anyway
            return cupy.concatenate([x.reshape(-1) for x in arrays]).get()

    def device_of(self, x: Array) -> str:
        return f"cuda:{x.device.id}"

    def csr_matrix(self, host: Any, handle: Any) -> Any:
        from cupyx.scipy.sparse import csr_matrix

        with handle:
            return csr_matrix(host)

    def to_device(self, x: Array, handle: Any) -> Array:
        import cupy

        if x.device == handle:
            return x
        stream = cupy.cuda.get_current_stream
        with x.device:
            rows, source = cupy.ascontiguousarray(x), stream()  # CuPy copies no other layout between GPUs
            written = source.record()
        with handle:
            stream().wait_event(written)
            copy = cupy.array(rows)
            read = stream().record()
        with x.device:
            source.wait_event(read)  # before the memory of ``rows`` is used again
        return copy

    def entered(self, handle: Any) -> AbstractContextManager[Any]:
        return handle  # CuPy launches and allocates on the current device, wherever the arrays are

    def erfc(self) -> Callable[[Array], Array]:
        from cupyx.scipy.special import erfc

        return erfc

    def synchronize(self, handle: Any) -> None:
        wait_for_ranks(handle)
        handle.synchronize()

    def memory(self, handle: Any) -> tuple[int, int] | None:
        import cupy

        with handle:
            free, total = cupy.cuda.runtime.memGetInfo()
            pool = cupy.get_default_memory_pool()
            free += pool.free_bytes()  # CuPy keeps freed memory
            if limit := pool.get_limit():
                return min(free, limit - pool.used_bytes()), min(total, limit)
            return free, total

    def is_out_of_memory(self, error: BaseException) -> bool:
        if isinstance(error, MemoryError):  # the OutOfMemoryError of CuPy is one
            return True
        return isinstance(error, RuntimeError) and any(word in str(error) for word in _OUT_OF_MEMORY)

    def ranks(self, host: Ranks, handle: Any) -> Ranks:
        return NCCLRanks(host, handle)

    def compile(self, step: Callable[..., Any]) -> Callable[..., Any]:
        from dlarray_cupy.planned import planned

        return planned(step)

    def describe(self, step: Callable[..., Any], state: Any, batch: Any, names: Names) -> Description:
        from dlarray_cupy.planned import Planned, planned

        return (step if isinstance(step, Planned) else planned(step)).describe(state, batch, names)

    def profile(
        self, step: Callable[..., Any], state: Any, batch: Any, names: Names, bursts: int, seconds: float
    ) -> Timings:
        from dlarray_cupy.planned import planned

        return planned(getattr(step, "step", step)).profile(state, batch, names)

    def repeat(self, step: Callable[..., Any], steps: int) -> Callable[..., tuple[Any, Array]]:
        from dlarray_cupy.planned import Planned, planned, repeated

        return repeated(step if isinstance(step, Planned) else planned(step), steps)


backend = CupyBackend()
