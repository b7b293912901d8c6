"""``onnx.load`` of graphs that are written here node by node: what is read, and what is refused by the node's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as d
from dlarray import onnx as do
from dlarray.core.layer import Layer

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
helper = onnx.helper

RNG = np.random.default_rng(0)
W, V = (RNG.normal(size=shape).astype(np.float32) for shape in ((3, 4), (4, 2)))
B, C = (RNG.uniform(0.5, 1.5, size=n).astype(np.float32) for n in (4, 2))
S, T = (RNG.uniform(0.5, 1.5, size=3).astype(np.float32) for _ in range(2))
Node = tuple[str, list[str], dict[str, Any]]


def write(path: Path, *nodes: Node, inputs: Any = (("x", ["n", 3]),), opset: int = 20, **arrays: Any) -> None:
    """A file of nodes after each other: "" stands for the result of the node before; constants are given by name."""
    known = {"W": W, "V": V, "b": B, "c": C, "s": S, "t": T} | arrays
    made, last = [], "x"
    for i, (kind, names, options) in enumerate(nodes):
        result, options = f"y{i}", dict(options)
        domain = options.pop("domain", "")
        own = [last if name == "" else name for name in names]
        made.append(helper.make_node(kind, own, [result], name=f"node {i}", domain=domain, **options))
        last = result
    used = {name for node in made for name in node.input}
    proto = helper.make_model(
        helper.make_graph(
            made,
            "graph",
            [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in inputs],
            [helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, None)],
            [onnx.numpy_helper.from_array(np.asarray(x), n) for n, x in known.items() if n in used],
        ),
        opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)],
        ir_version=10,
    )
    onnx.save(proto, path)


def node(kind: str, *names: str, **options: Any) -> Node:
    return kind, list(names), options


FIRST, LAST = node("Gemm", "", "W", "b"), node("Gemm", "", "V", "c")
HALF, ONE = np.float32(0.5), np.float32(1)
READ: list[tuple[list[Node], dict[str, Any], list[Layer]]] = [
    ([node("MatMul", "", "W")], {}, [d.Dense(4, bias=False)]),
    ([node("MatMul", "", "W"), node("Add", "b", "")], {}, [d.Dense(4)]),
    ([node("Gemm", "", "u", transB=1, alpha=0.5)], {"u": W.T.copy()}, [d.Dense(4, bias=False)]),
    ([node("Gemm", "", "W", "h", beta=3.0)], {"h": HALF}, [d.Dense(4)]),
    ([node("Sub", "", "t"), node("Div", "", "s"), FIRST], {}, [d.Dense(4)]),  # a scaler before the first layer
    ([node("Scaler", "", domain="ai.onnx.ml", offset=[1.0, 2.0, 3.0], scale=[2.0, 1.0, 0.5]), FIRST], {}, [d.Dense(4)]),
    (
        [FIRST, node("Relu", ""), node("Mul", "", "b"), node("Add", "", "b"), LAST],
        {},
        [d.Dense(4), d.ReLU(), d.Dense(2)],
    ),
    ([FIRST, node("Neg", ""), node("Sub", "b", ""), node("Tanh", "")], {}, [d.Dense(4), d.Tanh()]),
    ([FIRST, node("Max", "", "z")], {"z": np.zeros(1, np.float32)}, [d.Dense(4), d.ReLU()]),
    ([FIRST, node("Clip", "", "z")], {"z": np.float32(0)}, [d.Dense(4), d.ReLU()]),
    ([FIRST, node("Clip", "", "z", "h")], {"z": -ONE, "h": HALF}, [d.Dense(4), d.HardTanh(-1, 0.5)]),
    ([FIRST, node("ThresholdedRelu", "", alpha=0.3)], {}, [d.Dense(4), d.Threshold(0.3)]),
    ([FIRST, node("Shrink", "", lambd=0.3, bias=0.3)], {}, [d.Dense(4), d.SoftShrink(0.3)]),
    ([FIRST, node("Shrink", "", lambd=0.3)], {}, [d.Dense(4), d.HardShrink(0.3)]),
    ([FIRST, node("Softsign", ""), node("Softplus", "")], {}, [d.Dense(4), d.Softsign(), d.Softplus()]),
    (
        [FIRST, node("LeakyRelu", ""), node("Dropout", "", "h")],
        {"h": HALF},
        [d.Dense(4), d.LeakyReLU(), d.Dropout(0.5)],
    ),
    ([FIRST, node("PRelu", "", "h")], {"h": HALF}, [d.Dense(4), d.PReLU()]),
    (  # an RMSNorm, as torch writes it
        [
            *(FIRST, node("Pow", "y0", "two"), node("ReduceMean", "", "axes", keepdims=1), node("Add", "", "eps")),
            *(
                node("Sqrt", ""),
                node("Reciprocal", ""),
                node("Mul", "y0", ""),
                node("Mul", "", "b"),
                node("Add", "", "b"),
            ),
        ],
        {"two": np.float32(2), "axes": np.asarray([-1]), "eps": np.float32(1e-3)},
        [d.Dense(4), d.RMSNorm(1e-3, shift=True)],
    ),
    (  # as tf2onnx writes it
        [
            *(FIRST, node("Relu", "y0"), node("Neg", "y0"), node("Relu", ""), node("Mul", "", "h")),
            *(node("Add", "y1", ""), LAST),
        ],
        {"h": -B},
        [d.Dense(4), d.PReLU(), d.Dense(2)],
    ),
    ([FIRST, node("HardSigmoid", "", alpha=1 / 6)], {}, [d.Dense(4), d.HardSigmoid()]),
    ([node("Flatten", ""), FIRST, node("Identity", ""), node("Cast", "", to=1)], {}, [d.Dense(4)]),
    (
        [FIRST, node("LayerNormalization", "", "b", "b"), node("BatchNormalization", "", "b", "b", "b", "b")],
        {},
        [d.Dense(4), d.LayerNorm(), d.BatchNorm()],
    ),
]


@pytest.mark.parametrize(("nodes", "arrays", "layers"), READ, ids=lambda x: "")
def test_nodes_are_read_as_layers(
    nodes: list[Node], arrays: dict[str, Any], layers: list[Layer], tmp_path: Path
) -> None:
    """``load`` itself compares the results with onnxruntime's."""
    write(tmp_path / "graph.onnx", *nodes, **arrays)
    trained = do.load(tmp_path / "graph.onnx", "mse", device="cpu")
    assert list(trained.model.layers) == layers
    assert trained.dtype == "float32"


def test_constants_that_are_computed_in_the_graph_are_read(tmp_path: Path) -> None:
    write(
        tmp_path / "graph.onnx",
        node("Gemm", "x", "W", "b"),
        node("Gemm", "", "W2", "b"),
        W2=np.eye(4, dtype=np.float32),
    )
    proto = onnx.load(tmp_path / "graph.onnx")
    tensor = onnx.numpy_helper.from_array(W.T.astype(np.float64))
    del proto.graph.initializer[[x.name for x in proto.graph.initializer].index("W")]
    for made in (
        helper.make_node("Cast", ["transposed"], ["W"], to=1),
        helper.make_node("Transpose", ["stored"], ["transposed"], perm=[1, 0]),
        helper.make_node("Identity", ["given"], ["stored"]),
        helper.make_node("Constant", [], ["given"], value=tensor),
    ):
        proto.graph.node.insert(0, made)
    onnx.save(proto, tmp_path / "graph.onnx")
    trained = do.load(tmp_path / "graph.onnx", "mse", device="cpu")
    np.testing.assert_array_equal(trained.parameters["0.W"], W)


def test_the_number_of_inputs_comes_from_the_weights_where_the_input_has_no_shape(tmp_path: Path) -> None:
    write(tmp_path / "graph.onnx", FIRST, inputs=[("x", ["n", "features"])])
    assert do.load(tmp_path / "graph.onnx", "mse").model.inputs == 3
    write(tmp_path / "graph.onnx", node("Relu", ""), inputs=[("x", ["n", "features"])])
    with pytest.raises(do.LoadError, match="does not state its number of inputs"):
        do.load(tmp_path / "graph.onnx", "mse")


REFUSED: list[tuple[list[Node], dict[str, Any], str]] = [
    ([FIRST, node("Sin", "")], {}, "node 'node 1', Sin: dlarray has no such layer; load knows Abs, Add"),
    ([FIRST, node("Exp", ""), node("Sin", "")], {}, "node 'node 1', Exp: dlarray has no such layer"),
    ([node("Gemm", "W", "", transA=1)], {}, "node 'node 0', Gemm: the inputs must be the first factor"),
    ([node("MatMul", "", "w")], {"w": W[None]}, "its weight must have two axes, got 3"),
    ([FIRST, node("Mul", "", "y0")], {}, "node 'node 1', Mul: its input 1 must be a constant"),
    (
        [FIRST, node("Relu", ""), node("Mul", "", "h"), node("Tanh", "")],
        {"h": HALF},
        "node 'node 2', Mul: only a Dense",
    ),
    ([FIRST, node("Relu", ""), node("Add", "", "h")], {"h": HALF}, "node 'node 2', Add: only a Dense"),
    ([FIRST, node("Div", "h", "")], {"h": HALF}, "a constant that is divided by a result is no layer"),
    ([FIRST, node("Max", "", "h")], {"h": HALF}, "only the maximum with 0 is a layer, ReLU"),
    ([FIRST, node("Clip", "", "h")], {"h": HALF}, "HardTanh needs both limits"),
    ([FIRST, node("Erf", "")], {}, "node 'node 1', Erf: dlarray has no such activation"),
    ([FIRST, node("HardSigmoid", "")], {}, "dlarray's HardSigmoid has alpha=0.166667, got 0.2"),
    ([FIRST, node("Selu", "", alpha=1.0)], {}, "dlarray's SELU has alpha=1.67326, got 1"),
    ([FIRST, node("Shrink", "", lambd=0.3, bias=0.1)], {}, "dlarray's shrinkage has the bias 0 or lambd, got 0.1"),
    ([FIRST, node("Softmax", "", axis=0)], {}, "dlarray's Softmax is over the features, axis=1, got axis=0"),
    ([FIRST, node("LeakyRelu", "", alpha=-0.5)], {}, "node 'node 1', LeakyRelu: slope must"),
    (
        [FIRST, node("PRelu", "", "c")],
        {},
        r"slope of layer 1, PReLU\(.*\), has the shape \(2,\), and 4 inputs need \(4,\)",
    ),
    ([FIRST, node("Cos", "y0"), node("Add", "y0", "")], {}, "node 'node 1', Cos: dlarray has no such layer"),
    ([FIRST, node("Tanh", "y0"), node("Mul", "y0", "")], {}, "no layer that is x and this function of x in a Mul"),
    (
        [FIRST, node("Greater", "y0", "h"), node("Where", "", "y0", "h")],
        {"h": HALF},
        "is used by Greater 'node 1', Where",
    ),
    (
        [node("Reshape", "", "k"), node("MatMul", "", "m")],
        {"k": np.asarray([-1, 1]), "m": W[:1]},
        r"W of layer 0, Dense\(.*\), has the shape \(1, 4\), and 3 inputs need \(3, 4\)",
    ),
]


@pytest.mark.parametrize(("nodes", "arrays", "message"), REFUSED, ids=lambda x: x[:40] if isinstance(x, str) else "")
def test_a_node_that_cannot_be_read_is_named(
    nodes: list[Node], arrays: dict[str, Any], message: str, tmp_path: Path
) -> None:
    write(tmp_path / "graph.onnx", *nodes, **arrays)
    with pytest.raises(ValueError, match=message):
        do.load(tmp_path / "graph.onnx", "mse")


def test_a_graph_of_several_inputs_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "graph.onnx", node("Add", "x", "z"), FIRST, inputs=[("x", ["n", 3]), ("z", ["n", 3])])
    with pytest.raises(do.LoadError, match="graphs with one input, .* this one has 2: x, z"):
        do.load(tmp_path / "graph.onnx", "mse")


def test_nodes_after_the_last_layer_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "graph.onnx", FIRST, node("Tanh", ""), node("Sin", "y0"))
    proto = onnx.load(tmp_path / "graph.onnx")
    proto.graph.output.append(helper.make_tensor_value_info("y0", onnx.TensorProto.FLOAT, None))
    onnx.save(proto, tmp_path / "graph.onnx")
    with pytest.raises(do.LoadError, match="node 'node 1', Tanh: it comes after the last layer, or beside the layers"):
        do.load(tmp_path / "graph.onnx", "mse")


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "graph.onnx").write_bytes(b"no graph")
    with pytest.raises(do.LoadError, match=r"graph\.onnx is not an ONNX file"):
        do.load(tmp_path / "graph.onnx")
    with pytest.raises(OSError, match="nowhere"):
        do.load(tmp_path / "nowhere.onnx")
