"""The library's own classes: other tests of the same process define more, which ``classes`` finds too."""

from __future__ import annotations

from dlarray.core.registry import classes


def own(*kinds: type) -> dict[str, type]:
    """The library's classes of these kinds by name."""
    found = {name: cls for kind in kinds for name, cls in classes(kind).items()}
    return {name: cls for name, cls in found.items() if cls.__module__.startswith("dlarray.")}
