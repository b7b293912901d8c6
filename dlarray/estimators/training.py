"""The state of an estimator's training, which can continue: compiled step, optimizer state, learning rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

from dlarray.core.array import Array, copy_array
from dlarray.core.layout import Layout
from dlarray.core.trees import copy_tree, map_arrays
from dlarray.device import Device, to_device, to_numpy
from dlarray.estimators.descent import Compile, Descent, SparseDescent
from dlarray.estimators.solvers import Rate
from dlarray.optimizers.base import State

__all__ = ["Training", "compiler"]


def compiler(device: Device) -> Compile:
    """The backend's ``compile`` if the backend compiles by default; else the identity."""
    return device.backend.compile if device.backend.compiles else lambda step: step


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
        same = earlier is not None and earlier.descent == descent
        self._steps: dict[tuple[str, bool], Callable[..., Any]] = earlier._steps if same and earlier else {}

    def step(self, device: Device, sparse: bool) -> Callable[..., Any]:
        """The compiled step for inputs of this kind."""
        key = (device.name, sparse)
        if key not in self._steps:
            compile_ = compiler(device)
            self._steps[key] = SparseDescent(self.descent, compile_) if sparse else compile_(self.descent)
        return self._steps[key]

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
