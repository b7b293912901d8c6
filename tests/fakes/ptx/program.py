"""A module of PTX, from its text to a launch."""

from __future__ import annotations

import numpy as np

from tests.fakes.ptx.arithmetic import Array
from tests.fakes.ptx.compiler import blocks
from tests.fakes.ptx.machine import Code, Launch
from tests.fakes.ptx.memory import Memory
from tests.fakes.ptx.parser import Module, Variable, parse

__all__ = ["Program"]


class Program:
    """A module of PTX, ready to be launched."""

    def __init__(self, text: str) -> None:
        self.module: Module = parse(text)
        self._tables = Memory()
        self.addresses: dict[str, Array] = {}
        self._placed: list[tuple[Variable, Array]] = []
        for v in self.module.variables:
            values = self._tables.allocate(v.size, v.space)
            values[:] = np.frombuffer(v.content or bytes(v.size), np.uint8)
            self.addresses[v.name] = np.array([values.ctypes.data], np.uint64)
            self._placed.append((v, values))
        self.codes = {name: Code(function, self.addresses) for name, function in self.module.functions.items()}
        for code in self.codes.values():
            code.blocks += blocks(code, self.codes)

    def launch(self, memory: Memory, name: str, blocks: int, threads: int, argument: bytes) -> Launch:
        """Execute a kernel; its parameters are in the argument one after the other, as in a C struct.

        Raises IndexError and ValueError at an access that is not allowed, RuntimeError where threads wait forever.
        """
        code = self.codes[name]
        launch = Launch(memory, blocks, threads)
        given, places = {}, _places(code.function.parameters)
        total = max((place + v.size for v, place in zip(code.function.parameters, places, strict=True)), default=0)
        if len(argument) != total:
            raise ValueError(f"{name} takes {total} bytes of arguments, got {len(argument)}")
        values = memory.allocate(total, "param", writable=False)
        values[:] = np.frombuffer(argument, np.uint8)
        for v, place in zip(code.function.parameters, places, strict=True):
            given[v.name] = np.array([values.ctypes.data + place], np.uint64)
        for v, table in self._placed:
            memory.allow(table.ctypes.data, v.size, v.space, writable=v.space != "const", owner=table)
        with np.errstate(all="ignore"):
            code.run(launch, np.ones(launch.n, bool), given)
        memory.forbid(values.ctypes.data)
        return launch


def _places(parameters: list[Variable]) -> list[int]:
    made, place = [], 0
    for v in parameters:
        place = -(-place // v.align) * v.align
        made.append(place)
        place += v.size
    return made
