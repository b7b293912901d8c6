"""From a function on arrays to an ONNX model: ``graph`` runs it once on symbols and writes the operators down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dlarray_onnx.arrays import OnnxArray
from dlarray_onnx.nodes import Length, Node, Source

__all__ = ["IR_VERSION", "OPSET", "graph", "symbol"]

OPSET = 21
IR_VERSION = 10
"""The version of the file format that came with this operator set: onnxruntime reads it from 1.18 on."""
SHARED = 1024
"""Constants of at most so many bytes are stored once, if they are equal."""


def symbol(dtype: Any, shape: Sequence[Length]) -> OnnxArray:
    """An input of a graph. A length that is text is known only when the graph runs."""
    return OnnxArray(node=Node("", (), np.dtype(dtype), tuple(shape)))


def graph(
    function: Callable[[dict[str, OnnxArray]], Mapping[str, OnnxArray]],
    inputs: Mapping[str, tuple[str, Sequence[Length]]],
    initializers: Mapping[str, np.ndarray] | None = None,
) -> Any:
    """The model of ``function``; ``dlarray.onnx.graph`` describes it."""
    given = dict(initializers or {})
    symbols = {name: symbol(dtype, shape) for name, (dtype, shape) in inputs.items()}
    constants = {name: symbol(x.dtype, x.shape) for name, x in given.items() if name not in inputs}
    return _Writer(symbols, constants, given).model(function(symbols | constants))


class _Writer:
    """Writes the nodes of a graph, equal ones once, and names their values."""

    def __init__(
        self, inputs: dict[str, OnnxArray], constants: dict[str, OnnxArray], initializers: dict[str, np.ndarray]
    ) -> None:
        self._inputs = inputs
        self._initializers = dict(initializers)
        self._names: dict[int, str] = {id(x.node): name for name, x in (inputs | constants).items()}
        self._nodes: list[Any] = []
        self._equal: dict[Any, str] = {}
        self._kept: list[np.ndarray] = []  # constants whose id is a key must stay alive

    def model(self, outputs: Mapping[str, OnnxArray]) -> Any:
        from onnx import helper

        wanted: dict[int, str] = {}
        for name, x in outputs.items():
            if x.node is not None and x.node.op:
                wanted.setdefault(id(x.node), name)
        for node in _reachable([x.node for x in outputs.values() if x.node is not None]):
            self._write(node, wanted.get(id(node)))
        for name, x in outputs.items():
            if (source := self._name(x.source)) != name:
                self._nodes.append(helper.make_node("Identity", [source], [name]))
        found = helper.make_graph(
            self._nodes,
            "dlarray",
            [_information(name, x) for name, x in self._inputs.items()],
            [_information(name, x) for name, x in outputs.items()],
            [_tensor(name, x) for name, x in self._initializers.items()],
        )
        opset = helper.make_opsetid("", OPSET)
        return helper.make_model(found, opset_imports=[opset], ir_version=IR_VERSION, producer_name="dlarray")

    def _write(self, node: Node, wanted: str | None) -> None:
        from onnx import helper

        inputs = [self._name(x) for x in node.inputs]
        attributes = {key: _type(value) if key == "to" else value for key, value in node.attributes.items()}
        key = (node.op, tuple(inputs), repr(attributes))
        if (known := self._equal.get(key)) is not None:
            self._names[id(node)] = known
            return
        name = wanted or self._fresh(node.op)
        self._equal[key] = self._names[id(node)] = name
        outputs = [name, f"{name}:indices"] if node.op == "TopK" else [name]
        self._nodes.append(helper.make_node(node.op, inputs, outputs, name=f"node {name}", **attributes))

    def _name(self, x: Source) -> str:
        if isinstance(x, Node):
            return self._names[id(x)]
        key = (x.dtype.str, x.shape, x.tobytes()) if x.nbytes <= SHARED else id(x)
        if key not in self._equal:
            self._kept.append(x)
            self._equal[key] = self._repeated(x) if x.nbytes > SHARED and np.all(x == x.flat[0]) else self._stored(x)
        return self._equal[key]

    def _stored(self, x: np.ndarray) -> str:
        name = self._fresh("constant")
        self._initializers[name] = x
        return name

    def _repeated(self, x: np.ndarray) -> str:
        """One number everywhere, such as zeros, is stored once."""
        from onnx import helper

        inputs = [self._name(np.asarray(x.flat[0])), self._name(np.asarray(x.shape, dtype=np.int64))]
        self._nodes.append(helper.make_node("Expand", inputs, [name := self._fresh("Expand")], name=f"node {name}"))
        return name

    def _fresh(self, kind: str) -> str:
        return f"{kind}:{len(self._nodes) + len(self._initializers)}"


def _reachable(outputs: list[Node]) -> list[Node]:
    """The nodes that these need, each after its inputs."""
    found: dict[int, Node] = {}
    waiting = [node for node in outputs if node.op]
    while waiting:
        node = waiting.pop()
        if node.serial not in found:
            found[node.serial] = node
            waiting += [x for x in node.inputs if isinstance(x, Node) and x.op]
    return [found[serial] for serial in sorted(found)]


def _type(dtype: np.dtype[Any]) -> int:
    from onnx import TensorProto, helper

    return TensorProto.STRING if dtype.kind in "UTO" else int(helper.np_dtype_to_tensor_dtype(dtype))


def _information(name: str, x: OnnxArray) -> Any:
    from onnx import helper

    lengths = [n if isinstance(n, int) or n.isidentifier() else None for n in x.source.shape]
    return helper.make_tensor_value_info(name, _type(x.dtype), lengths)


def _tensor(name: str, x: np.ndarray) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(
        x.astype(object) if x.dtype.kind in "UT" else np.ascontiguousarray(x).reshape(x.shape), name
    )
