"""Steps one after the other: functions with their arguments, as one function without arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["LONGEST", "Moving", "Step", "in_sequence"]

Step = tuple[Callable[..., Any], Sequence[Any]]

LONGEST = 400
"""Steps that are written out; more of them work so long that a loop over them costs nothing beside."""


class Moving(list[Any]):
    """Arguments that may be others at the next call."""


def in_sequence(steps: Sequence[Step]) -> Callable[[], None]:
    """All steps, in order. Written out as calls with their arguments by name, each takes half the overhead."""
    if len(steps) > LONGEST:

        def run() -> None:
            for function, args in steps:
                function(*args)

        return run
    names: dict[str, Any] = {}
    known: dict[int, str] = {}

    def name(value: Any) -> str:
        if id(value) not in known:
            known[id(value)] = f"v{len(names)}"
            names[known[id(value)]] = value
        return known[id(value)]

    calls: list[str] = []
    for function, args in steps:
        given = f"*{name(args)}" if isinstance(args, Moving) else ", ".join(map(name, args))
        calls.append(f"        {name(function)}({given})")
    # As free variables of a function they are found faster than as globals.
    text = "\n".join([f"def bind({', '.join(names)}):", "    def run():", *calls, "        return", "    return run"])
    made: dict[str, Any] = {}
    exec(text, made)
    return made["bind"](*names.values())
