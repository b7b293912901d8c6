"""The state of an estimator's training, which can continue: optimizer state, learning rate, and what runs its steps."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from copy import copy
from typing import Any

from dlarray.core.array import Array, copy_array
from dlarray.core.layout import Layout
from dlarray.core.trees import copy_tree, map_arrays
from dlarray.device import Device, to_device, to_numpy
from dlarray.estimators.descent import Compile, Descent, SparseDescent
from dlarray.estimators.solvers import Rate
from dlarray.estimators.step_pool import Runner, configuration, pool
from dlarray.optimizers.base import State
from dlarray.training.binding import settling

__all__ = ["Training", "compiler", "kept"]


def compiler(device: Device) -> Compile:
    """The backend's ``compile`` if the backend compiles by default; else the identity. A lazy step is settled."""
    backend = device.backend
    return lambda step: settling(backend.compile(step) if backend.compiles else step, backend)


def kept(step: Callable[..., Any], device: Device) -> Callable[..., Any]:
    """The compiled step: on NumPy's arrays the one that an equal step has left in the pool."""
    if not device.backend.uses_numpy_arrays:
        return compiler(device)(step)
    key = _configuration(step)
    if key is None:
        return compiler(device)(step)
    return pool.step((key, device.name), lambda: compiler(device)(step))


def _configuration(step: Any) -> Any:
    """``configuration``; None if the step has objects that can change: it is compiled for each training."""
    try:
        return configuration(step)
    except TypeError:
        return None


def _relaid(states: tuple[State, ...], new: Layout, old: Layout) -> tuple[State, ...]:
    """An optimizer's states, one for each vector of θ, for θ in another layout."""
    count = len(new.lengths)
    relaid: list[State] = [{} for _ in range(count)]
    for name, first in states[0].items():
        if first.ndim:
            parts = new.join(old.split(tuple(state[name] for state in states)))
        else:  # a number; only the first state has t
            parts = (first,) * (1 if name == "t" else count)
        for own, part in zip(relaid, parts, strict=False):
            own[name] = copy_array(part)
    return tuple(relaid)


def _names(state: dict[str, Any]) -> set[str]:
    """The names of a state's arrays, with those of the optimizer."""
    return set(state).union(*state["optimizer"])


class Training:
    """The state of training between two calls of ``partial_fit``, and its compiled step.

    A pickle holds the state on the host, without the compiled step, which is compiled again when needed.
    """

    def __init__(self, descent: Descent, rate: Rate, state: dict[str, Any], earlier: Training | None = None) -> None:
        self.descent = descent
        self.rate = rate
        self.state = state
        self.views: Mapping[str, Array] = {}
        """The estimator's parameters when they were last set from this state: views of θ if the library has views."""
        same = earlier is not None and earlier.descent == descent and _configuration(descent) is not None
        self._steps: dict[tuple[str, bool], Any] = earlier._steps if same and earlier else {}
        self._runner: Runner | None = None
        self._runner_kind: tuple[Descent, str, bool] | None = None
        self._added: set[str] = set()

    @contextmanager
    def running(self, device: Device, sparse: bool, apart: bool) -> Generator[Runner]:
        """A ``with`` block with a runner of the step on this state, for inputs of this kind.

        With ``apart`` nobody sees the state until the block ends: so it can be in the memory of a kept runner, and is
        copied then. Otherwise this object keeps the runner.
        """
        kind = (self.descent, device.name, sparse)
        if not apart and self._runner is not None and self._runner_kind == kind:
            self._added = set()
            runner, self._runner = self._runner, None
            runner.state, runner.whole = self.state, False
            yield runner
            self._keep(runner, kind)
            return
        if apart and device.backend.uses_numpy_arrays:
            descent, state = self.descent.shared(self.state)
        else:
            descent, state = self.descent, self.state
        self._added = _names(state) - _names(self.state)
        key, step = self._step(descent, device, sparse)
        runner = pool.runner(key, state) if apart and key is not None else None
        if runner is None:
            runner = Runner(key, step, state, device, sparse)
        runner.whole = False
        yield runner
        self.state = self.own(self.state)
        if not apart:
            self._keep(runner, kind)
        if apart and key is not None:
            self.state = copy_tree(self.state)
            pool.give_back(runner)

    def _keep(self, runner: Runner, kind: tuple[Descent, str, bool]) -> None:
        """Keep the runner for the next call of ``partial_fit``, if this one has ended without an error."""
        self._runner, self._runner_kind = (runner if runner.whole else None), kind

    def own(self, state: dict[str, Any]) -> dict[str, Any]:
        """A runner's state without what ``Descent.shared`` has added."""
        if not self._added:
            return state
        own = {name: x for name, x in state.items() if name not in self._added}
        own["optimizer"] = tuple(
            {name: x for name, x in of.items() if name not in self._added} for of in state["optimizer"]
        )
        return own

    def _step(self, descent: Descent, device: Device, sparse: bool) -> tuple[Any, Any]:
        """The compiled step, and the key under which it is kept for all estimators; None if it is not."""
        compile_, own = compiler(device), (device.name, sparse)

        def make() -> Any:
            return SparseDescent(descent, compile_) if sparse else compile_(descent)

        if device.backend.uses_numpy_arrays:
            found = _configuration(descent)
            if found is not None:
                key = (found, *own)
                return key, pool.step(key, make)
        if own not in self._steps:
            self._steps[own] = make()
        return None, self._steps[own]

    def shows(self, arrays: Mapping[str, Array]) -> bool:
        """Whether these parameters are the same objects as ``views``."""
        return arrays.keys() == self.views.keys() and all(arrays[name] is self.views[name] for name in arrays)

    def resume(self, arrays: Mapping[str, Array], device: Device) -> None:
        """Continue from these parameters on this device, unless they are those of this state."""
        if self.shows(arrays):
            return
        model = self.descent.gradient.model
        apart = not device.backend.writes_in_place
        layout = model.layout.split_up() if apart else model.layout
        theta = copy_tree(layout.join(arrays))
        state = {**map_arrays(self.state, lambda x: to_device(x, device)), "theta": theta}
        if len(theta) != len(state["optimizer"]):  # from a library with one vector to one with many, or back
            state["optimizer"] = _relaid(state["optimizer"], layout, model.layout if apart else model.layout.split_up())
            own = model.buffer_layout
            old, new = (own, own.split_up()) if apart else (own.split_up(), own)
            state["buffers"] = new.join(old.split(state["buffers"])) if state["buffers"] else ()
        self.state = state

    def __copy__(self) -> Training:
        return Training(self.descent, copy(self.rate), copy_tree(self.state))

    def __getstate__(self) -> dict[str, Any]:
        rest = {name: item for name, item in self.state.items() if name != "theta"}
        return {"descent": self.descent, "rate": self.rate, "state": map_arrays(rest, to_numpy)}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self.__init__(saved["descent"], saved["rate"], saved["state"])
