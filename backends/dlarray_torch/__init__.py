"""PyTorch's tensors as plain arrays, on a CPU or any accelerator that torch knows. Its autograd is not used."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from dlarray.array import Array
from dlarray.backend import Backend

__all__ = ["TorchBackend", "backend"]


class TorchBackend(Backend):
    """Tensors of torch. ``compile`` is torch.compile, on request only: the first step then takes half a minute."""

    name = "torch"
    arrays = ("torch",)
    requires = "dlarray[torch]"
    rank = 20
    compiler = (
        "fit(…, compile=True) has torch.compile do it, and the variable TORCH_LOGS=output_code shows what it made"
    )

    def namespace(self) -> Any:
        import array_api_compat.torch as xp

        return xp

    def devices(self) -> list[str]:
        import torch

        kind = torch.accelerator.current_accelerator()
        count = torch.accelerator.device_count()
        return ["cpu"] + [f"{kind.type}:{i}" for i in range(count) if kind is not None]

    def place(self, device: str) -> Any:
        import torch

        return torch.device(device)

    def asarray(self, host: np.ndarray, place: Any) -> Array:
        import torch

        return torch.tensor(host, device=place)

    def to_numpy(self, x: Array) -> np.ndarray:
        return x.detach().cpu().numpy()

    def device_of(self, x: Array) -> str:
        return str(x.device)

    def move(self, x: Array, place: Any) -> Array:
        return (x.detach() if x.requires_grad else x).to(place)

    def erfc(self) -> Callable[[Array], Array]:
        import torch

        return torch.special.erfc

    def synchronize(self, place: Any) -> None:
        import torch

        if place.type != "cpu":
            torch.accelerator.synchronize(place)

    def compile(self, step: Callable[..., Any]) -> Callable[..., Any]:
        import torch

        # array_api_compat keeps namespaces in a cached function, torch warns that it looks through the cache: it may.
        warnings.filterwarnings("ignore", message="Dynamo detected a call to a `functools.lru_cache`")
        return torch.compile(step, dynamic=False)

    def version(self) -> str:
        import torch

        return torch.__version__


backend = TorchBackend()
