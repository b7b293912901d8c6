"""A training that may go on: the compiled step, the optimizer's state, and the learning rate reached."""

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
    """What compiles steps on this device: its backend where that compiles of its own accord, else nothing."""
    return device.backend.compile if device.backend.compiles else lambda step: step


def _relaid(states: tuple[State, ...], new: Layout, old: Layout) -> tuple[State, ...]:
    """An optimizer's states, one for each vector of θ, for θ in another layout."""
    count = len(new.lengths)
    relaid: list[State] = [{} for _ in range(count)]
    for name, first in states[0].items():
        if first.ndim:
            parts = new.join(old.split(tuple(state[name] for state in states)))
        else:  # one number for all; only the first state counts the steps
            parts = (first,) * (1 if name == "t" else count)
        for own, part in zip(relaid, parts, strict=False):
            own[name] = copy_array(part)
    return tuple(relaid)


class Training:
    """The walk's state between one call of ``partial_fit`` and the next, and the step compiled for it.

    A copy in a file holds the state on the host and leaves the compiled step behind, which is made again when needed.
    """

    def __init__(self, descent: Descent, rate: Rate, state: dict[str, Any], earlier: Training | None = None) -> None:
        self.descent = descent
        self.rate = rate
        self.state = state
        self.views: Mapping[str, Array] = {}
        """The estimator's parameters when they were last told of this state: views of its θ where there are views."""
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
        """Whether these parameters are the very ones reached here."""
        return arrays.keys() == self.views.keys() and all(arrays[name] is self.views[name] for name in arrays)

    def resume(self, arrays: Mapping[str, Array], device: Device) -> None:
        """Go on from these parameters on this device, where they are not the very ones reached here."""
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

    def __setstate__(self, kept: dict[str, Any]) -> None:
        self.__init__(kept["descent"], kept["rate"], kept["state"])
