"""Units, and which of them must run before which, while they are made and merged.

All units that must run before a unit are the bits of one int. So a question about all of them is one operation, and no
graph is searched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dlarray.planner.trace.node import Form, Node

__all__ = ["Order", "Unit"]


@dataclass(eq=False)
class Unit:
    """One item of work: the group of a kernel, a product, a concatenation or a call."""

    op: str
    domain: Form
    nodes: list[Node] = field(default_factory=list[Node])
    outputs: list[Node] = field(default_factory=list[Node])
    """The nodes whose values are stored in memory."""
    needs: set[Unit] = field(default_factory=set["Unit"])
    """The units that must run before."""
    complete: set[Unit] = field(default_factory=set["Unit"])
    """Those of them that are read through a view, so that their whole arrays must be in memory."""
    late: set[Node] = field(default_factory=set[Node])
    """Its nodes that are known after the last row."""
    reads: set[Node] = field(default_factory=set[Node])
    """The values, its own too, that it reads before the last row."""

    @property
    def is_group(self) -> bool:
        """Whether it becomes a kernel."""
        return self.op == "group"


class Order:
    """The units that each unit needs, directly or through others. Each unit has a bit; later units have higher ones."""

    def __init__(self, units: Iterable[Unit] = ()) -> None:
        self.units: list[Unit] = []
        """All units that were added, in order; also those that were merged into others."""
        self.bit: dict[Unit, int] = {}
        self.before: dict[Unit, int] = {}
        """The bits of all units that must run before a unit."""
        self._users: dict[Unit, set[Unit]] = {}
        for unit in units:
            self.add(unit)
        for unit in self.units:
            for source in list(unit.needs):
                self.need(unit, source)

    def add(self, unit: Unit) -> None:
        """Add the next unit; ``need`` is to be called for the units that it needs."""
        self.bit[unit] = 1 << len(self.units)
        self.before[unit] = 0
        self._users[unit] = set()
        self.units.append(unit)

    def need(self, unit: Unit, source: Unit) -> None:
        """From now on a unit runs after another one."""
        unit.needs.add(source)
        self._users[source].add(unit)
        self._extend(unit, self.before[source] | self.bit[source])

    def _extend(self, unit: Unit, bits: int) -> None:
        """Add units that must run before a unit, and so before all units that need it."""
        todo = [unit]
        while todo:
            unit = todo.pop()
            if bits & ~self.before[unit]:
                self.before[unit] |= bits
                todo.extend(self._users[unit])

    def is_before(self, first: Unit, second: Unit) -> bool:
        """Whether the second unit needs the first, directly or through others."""
        return bool(self.before[second] & self.bit[first])

    def before_needed(self, unit: Unit) -> int:
        """The bits of the units that a unit needs through others."""
        bits = 0
        for needed in unit.needs:
            bits |= self.before[needed]
        return bits

    def merge(self, unit: Unit, other: Unit) -> None:
        """Put the first unit in the place of both. No other unit may have to run between them."""
        for needed in other.needs:
            self._users[needed].discard(other)
            self._users[needed].add(unit)
        for user in self._users[other]:
            for units in (user.needs, user.complete):
                if other in units:
                    units.remove(other)
                    units.add(unit)
        users = self._users[unit]
        for units, added in ((unit.needs, other.needs), (unit.complete, other.complete), (users, self._users[other])):
            units |= added
            units -= {unit, other}
        own = self.bit[unit] | self.bit[other]
        self.before[unit] = (self.before[unit] | self.before[other]) & ~own
        for user in users:
            self._extend(user, self.before[unit] | own)

    def units_of(self, bits: int) -> Iterator[Unit]:
        """The units with these bits, in order."""
        while bits:
            lowest = bits & -bits
            yield self.units[lowest.bit_length() - 1]
            bits ^= lowest
