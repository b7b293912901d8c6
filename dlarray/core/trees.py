"""Trees: nests whose leaves are arrays, taken apart and put together again.

A nest is a dict or an OrderedDict, a tuple, a named tuple or a list, or a dataclass with nothing in it but its fields.
What is no array stays in the tree's structure, which can be compared and hashed: two trees that differ in a Python
number, in its type or in its sign, have different structures.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from types import ModuleType
from typing import Any, cast

import numpy as np

__all__ = ["DICTS", "Static", "Tree", "field_names", "flatten", "map_leaves", "rebuild", "unflatten"]

Tree = Any
_ARRAYS: tuple[type, ...] = (np.ndarray, np.generic)
DICTS: tuple[Any, ...] = (dict, OrderedDict)


class Static:
    """What is no array in a tree, compared by type and value: 0.0 is not -0.0, 1 is neither 1.0 nor True.

    It can be hashed where two that are equal stay so: TypeError for what can be changed and is known by its identity
    alone, and for arrays of other libraries.
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
            raise TypeError(f"a {kind.__name__} is no array, and may change without being told from what it was")
        return hash(self.key)


def flatten(tree: Tree, leaves: list[Any], leaf: tuple[type, ...] = _ARRAYS) -> Any:
    """Append the tree's arrays to ``leaves``; return what is left of it, its structure: None for an array.

    A structure is hashed as ``Static`` allows.
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


def map_leaves(tree: Tree, change: Callable[[Any], Any]) -> Tree:
    """The tree with each leaf, all that is no nest, changed."""
    kind, keys, items = _parts(tree)
    return change(tree) if kind == "static" else rebuild(kind, keys, [map_leaves(item, change) for item in items])


def _parts(tree: Tree) -> tuple[Any, tuple[Any, ...], Any]:
    """A nest's type, the keys of its items, and the items; ("static", (), itself) for what is none."""
    kind = cast("Any", type(tree))
    if kind in DICTS:
        return kind, tuple(tree), list(tree.values())
    if isinstance(tree, (tuple, list)):
        return kind, (), cast("Sequence[Any]", tree)
    own: dict[str, Any] | None = getattr(tree, "__dict__", None)
    if (names := field_names(kind)) is not None and (own is None or own.keys() == set(names)):
        return kind, names, [getattr(tree, name) for name in names]
    return "static", (), tree


def field_names(kind: Any) -> tuple[str, ...] | None:
    """The fields of a dataclass whose objects can be made anew; None for any other type."""
    if "__dataclass_fields__" not in kind.__dict__ or kind.__new__ is not object.__new__:
        return None
    return tuple([field.name for field in fields(kind)])


def rebuild(kind: Any, keys: Sequence[Any], items: list[Any]) -> Tree:
    """The nest of this type with these items."""
    if kind is tuple:
        return tuple(items)
    if kind in DICTS:
        return kind(zip(keys, items, strict=True))
    if keys or field_names(kind) is not None:
        made = object.__new__(kind)
        for name, item in zip(keys, items, strict=True):
            object.__setattr__(made, name, item)  # a frozen one too, and without what it does when it is new
        return made
    return kind(*items) if hasattr(kind, "_fields") else kind(items)  # a named tuple takes its fields one by one
