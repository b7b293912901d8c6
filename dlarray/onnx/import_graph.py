"""An ONNX graph to be read: its constants, its nodes, and who uses which result."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlarray.onnx.libraries import library

__all__ = ["Graph", "LoadError", "attributes", "number", "refusal"]


class LoadError(ValueError):
    """An ONNX graph that is no multilayer perceptron, or that has a node without a layer of dlarray."""


def refusal(node: Any, reason: str) -> LoadError:
    """The error for a node that cannot be read."""
    domain = f"{node.domain}." if node.domain else ""
    name = node.name or ", ".join(node.output)
    return LoadError(f"load cannot read node {name!r}, {domain}{node.op_type}: {reason}")


def attributes(node: Any) -> dict[str, Any]:
    """The attributes of a node by name; text as str, and real numbers as the shortest that have the same float32."""
    helper = library("onnx").helper
    found = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return {name: _plain(value) for name, value in found.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return number(np.float32(value)) if isinstance(value, float) else value


def number(x: Any) -> float:
    """A single number of an array as a Python float; of float32 the shortest that rounds to it, such as 0.1."""
    return float(str(np.asarray(x).reshape(())[()]))


class Graph:
    """The graph of a model without its constants: nodes that compute something from the input."""

    def __init__(self, proto: Any) -> None:
        """Raise LoadError if the graph does not have exactly one input."""
        graph = proto.graph
        to_array = library("onnx").numpy_helper.to_array
        self.constants: dict[str, np.ndarray] = {tensor.name: to_array(tensor) for tensor in graph.initializer}
        self.nodes: list[Any] = []
        for node in graph.node:
            if not self._fold(node):
                self.nodes.append(node)
        given = [value for value in graph.input if value.name not in self.constants]
        if len(given) != 1:
            names = ", ".join(value.name for value in given) or "none"
            raise LoadError(
                f"load reads graphs with one input, (examples, features); this one has {len(given)}: {names}"
            )
        self.input: str = given[0].name
        dims = given[0].type.tensor_type.shape.dim
        self.columns: int | None = (dims[-1].dim_value or None) if len(dims) > 1 else None
        self.outputs = {value.name for value in graph.output}
        self.used: set[int] = set()
        """The numbers of the nodes that have been read."""

    def _fold(self, node: Any) -> bool:
        """Whether a node is a constant, which is then known by the name of its result."""
        sources = [self.constants.get(name) for name in node.input]
        if any(x is None for x in sources) or node.domain not in ("", "ai.onnx"):
            return False
        given, own = sources[:1], attributes(node)
        match node.op_type, given:
            case "Constant", []:
                value: Any = next(iter(own.values()))
                is_tensor = hasattr(value, "raw_data")
                folded = library("onnx").numpy_helper.to_array(value) if is_tensor else np.asarray(value)
            case "Identity", [np.ndarray() as x]:
                folded = x
            case "Transpose", [np.ndarray() as x]:
                folded = np.transpose(x, own.get("perm"))
            case "Cast", [np.ndarray() as x]:
                folded = x.astype(library("onnx").helper.tensor_dtype_to_np_dtype(own["to"]))
            case _:
                return False
        self.constants[node.output[0]] = np.asarray(folded)
        return True

    def consumers(self, name: str) -> list[Any]:
        """The nodes that use a result and have not been read."""
        return [node for i, node in enumerate(self.nodes) if i not in self.used and name in node.input]

    def read(self, node: Any) -> None:
        """Count a node as read."""
        self.used.add(next(i for i, other in enumerate(self.nodes) if other is node))

    def constant(self, node: Any, position: int) -> np.ndarray | None:
        """The constant at this position of a node's inputs; None if there is none."""
        return self.constants.get(node.input[position]) if position < len(node.input) else None

    def weight(self, node: Any, position: int) -> np.ndarray:
        """The constant at this position. Raises LoadError if it is not one."""
        if (found := self.constant(node, position)) is None:
            raise refusal(node, f"its input {position} must be a constant, such as a weight of the file")
        return found
