"""Where all contenders compute, how precisely, and each library's own switches for that."""

from __future__ import annotations

from dataclasses import dataclass

ROUNDING = {"float32": 2.0**-24, "tf32": 2.0**-11, "bfloat16": 2.0**-9, "float64": 2.0**-53}
"""The unit roundoff of what is multiplied; TF32 keeps 11 binary digits, bfloat16 8.

Sums are float32 in all three, but that PyTorch by default may add the parts of a split product in bfloat16.
"""
PRECISIONS = ("float32", "tf32", "bfloat16")
TORCH = {"float32": "highest", "tf32": "high", "bfloat16": "highest"}
"""torch.set_float32_matmul_precision: in bfloat16 what is left in float32 stays so."""
JAX = {"float32": "float32", "tf32": "tensorfloat32", "bfloat16": "float32"}
"""jax_default_matmul_precision; products of bfloat16 are not touched by it."""


@dataclass(frozen=True)
class Setting:
    """A device, a precision, and the sizes of what is done at once."""

    device: str = "cpu"
    precision: str = "float32"
    together: int = 16
    """Steps in one CUDA graph."""
    graphs: int = 12
    """Such graphs in one call, behind a first step by itself; a scan of JAX does as many steps in one call."""
    large: int = 8192
    """Rows and columns of the product that measures the rate, and of the array whose copy measures the bandwidth."""

    @property
    def in_one_call(self) -> int:
        """Steps in one call of the contenders that do many at once."""
        return 1 + self.together * self.graphs

    @property
    def itemsize(self) -> int:
        """Bytes of a number that is multiplied."""
        return 2 if self.precision == "bfloat16" else 4

    def check(self) -> None:
        """NotImplementedError for a precision that the device does not have."""
        if self.device == "cpu" and self.precision == "tf32":
            raise NotImplementedError("TF32 is a precision of NVIDIA's GPUs; a CPU does not have it")

    def variables(self) -> dict[str, str]:
        """The environment of a worker: libraries read these when they are imported."""
        return {
            "CUPY_TF32": str(int(self.precision == "tf32")),
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # or JAX takes three quarters of the GPU from the others
            "JAX_PLATFORMS": self.device,
        }
