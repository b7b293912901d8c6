"""Bound calls, functions with their arguments, in sequence: as one function without arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dlarray.planner.kernel.joining import BoundCall, Rebindable

__all__ = ["MAX_UNROLLED", "failed_call", "in_sequence"]

_HEADER_LINES = 2
"""The lines before the first call in the generated code, which has one line for each call."""

MAX_UNROLLED = 400
"""The most calls that are written out as code; for more of them the cost of a loop does not matter."""


def in_sequence(calls: Sequence[BoundCall], parameters: Sequence[Any] = ()) -> Callable[..., None]:
    """All calls, in order. Written out as code with arguments by name, each call has half the overhead.

    The function's own arguments replace the objects ``parameters`` in the calls; then at most MAX_UNROLLED calls are
    possible.
    """
    if len(calls) > MAX_UNROLLED and not parameters:

        def run() -> None:
            for at in range(len(calls)):  # ``failed_call`` reads ``at``
                function, args = calls[at]
                function(*args)

        return run
    names: dict[str, Any] = {}
    arguments = [f"parameter{i}" for i in range(len(parameters))]
    known = {id(value): argument for value, argument in zip(parameters, arguments, strict=True)}

    def name(value: Any) -> str:
        if id(value) not in known:
            known[id(value)] = f"v{len(names)}"
            names[known[id(value)]] = value
        return known[id(value)]

    lines: list[str] = []
    for function, args in calls:
        by_list = isinstance(args, Rebindable) and not any(known.get(id(a)) in arguments for a in args)
        lines.append(f"        {name(function)}({f'*{name(args)}' if by_list else ', '.join(map(name, args))})")
    # Python finds free variables of a function faster than globals.
    heads = f"def bind({', '.join(names)}):", f"    def run({', '.join(arguments)}):"
    text = "\n".join([*heads, *lines, "        return", "    return run"])
    made: dict[str, Any] = {}
    exec(text, made)
    return made["bind"](*names.values())


def failed_call(error: BaseException, run: Callable[..., None]) -> int | None:
    """The number of the call in a sequence that raised an error; None if it was raised elsewhere."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code is run.__code__:
            return trace.tb_frame.f_locals.get("at", trace.tb_lineno - _HEADER_LINES - 1)
        trace = trace.tb_next
    return None
