"""``BoundStep``: a compiled step that keeps its state, so that a step recognises only the batch.

In a small network it takes as long to recognise the state's tree as to compute a product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from dlarray.planner.run.program import NEVER, Program
from dlarray.planner.run.replay import Replay

__all__ = ["BoundStep"]


class _Binding(Protocol):
    """What a bound step needs of a binding, whose methods ``program.Binding`` describes."""

    program: Program
    replay: Replay
    is_state: Callable[[Any], bool]
    enter: Callable[[Any], bool]
    enter_counted: Callable[[Any], bool]
    loss: Callable[[], Any]

    @property
    def reads(self) -> Callable[[Any], bool]: ...

    def forget_batch(self) -> None: ...


_B = TypeVar("_B", bound=_Binding)


class _Step(Protocol[_B]):
    """What a bound step needs of a compiled one."""

    def __call__(self, state: Any, batch: Any) -> tuple[Any, Any]:
        """The next state and the loss."""
        ...

    def repeatable(self) -> _B | None:
        """The latest binding of this thread if it writes the state in place."""
        ...

    def forget(self) -> None:
        """Let go of this thread's bindings."""
        ...

    def recover(self, error: BaseException, bound: _B, state: Any, batch: Any) -> tuple[Any, Any]:
        """The next state and the loss after an error in a planned step, or the error itself."""
        ...


class BoundStep(Generic[_B]):
    """``bound(batch) -> loss``; each call is a step of the state.

    Several kinds of batches, such as the smaller last one of an epoch, can alternate. The first step on a kind of
    batch, a step that is to be checked and an eager step are calls of the compiled step, so checks, warnings and errors
    are the same; after these ``state`` can be another tree.

    A bound step is for one thread at a time. Between two steps the numbers in the state's arrays can be read and
    written. The tree must not be changed (an entry replaced, added or removed), and no other step may consume the
    state: the bound step does not notice that. To change the tree, assign ``state``; it can be the same tree.
    """

    def __init__(self, step: _Step[_B], state: Any) -> None:
        self._step = step
        self._state = state
        self._bindings: list[_B] = []
        self._enter = _never
        self._latest: Any = None

    def __call__(self, batch: Any) -> Any:
        """The loss of one step on this batch."""
        try:
            if self._enter(batch):
                return self._latest.loss()
        except BaseException as error:
            broken, latest = error, self._latest
        else:
            return self._find_and_run(batch)
        self._use([])
        self._state, loss = self._step.recover(broken, latest, self._state, batch)
        return loss

    @property
    def state(self) -> Any:
        """The state after the latest step. The next step consumes it. Another one can be assigned."""
        return self._state

    @state.setter
    def state(self, state: Any) -> None:
        self._state = state
        self._use(self._bindings)

    def release(self) -> int:
        """Let go of batches, and of the compiled step's own bindings. Returns the bytes that its plans keep."""
        for binding in self._bindings:
            binding.forget_batch()
        self._step.forget()
        return sum(binding.replay.nbytes for binding in self._bindings)

    @property
    def latest(self) -> _B | None:
        """The binding that the next step uses, if its batch is like the one before; None if there is none."""
        return self._latest

    def _find_and_run(self, batch: Any) -> Any:
        """A step on a batch of another kind than the one before."""
        for binding in self._bindings:
            if binding is not self._latest and binding.reads(batch):
                self._bindings.remove(binding)
                self._bindings.insert(0, binding)
                self._repeat(binding)
                return self(batch)
        known = self._bindings
        self._use([])  # after an error, the next step must not repeat a plan on a partly written state
        self._state, loss = self._step(self._state, batch)
        latest = self._step.repeatable()
        self._use(known if latest is None else [latest, *(b for b in known if b.program is not latest.program)])
        return loss

    def _use(self, bindings: Sequence[_B]) -> None:
        """Use those of these bindings that are on the state, the first one for the next step."""
        self._bindings = [binding for binding in bindings if binding.is_state(self._state)]
        self._latest, self._enter = None, _never
        if self._bindings:
            self._repeat(self._bindings[0])

    def _repeat(self, binding: _B) -> None:
        self._latest = binding
        self._enter = binding.enter if binding.program.next_check == NEVER else binding.enter_counted


def _never(batch: Any) -> bool:
    """No batch is recognised."""
    return False
