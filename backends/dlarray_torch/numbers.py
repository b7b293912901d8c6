"""torch's namespace, with functions that take a Python number without a transfer.

array_api_compat converts a number to a tensor on the device. On an accelerator this is a transfer that the host waits
for, in each ReLU. torch's clamp takes the number as an argument, and so do its bit operations.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any, cast

__all__ = ["namespace"]

BIT_OPERATIONS = ("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift")


@cache
def namespace() -> ModuleType:
    """array_api_compat's namespace for torch, with these functions replaced."""
    import array_api_compat.torch
    import torch

    xp: Any = array_api_compat.torch

    def maximum(x1: Any, x2: Any, /) -> Any:
        """The larger of two numbers, element by element; NaN if one is NaN."""
        if isinstance(x2, (int, float)) and x1.is_floating_point():
            return torch.clamp(x1, min=x2)
        return xp.maximum(x1, x2)

    def minimum(x1: Any, x2: Any, /) -> Any:
        """The smaller of two numbers, element by element; NaN if one is NaN."""
        if isinstance(x2, (int, float)) and x1.is_floating_point():
            return torch.clamp(x1, max=x2)
        return xp.minimum(x1, x2)

    bits: dict[str, Any] = {name: getattr(torch, name) for name in BIT_OPERATIONS}
    own = ModuleType(xp.__name__, xp.__doc__)
    own.__dict__.update({**cast("dict[str, Any]", xp.__dict__), **bits, "maximum": maximum, "minimum": minimum})
    return own
