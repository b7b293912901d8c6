"""Steps one after the other: functions with their arguments, as one function without arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["MAX_UNROLLED", "BoundCall", "Rebindable", "failed_call", "in_sequence"]

BoundCall = tuple[Callable[..., Any], Sequence[Any]]

_HEADER_LINES = 2
"""Lines before the first step of those that are written out, each on one line."""

MAX_UNROLLED = 400
"""Steps that are written out; more of them work so long that a loop over them costs nothing beside."""


class Rebindable(list[Any]):
    """Arguments that may be others at the next call."""


def in_sequence(steps: Sequence[BoundCall], given: Sequence[Any] = ()) -> Callable[..., None]:
    """All steps, in order. Written out as calls with their arguments by name, each takes half the overhead.

    The function takes what stands for the objects ``given`` wherever they are arguments; at most LONGEST steps can.
    """
    if len(steps) > MAX_UNROLLED and not given:

        def run() -> None:
            for at in range(len(steps)):  # ``step_of`` reads it
                function, args = steps[at]
                function(*args)

        return run
    names: dict[str, Any] = {}
    arguments = [f"given{i}" for i in range(len(given))]
    known = {id(value): argument for value, argument in zip(given, arguments, strict=True)}

    def name(value: Any) -> str:
        if id(value) not in known:
            known[id(value)] = f"v{len(names)}"
            names[known[id(value)]] = value
        return known[id(value)]

    calls: list[str] = []
    for function, args in steps:
        moves = isinstance(args, Rebindable) and not any(known.get(id(a)) in arguments for a in args)
        calls.append(f"        {name(function)}({f'*{name(args)}' if moves else ', '.join(map(name, args))})")
    # As free variables of a function they are found faster than as globals.
    heads = f"def bind({', '.join(names)}):", f"    def run({', '.join(arguments)}):"
    text = "\n".join([*heads, *calls, "        return", "    return run"])
    made: dict[str, Any] = {}
    exec(text, made)
    return made["bind"](*names.values())


def failed_call(error: BaseException, run: Callable[..., None]) -> int | None:
    """The step of a sequence that raised an error, by number; None where it was raised outside of it."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code is run.__code__:
            return trace.tb_frame.f_locals.get("at", trace.tb_lineno - _HEADER_LINES - 1)
        trace = trace.tb_next
    return None
