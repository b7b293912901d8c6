"""Trees read and built at every step: the functions of ``core.trees`` for one structure, written out as Python code.

A call that goes down a nest by recursion costs more than the kernels of a small step. A function made for one structure
takes a fifth to a tenth of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dlarray.core.trees import DICTS, Static, Tree, field_names, rebuild
from dlarray.planner.run.aliasing import ArrayMemory

__all__ = ["builder", "matcher", "reader"]


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
        return f"rebuild({kept(kind)}, {kept(keys)}, [{inside}])"

    return eval(f"lambda leaves: {written(structure)}", {"fixed": fixed, "rebuild": rebuild})


def matcher(structure: Any, leaves: Sequence[Any]) -> Callable[[Tree], bool]:
    """Whether a tree is of this structure with these very leaves: ``flatten`` and compare, ten times as fast."""
    fixed: dict[str, Any] = {f"leaf{i}": leaf for i, leaf in enumerate(leaves)}
    names: list[str] = []
    lines = _descent(structure, names, fixed)
    lines += [f"if {name} is not leaf{i}: return False" for i, name in enumerate(names)]
    return _defined([*lines, "return True"], "False", fixed)


def reader(
    structure: Any, like: Sequence[Any], array: type = np.ndarray, outside: ArrayMemory | None = None
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
        if outside is not None:
            lines += [line.format(name) for line in (_LOOK if outside.all_numpy else _LOOK_CLOSELY)]
    if outside is not None:
        fixed |= {"owners": outside.owners, "shares": outside.shares}
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
        if kind in DICTS:  # in this order, for a step may go through the values
            lines.append(f"if [*{place}] != {kept([*keys])}: fail")
            lines.append(f"[{', '.join(inside)}] = {place}.values()")
        elif field_names(kind) is not None:
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
