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

from dlarray.planner.occupied import Occupied

__all__ = ["Static", "Tree", "builder", "flatten", "mapped", "reader", "recogniser", "unflatten"]

Tree = Any
_ARRAYS: tuple[type, ...] = (np.ndarray, np.generic)
_DICTS: tuple[Any, ...] = (dict, OrderedDict)


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
    return _made(kind, keys, [unflatten(item, leaves) for item in items])


def mapped(tree: Tree, change: Callable[[Any], Any]) -> Tree:
    """The tree with each leaf, all that is no nest, changed."""
    kind, keys, items = _parts(tree)
    return change(tree) if kind == "static" else _made(kind, keys, [mapped(item, change) for item in items])


def _parts(tree: Tree) -> tuple[Any, tuple[Any, ...], Any]:
    """A nest's type, the keys of its items, and the items; ("static", (), itself) for what is none."""
    kind = cast("Any", type(tree))
    if kind in _DICTS:
        return kind, tuple(tree), list(tree.values())
    if isinstance(tree, (tuple, list)):
        return kind, (), cast("Sequence[Any]", tree)
    own: dict[str, Any] | None = getattr(tree, "__dict__", None)
    if (names := _fields(kind)) is not None and (own is None or own.keys() == set(names)):
        return kind, names, [getattr(tree, name) for name in names]
    return "static", (), tree


def _fields(kind: Any) -> tuple[str, ...] | None:
    """The fields of a dataclass whose objects can be made anew; None for any other type."""
    if "__dataclass_fields__" not in kind.__dict__ or kind.__new__ is not object.__new__:
        return None
    return tuple([field.name for field in fields(kind)])


def _made(kind: Any, keys: Sequence[Any], items: list[Any]) -> Tree:
    """The nest of this type with these items."""
    if kind is tuple:
        return tuple(items)
    if kind in _DICTS:
        return kind(zip(keys, items, strict=True))
    if keys or _fields(kind) is not None:
        made = object.__new__(kind)
        for name, item in zip(keys, items, strict=True):
            object.__setattr__(made, name, item)  # a frozen one too, and without what it does when it is new
        return made
    return kind(*items) if hasattr(kind, "_fields") else kind(items)  # a named tuple takes its fields one by one


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
            return kept(items.value)
        made = [written(item) for item in items]
        if kind is dict:
            return "{" + ", ".join(f"{kept(key)}: {item}" for key, item in zip(keys, made, strict=True)) + "}"
        inside = "".join(f"{item}, " for item in made)
        if kind is tuple or kind is list:
            return f"({inside})" if kind is tuple else f"[{inside}]"
        return f"made({kept(kind)}, {kept(keys)}, [{inside}])"

    return eval(f"lambda leaves: {written(structure)}", {"fixed": fixed, "made": _made})


def recogniser(structure: Any, leaves: Sequence[Any]) -> Callable[[Tree], bool]:
    """Whether a tree is of this structure with these very leaves: ``flatten`` and compare, ten times as fast."""
    fixed: dict[str, Any] = {f"leaf{i}": leaf for i, leaf in enumerate(leaves)}
    names: list[str] = []
    lines = _descent(structure, names, fixed)
    lines += [f"if {name} is not leaf{i}: return False" for i, name in enumerate(names)]
    return _defined([*lines, "return True"], "False", fixed)


def reader(
    structure: Any, like: Sequence[Any], array: type = np.ndarray, apart: Occupied | None = None
) -> Callable[[Tree], list[Any] | None]:
    """The leaves of a tree of this structure if all are arrays of this type, of such shapes and dtypes, else None.

    None too where an array may lie in the memory that they are to be ``apart`` from.
    """
    fixed: dict[str, Any] = {"array": array}
    names: list[str] = []
    lines = _descent(structure, names, fixed)
    for i, (name, a) in enumerate(zip(names, like, strict=True)):
        fixed |= {f"shape{i}": a.shape, f"dtype{i}": a.dtype}
        lines.append(f"if type({name}) is not array: return None")
        lines.append(f"if {name}.shape != shape{i} or {name}.dtype is not dtype{i}: return None")
        if apart is not None:
            lines += [line.format(name) for line in (_LOOK if apart.simple else _LOOK_CLOSELY)]
    if apart is not None:
        fixed |= {"owners": apart.owners, "shares": apart.shares}
    return _defined([*lines, f"return [{', '.join(names)}]"], "None", fixed)


_LOOK_CLOSELY = ("if shares({0}): return None",)
_LOOK = (
    "base = {0}.base",
    "if base is None:",
    "    if id({0}) in owners: return None",
    "elif (id(base) in owners or type(base) is not array or base.base is not None) and shares({0}): return None",
)
"""An array of NumPy's own memory lies in that of others where it has the same owner."""


def _descent(structure: Any, leaves: list[str], known: dict[str, Any]) -> list[str]:
    """Statements that go down a tree and give its leaves names, or leave where it is another one."""
    lines: list[str] = []
    known["Static"] = Static

    def kept(value: Any) -> str:
        known[f"fixed{len(known)}"] = value
        return f"fixed{len(known) - 1}"

    def down(part: Any, place: str) -> None:
        if part is None:
            leaves.append(place)
            return
        kind, keys, items = part
        if kind == "static":
            lines.append(f"if {place} is not {kept(items.value)} and Static({place}) != {kept(items)}: fail")
            return
        inside = [f"tree{len(known)}_{i}" for i in range(len(items))]
        lines.append(f"if type({place}) is not {kept(kind)}: fail")
        if kind in _DICTS:  # in this order, for a step may go through the values
            lines.append(f"if [*{place}] != {kept([*keys])}: fail")
            lines.append(f"[{', '.join(inside)}] = {place}.values()")
        elif _fields(kind) is not None:
            if kind.__dictoffset__:
                lines.append(f"if len(vars({place})) != {len(items)}: fail")
            lines.extend(f"{name} = {place}.{key}" for name, key in zip(inside, keys, strict=True))
        else:
            lines.append(f"if len({place}) != {len(items)}: fail")
            lines.extend(f"{name} = {place}[{i}]" for i, name in enumerate(inside))
        for item, name in zip(items, inside, strict=True):
            down(item, name)

    down(structure, "tree")
    return lines


def _defined(lines: Sequence[str], failure: str, fixed: dict[str, Any]) -> Callable[[Tree], Any]:
    body = "\n".join(f"        {line.replace(': fail', f': return {failure}')}" for line in lines)
    text = f"def read(tree):\n    try:\n{body}\n    except AttributeError:\n        return {failure}"
    exec(text, fixed)
    return fixed["read"]
