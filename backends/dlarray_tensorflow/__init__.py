"""TensorFlow's eager tensors as plain arrays. ``compile`` makes a graph of a step by tf.function."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from dlarray.backend import Backend
from dlarray.core.array import Array
from dlarray.device.memory import host_memory

__all__ = ["TensorFlowBackend", "backend"]


class TensorFlowBackend(Backend):
    """Tensors of tensorflow. TensorFlow's switch for NumPy's behaviour stays as it is: it would change Keras too.

    Without it tensors have no ``.T``, which a custom formula writes as ``xp.matrix_transpose(x)``. Not tested on a GPU.
    """

    name = "tensorflow"
    array_modules = ("tensorflow",)
    requirement = "dlarray[tensorflow]"
    standard = False
    writes_in_place = False
    compiles = True
    compiler_note = "tf.function makes a graph of them, without a report"

    def namespace(self) -> Any:
        from dlarray_tensorflow.namespace import namespace

        return namespace()

    def devices(self) -> list[str]:
        import tensorflow as tf

        return [_name(device.name) for device in tf.config.list_logical_devices()]

    def handle(self, device: str) -> Any:
        if device not in (known := self.devices()):
            raise ValueError(f"tensorflow has the devices {', '.join(known)}, got {device!r}")
        return device

    def asarray(self, host: np.ndarray, handle: Any) -> Array:
        import tensorflow as tf

        with tf.device(handle):
            return tf.constant(host)

    def to_numpy(self, x: Array) -> np.ndarray:
        return np.array(x)

    def device_of(self, x: Array) -> str:
        return _name(x.device) if x.device else self.devices()[0]  # in a graph a tensor has none

    def view(self, x: Array, dtype: str) -> Array:
        import tensorflow as tf

        return tf.bitcast(x, dtype)

    def erfc(self) -> Callable[[Array], Array]:
        import tensorflow as tf

        return tf.math.erfc

    def entered(self, handle: Any) -> AbstractContextManager[Any]:
        import tensorflow as tf

        return tf.device(handle)

    def memory(self, handle: Any) -> tuple[int, int] | None:
        return host_memory() if handle.startswith("cpu") else None

    def is_out_of_memory(self, error: BaseException) -> bool:
        import tensorflow as tf

        return isinstance(error, (MemoryError, tf.errors.ResourceExhaustedError))

    def compile(self, step: Callable[..., Any]) -> Callable[..., Any]:
        import tensorflow as tf

        # Not jit_compile=True: XLA compiles for seconds, is no faster at large products, and its losses differ more.
        return tf.function(step, autograph=False)

    def accelerate(self, function: Callable[[Any, Array], Array]) -> Callable[[Any, Array], Array]:
        return self.compile(function)


def _name(device: str) -> str:
    """The name in dlarray: "cpu" of "/device:CPU:0", "gpu:1" of "/job:localhost/replica:0/task:0/device:GPU:1"."""
    return device.rpartition("device:")[2].lower().removesuffix(":0")


backend = TensorFlowBackend()
