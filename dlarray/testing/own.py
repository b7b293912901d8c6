"""The classes of the library. ``registry.classes`` also finds those of third parties."""

from __future__ import annotations

from typing import TypeVar

from dlarray.core.registry import LIBRARY, classes, origin

__all__ = ["own"]

Kind = TypeVar("Kind")


def own(*kinds: type[Kind]) -> dict[str, type[Kind]]:
    """The subclasses of these kinds in the library, by name."""
    found = {name: cls for kind in kinds for name, cls in classes(kind).items()}
    return {name: cls for name, cls in found.items() if origin(cls) == LIBRARY}
