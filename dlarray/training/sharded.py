"""The optimizer's state in shares: each rank moves its piece of θ, with the state of that piece alone.

θ is one vector. The gradient's sum is scattered, so that each rank has its piece of it; the rank moves its piece of θ,
and the pieces are gathered to the whole of θ on every rank.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from dlarray.core.array import Array, array_namespace, copy_array
from dlarray.core.layout import Layout
from dlarray.core.ranks import Ranks
from dlarray.device import Device
from dlarray.optimizers import Clipped, Optimizer, clip_by_global_norm, clip_by_value
from dlarray.optimizers.base import State
from dlarray.optimizers.clipping import Gradients

__all__ = ["Sharded", "sharded"]


def sharded(optimizer: Optimizer, ranks: Ranks, device: Device) -> Sharded:
    """The optimizer with its state in shares.

    Raises ValueError for an optimizer that does not move each number of θ by itself, such as LAMB and Muon, for
    clipping other than by value or by the global norm, and on a device whose θ is not one vector.
    """
    if not device.backend.writes_in_place:
        raise ValueError(f"shard=True needs θ in one vector, and on {device} each parameter has its own: leave it out")
    return Sharded(_of_pieces(optimizer, ranks), ranks, ranks.scatter_sum)


def _of_pieces(optimizer: Optimizer, ranks: Ranks) -> Optimizer:
    if isinstance(optimizer, Clipped):
        clip = optimizer.clip
        if clip is not clip_by_value and clip is not clip_by_global_norm:
            raise ValueError(
                f"shard=True clips by value or by the global norm, and not by {clip!r}: give clip_value or clip_norm, "
                f"or leave shard out"
            )
        own = clip if clip is clip_by_value else partial(_clip_pieces, ranks=ranks)
        return Clipped(_of_pieces(optimizer.optimizer, ranks), own, optimizer.limit)
    if not optimizer.elementwise:
        raise ValueError(
            f"shard=True moves each piece of θ by itself, and {type(optimizer).__name__} needs more than a number's "
            f"own gradient and state: leave shard out, or take an optimizer such as Adam"
        )
    return optimizer


@dataclass(frozen=True)
class Sharded(Optimizer):
    """An optimizer that moves this rank's piece of θ. Its ``step_parameters`` takes and returns the whole of θ.

    ``own`` makes this rank's piece of the gradient from what the rank has computed.
    """

    abstract: ClassVar[bool] = True
    optimizer: Optimizer
    ranks: Ranks
    own: Callable[[Array], Array]

    @property
    def of_whole_batches(self) -> Sharded:
        """The same optimizer for a batch that every rank has computed whole."""
        return replace(self, own=self.ranks.piece)

    @property
    def scalable(self) -> bool:
        return self.optimizer.scalable

    def init(self, theta: Array, mask: Array | None = None) -> State:
        piece = self.ranks.piece
        return self.optimizer.init(piece(theta), None if mask is None else copy_array(piece(mask)))

    def rate(self, t: Array) -> Array | float:
        return self.optimizer.rate(t)

    def step(self, theta: Array, g: Array, state: State) -> tuple[Array, State]:
        thetas, states = self.step_all((theta,), (g,), (state,))
        return thetas[0], states[0]

    def step_all(
        self, thetas: tuple[Array, ...], gs: tuple[Array, ...], states: tuple[State, ...]
    ) -> tuple[tuple[Array, ...], tuple[State, ...]]:
        pieces = tuple(copy_array(self.ranks.piece(theta)) for theta in thetas)
        moved, states = self.optimizer.step_all(pieces, tuple(self.own(g) for g in gs), states)
        return tuple(self.ranks.gather(p, v.shape[0]) for p, v in zip(moved, thetas, strict=True)), states

    def step_parameters(
        self, thetas: tuple[Array, ...], gs: tuple[Array, ...], states: tuple[State, ...], layout: Layout
    ) -> tuple[tuple[Array, ...], tuple[State, ...]]:
        return self.step_all(thetas, gs, states)

    def whole(self, states: tuple[State, ...], length: int) -> tuple[State, ...]:
        """The state for the whole of θ, a vector of this length, on every rank. All ranks call it."""
        return tuple(
            {name: self.ranks.gather(x, length) if x.ndim else x for name, x in state.items()} for state in states
        )

    def shares(self, states: tuple[State, ...]) -> tuple[State, ...]:
        """The share that this rank has of the state for the whole of θ."""
        return tuple(
            {name: copy_array(self.ranks.piece(x)) if x.ndim else x for name, x in state.items()} for state in states
        )


def _clip_pieces(gs: Gradients, limit: float, ranks: Ranks) -> Gradients:
    """``clip_by_global_norm`` of vectors in pieces: largest number and sum of squares are those of all ranks."""
    xp = array_namespace(*gs)
    own = xp.stack([xp.max(xp.abs(g)) if g.shape[0] else xp.zeros_like(xp.sum(g)) for g in gs])
    largest = xp.max(ranks.gather(xp.reshape(xp.max(own), (1,)), ranks.size))
    largest = xp.where(largest > 0, largest, 1.0)
    squares = ranks.sum(sum(xp.sum(xp.square(g / largest)) for g in gs))
    bound = limit / xp.maximum(xp.sqrt(squares), 1.0)
    scale = bound / xp.maximum(largest, bound)
    return tuple(g * scale for g in gs)
