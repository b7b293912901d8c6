"""Groups of Zarr 3 with the arrays x, y and perhaps weight."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from dlarray.blocks.arrays import Part

__all__ = ["is_zarr", "zarr_part"]

ROLES = ("x", "y", "weight")


def is_zarr(x: Any) -> bool:
    """Whether x is a Zarr group, or the folder of one."""
    if isinstance(x, Path):
        return (x / "zarr.json").exists() or (x / ".zgroup").exists()
    return type(x).__module__.partition(".")[0] == "zarr" and hasattr(x, "array_keys")


def zarr_part(x: Any) -> Part:
    """The arrays of a group. Raises ValueError if x or y is missing; ImportError if Zarr is not installed."""
    group: Any = x
    name: str = getattr(x, "name", "/")
    if isinstance(x, Path):
        try:
            zarr = import_module("zarr")
        except ImportError as error:
            raise ImportError(f'{x} is a Zarr group, which needs zarr: pip install "dlarray[zarr]"') from error
        group, name = zarr.open_group(x, mode="r"), x.name
    there: list[str] = list(group.array_keys())
    for role in ("x", "y"):
        if role not in there:
            raise ValueError(f"{name} must have the arrays x and y, it has {', '.join(sorted(there)) or 'none'}")
    return Part(name, *(group[role] for role in ROLES if role in there))
