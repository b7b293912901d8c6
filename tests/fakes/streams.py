"""Fake streams and events of CuPy: work that is queued runs later, in any order that streams and events allow.

Each stream runs its work in order, at times of its own: at each call of the program a random generator chooses which
streams go on, and how far. A copy reads the host's memory when it runs, not when it is queued. A program that forgets
to wait reads wrong numbers, for some seeds of the generator.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

__all__ = ["AsyncGpu"]


class AsyncGpu:
    """A fake GPU that works later; ``cupy`` and ``cupyx`` are its modules. ``lost``: the waits that are left out."""

    def __init__(self, seed: int, lost: str = "") -> None:
        self._random = np.random.default_rng(seed)
        self.lost = lost
        self.streams: list[_Stream] = []
        self.current = _Stream(self)
        self.trace: list[str] = []
        """The work that has run, in order."""
        gpu = self

        class Stream(_Stream):
            def __init__(self, non_blocking: bool = False) -> None:
                assert non_blocking  # any other stream waits for the default one
                super().__init__(gpu)

        class Event(_Event):
            def __init__(self, disable_timing: bool = False) -> None:
                super().__init__(gpu)

        self.cupy = SimpleNamespace(
            cuda=SimpleNamespace(Stream=Stream, Event=Event, get_current_stream=lambda: gpu.current),
            empty=lambda shape, dtype: _Array(gpu, np.full(shape, -1, dtype)),
        )
        self.cupyx = SimpleNamespace(empty_pinned=lambda shape, dtype: np.full(shape, -2, dtype))

    def some_time_passes(self) -> None:
        """Let streams go on, each at its speed."""
        for stream in self.streams:
            for _ in range(self._random.poisson(stream.speed)):
                stream.go_on()

    def speed(self) -> float:
        """How much a new stream runs between two calls of the program: nothing, a little, or all."""
        return float(self._random.choice([0.0, 0.2, 1.0, 10.0]))

    def until(self, done: Callable[[], bool]) -> None:
        """The program waits."""
        while not done():
            moved = [stream.go_on() for stream in self.streams]
            assert any(moved), "a deadlock: every stream waits"

    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


class _Stream:
    def __init__(self, gpu: AsyncGpu) -> None:
        self.gpu = gpu
        self.queue: deque[tuple[Callable[[], bool], Callable[[], None]]] = deque()
        self.speed = gpu.speed()
        gpu.streams.append(self)

    def add(self, act: Callable[[], None], ready: Callable[[], bool] = lambda: True) -> None:
        self.queue.append((ready, act))
        self.gpu.some_time_passes()

    def go_on(self) -> bool:
        """Run the next work, if its event has been reached."""
        if not self.queue or not self.queue[0][0]():
            return False
        self.queue.popleft()[1]()
        return True

    def wait_event(self, event: _Event) -> None:
        wanted = event.records  # of what was recorded before this call
        if self.gpu.lost != ("step waits" if self is self.gpu.current else "copy waits"):
            self.add(lambda: None, lambda: event.done >= wanted)

    def synchronize(self) -> None:
        self.gpu.until(lambda: not self.queue)


class _Event:
    def __init__(self, gpu: AsyncGpu) -> None:
        self.gpu = gpu
        self.records = self.done = 0

    def record(self, stream: _Stream) -> None:
        self.records += 1
        number = self.records

        def reach() -> None:
            self.done = max(self.done, number)

        stream.add(reach)

    def synchronize(self) -> None:
        wanted = self.records
        if self.gpu.lost != "host waits":
            self.gpu.until(lambda: self.done >= wanted)


class _Array:
    """An array on the GPU. ``set`` copies numbers to it; a step reads them by ``read``."""

    def __init__(self, gpu: AsyncGpu, memory: np.ndarray) -> None:
        self.gpu, self.memory = gpu, memory

    def __getitem__(self, rows: slice) -> _Array:
        return _Array(self.gpu, self.memory[rows])

    def set(self, host: np.ndarray, stream: _Stream) -> None:
        assert host.flags.c_contiguous
        assert (host.shape, host.dtype) == (self.memory.shape, self.memory.dtype)

        def copy() -> None:
            self.memory[...] = host
            self.gpu.trace.append("copy")

        stream.add(copy)

    def read(self, into: list[np.ndarray]) -> None:
        """Queue a step that reads all of it."""
        half = len(self.memory) // 2

        def first() -> None:
            into.append(self.memory[:half].copy())

        def second() -> None:  # a step reads in two parts: the numbers must stay until its end
            into.append(np.concatenate([into.pop(), self.memory[half:]]))
            self.gpu.trace.append("step")

        self.gpu.current.add(first)
        self.gpu.current.add(second)
