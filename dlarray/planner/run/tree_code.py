"""Python code that reads and builds trees of one structure: fast forms of the functions of ``core.trees``.

They run at every step. Recursion over a tree costs more than the kernels of a small step; code generated for one
structure takes a fifth to a tenth of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np

from dlarray.core.trees import DICTS, Static, Tree, field_names, rebuild
from dlarray.planner.run.aliasing import ArrayMemory

__all__ = ["builder", "caller", "matcher", "reader"]


def builder(structure: Any) -> Callable[[Sequence[Any]], Tree]:
    """``unflatten`` for one structure, as a Python expression: five times as fast."""
    constants: list[Any] = []
    numbers = count()

    def constant(value: Any) -> str:
        constants.append(value)
        return f"constants[{len(constants) - 1}]"

    def expression(part: Any) -> str:
        if part is None:
            return f"leaves[{next(numbers)}]"
        kind, keys, items = part
        if kind == "static":
            return constant(items.value)
        made = [expression(item) for item in items]
        if kind is dict:
            return "{" + ", ".join(f"{constant(key)}: {item}" for key, item in zip(keys, made, strict=True)) + "}"
        inside = "".join(f"{item}, " for item in made)
        if kind is tuple or kind is list:
            return f"({inside})" if kind is tuple else f"[{inside}]"
        return f"rebuild({constant(kind)}, {constant(keys)}, [{inside}])"

    return eval(f"lambda leaves: {expression(structure)}", {"constants": constants, "rebuild": rebuild})


def matcher(structure: Any, leaves: Sequence[Any]) -> Callable[[Tree], bool]:
    """Whether a tree has this structure and exactly these leaves: ten times as fast as ``flatten`` and comparing."""
    known: dict[str, Any] = {f"leaf{i}": leaf for i, leaf in enumerate(leaves)}
    names: list[str] = []
    lines = _descent(structure, names, known)
    lines += [f"if {name} is not leaf{i}: return False" for i, name in enumerate(names)]
    return _defined([*lines, "return True"], "False", known)


def reader(
    structure: Any, like: Sequence[Any], array: type = np.ndarray, outside: ArrayMemory | None = None
) -> Callable[[Tree], list[Any] | None]:
    """The leaves of a tree of this structure if all are arrays of this type with these shapes and dtypes, else None.

    None too if an array can share the memory that the leaves must be ``outside`` of.
    """
    known: dict[str, Any] = {"array": array}
    names: list[str] = []
    lines = _descent(structure, names, known)
    for i, (name, a) in enumerate(zip(names, like, strict=True)):
        known |= {f"shape{i}": a.shape, f"dtype{i}": a.dtype}
        lines.append(f"if type({name}) is not array: return None")
        lines.append(f"if {name}.shape != shape{i} or {name}.dtype is not dtype{i}: return None")
        if outside is not None:
            lines += [line.format(name) for line in (_CHECK_BASE if outside.all_numpy else _CHECK_MEMORY)]
    if outside is not None:
        known |= {"owners": outside.owners, "shares": outside.shares}
    return _defined([*lines, f"return [{', '.join(names)}]"], "None", known)


def caller(structure: Any, function: Callable[..., bool], otherwise: Callable[[Tree], bool]) -> Callable[[Tree], bool]:
    """``function(*leaves)`` of a tree of this structure; ``otherwise(tree)`` for other trees, and where it is False."""
    known: dict[str, Any] = {"function": function, "otherwise": otherwise}
    names: list[str] = []
    lines = _descent(structure, names, known)
    return _defined([*lines, f"return function({', '.join(names)}) or otherwise(tree)"], "otherwise(tree)", known)


_CHECK_MEMORY = ("if shares({0}): return None",)
_CHECK_BASE = (
    "base = {0}.base",
    "if base is None:",
    "    if id({0}) in owners: return None",
    "elif (id(base) in owners or type(base) is not array or base.base is not None) and shares({0}): return None",
)
"""Two arrays whose memory NumPy owns share it only if their owner is the same."""


def _descent(structure: Any, leaves: list[str], known: dict[str, Any], tree: str = "tree") -> list[str]:
    """Statements that go down a tree and name its leaves, or fail if its structure is another one."""

    def constant(value: Any) -> str:
        known[f"constant{len(known)}"] = value
        return f"constant{len(known) - 1}"

    known["Static"] = Static
    if structure is None:
        leaves.append(tree)
        return []
    kind, keys, items = structure
    if kind == "static":
        return [f"if {tree} is not {constant(items.value)} and Static({tree}) != {constant(items)}: fail"]
    inside = [f"tree{len(known)}_{i}" for i in range(len(items))]
    lines = [f"if type({tree}) is not {constant(kind)}: fail"]
    if kind in DICTS:  # the order counts, because a step can iterate over the values
        lines.append(f"if [*{tree}] != {constant([*keys])}: fail")
        lines.append(f"[{', '.join(inside)}] = {tree}.values()")
    elif field_names(kind) is not None:
        if kind.__dictoffset__:
            lines.append(f"if len(vars({tree})) != {len(items)}: fail")
        lines.extend(f"{name} = {tree}.{key}" for name, key in zip(inside, keys, strict=True))
    else:
        lines.append(f"if len({tree}) != {len(items)}: fail")
        lines.extend(f"{name} = {tree}[{i}]" for i, name in enumerate(inside))
    for item, name in zip(items, inside, strict=True):
        lines += _descent(item, leaves, known, name)
    return lines


def _defined(lines: Sequence[str], failure: str, known: dict[str, Any]) -> Callable[[Tree], Any]:
    body = "\n".join(f"        {line.replace(': fail', f': return {failure}')}" for line in lines)
    text = f"def read(tree):\n    try:\n{body}\n    except AttributeError:\n        return {failure}"
    exec(text, known)
    return known.pop("read")  # a function among its own globals would be a reference cycle
