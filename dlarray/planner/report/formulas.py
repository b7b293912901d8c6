"""Kernels as readable formulas: one line for each output, and for each value that is used more than once."""

from __future__ import annotations

from dlarray.planner.kernel.loops import Operation
from dlarray.planner.kernel.notation import INFIX
from dlarray.planner.report.naming import Naming, number
from dlarray.planner.schedule.lowering import Body

__all__ = ["formulas"]

MAX_LENGTH = 90
"""A part of more characters gets its own line."""

# How tightly operators bind, as in Python.
_UNARY, _POWER, _ATOM = 7, 8, 9
_TIGHT = {"+": 5, "-": 5, "*": 6, "/": 6, "**": _POWER, "&": 3, "^": 2, "|": 1, "<<": 4, ">>": 4}
_OVER = {"row": " of each row", "column": " of each column", "all": ""}
_INDEX = {"E": "position", "R": "column", "C": "row", "S": "0"}
_SHORT = {"maximum": "max", "minimum": "min", "absolute": "abs"}

_Text = tuple[str, int]
"""An expression, and how tightly its outermost operator binds."""


def formulas(body: Body, name: Naming) -> list[str]:
    """The formulas of a kernel."""
    kernel = body.kernel
    uses = [0] * (kernel.first + len(kernel.operations))
    for op in kernel.operations:
        for a in op.args:
            uses[a] += 1
    texts: list[_Text] = [(name(node), _ATOM) for node in body.inputs]
    texts += [(number(c), _UNARY if number(c).startswith("-") else _ATOM) for c in body.constants]
    lines: list[str] = []
    for value, (op, node) in enumerate(zip(kernel.operations, body.operations, strict=True), kernel.first):
        text, tight = _written(op, [texts[a] for a in op.args])
        shared = uses[value] > 1 and op.name != "index"
        if shared or value in kernel.outputs or len(text) > MAX_LENGTH:
            lines.append(f"{name(node)} = {text}")
            text, tight = name(node), _ATOM
        texts.append((text, tight))
    return lines


def _written(op: Operation, args: list[_Text]) -> _Text:
    """An operation on arguments that are text already."""
    if op.name == "index":
        return _INDEX[op.kind], _ATOM
    if op.over:
        return f"{op.name}({args[0][0]}{_OVER[op.over]})", _ATOM
    if op.name in INFIX:
        sign = INFIX[op.name]
        tight = _TIGHT.get(sign, 0)
        left = _parenthesized(args[0], tight + (sign == "**" or tight == 0))
        return f"{left} {sign} {_parenthesized(args[1], tight + 1)}", tight
    if op.name == "negative":
        return f"-{_parenthesized(args[0], _UNARY)}", _UNARY
    if op.name == "square":
        return f"{_parenthesized(args[0], _ATOM)}²", _ATOM - 1
    if op.name == "bits":
        return f"{_parenthesized(args[0], _ATOM)}.view({op.dtype})", _ATOM
    name = op.dtype if op.name == "astype" else _SHORT.get(op.name, op.name)
    return f"{name}({', '.join(text for text, _ in args)})", _ATOM


def _parenthesized(text: _Text, least: int) -> str:
    """An argument, in parentheses if its operator binds less tightly than ``least``."""
    return text[0] if text[1] >= least else f"({text[0]})"
