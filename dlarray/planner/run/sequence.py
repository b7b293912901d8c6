"""Steps one after the other: functions with their arguments, as one function without arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["LONGEST", "Moving", "Step", "in_sequence", "step_of"]

Step = tuple[Callable[..., Any], Sequence[Any]]

_HEADS = 2
"""Lines before the first step of those that are written out, each on one line."""

LONGEST = 400
"""Steps that are written out; more of them work so long that a loop over them costs nothing beside."""


class Moving(list[Any]):
    """Arguments that may be others at the next call."""


def in_sequence(steps: Sequence[Step], given: Sequence[Any] = ()) -> Callable[..., None]:
    """All steps, in order. Written out as calls with their arguments by name, each takes half the overhead.

    The function takes what stands for the objects ``given`` wherever they are arguments; at most LONGEST steps can.
    """
    if len(steps) > LONGEST and not given:

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
        moves = isinstance(args, Moving) and not any(known.get(id(a)) in arguments for a in args)
        calls.append(f"        {name(function)}({f'*{name(args)}' if moves else ', '.join(map(name, args))})")
    # As free variables of a function they are found faster than as globals.
    heads = f"def bind({', '.join(names)}):", f"    def run({', '.join(arguments)}):"
    text = "\n".join([*heads, *calls, "        return", "    return run"])
    made: dict[str, Any] = {}
    exec(text, made)
    return made["bind"](*names.values())


def step_of(error: BaseException, run: Callable[..., None]) -> int | None:
    """The step of a sequence that raised an error, by number; None where it was raised outside of it."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code is run.__code__:
            return trace.tb_frame.f_locals.get("at", trace.tb_lineno - _HEADS - 1)
        trace = trace.tb_next
    return None
