"""Steps on ranks: one for batches whose rows are spread, and one for small batches that every rank computes whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from dlarray.core.ranks import Ranks
from dlarray.device import Device
from dlarray.training.binding import Bound, bind
from dlarray.training.options import Compiler, compile_step
from dlarray.training.parallel_model import over_ranks
from dlarray.training.sharded import Sharded
from dlarray.training.shared_step import SharedStep
from dlarray.training.step import Step

__all__ = ["RankSteps", "compile_on_ranks", "spread"]


def compile_on_ranks(
    step: Step, ranks: Ranks, device: Device, wanted: bool | Compiler | None, precision: str | None
) -> Callable[..., Any]:
    """The step on ranks, compiled as ``compile_step`` does; eager by default where plans have no sums over ranks.

    Raises ValueError for a loss that is not additive, and for ``wanted`` True if the backend cannot compile such sums.
    """
    whole = step
    if isinstance(step.optimizer, Sharded):
        whole = replace(step, optimizer=step.optimizer.of_whole_batches)
    if wanted is True and not device.backend.sums_in_plans:
        raise ValueError(
            f"compile=True: {device} compiles no steps with sums over ranks; leave compile out, or train on one rank"
        )
    if isinstance(wanted, SharedStep):  # it is for one step, and these are two
        wanted = None
    able = device.backend.sums_in_plans or wanted is not None
    return RankSteps(
        compile_step(spread(step, ranks), device, wanted if able else False, precision),
        compile_step(whole, device, wanted if able or whole is step else False, precision),
    )


def spread(step: Step, ranks: Ranks) -> Step:
    """The step for a batch whose rows are spread over ranks. Raises ValueError for a loss that is not additive."""
    if not step.loss.additive:
        raise ValueError(
            f"ranks add up the gradients of a batch's rows, and {type(step.loss).__name__} is no sum over examples: "
            f"train on one rank, or give an additive loss such as MeanSquaredError"
        )
    by_layer = step.accumulate == 1 and not isinstance(step.optimizer, Sharded)
    return replace(step, model=over_ranks(step.model, ranks, by_layer), ranks=ranks)


class RankSteps:
    """Two steps with one state: the first for rows of a batch, with their share, the second for whole batches."""

    def __init__(self, spread: Callable[..., Any], whole: Callable[..., Any]) -> None:
        self._steps = spread, whole

    def __call__(self, state: Any, batch: Any) -> tuple[Any, Any]:
        return self._steps[len(batch) == 3](state, batch)

    def bind(self, state: Any) -> Bound:
        """The steps with their state."""
        return _BoundSteps(bind(self._steps[0], state), bind(self._steps[1], state))


class _BoundSteps:
    def __init__(self, spread: Bound, whole: Bound) -> None:
        self._bound = spread, whole
        self._latest = spread

    @property
    def state(self) -> Any:
        return self._latest.state

    @state.setter
    def state(self, state: Any) -> None:
        self._latest.state = state

    def __call__(self, batch: Any) -> Any:
        chosen = self._bound[len(batch) == 3]
        if chosen is not self._latest:
            chosen.state = self._latest.state
            self._latest = chosen
        return chosen(batch)
