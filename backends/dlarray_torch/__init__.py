"""PyTorch's tensors as plain arrays, on a CPU or any accelerator of torch. Its autograd is not used.

On a CPU a step runs as a plan of dlarray, with NumPy's BLAS and its threads. A step of a network of 2,400 weights then
takes twice the time of its matrix products; with torch's operations, eager or through torch.compile, it takes 45 times.
For large networks it is 1.1 times instead of 1.3 to 1.6. torch.compile is used on accelerators with
``fit(compile=True)``, and anywhere with ``fit(compile=compiled_by_torch)``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from dlarray.backend import Backend
from dlarray.core.array import Array
from dlarray.device.backend import HostBatch
from dlarray.device.description import Description, Names
from dlarray.device.memory import host_memory
from dlarray.device.timing import Timings

__all__ = ["TorchBackend", "backend", "compiled_by_torch"]

_OUT_OF_MEMORY = (
    "can't allocate memory",  # a CPU, on Linux
    "not enough memory",  # and on Windows
    "size calculation overflowed",  # 2⁶³ bytes and more
    "out of memory",  # MPS, and CUDA, if another allocator than torch's fails
    "ALLOC_FAILED",  # the workspace of cuBLAS
)
"""Parts of the messages of RuntimeErrors of torch that mean too little memory."""


class TorchBackend(Backend):
    """Tensors of torch. ``compile`` plans a step on the CPU; on other devices it is torch.compile, on request only."""

    name = "torch"
    array_modules = ("torch",)
    requirement = "dlarray[torch]"
    auto_rank = 20
    half_types = ("bfloat16", "float16")
    shares_host_memory = True
    compiles = True
    sums_in_plans = True

    def compiles_on(self, handle: Any) -> bool:
        return handle.type == "cpu"

    def namespace(self) -> Any:
        from dlarray_torch.numbers import namespace

        return namespace()

    def devices(self) -> list[str]:
        import torch

        kind = torch.accelerator.current_accelerator()
        count = torch.accelerator.device_count()
        return ["cpu"] + [f"{kind.type}:{i}" for i in range(count) if kind is not None]

    def handle(self, device: str) -> Any:
        import torch

        found = torch.device(device)
        if found.type == "cpu" and found.index:  # torch would take the CPU for any number
            raise ValueError(f"torch has the device cpu once, got {device!r}")
        return found

    def asarray(self, host: np.ndarray, handle: Any) -> Array:
        import torch

        return torch.tensor(host, device=handle)

    def upload(self, batches: Iterable[HostBatch], handle: Any) -> Iterator[tuple[Array | None, ...]]:
        if handle.type != "cuda":
            yield from super().upload(batches, handle)
            return
        import torch

        for batch in batches:  # asynchronously from pinned memory, which torch keeps until the copy is done
            yield tuple(
                None if x is None else torch.tensor(x).pin_memory().to(handle, non_blocking=True) for x in batch
            )

    def to_numpy(self, x: Array) -> np.ndarray:
        return x.detach().cpu().numpy()

    def device_of(self, x: Array) -> str:
        return str(x.device)

    def to_device(self, x: Array, handle: Any) -> Array:
        return (x.detach() if x.requires_grad else x).to(handle)

    def erfc(self) -> Callable[[Array], Array]:
        import torch

        return torch.special.erfc

    def entered(self, handle: Any) -> AbstractContextManager[None]:
        import torch

        return torch.autocast(handle.type, enabled=False)

    def synchronize(self, handle: Any) -> None:
        import torch

        if handle.type != "cpu":
            torch.accelerator.synchronize(handle)

    def memory(self, handle: Any) -> tuple[int, int] | None:
        if handle.type == "cpu":
            return host_memory()
        if handle.type != "cuda":
            return None
        import torch

        free, total = torch.cuda.mem_get_info(handle)
        idle = torch.cuda.memory_reserved(handle) - torch.cuda.memory_allocated(handle)  # torch keeps freed memory
        return free + idle, total

    def is_out_of_memory(self, error: BaseException) -> bool:
        import torch

        if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
            return True
        return isinstance(error, RuntimeError) and any(word in str(error) for word in _OUT_OF_MEMORY)

    def compile(self, step: Callable[..., Any]) -> Callable[..., Any]:
        from dlarray.planner import fastest
        from dlarray_torch.planned import Planned

        return Planned(step, fastest(), compiled_by_torch)

    def steps_per_execution(self, handle: Any) -> int:
        from dlarray.planner import steps_per_execution

        return steps_per_execution() if handle.type == "cpu" else 1

    def repeat(self, step: Callable[..., Any], steps: int) -> Callable[..., tuple[Any, Array]]:
        from dlarray_torch.planned import Planned

        planned: Any = step if isinstance(step, Planned) else self.compile(step)
        return planned.repeat(steps)

    def describe(self, step: Callable[..., Any], state: Any, batch: Any, names: Names) -> Description:
        from dlarray_torch.planned import Planned

        planned: Any = step if isinstance(step, Planned) else self.compile(step)
        return planned.describe_for(state, batch, names)

    def profile(
        self, step: Callable[..., Any], state: Any, batch: Any, names: Names, bursts: int, seconds: float
    ) -> Timings:
        planned: Any = self.compile(getattr(step, "step", step))
        return planned.profile_for(state, batch, names, bursts, seconds)


def compiled_by_torch(step: Callable[..., Any]) -> Callable[..., Any]:
    """A step compiled by torch.compile: ``fit(…, compile=compiled_by_torch)``. The first step takes half a minute."""
    import torch

    # array_api_compat caches namespaces; torch warns that it ignores the cache, which is harmless.
    warnings.filterwarnings("ignore", message="Dynamo detected a call to a `functools.lru_cache`")
    return torch.compile(step, dynamic=False)


backend = TorchBackend()
