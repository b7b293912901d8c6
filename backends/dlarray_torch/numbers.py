"""torch's namespace, with ``maximum`` and ``minimum`` that take a number as it is.

array_api_compat makes a tensor on the device of every number that the two are given. On an accelerator that is a
transfer, and the host waits until all before it is done: in each ReLU. torch's clamp takes the number along.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any, cast

__all__ = ["namespace"]


@cache
def namespace() -> ModuleType:
    """array_api_compat's namespace for torch, but for two functions."""
    import array_api_compat.torch
    import torch

    xp: Any = array_api_compat.torch

    def maximum(x1: Any, x2: Any, /) -> Any:
        """The larger of each two; NaN where one is NaN."""
        if isinstance(x2, (int, float)) and x1.is_floating_point():
            return torch.clamp(x1, min=x2)
        return xp.maximum(x1, x2)

    def minimum(x1: Any, x2: Any, /) -> Any:
        """The smaller of each two; NaN where one is NaN."""
        if isinstance(x2, (int, float)) and x1.is_floating_point():
            return torch.clamp(x1, max=x2)
        return xp.minimum(x1, x2)

    own = ModuleType(xp.__name__, xp.__doc__)
    own.__dict__.update({**cast("dict[str, Any]", xp.__dict__), "maximum": maximum, "minimum": minimum})
    return own
