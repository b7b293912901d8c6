"""The order of the units: each after the units that it needs, otherwise as in the trace.

Where there are collectives, what a collective needs runs before what only later ones need. So a layer's gradient is
computed, and its sum over ranks started, before the layers below go on. The result is waited for just before its first
reader.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush
from math import inf

from dlarray.planner.schedule.order import Unit

__all__ = ["in_turn", "trace_position"]

_Turn = tuple[float, float]


def in_turn(units: Iterable[Unit]) -> list[Unit]:
    """The units in the order in which they run."""
    units = list(units)
    turns = _turns(units)
    units.sort(key=turns.__getitem__)
    users: dict[Unit, list[int]] = {unit: [] for unit in units}
    for i, unit in enumerate(units):
        for needed in unit.needs:
            users[needed].append(i)
    missing = [len(unit.needs) for unit in units]
    ready = [i for i, n in enumerate(missing) if n == 0]
    found: list[Unit] = []
    while ready:
        unit = units[heappop(ready)]
        found.append(unit)
        for i in users[unit]:
            missing[i] -= 1
            if missing[i] == 0:
                heappush(ready, i)
    assert len(found) == len(units), "some units need each other"
    return found


def trace_position(unit: Unit) -> int:
    """The position of the last of its stored values in the trace."""
    return max(n.number for n in unit.outputs)


def _turns(units: list[Unit]) -> dict[Unit, _Turn]:
    """For each unit the number of the first collective that needs it, and its position in the trace."""
    first: dict[Unit, int] = {}
    starts = sorted((u for u in units if u.op == "start"), key=trace_position)
    for number, start in enumerate(starts):
        todo = [start]
        while todo:
            unit = todo.pop()
            if unit not in first:
                first[unit] = number
                todo.extend(unit.needs)
    turns: dict[Unit, _Turn] = {u: (first.get(u, inf), trace_position(u)) for u in units}
    waits = [u for u in units if u.op == "wait"]
    latest: dict[Unit, _Turn] = dict.fromkeys(waits, (inf, inf))
    for unit in units:
        for needed in unit.needs:
            if needed in latest:
                number, position = turns[unit]
                latest[needed] = min(latest[needed], (number, position - 0.5))
    return turns | latest
