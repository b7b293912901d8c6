"""A player that is timed by the wall and by its device, and held against float64.

Steps are pipelined: none is waited for but the last. The wall clock runs from the first call until the device has done
the last step; the device's own clock, two events around the same steps, leaves out what the host does before and after.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from setting import Setting

from dlarray.bench import Player, Problem


class Clock(Protocol):
    """Two marks in what a device has to do, and the time between them."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def seconds(self) -> float | None: ...


class HostClock:
    """On a CPU whose operations are done when they return, the device's time is the wall's."""

    def start(self) -> None:
        self._start = time.perf_counter()

    def stop(self) -> None:
        self._stop = time.perf_counter()

    def seconds(self) -> float | None:
        return self._stop - self._start


class NoClock(HostClock):
    """Where a library returns before its device is done and shows no events of it, as JAX does on every device."""

    def seconds(self) -> float | None:
        return None


class Events:
    """Two events of CUDA, torch's or CuPy's; ``between`` gives the milliseconds from one to the other."""

    def __init__(self, event: Callable[[], Any], between: Callable[[Any, Any], float]) -> None:
        self._first, self._last, self._between = event(), event(), between

    def start(self) -> None:
        self._first.record()

    def stop(self) -> None:
        self._last.record()

    def seconds(self) -> float | None:
        self._last.synchronize()
        return self._between(self._first, self._last) / 1e3


class Measured(Player):
    """A player that says more: its device's clock, its gradient, its libraries. ``together`` steps are one call."""

    together = 1

    def clock(self) -> Clock:
        """The device's clock."""
        return HostClock()

    def gradient(self) -> list[np.ndarray]:
        """dL/dW and dL/db of each Dense layer after one step from the start: of that very step, from Adam's average.

        m = (1 - β₁) g after the first step.
        """
        raise NotImplementedError("has no gradient")

    def about(self) -> dict[str, Any]:
        """Versions of the libraries that the device needs."""
        return {}


class Timed:
    """What a worker does with a player that is to be timed."""

    def __init__(self, make: Callable[[Problem, Setting], Measured], problem: Problem, setting: Setting) -> None:
        start = time.perf_counter()
        self.player = make(problem, setting)
        self.made = time.perf_counter() - start

    def first(self) -> dict[str, float]:
        """Seconds to make the player, and for the first three calls: compiling, choosing, capturing are in them."""
        start = time.perf_counter()
        self.player.restart()
        for i in range(3):
            self.player.wait(self.player.step(i))
        return {"made": self.made, "first": time.perf_counter() - start}

    def timed(self, steps: int) -> dict[str, float | None]:
        """Seconds of a step by the wall and by the device, over so many steps or a few more."""
        player, clock = self.player, self.player.clock()
        player.restart()
        calls = -(-steps // player.together)
        warm = -(-calls // 5)
        loss = None
        for i in range(warm):
            loss = player.step(i)
        player.wait(loss)
        start = time.perf_counter()
        clock.start()
        for i in range(warm, warm + calls):
            loss = player.step(i)
        clock.stop()
        player.wait(loss)
        wall = time.perf_counter() - start
        device, done = clock.seconds(), calls * player.together
        return {"wall": wall / done, "device": None if device is None else device / done}

    def losses(self, steps: int, patience: float) -> list[float]:
        """The losses of the first steps."""
        return self.player.losses(steps, patience)

    def write_gradient(self, path: str) -> None:
        """The gradient of the first step as a file."""
        np.savez(path, *self.player.gradient())

    def gradient_error(self, path: str) -> float | None:
        """||g - g₆₄|| / ||g₆₄|| over all parameters, with g₆₄ from a file; None where the player has no gradient."""
        with np.load(path) as file:
            exact = [file[name] for name in file.files]
        try:
            return relative_error(self.player.gradient(), exact)
        except NotImplementedError:
            return None

    def about(self) -> dict[str, Any]:
        """Versions; one that cannot be had ends no measurement."""
        try:
            return self.player.about()
        except Exception as error:
            return {"unknown": f"{type(error).__name__}: {error}"}


def relative_error(found: list[np.ndarray], exact: list[np.ndarray]) -> float:
    """The norm of the difference of two lists of arrays, by the second one's norm."""
    off = sum(float(np.sum((a.astype(np.float64) - b) ** 2)) for a, b in zip(found, exact, strict=True))
    return float(np.sqrt(off / sum(float(np.sum(b.astype(np.float64) ** 2)) for b in exact)))
