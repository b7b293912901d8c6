"""Trees: nests of dicts, tuples and lists whose leaves are arrays, taken apart and put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import numpy as np

__all__ = ["Tree", "builder", "flatten", "reader", "recogniser", "unflatten"]

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


def recogniser(structure: Any, leaves: Sequence[Any]) -> Callable[[Tree], bool]:
    """Whether a tree is of this structure with these very leaves: ``flatten`` and compare, ten times as fast."""
    fixed: dict[str, Any] = {f"leaf{i}": leaf for i, leaf in enumerate(leaves)}
    names: list[str] = []
    lines = _descent(structure, names, fixed)
    lines += [f"if {name} is not leaf{i}: return False" for i, name in enumerate(names)]
    return _defined([*lines, "return True"], "False", fixed)


def reader(structure: Any, like: Sequence[Any], array: type = np.ndarray) -> Callable[[Tree], list[Any] | None]:
    """The leaves of a tree of this structure if all are arrays of this type, of such shapes and dtypes, else None."""
    fixed: dict[str, Any] = {"array": array}
    names: list[str] = []
    lines = _descent(structure, names, fixed)
    for i, (name, a) in enumerate(zip(names, like, strict=True)):
        fixed |= {f"shape{i}": a.shape, f"dtype{i}": a.dtype}
        lines.append(f"if type({name}) is not array: return None")
        lines.append(f"if {name}.shape != shape{i} or {name}.dtype is not dtype{i}: return None")
    return _defined([*lines, f"return [{', '.join(names)}]"], "None", fixed)


def _descent(structure: Any, leaves: list[str], fixed: dict[str, Any]) -> list[str]:
    """Statements that go down a tree and give its leaves names, or leave where it is another one."""
    lines: list[str] = []

    def kept(value: Any) -> str:
        fixed[f"fixed{len(fixed)}"] = value
        return f"fixed{len(fixed) - 1}"

    def down(part: Any, place: str) -> None:
        if part is None:
            leaves.append(place)
            return
        kind, keys, items = part
        if kind == "static":
            known = kept(items)
            lines.append(
                f"if {place} is not {known} and (type({place}) is not {kept(keys)} or {place} != {known}): fail"
            )
            return
        lines.append(f"if type({place}) is not {kept(kind)} or len({place}) != {len(items)}: fail")
        for i, item in enumerate(items):
            inside = f"tree{len(lines)}"
            lines.append(f"{inside} = {place}[{kept(keys[i]) if kind is dict else i}]")
            down(item, inside)

    down(structure, "tree")
    return lines


def _defined(lines: Sequence[str], failure: str, fixed: dict[str, Any]) -> Callable[[Tree], Any]:
    body = "\n".join(f"        {line.replace(': fail', f': return {failure}')}" for line in lines)
    text = f"def read(tree):\n    try:\n{body}\n    except KeyError:\n        return {failure}"
    exec(text, fixed)
    return fixed["read"]
