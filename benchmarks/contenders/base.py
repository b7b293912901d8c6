"""What every contender has: a clock of its device, and its losses and first gradient compared with float64.

Steps are pipelined: only the last is waited for. The wall clock runs from the first call until the device has done
the last step; the device's own clock, two events around the same steps, leaves out what the host does before and after.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from dlarray.bench import BATCHES, Contender, Workload
from setting import Setting


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
    """Where a library returns before its device is done and has no events, as JAX does on every device."""

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


def clock_of(library: str, setting: Setting) -> Clock:
    """The clock of a library's device; the library "" is the device's own, NumPy or CuPy."""
    if library == "jax":
        return NoClock()
    if setting.device == "cpu":
        return HostClock()
    if library == "torch":
        import torch

        return Events(lambda: torch.cuda.Event(enable_timing=True), lambda a, b: a.elapsed_time(b))
    import cupy

    return Events(cupy.cuda.Event, cupy.cuda.get_elapsed_time)


class Measured(Contender):
    """A contender. ``together`` of its steps are one call of ``step``."""

    library = ""
    """Whose arrays it computes with: "torch", "jax", or "" for those of the device itself."""
    setting = Setting()
    together = 1
    made = 0.0

    def clock(self) -> Clock:
        """The device's clock."""
        return clock_of(self.library, self.setting)

    def gradient(self) -> list[np.ndarray]:
        """dL/dW and dL/db of each Dense layer after one step from the start: of that very step, from Adam's average.

        m = (1 - β₁) g after the first step.
        """
        raise NotImplementedError("has no gradient")

    def about(self) -> dict[str, Any]:
        """Versions of the libraries that the device needs."""
        return {}

    def first_calls(self) -> float:
        """Seconds for the first three calls: compiling, tuning and capturing are in them."""
        start = time.perf_counter()
        self.restart()
        for i in range(3):
            self.wait(self.step(i))
        return time.perf_counter() - start

    def timed(self, steps: int) -> dict[str, float | None]:
        """Seconds of a step by the wall and by the device, over so many steps or a few more, and how many they were."""
        self.restart()
        clock, calls = self.clock(), -(-steps // self.together)
        warm = -(-calls // 5)
        self.wait(self.steps(0, warm))
        start = time.perf_counter()
        clock.start()
        loss = self.steps(warm, warm + calls)
        clock.stop()
        self.wait(loss)
        wall = time.perf_counter() - start
        device, done = clock.seconds(), calls * self.together
        return {"wall": wall / done, "device": None if device is None else device / done, "steps": done}

    def write_gradient(self, path: str) -> None:
        """The gradient of the first step as a file."""
        np.savez(path, *self.gradient())

    def gradient_error(self, path: str) -> float | None:
        """||g - g₆₄|| / ||g₆₄|| over all parameters, with g₆₄ from a file; None where there is no gradient."""
        with np.load(path) as file:
            exact = [file[name] for name in file.files]
        try:
            return relative_error(self.gradient(), exact)
        except NotImplementedError:
            return None


class ManySteps(Measured):
    """Many steps in one call: ``step`` returns the losses of ``together`` steps."""

    def losses(self, steps: int, patience: float = float("inf")) -> list[float]:
        self.restart()
        found = [np.asarray(self.values(self.step(i))) for i in range(-(-steps // self.together))]
        return np.concatenate(found)[:steps].astype(float).tolist()

    def values(self, losses: Any) -> np.ndarray:
        """The losses of one call on the host."""
        return np.asarray(losses)

    def gradient(self) -> list[np.ndarray]:
        raise NotImplementedError("the gradient is gone after many steps; it is the single step's")


@dataclass(frozen=True)
class Shuffled:
    """All examples in another order, and the order that gives the workload's batches again, over and over.

    Call i does ``count`` steps from ``start(i)`` on: examples ``order[start + j · batch]`` and those that follow.
    """

    x: np.ndarray
    t: np.ndarray
    order: np.ndarray
    batch: int
    count: int

    @classmethod
    def of(cls, workload: Workload, count: int) -> Shuffled:
        """The examples of a workload, for calls of ``count`` steps."""
        x, t = (np.concatenate(parts) for parts in zip(*workload.batches, strict=True))
        places = np.random.default_rng(1).permutation(len(x)).astype(np.int32)
        rows = np.empty_like(places)
        rows[places] = np.arange(len(x), dtype=np.int32)
        repeats = -(-(count + BATCHES) // BATCHES)
        return cls(x[rows], t[rows], np.tile(places, repeats), workload.case.batch, count)

    def start(self, call: int) -> int:
        """Where in the order a call begins."""
        return call * self.count % BATCHES * self.batch


def on_gpu(setting: Setting) -> Setting:
    """The setting, if it is one with a GPU."""
    if setting.device == "cpu":
        raise NotImplementedError("a CUDA graph needs a GPU")
    return setting


def relative_error(found: list[np.ndarray], exact: list[np.ndarray]) -> float:
    """The norm of the difference of two lists of arrays, by the second one's norm."""
    off = sum(float(np.sum((a.astype(np.float64) - b) ** 2)) for a, b in zip(found, exact, strict=True))
    return float(np.sqrt(off / sum(float(np.sum(b.astype(np.float64) ** 2)) for b in exact)))


def hide_llvmlite() -> None:
    """From now on this process cannot find llvmlite, as on a machine without it: the planner's kernels are ufuncs."""
    sys.modules["llvmlite"] = None  # type: ignore[assignment] - this is how Python marks a module as absent
