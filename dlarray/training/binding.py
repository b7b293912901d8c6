"""A step that keeps its state: ``loss = bound(batch)``, for loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from dlarray.device.backend import Backend

__all__ = ["Bound", "bind", "settling"]


class Bound(Protocol):
    """``bound(batch) -> loss``. ``state`` is the state after the latest step; another one can be assigned."""

    state: Any

    def __call__(self, batch: Any) -> Any:
        """The loss of one step on this batch."""
        ...


def bind(step: Callable[..., Any], state: Any) -> Bound:
    """``step(state, batch) -> (state, loss)`` with its state: by ``step.bind(state)``, where a compiler offers it."""
    own: Callable[[Any], Bound] | None = getattr(step, "bind", None)
    return _Held(step, state) if own is None else own(state)


def settling(function: Callable[..., Any], backend: Backend) -> Callable[..., Any]:
    """The function with its result computed, on a lazy library; any other function as it is."""
    if not backend.lazy:
        return function

    def settled(*arguments: Any) -> Any:
        return backend.settle(function(*arguments))

    return settled


class _Held:
    """Any step, and the state that it is given next."""

    def __init__(self, step: Callable[..., Any], state: Any) -> None:
        self.state = state
        self._step = step

    def __call__(self, batch: Any) -> Any:
        self.state, loss = self._step(self.state, batch)
        return loss
