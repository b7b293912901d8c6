"""Nodes of ONNX as layers: what each operation computes from one result of the node before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlarray import activations as f
from dlarray.core.layer import Activation
from dlarray.interop.assembly import Piece
from dlarray.layers import BatchNorm, Dense, Dropout, Embedding, LayerNorm, RMSNorm
from dlarray.onnx.import_graph import Graph, attributes, number, refusal

__all__ = ["READERS", "Affine", "Function", "Step"]


@dataclass(frozen=True)
class Affine:
    """y = scale x + shift, by numbers or by one number for each feature. The layers around it take it over."""

    node: Any
    scale: np.ndarray
    shift: np.ndarray

    @property
    def numbers(self) -> tuple[float, float] | None:
        """scale and shift, if each is one number."""
        return (number(self.scale), number(self.shift)) if self.scale.size == self.shift.size == 1 else None


@dataclass(frozen=True)
class Function:
    """A function that is no layer by itself, and is a part of one together with its neighbours."""

    node: Any


Step = Piece | Affine | Function
"""What a node is read as."""


def _dense(W: np.ndarray, b: np.ndarray | None) -> Piece:
    arrays = {"W": np.ascontiguousarray(W)}
    if b is None:
        return Piece(Dense(W.shape[1], bias=False), arrays)
    return Piece(Dense(W.shape[1]), arrays | {"b": np.broadcast_to(b.reshape(-1), W.shape[1:]).astype(W.dtype)})


def _gemm(graph: Graph, node: Any, x: str) -> Step:
    own = attributes(node)
    if own.get("transA") or node.input[0] != x:
        raise refusal(node, "the inputs must be the first factor, and not transposed")
    W, b = graph.weight(node, 1), graph.constant(node, 2)
    if b is None and len(node.input) > 2 and node.input[2]:
        raise refusal(node, "its bias must be a constant")
    scale, of_bias = W.dtype.type(own.get("alpha", 1.0)), W.dtype.type(own.get("beta", 1.0))
    return _dense((W.T if own.get("transB") else W) * scale, None if b is None else b * of_bias)


def _matmul(graph: Graph, node: Any, x: str) -> Step:
    W = graph.weight(node, 1)
    if W.ndim != 2:
        raise refusal(node, f"its weight must have two axes, got {W.ndim}")
    return _dense(W, None)


def _gather(graph: Graph, node: Any, x: str) -> Step:
    W = graph.weight(node, 0)
    if W.ndim != 2 or attributes(node).get("axis", 0) != 0:
        raise refusal(node, "only rows of a matrix can be taken, as an Embedding does")
    return Piece(Embedding(*W.shape), {"W": W})


def _scaler(graph: Graph, node: Any, x: str) -> Step:
    own = {name: np.asarray(value) for name, value in attributes(node).items()}
    scale = own.get("scale", np.ones(1))
    return Affine(node, scale, -own.get("offset", np.zeros(1)) * scale)


def _arithmetic(graph: Graph, node: Any, x: str) -> Step:
    """x and a constant in one of the four operations."""
    first = node.input[0] == x
    c = graph.weight(node, 1 if first else 0)
    c = c.reshape(-1) if c.ndim < 2 or c.size == c.shape[-1] else c
    zero, one = np.zeros(1, c.dtype), np.ones(1, c.dtype)
    match node.op_type:
        case "Add":
            return Affine(node, one, c)
        case "Mul":
            return Affine(node, c, zero)
        case "Sub":
            return Affine(node, one, -c) if first else Affine(node, -one, c)
        case _:
            if not first:
                raise refusal(node, "a constant that is divided by a result is no layer")
            return Affine(node, 1 / c, zero)


def _negative(graph: Graph, node: Any, x: str) -> Step:
    return Affine(node, -np.ones(1, np.float32), np.zeros(1, np.float32))


def _maximum(graph: Graph, node: Any, x: str) -> Step:
    c = graph.weight(node, 1 if node.input[0] == x else 0)
    if len(node.input) != 2 or np.any(c != 0):
        raise refusal(node, "only the maximum with 0 is a layer, ReLU")
    return Piece(f.ReLU())


def _clip(graph: Graph, node: Any, x: str) -> Step:
    own = attributes(node)  # before opset 11
    low, high = (
        number(c) if (c := graph.constant(node, i)) is not None else own.get(name)
        for i, name in ((1, "min"), (2, "max"))
    )
    if low == 0 and high is None:
        return Piece(f.ReLU())
    if low is None or high is None:
        raise refusal(node, "dlarray's HardTanh needs both limits")
    return Piece(f.ReLU6() if (low, high) == (0, 6) else f.HardTanh(low, high))


def _prelu(graph: Graph, node: Any, x: str) -> Step:
    return Piece(f.PReLU(), {"slope": graph.weight(node, 1).reshape(-1)})


def _batch_norm(graph: Graph, node: Any, x: str) -> Step:
    own = attributes(node)
    if own.get("training_mode"):
        raise refusal(node, "it is a node of training")
    names = ("gamma", "beta", "mean", "variance")
    layer = BatchNorm(own.get("epsilon", 1e-5), round(1 - own.get("momentum", 0.9), 6))
    return Piece(layer, {name: graph.weight(node, i) for i, name in enumerate(names, 1)})


def _row_norm(graph: Graph, node: Any, x: str) -> Step:
    own, gamma, beta = attributes(node), graph.weight(node, 1), graph.constant(node, 2)
    if own.get("axis", -1) not in (-1, 1) or gamma.ndim != 1:
        raise refusal(node, "dlarray normalizes one axis, that of the features")
    kind = LayerNorm if node.op_type == "LayerNormalization" else RMSNorm
    layer = kind(own.get("epsilon", 1e-5), shift=beta is not None)
    return Piece(layer, {"gamma": gamma} | ({} if beta is None else {"beta": beta}))


def _softmax(graph: Graph, node: Any, x: str) -> Step:
    if (axis := attributes(node).get("axis", -1)) not in (-1, 1):
        raise refusal(node, f"dlarray's {node.op_type} is over the features, axis=1, got axis={axis}")
    return Piece(f.Softmax() if node.op_type == "Softmax" else f.LogSoftmax())


def _dropout(graph: Graph, node: Any, x: str) -> Step:
    rate = graph.constant(node, 1)
    return Piece(Dropout(attributes(node).get("ratio", 0.5) if rate is None else number(rate)))


def _shrink(graph: Graph, node: Any, x: str) -> Step:
    own = attributes(node)
    threshold, bias = own.get("lambd", 0.5), own.get("bias", 0.0)
    if bias not in (0, threshold):
        raise refusal(node, f"dlarray's shrinkage has the bias 0 or lambd, got {bias}")
    return Piece(f.SoftShrink(threshold) if bias else f.HardShrink(threshold))


def _same(graph: Graph, node: Any, x: str) -> Step:
    return Piece(f.Identity())


def _activation(make: Callable[..., Activation], **options: Any) -> Callable[[Graph, Any, str], Step]:
    """The reader of an activation, whose fields are attributes: ``options`` are their names and defaults in ONNX."""

    def read(graph: Graph, node: Any, x: str) -> Step:
        own = attributes(node)
        return Piece(make(*(own.get(name, default) for name, default in options.items())))

    return read


def _fixed(made: Activation, defaults: dict[str, float], **needed: float) -> Callable[[Graph, Any, str], Step]:
    """The reader of an activation whose attributes must have these values."""

    def read(graph: Graph, node: Any, x: str) -> Step:
        given = defaults | attributes(node)
        for name, value in needed.items():
            if not np.isclose(given[name], value, rtol=1e-5):
                raise refusal(node, f"dlarray's {type(made).__name__} has {name}={value:g}, got {given[name]:g}")
        return Piece(made)

    return read


def _function(graph: Graph, node: Any, x: str) -> Step:
    return Function(node)


READERS: dict[str, Callable[[Graph, Any, str], Step]] = {
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Gather": _gather,
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), _arithmetic),
    "Neg": _negative,
    "Scaler": _scaler,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _row_norm,
    "RMSNormalization": _row_norm,
    "Dropout": _dropout,
    **dict.fromkeys(("Cast", "Flatten", "Identity", "Reshape", "Squeeze"), _same),
    **dict.fromkeys(("Abs", "Erf", "Log", "Pow", "Reciprocal", "ReduceMean", "Sqrt"), _function),
    **dict.fromkeys(("Softmax", "LogSoftmax"), _softmax),
    "Celu": _activation(f.CELU, alpha=1.0),
    "Clip": _clip,
    "Elu": _activation(f.ELU, alpha=1.0),
    "Gelu": _activation(f.GELU, approximate="none"),
    "HardSigmoid": _fixed(f.HardSigmoid(), {"alpha": 0.2, "beta": 0.5}, alpha=1 / 6, beta=0.5),
    "HardSwish": _activation(f.HardSwish),
    "LeakyRelu": _activation(f.LeakyReLU, alpha=0.01),
    "Max": _maximum,
    "Mish": _activation(f.Mish),
    "PRelu": _prelu,
    "Relu": _activation(f.ReLU),
    "Selu": _fixed(f.SELU(), {"alpha": 1.67326324, "gamma": 1.05070102}, alpha=1.67326324, gamma=1.05070102),
    "Shrink": _shrink,
    "Sigmoid": _activation(f.Sigmoid),
    "Softplus": _activation(f.Softplus),
    "Softsign": _activation(f.Softsign),
    "Swish": _activation(f.Swish, alpha=1.0),
    "Tanh": _activation(f.Tanh),
    "ThresholdedRelu": _activation(f.Threshold, alpha=1.0),
}
"""How a node of each operation is read, given the graph and the name of the result that it takes."""
