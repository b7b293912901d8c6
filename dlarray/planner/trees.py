"""Trees: nests of dicts, tuples and lists whose leaves are arrays, taken apart and put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import numpy as np

__all__ = ["Tree", "builder", "flatten", "unflatten"]

Tree = Any


def flatten(tree: Tree, leaves: list[Any], leaf: tuple[type, ...] = (np.ndarray, np.generic)) -> Any:
    """Append the tree's arrays to ``leaves``; return what is left of it, which can be compared and hashed.

    What is no array stays in it as it is: two trees that differ in a Python number have different structures.
    """
    kind = cast("Any", type(tree))
    if isinstance(tree, leaf):
        leaves.append(tree)
        return None
    if kind is dict:
        return (dict, tuple(tree), tuple([flatten(item, leaves, leaf) for item in tree.values()]))
    if isinstance(tree, (tuple, list)):
        items = cast("Sequence[Any]", tree)
        return (kind, (), tuple([flatten(item, leaves, leaf) for item in items]))
    return ("static", kind, tree)


def unflatten(structure: Any, leaves: Iterator[Any]) -> Tree:
    """The tree of this structure with these arrays."""
    if structure is None:
        return next(leaves)
    kind, keys, items = structure
    if kind == "static":
        return items
    made = [unflatten(item, leaves) for item in items]
    if kind is dict:
        return dict(zip(keys, made, strict=True))
    return kind(*made) if hasattr(kind, "_fields") else kind(made)  # a named tuple takes its fields one by one


def builder(structure: Any) -> Callable[[Sequence[Any]], Tree]:
    """``unflatten`` for one structure, as a Python expression that is read once: five times as fast."""
    fixed: list[Any] = []
    places = iter(range(1_000_000))

    def kept(value: Any) -> str:
        fixed.append(value)
        return f"fixed[{len(fixed) - 1}]"

    def written(part: Any) -> str:
        if part is None:
            return f"leaves[{next(places)}]"
        kind, keys, items = part
        if kind == "static":
            return kept(items)
        made = [written(item) for item in items]
        if kind is dict:
            return "{" + ", ".join(f"{kept(key)}: {item}" for key, item in zip(keys, made, strict=True)) + "}"
        inside = "".join(f"{item}, " for item in made)
        if kind is tuple or kind is list:
            return f"({inside})" if kind is tuple else f"[{inside}]"
        return f"{kept(kind)}({inside})" if hasattr(kind, "_fields") else f"{kept(kind)}(({inside}))"

    return eval(f"lambda leaves: {written(structure)}", {"fixed": fixed})
