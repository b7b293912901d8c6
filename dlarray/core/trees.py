"""Trees: nested containers of arrays, such as the state of a training step.

A container is a dict or an OrderedDict, a tuple, a named tuple or a list, or a dataclass that has only its fields as
attributes. Everything else is a leaf.

    leaves(tree)                      the leaves, in order
    map_leaves(tree, f), map_arrays(tree, f), copy_tree(tree)
    flatten, unflatten                a tree as a list of arrays and a structure, and back

A structure holds the leaves that are not arrays. Structures can be compared and hashed: two trees that differ in a
Python number, in its type or in its sign, have different structures.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from types import ModuleType
from typing import Any, cast

import numpy as np

from dlarray.core.array import Array, copy_array, is_array

__all__ = [
    "DICTS",
    "Static",
    "Tree",
    "copy_tree",
    "field_names",
    "flatten",
    "leaves",
    "map_arrays",
    "map_leaves",
    "rebuild",
    "unflatten",
]

Tree = Any
_ARRAYS: tuple[type, ...] = (np.ndarray, np.generic)
DICTS: tuple[Any, ...] = (dict, OrderedDict)


class Static:
    """A leaf that is not an array, compared by type and value: 0.0 is not -0.0, 1 is neither 1.0 nor True.

    Its hash is that of the value. Raises TypeError for arrays of other libraries, and for objects that can change and
    compare by identity: an equal hash would not mean an unchanged object.
    """

    __slots__ = ("key", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.key: tuple[Any, Any] = (type(value), repr(value) if isinstance(value, (float, complex)) else value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Static):
            return False
        if self.value is other.value:
            return True
        try:
            return bool(self.key == other.key)
        except (TypeError, ValueError, RuntimeError):  # arrays of other libraries compare number by number
            return False

    def __hash__(self) -> int:
        kind = cast("Any", type(self.value))
        has_attributes = hasattr(self.value, "__dict__") or hasattr(kind, "__slots__")
        by_identity = kind.__hash__ is object.__hash__ and not callable(self.value)
        if (has_attributes and by_identity and kind is not ModuleType) or hasattr(kind, "__dlpack__"):
            raise TypeError(f"a {kind.__name__} is not an array, and a change of it would not be noticed")
        return hash(self.key)


def leaves(tree: Tree) -> Iterator[Any]:
    """The leaves of a tree, in order."""
    kind, _, items = _parts(tree)
    if kind == "static":
        yield tree
    else:
        for item in items:
            yield from leaves(item)


def map_leaves(tree: Tree, change: Callable[[Any], Any]) -> Tree:
    """The tree with each leaf changed, in order."""
    kind, keys, items = _parts(tree)
    return change(tree) if kind == "static" else rebuild(kind, keys, [map_leaves(item, change) for item in items])


def map_arrays(tree: Tree, change: Callable[[Array], Any]) -> Tree:
    """The tree with each array changed; other leaves stay."""
    return map_leaves(tree, lambda leaf: change(leaf) if is_array(leaf) else leaf)


def copy_tree(tree: Tree) -> Tree:
    """The tree with a copy of each array."""
    return map_arrays(tree, copy_array)


def flatten(tree: Tree, leaves: list[Any], leaf: tuple[type, ...] = _ARRAYS) -> Any:
    """Append the arrays of a tree to ``leaves``, and return its structure, which is None for an array.

    ``leaf`` are the types of the arrays, by default NumPy's. A structure is hashed as ``Static`` allows.
    """
    if isinstance(tree, leaf):
        leaves.append(tree)
        return None
    kind, keys, items = _parts(tree)
    if kind == "static":
        return (kind, keys, Static(items))
    return (kind, keys, tuple([flatten(item, leaves, leaf) for item in items]))


def unflatten(structure: Any, leaves: Iterator[Any]) -> Tree:
    """The tree of this structure with these arrays."""
    if structure is None:
        return next(leaves)
    kind, keys, items = structure
    if kind == "static":
        return items.value
    return rebuild(kind, keys, [unflatten(item, leaves) for item in items])


def _parts(tree: Tree) -> tuple[Any, tuple[Any, ...], Any]:
    """A container's type, the keys of its items, and the items; ("static", (), itself) for a leaf."""
    kind = cast("Any", type(tree))
    if kind in DICTS:
        return kind, tuple(tree), list(tree.values())
    if isinstance(tree, (tuple, list)):
        return kind, (), cast("Sequence[Any]", tree)
    if (names := field_names(kind)) is not None:
        own: dict[str, Any] | None = getattr(tree, "__dict__", None)
        if own is None or own.keys() == set(names):
            return kind, names, [getattr(tree, name) for name in names]
    return "static", (), tree


def field_names(kind: Any) -> tuple[str, ...] | None:
    """The fields of a dataclass that ``rebuild`` can make; None for any other type."""
    if not hasattr(kind, "__dataclass_fields__"):  # first, for torch.compile cannot look into __dict__
        return None
    if "__dataclass_fields__" not in kind.__dict__ or kind.__new__ is not object.__new__:
        return None
    return tuple([field.name for field in fields(kind)])


def rebuild(kind: Any, keys: Sequence[Any], items: list[Any]) -> Tree:
    """A container of this type with these items."""
    if kind is tuple:
        return tuple(items)
    if kind is list:
        return items
    if kind in DICTS:
        return kind(zip(keys, items, strict=True))
    if keys or field_names(kind) is not None:
        made = object.__new__(kind)
        for name, item in zip(keys, items, strict=True):
            object.__setattr__(made, name, item)  # also of a frozen one, and without its __post_init__
        return made
    return kind(*items) if hasattr(kind, "_fields") else kind(items)  # a named tuple takes its fields one by one
