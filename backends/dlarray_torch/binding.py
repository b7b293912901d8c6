"""A binding to the tensors of one state: the planner's binding to views of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dlarray.planner.run.program import Binding
from dlarray.planner.run.tree_code import caller

__all__ = ["TensorBinding"]

_NUMBERS: tuple[type[Any], ...] = (np.generic,)


class TensorBinding:
    """A planner's binding for batches of tensors; see ``dlarray.planner.run.program.Binding``.

    ``views`` gives the NumPy views of a batch, and raises TypeError or RuntimeError if there are none. ``tensors``
    converts a loss.
    """

    def __init__(
        self,
        binding: Binding,
        is_state: Callable[[Any], bool],
        views: Callable[[Any], Any],
        tensors: Callable[[Any], Any],
    ) -> None:
        self.binding = binding
        self.program = binding.program
        self.replay = binding.replay
        self.state = binding.state
        self.is_state = is_state
        self.enter = _on_views(binding.enter, views)
        if binding.replay.enter is not None:
            self.enter = caller(binding.program.input_structures[1], _on_tensors(binding.replay.enter), self.enter)
        self.enter_counted = _on_views(binding.enter_counted, views)
        self.reads = _on_views(binding.reads, views)
        self.forget_batch = binding.forget_batch
        self.loss = _as_tensors(binding.loss, tensors)


def _on_tensors(enter: Callable[..., bool]) -> Callable[..., bool]:
    """The native entry of a step, for tensors."""
    from torch import Tensor

    def called(*leaves: Any) -> bool:
        try:
            return enter(*[leaf.numpy() if type(leaf) is Tensor else leaf for leaf in leaves])
        except (TypeError, RuntimeError):  # NumPy cannot read one; native code raises nothing
            return False

    return called


def _on_views(function: Callable[[Any], bool], views: Callable[[Any], Any]) -> Callable[[Any], bool]:
    def called(batch: Any) -> bool:
        try:
            given = views(batch)
        except (TypeError, RuntimeError):
            return False
        return function(given)

    return called


def _as_tensors(loss: Callable[[], Any], tensors: Callable[[Any], Any]) -> Callable[[], Any]:
    from torch import from_numpy

    def converted() -> Any:
        found: Any = loss()
        return from_numpy(np.asarray(found)) if isinstance(found, _NUMBERS) else tensors(found)

    return converted
