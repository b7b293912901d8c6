"""The linear model that is added to the networks of a small table, with the share that is best on rows left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlarray.tables.linear import linear_parameters
from dlarray.tables.members import add_linear
from dlarray.tables.targets import Target
from dlarray.training import Trained

__all__ = ["LinearPart"]

SHARES = np.linspace(0, 1, 11)


@dataclass(frozen=True)
class LinearPart:
    """``weights`` (networks, features, outputs) and ``biases``, trained on the rows of each network.

    ``outputs`` are the predictions for each row by the network that has left it out, with its linear model.
    """

    share: float
    weights: np.ndarray
    biases: np.ndarray
    outputs: np.ndarray

    @classmethod
    def fit(
        cls,
        x: np.ndarray,
        t: np.ndarray,
        fold: np.ndarray,
        members: Sequence[Trained],
        target: Target,
        weight: np.ndarray | None,
        plain: np.ndarray | None,
    ) -> LinearPart:
        """Train a linear model on the rows of each network, and choose the share with the least mean loss.

        ``fold`` (n,) is the number of the network that has left out each row, ``weight`` the weights of the rows, and
        ``plain`` a mask of the features to use.
        """
        used = np.flatnonzero(np.ones(x.shape[1], dtype=bool) if plain is None else plain)
        weights, biases = np.zeros((len(members), x.shape[1], target.outputs)), np.zeros((len(members), target.outputs))
        z, linear = np.zeros((2, len(t), target.outputs))
        found: tuple[np.ndarray, np.ndarray] | None = None
        for k, network in enumerate(members):
            rows, out = fold != k, fold == k
            of_rows = None if weight is None else weight[rows]
            found = linear_parameters(x[rows][:, used], t[rows], target.loss, target.outputs, of_rows, found)
            weights[k, used], biases[k] = found
            z[out], linear[out] = np.asarray(network.outputs(x[out])), x[out] @ weights[k] + biases[k]
        truth = t if t.dtype.kind == "i" else t.astype(np.float64).reshape(-1, 1)
        losses = [float(target.loss.forward((1 - a) * z + a * linear, truth, weight)[0]) for a in SHARES]
        share = float(SHARES[int(np.argmin(losses))])
        activation: Any = target.loss.output_activation
        outputs = np.asarray(activation.predict((1 - share) * z + share * linear)).astype(np.float32)
        return cls(share, weights, biases, outputs)

    def added(self, network: Trained, number: int | None) -> Trained:
        """A network with its linear model, or the merged one, whose number is None, with their mean."""
        if not self.share:
            return network
        chosen = slice(None) if number is None else slice(number, number + 1)
        return add_linear(network, self.weights[chosen].mean(axis=0), self.biases[chosen].mean(axis=0), self.share)
