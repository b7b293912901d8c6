"""The classes of the library. ``registry.classes`` also finds those that other tests have defined."""

from __future__ import annotations

from dlarray.core.registry import classes


def own(*kinds: type) -> dict[str, type]:
    """The subclasses of these kinds in the library, by name."""
    found = {name: cls for kind in kinds for name, cls in classes(kind).items()}
    return {name: cls for name, cls in found.items() if cls.__module__.startswith("dlarray.")}
