"""The nodes of a graph as layers, in order: branches that meet again, and what neighbours take over."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np

from dlarray import activations as f
from dlarray.core.layer import Layer
from dlarray.interop.assembly import Piece, chain
from dlarray.layers import Dense, Residual, RMSNorm
from dlarray.onnx.import_graph import Graph, LoadError, refusal
from dlarray.onnx.import_nodes import READERS, Affine, Function, Step

__all__ = ["joined", "read"]

DECISIONS = {"ArgMax", "Binarizer", "ZipMap"}
"""The nodes that turn the predictions of a classifier into labels."""
NEXT = {"Greater", "GreaterOrEqual", "Less", "Where", "TopK", "ArrayFeatureExtractor", "Concat", "Sub"}
AFTERWARDS = DECISIONS | NEXT | {"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Gather"}
"""The nodes that may come after the predictions."""


def read(graph: Graph, name: str, stop: str | None = None) -> tuple[list[Step], str]:
    """What the nodes after a result compute, up to the result ``stop`` or to the predictions, and the last result."""
    steps: list[Step] = []
    while name != stop:
        users = graph.consumers(name)
        if stop is None and _is_end(graph, name, users):
            _check_rest(graph)
            return steps, name
        if not users:
            raise LoadError(f"load reads layers that follow each other: the result {name!r} does not lead to {stop!r}")
        if len(users) > 1:
            more, name = _branches(graph, name, users)
            steps += more
            continue
        node = users[0]
        reader = READERS.get(node.op_type)
        if reader is None or node.domain not in ("", "ai.onnx", "ai.onnx.ml"):
            raise refusal(node, f"dlarray has no such layer; load knows {', '.join(sorted(READERS))}")
        steps.append(_step(graph, node, name))
        name = node.output[0]
    return steps, name


def _step(graph: Graph, node: Any, name: str) -> Step:
    """One node as a step, which counts as read."""
    graph.read(node)
    try:
        return READERS[node.op_type](graph, node, name)
    except LoadError:
        raise
    except ValueError as error:
        raise refusal(node, str(error)) from None


def _is_end(graph: Graph, name: str, users: Sequence[Any]) -> bool:
    """Whether a result is that of the last layer: an output, or what labels are computed from."""
    kinds = {node.op_type for node in users}
    return name in graph.outputs or bool(kinds & DECISIONS) or kinds == {"Sub", "Concat"}


def _check_rest(graph: Graph) -> None:
    """Raise LoadError for a node that has not been read and does not belong to the choice of labels."""
    for i, node in enumerate(graph.nodes):
        if i not in graph.used and node.op_type not in AFTERWARDS:
            raise refusal(node, "it comes after the last layer, or beside the layers")


def _branches(graph: Graph, name: str, users: Sequence[Any]) -> tuple[list[Step], str]:
    """A result that is used several times: x + f(x), x · g(x), or x / g(x)."""
    joins = [node for node in users if node.op_type in ("Add", "Mul", "Div") and not _constants(graph, node)]
    if not joins:
        return _two_branches(graph, name, users)
    join = joins[-1]
    graph.read(join)
    other = next(own for own in join.input if own != name)
    inside, _ = read(graph, name, other)
    if join.op_type == "Add":
        return [chain(joined(inside), Residual)], join.output[0]
    if (found := _gated(inside)) and (join.op_type == "Mul" or (found == SOFTSIGN and join.input[0] == name)):
        return found, join.output[0]
    raise refusal(join, f"dlarray has no layer that is x and this function of x in a {join.op_type}")


def _two_branches(graph: Graph, name: str, users: Sequence[Any]) -> tuple[list[Step], str]:
    """f(x) + g(x), as other programs write PReLU: max(x, 0) - slope · max(-x, 0)."""
    found: list[list[Layer | Affine | str]] = []
    ends: list[Any] = []
    for node in users:
        steps: list[Layer | Affine | str] = []
        last = name
        while node.op_type in ("Relu", "Neg") or (node.op_type == "Mul" and _constants(graph, node)):
            steps.append(_known(_step(graph, node, last)))
            last = node.output[0]
            node = (graph.consumers(last) or [node])[0]
        found.append(steps)
        ends.append(node)
    if len(users) == 2 and ends[0] is ends[1] and ends[0].op_type == "Add":
        match sorted(found, key=len):
            case [[f.ReLU()], [Affine(numbers=(-1, 0)), f.ReLU(), Affine(scale=slope)]]:
                graph.read(ends[0])
                return [Piece(f.PReLU(), {"slope": -slope})], ends[0].output[0]
            case _:
                pass
    used = ", ".join(f"{node.op_type} {node.name or node.output[0]!r}" for node in users)
    raise LoadError(f"load reads layers that follow each other: the result {name!r} is used by {used}")


def _constants(graph: Graph, node: Any) -> bool:
    return any(own in graph.constants for own in node.input)


SOFTSIGN: list[Step] = [Piece(f.Softsign())]


def _gated(inside: list[Step]) -> list[Step]:
    """The activation x · g(x) with this gate g, or x / g(x) for softsign; empty if there is none."""
    match [_known(step) for step in inside]:
        case [f.Sigmoid()]:
            return [Piece(f.Swish())]
        case [Affine(numbers=(beta, 0)), f.Sigmoid()]:
            return [Piece(f.Swish(beta))]
        case [Affine(scale=beta, shift=shift), f.Sigmoid()] if not np.any(shift):
            return [Piece(f.Swish(trainable=True), {"beta": beta})]
        case [f.Softplus(beta=1), f.Tanh()]:
            return [Piece(f.Mish())]
        case [f.HardSigmoid()]:
            return [Piece(f.HardSwish())]
        case [Affine(numbers=(scale, 0)) as half, "Erf", Affine(numbers=(1, 1))] if np.isclose(scale, sqrt(0.5)):
            return [Piece(f.GELU()), Affine(half.node, half.scale * 0 + 2, half.shift)]  # x (1 + erf) is 2 GELU
        case ["Abs", Affine(numbers=(1, 1))]:
            return SOFTSIGN
        case ["Pow", "ReduceMean", Affine(numbers=(1, eps)), "Sqrt", "Reciprocal"]:
            return [Piece(RMSNorm(eps, scale=False))]
        case _:
            return []


def _known(step: Step) -> Layer | Affine | str:
    """A step as it is compared: a layer, the name of a function, or an Affine."""
    match step:
        case Piece():
            return step.layer
        case Function():
            return step.node.op_type
        case _:
            return step


def joined(steps: Sequence[Step]) -> list[Piece]:
    """The layers of these steps. Raises LoadError for a function or numbers that no layer takes over."""
    rest = _activations([step for step in steps if _known(step) != f.Identity()])
    pieces: list[Piece] = []
    ahead: Affine | None = None  # not yet taken over
    for step in rest:
        match step:
            case Function():
                raise refusal(step.node, "dlarray has no such activation")
            case Affine():
                if pieces and ahead is None and isinstance(pieces[-1].layer, Dense):
                    pieces[-1] = _dense_then(pieces[-1], step)
                elif pieces and ahead is None and isinstance(norm := pieces[-1].layer, RMSNorm) and not norm.shift:
                    pieces[-1] = _norm_then(pieces[-1], norm, step)
                else:
                    ahead = step if ahead is None else _after(ahead, step)
            case Piece(layer=Dense()) if ahead is not None:
                pieces.append(_then_dense(ahead, step))
                ahead = None
            case _:
                if ahead is not None and not _is_identity(ahead):
                    break
                pieces.append(step)
                ahead = None
    if ahead is not None and not _is_identity(ahead):
        raise refusal(ahead.node, "only a Dense layer beside it can take over a product or a sum with constants")
    return pieces


def _activations(steps: list[Step]) -> list[Step]:
    """The steps, in which neighbours that are one activation are joined."""
    found: list[Step] = []
    for step in steps:
        found.append(step)
        match [_known(one) for one in found[-3:]]:
            case [*_, f.Sigmoid(), "Log"]:
                found[-2:] = [Piece(f.LogSigmoid())]
            case [Affine(numbers=(beta, 0)), f.Softplus(beta=1), Affine(numbers=(back, 0))] if beta > 0 and np.isclose(
                beta * back, 1
            ):
                found[-3:] = [Piece(f.Softplus(beta))]
            case _:
                pass
    return found


def _after(first: Affine, then: Affine) -> Affine:
    """Two after each other as one."""
    return Affine(then.node, first.scale * then.scale, first.shift * then.scale + then.shift)


def _is_identity(affine: Affine) -> bool:
    return bool(np.allclose(affine.scale, 1, rtol=1e-6, atol=0) and np.all(affine.shift == 0))


def _dense_then(piece: Piece, affine: Affine) -> Piece:
    """(x W + b) s + t = x (W s) + (b s + t)."""
    W = piece.arrays["W"]
    b = _bias(piece) * affine.scale + affine.shift
    if b.shape != (W.shape[1],):
        raise refusal(
            affine.node, f"the constant has {affine.scale.size * affine.shift.size} numbers, {W.shape[1]} fit"
        )
    return Piece(Dense(W.shape[1]), {"W": (W * affine.scale).astype(W.dtype), "b": b.astype(W.dtype)})


def _norm_then(piece: Piece, norm: RMSNorm, affine: Affine) -> Piece:
    """A normalization without β with the γ or β that comes after it."""
    gamma = piece.arrays.get("gamma", np.ones_like(affine.scale)) * affine.scale
    arrays = ({"gamma": gamma} if np.any(gamma != 1) else {}) | ({"beta": affine.shift} if np.any(affine.shift) else {})
    return Piece(RMSNorm(norm.eps, scale="gamma" in arrays, shift="beta" in arrays), arrays)


def _then_dense(affine: Affine, piece: Piece) -> Piece:
    """(s x + t) W + b = x (sᵀ W) + (t W + b)."""
    W = piece.arrays["W"]
    scale, shift = (np.broadcast_to(x, W.shape[:1]) for x in (affine.scale, affine.shift))
    b = _bias(piece) + shift @ W
    return Piece(Dense(W.shape[1]), {"W": (W * scale[:, None]).astype(W.dtype), "b": b.astype(W.dtype)})


def _bias(piece: Piece) -> np.ndarray:
    return piece.arrays.get("b", np.zeros_like(piece.arrays["W"][0]))
