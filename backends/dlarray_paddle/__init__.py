"""PaddlePaddle's tensors as plain arrays on a CPU. Its automatic differentiation is not used."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlarray.backend import OneDevice
from dlarray.core.array import Array

__all__ = ["PaddleBackend", "backend"]


class PaddleBackend(OneDevice):
    """Tensors of paddle, of which ``y += x`` makes a new one."""

    name = "paddle"
    array_modules = ("paddle",)
    requirement = "dlarray[paddle]"
    standard = False
    writes_in_place = False

    def namespace(self) -> Any:
        from dlarray_paddle.namespace import namespace

        return namespace()

    def asarray(self, host: np.ndarray, handle: Any) -> Array:
        return self.namespace().to_tensor(np.array(host), place=handle)

    def to_numpy(self, x: Array) -> np.ndarray:
        return x.numpy()


backend = PaddleBackend()
