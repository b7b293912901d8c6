"""Compiled steps that are kept for the next training: an equal step is planned once, and bound once.

A plan belongs to a step's configuration and to shapes and dtypes, not to one estimator. So all estimators of a program
share compiled steps, and ``clone``, ``warm_start`` and a search over parameters find them again. A ``Runner`` is such a
step with a state of its own, to which a training's state is copied, because a step is bound to its arrays. Between two
trainings it holds no data of a user except for the numbers of the latest state.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import fields
from functools import cached_property
from threading import Lock
from typing import Any, cast

import numpy as np

from dlarray.core.array import Array
from dlarray.core.trees import flatten
from dlarray.device import Device
from dlarray.training.binding import bind

__all__ = ["Runner", "StepPool", "configuration", "pool"]

MOST_STEPS = 32
MOST_RUNNERS = 16
MOST_BYTES = 2**26
"""What all idle runners may hold: states, and the buffers of their plans."""
MOST_PROGRAMS = 32
"""A step that has been planned for more kinds of batches is compiled anew: it may have 64 in one training."""

_PLAIN = (type(None), bool, int, float, complex, str, bytes)


def configuration(value: Any) -> Any:
    """What identifies a step: a tree of types and values, which is equal for two steps that compute the same.

    Raises TypeError for anything but plain values, tuples and dlarray's own frozen dataclasses: other objects can
    change, and formulas of other classes can read names that change.
    """
    kind = cast("Any", type(value))
    if kind in _PLAIN:
        return kind, repr(value) if kind in (float, complex) else value  # 0.0 is not -0.0
    if kind is tuple:
        return kind, tuple(configuration(item) for item in value)
    own = kind.__module__.partition(".")[0] == "dlarray"
    if not own or not hasattr(kind, "__dataclass_params__") or not kind.__dataclass_params__.frozen:
        raise TypeError(f"a {kind.__name__} can change between two trainings")
    names = {field.name for field in fields(value)} | getattr(value, "__dict__", {}).keys()
    names = sorted(name for name in names if not isinstance(getattr(kind, name, None), cached_property))
    return kind, tuple((name, configuration(getattr(value, name))) for name in names)


class Runner:
    """``runner(batch) -> loss``: a step, and several in one call, with a state."""

    def __init__(self, key: Any, step: Any, state: Any, device: Device, sparse: bool) -> None:
        self.key = key
        self.whole = False
        """Whether the latest training has ended without an error. An error can leave a step half done."""
        self._bound = bind(step, state)
        most = 1 if sparse else device.backend.steps_per_execution(device.handle)
        self._repeat = device.backend.repeat(step, most) if most > 1 else None

    @property
    def state(self) -> Any:
        """The state after the latest step."""
        return self._bound.state

    @state.setter
    def state(self, state: Any) -> None:
        self._bound.state = state

    def __call__(self, batch: Any) -> Array:
        return self._bound(batch)

    def several(self, data: Any, order: Array | None, start: int, size: int, count: int) -> Array | None:
        """The losses of at most ``count`` steps, see ``Backend.repeat``; None if each must be done alone."""
        if self._repeat is None:
            return None
        self._bound.state, losses = self._repeat(self._bound.state, data, order, start, size, count)
        return losses if losses.shape[0] else None

    def fits(self, state: Any) -> bool:
        """Whether this state has the structure, shapes and dtypes of the own one."""
        own: list[np.ndarray] = []
        given: list[np.ndarray] = []
        return flatten(self.state, own) == flatten(state, given) and all(
            a.shape == b.shape and a.dtype == b.dtype for a, b in zip(own, given, strict=True)
        )

    def take_over(self, state: Any) -> None:
        """Continue with these numbers, in the memory of the own state."""
        own: list[np.ndarray] = []
        given: list[np.ndarray] = []
        flatten(self.state, own)
        flatten(state, given)
        for a, b in zip(own, given, strict=True):
            np.copyto(a, b)
        self._bound.state = self._bound.state

    def release(self) -> int | None:
        """Let go of data. Returns the bytes that stay; None if the step cannot be kept."""
        release: Callable[[], int | None] = getattr(self._bound, "release", lambda: None)
        if (plans := release()) is None:
            return None
        if self._repeat is not None:
            cast("Any", self._repeat).release()
        arrays: list[np.ndarray] = []
        flatten(self.state, arrays)
        return plans + sum(a.nbytes for a in arrays)


class StepPool:
    """Compiled steps by configuration, and the runners that no training is using."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._steps: OrderedDict[Any, Any] = OrderedDict()
        self._idle: list[tuple[Runner, int]] = []

    def clear(self) -> None:
        """Forget everything."""
        self.__init__()

    def step(self, key: Any, make: Callable[[], Any]) -> Any:
        """The compiled step with this key; ``make`` compiles it."""
        with self._lock:
            found = self._steps.get(key)
            if found is None or len(getattr(found, "programs", ())) > MOST_PROGRAMS:
                found = self._steps[key] = make()
                self._idle = [(runner, size) for runner, size in self._idle if runner.key != key]
            self._steps.move_to_end(key)
            if len(self._steps) > MOST_STEPS:
                gone, _ = self._steps.popitem(last=False)
                self._idle = [(runner, size) for runner, size in self._idle if runner.key != gone]
            return found

    def runner(self, key: Any, state: Any) -> Runner | None:
        """An idle runner of this step, which has taken over the numbers of the state; None if there is none."""
        with self._lock:
            of_step = [entry for entry in self._idle if entry[0].key == key]
            for entry in reversed(of_step):
                if entry[0].fits(state):
                    self._idle.remove(entry)  # first: an interrupt must not leave it here with half a state
                    entry[0].take_over(state)
                    return entry[0]
        return None

    def give_back(self, runner: Runner) -> None:
        """Keep the runner for another training, if its own has ended without an error."""
        if not runner.whole:
            return
        size = runner.release()
        if size is None or size > MOST_BYTES:
            return
        with self._lock:
            self._idle.append((runner, size))
            while len(self._idle) > MOST_RUNNERS or sum(size for _, size in self._idle) > MOST_BYTES:
                del self._idle[0]


pool = StepPool()
"""The pool of this process."""

if hasattr(os, "register_at_fork"):  # another thread can hold the lock when a process forks
    os.register_at_fork(after_in_child=pool.clear)
