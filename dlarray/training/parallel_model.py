"""A model whose batch is spread over ranks: layer by layer, gradients are summed as soon as they are written.

Each innermost layer with parameters is wrapped inside the chain it came from, so no formula is written twice.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dlarray.core.array import Array
from dlarray.core.layer import Layer, Shape, Wrapped
from dlarray.core.ranks import Ranks
from dlarray.layers import Chain
from dlarray.model import MLP

__all__ = ["over_ranks"]


def over_ranks(model: MLP, ranks: Ranks, summed: bool) -> MLP:
    """The same model for the rows of one rank. Its gradient is that of all ranks, or of this one if not ``summed``."""
    chain = model.chain.over(ranks)
    return MLP(model.inputs, (_summed(chain, ranks) if summed else chain).layers)


def _summed(chain: Chain, ranks: Ranks) -> Chain:
    made: list[_Summed] = []

    def wrapped(f: Layer) -> Layer:
        if isinstance(f, Chain):
            return replace(f, layers=[wrapped(g) for g in f.layers])
        if not f.initializers():
            return f
        made.append(_Summed(f, ranks))
        return made[-1]

    result = replace(chain, layers=[wrapped(f) for f in chain.layers])
    if made:
        made[0].is_last = True
    return result


class _Summed(Wrapped):
    """A layer whose gradients are summed over the ranks, one parameter after the other.

    Back propagation ends with the first layer: ``is_last`` there, where the sums of all layers are waited for.
    """

    abstract = True
    is_last = False

    def __init__(self, layer: Layer, ranks: Ranks) -> None:
        super().__init__(layer)
        self.ranks = ranks
        self.forward, self.backward, self.predict = layer.forward, layer.backward, layer.predict
        self.update_buffers, self.statistics = layer.update_buffers, layer.statistics

    def gradient(self, saved: Any, dy: Array, /) -> dict[str, Array]:
        return self._sums(self.layer.gradient(saved, dy))

    def pullback(self, saved: Any, dy: Array, /, **p: Array) -> tuple[Array, dict[str, Array]]:
        dx, dp = self.layer.pullback(saved, dy, **p)
        return dx, self._sums(dp)

    def _sums(self, dp: dict[str, Array]) -> dict[str, Array]:
        sums = {name: self.ranks.sum_beside(g) for name, g in dp.items()}
        if self.is_last:
            self.ranks.join_sums()
        return sums

    def shapes(self, inputs: int) -> dict[str, Shape]:
        return self.layer.shapes(inputs)

    def buffers(self, inputs: int) -> dict[str, Shape]:
        return self.layer.buffers(inputs)

    def initializers(self) -> dict[str, Any]:
        return self.layer.initializers()
