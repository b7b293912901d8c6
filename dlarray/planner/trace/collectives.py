"""Collectives: a sum over ranks, and the other exchanges of arrays between them, as nodes of a graph.

A collective is two nodes. "start" has this rank's array as its argument, "wait" has the result. What is between them
runs while the ranks exchange their numbers. Every rank starts the same collectives in the order of the trace, which is
that of the eager step. So no two of them are one node, and none is left out, even if no result depends on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlarray.core.ranks import Ranks
from dlarray.planner.trace.graph import Graph
from dlarray.planner.trace.node import Node

__all__ = ["Collective", "collective", "silent"]


@dataclass(frozen=True, eq=False)
class Collective:
    """One exchange: a method of ``ranks`` with its arguments after the array, the one with this number in the step."""

    name: str
    ranks: Ranks
    arguments: tuple[Any, ...]
    number: int

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The result for this rank's array: a new array, or x itself without communication."""
        return getattr(self.ranks, self.name)(x, *self.arguments)

    @property
    def key(self) -> int:
        """Different for each exchange of a step."""
        return self.number

    @property
    def is_sum(self) -> bool:
        """Whether all ranks' arrays are added, in the memory of this rank's."""
        return self.name == "sum"

    @property
    def is_gather(self) -> bool:
        """Whether the result has all ranks' arrays, this rank's where ``bounds`` says."""
        return self.name == "gather"

    def bounds(self, n: int) -> tuple[int, int]:
        """The bounds of this rank's piece of an array of this length."""
        first, last = self.ranks.bounds(n)[self.ranks.rank : self.ranks.rank + 2]
        return first, last

    def length(self, n: int) -> int:
        """The length of the result for an array of this length."""
        if self.is_gather:
            return self.arguments[0]
        first, last = self.bounds(n)
        return last - first


def collective(graph: Graph, name: str, ranks: Ranks, x: Node, arguments: tuple[Any, ...]) -> Node:
    """The result of ``ranks.name(x, *arguments)``."""
    made = Collective(name, ranks, arguments, len(graph.collectives))
    shape = x.shape if made.is_sum else (made.length(x.shape[0]), *x.shape[1:])
    started = graph.node("start", [x], made, shape, x.dtype)
    graph.collectives.append(graph.node("wait", [started], made, shape, x.dtype))
    return graph.collectives[-1]


def silent(collectives: Iterable[Node]) -> ExitStack:
    """A ``with`` block in which none of these collectives communicates."""
    stack = ExitStack()
    for ranks in {node.attribute.ranks for node in collectives}:
        stack.enter_context(ranks.silent())
    return stack
