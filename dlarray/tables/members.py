"""Networks of one shape, each trained on other rows, merged into one that gives the mean of their outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from dlarray.activations import ReLU
from dlarray.core.layer import Activation
from dlarray.core.random import Bits
from dlarray.device import to_numpy
from dlarray.layers import Dense
from dlarray.model import MLP, on_device
from dlarray.tables.split import group_folds, stratified_folds
from dlarray.training import Trained

__all__ = ["add_linear", "can_be_merged", "member_folds", "merge", "takes_linear"]


def member_folds(
    t: np.ndarray, held_out: np.ndarray, number: int, groups: np.ndarray | None, seed: int
) -> np.ndarray | None:
    """For each row the number of the network that is not trained on it: 0 for the rows that are held out.

    The other rows are divided among the other networks, or among all of them if no row is held out: at random and
    stratified by class, or by whole groups. None if there are fewer rows or groups than networks.
    """
    others = ~held_out
    first = int(held_out.any())
    parts = others.sum() if groups is None else len(np.unique(groups[others]))
    if parts < number or number - first < 2:
        return None
    fold = np.zeros(len(t), dtype=np.int64)
    if groups is None:
        fold[others] = first + stratified_folds(t[others], number - first, seed)
    else:
        numbered = np.unique(groups[others], return_inverse=True)[1]
        fold[others] = first + group_folds(numbered, number - first, seed)
    return fold


def can_be_merged(model: MLP) -> bool:
    """Whether all layers are Dense or activations that act on each number by itself, with its own parameters."""
    widths = model.chain.widths(model.inputs)
    return all(
        isinstance(f, Dense) or (isinstance(f, Activation) and _acts_on_each_number(f, n))
        for f, n in zip(model.layers, widths, strict=False)
    )


def _acts_on_each_number(f: Activation, units: int) -> bool:
    """Whether the outputs of two halves are those of the whole, tried on one row."""
    if any(shape != (units,) for shape in f.shapes(units).values()):
        return False
    z = Bits(0, "activation").normal(2 * units).reshape(1, -1)
    p = {name: Bits(0, name).uniform(2 * units) for name in f.shapes(units)}
    halves = [slice(0, units), slice(units, None)]
    apart = [f.predict(z[:, half], **{name: array[half] for name, array in p.items()}) for half in halves]
    return bool(np.array_equal(np.concatenate(apart, axis=1), f.predict(z, **p)))


def merge(networks: Sequence[Trained]) -> Trained:
    """One network whose outputs are the mean of the outputs of these; it has the history of the first one.

    Their hidden units stand side by side: W = (W¹ … Wᴷ) in the first layer, the matrices Wᵏ along the diagonal in the
    layers between, and in the last layer the Wᵏ / K below each other, with the mean of their biases. The networks have
    one shape and consist of layers for which ``can_be_merged`` holds.
    """
    first, k = networks[0], len(networks)
    if k == 1:
        return first
    dense = [i for i, f in enumerate(first.model.layers) if isinstance(f, Dense)]
    layers = [
        replace(f, units=k * f.units) if isinstance(f, Dense) and i != dense[-1] else f
        for i, f in enumerate(first.model.layers)
    ]
    model = MLP(first.model.inputs, layers)
    each = [{name: to_numpy(p).astype(np.float64) for name, p in one.parameters.items()} for one in networks]
    arrays = {name: _side_by_side(name, [p[name] for p in each], dense) for name in each[0]}
    return _like(first, model, arrays)


def _side_by_side(name: str, parts: list[np.ndarray], dense: list[int]) -> np.ndarray:
    """A parameter of the merged network."""
    layer = int(name.partition(".")[0])
    if layer == dense[-1]:
        if parts[0].ndim == 1 or len(dense) == 1:
            return np.mean(parts, axis=0)
        return np.concatenate(parts) / len(parts)
    if parts[0].ndim == 1 or layer == dense[0]:
        return np.concatenate(parts, axis=-1)
    n, m = parts[0].shape
    whole = np.zeros((len(parts) * n, len(parts) * m))
    for i, part in enumerate(parts):
        whole[i * n : (i + 1) * n, i * m : (i + 1) * m] = part
    return whole


def takes_linear(model: MLP) -> bool:
    """Whether ``add_linear`` can be used: one hidden layer, of ReLU."""
    return len(model.layers) == 3 and isinstance(model.layers[1], ReLU)


def add_linear(network: Trained, w: np.ndarray, b: np.ndarray, share: float) -> Trained:
    """The network whose outputs are (1 - share) f(x) + share (x W + b), with f(x) those of this network.

    A linear output takes two more hidden units: u = max(u, 0) - max(-u, 0).
    """
    k = w.shape[1]
    p = {name: to_numpy(array).astype(np.float64) for name, array in network.parameters.items()}
    hidden = p["0.b"].shape[0] + 2 * k
    first, relu, last = network.model.layers
    assert isinstance(first, Dense)
    model = MLP(network.model.inputs, [replace(first, units=hidden), relu, last])
    arrays = {
        "0.W": np.concatenate([p["0.W"], w, -w], axis=1),
        "0.b": np.concatenate([p["0.b"], b, -b]),
        "2.W": np.concatenate([(1 - share) * p["2.W"], share * np.eye(k), -share * np.eye(k)]),
        "2.b": (1 - share) * p["2.b"],
    }
    return _like(network, model, arrays)


def _like(network: Trained, model: MLP, arrays: Mapping[str, np.ndarray]) -> Trained:
    """A network of another shape with these parameters, with the loss, the device, the dtype and the history of one."""
    theta = on_device(model.layout, {n: a.astype(network.dtype) for n, a in arrays.items()}, network.device)
    return Trained(model, theta, (), network.loss, network.device, network.dtype, network.history)
