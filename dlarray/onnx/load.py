"""``load``: an ONNX graph of a multilayer perceptron as a trained model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike, fspath
from typing import Any

import numpy as np

from dlarray.core.layer import Layer
from dlarray.device import Device
from dlarray.interop.assembly import Piece, assemble, chain
from dlarray.layers import Chain, Dense, Embedding
from dlarray.losses import Loss
from dlarray.model import MLP
from dlarray.onnx.checks import session_of
from dlarray.onnx.configuration import read_network
from dlarray.onnx.import_graph import Graph, LoadError, attributes
from dlarray.onnx.import_steps import joined, read
from dlarray.onnx.libraries import library
from dlarray.onnx.networks import name_of_values
from dlarray.onnx.program import VARIABLE
from dlarray.training import Trained
from dlarray.training.labels import Label

__all__ = ["load"]

TOLERANCE = 1e-4
"""Of the largest result, or of 1 if that is smaller: what onnxruntime and the layers may differ by."""
ROWS = 8
"""The examples on which they are compared."""


def load(path: str | PathLike[str], loss: str | Loss | None = None, *, device: str | Device | None = None) -> Trained:
    """An ONNX file of a multilayer perceptron as a trained model.

    It reads what ``export`` has written of a network, and plain graphs of other programs, such as those of
    ``torch.onnx.export`` and of skl2onnx: ``Gemm``, ``MatMul``, ``Add`` and other operations with constants beside
    them, ``Scaler``, activations, ``BatchNormalization``, ``LayerNormalization``, ``Dropout``, ``x + f(x)``, and after
    the last layer the choice of a label. onnxruntime must give what the layers give, to 1e-4 of the largest number.

    Parameters
    ----------
    path
        The file.
    loss
        The loss that the network was trained for, or its name. Files of ``export`` have it. It can also be left out if
        the network ends with a softmax or a sigmoid. If the last activation is the output activation of the loss, it
        becomes a part of the loss.
    device
        The device of the result; by default the current device.

    Raises
    ------
    LoadError
        A ValueError. For a node that is no layer of dlarray, which it names, and for layers that do not follow each
        other.
    ValueError
        If a loss is needed.
    ImportError
        If onnx or onnxruntime is not installed.
    OSError
        If the file cannot be read.
    """
    onnx = library("onnx")
    try:
        proto = onnx.load(fspath(path))
    except OSError:
        raise
    except Exception as error:
        raise LoadError(f"{fspath(path)} is not an ONNX file: {error}") from error
    graph = Graph(proto)
    try:
        own = read_network({entry.key: entry.value for entry in proto.metadata_props}, graph.constants)
    except (TypeError, ValueError) as error:
        raise LoadError(f"{fspath(path)} is not a network of dlarray, as it says: {error}") from error
    if own is None:
        steps, last = read(graph, graph.input)
        inputs, pieces = _sized(graph, joined(steps))
        whole = chain(pieces)
        x = _examples(proto, graph, pieces[0].layer, inputs)
        _compare(_run(proto, last, x), whole.layer.predict(_cast(x, whole), **whole.arrays))
        return assemble(inputs, pieces, loss, device, None, _classes(graph))
    model, own_loss, names = own
    pieces = _pieces(model, graph.constants)
    trained = assemble(model.inputs, pieces, own_loss, "cpu", names.features, names.classes)
    x = _examples(proto, graph, model.layers[0], model.inputs)
    values = VARIABLE if own_loss.task == "regression" else name_of_values(trained)
    _compare(_run(proto, values, x)[:, -model.outputs :], trained.predict(x))
    return assemble(model.inputs, pieces, loss or own_loss, device, names.features, names.classes)


def _pieces(model: MLP, constants: Mapping[str, np.ndarray]) -> list[Piece]:
    """The layers of a model with the arrays that have the names of its parameters and buffers."""
    own: list[dict[str, np.ndarray]] = [{} for _ in model.layers]
    for name, _ in (*model.layout.shapes, *model.buffer_layout.shapes):
        i, _, rest = name.partition(".")
        own[int(i)][rest] = constants[name]
    return list(map(Piece, model.layers, own))


def _sized(graph: Graph, pieces: Sequence[Piece]) -> tuple[int, list[Piece]]:
    """The number of inputs, and the pieces with arrays of the shapes of their layers."""
    first = next((x for piece in pieces for x in piece.arrays.values()), None)
    inputs = graph.columns
    if inputs is None and first is not None and not isinstance(pieces[0].layer, Embedding):
        inputs = first.shape[0]
    if inputs is None:
        raise LoadError("the graph does not state its number of inputs: its input should have the shape (N, inputs)")
    width, sized = inputs, list[Piece]()
    for piece in pieces:
        if not isinstance(piece.layer, (Chain, Dense, Embedding)):  # a number for each feature, or one for all
            repeated = {name: np.repeat(x, width) if x.size == 1 else x for name, x in piece.arrays.items()}
            piece = replace(piece, arrays=repeated)
        for name, shape in (piece.layer.shapes(width) | piece.layer.buffers(width)).items():
            if piece.arrays[name].shape != shape:
                found = f"{name} of layer {len(sized)}, {piece.layer}, has the shape {piece.arrays[name].shape}"
                raise LoadError(f"{found}, and {width} inputs need {shape}")
        sized.append(piece)
        width = piece.layer.width(width)
    return inputs, sized


def _classes(graph: Graph) -> tuple[Label, ...] | None:
    """The labels that the end of a classifier's graph chooses from; None for the numbers from 0."""
    for i, node in enumerate(graph.nodes):
        if i in graph.used:
            continue
        found: Any = None
        if node.op_type == "ZipMap":
            own = attributes(node)
            found = own.get("classlabels_int64s") or own.get("classlabels_strings")
        elif node.op_type == "ArrayFeatureExtractor" and (labels := graph.constant(node, 0)) is not None:
            found = labels.reshape(-1).tolist()
        if found:
            labels = [one.decode() if isinstance(one, bytes) else one for one in found]
            return None if labels == list(range(len(labels))) else tuple(labels)
    return None


def _run(proto: Any, name: str, x: np.ndarray) -> np.ndarray:
    """A result of a graph for this input, by onnxruntime."""
    onnx = library("onnx")
    part = onnx.ModelProto()
    part.CopyFrom(proto)
    del part.graph.output[:]
    part.graph.output.append(onnx.ValueInfoProto(name=name))
    try:
        session = session_of(part.SerializeToString())
        return session.run([name], {session.get_inputs()[0].name: x})[0]
    except ImportError:
        raise
    except Exception as error:
        raise LoadError(f"onnxruntime cannot run this graph: {error}") from error


def _examples(proto: Any, graph: Graph, layer: Layer, inputs: int) -> np.ndarray:
    """Inputs to compare on, of the type of the graph's input."""
    given = next(value for value in proto.graph.input if value.name == graph.input)
    dtype = library("onnx").helper.tensor_dtype_to_np_dtype(given.type.tensor_type.elem_type)
    rng = np.random.default_rng(0)
    if isinstance(layer, Embedding):
        return rng.integers(0, layer.categories, (ROWS, inputs)).astype(dtype)
    return rng.normal(size=(ROWS, inputs)).astype(dtype)


def _cast(x: np.ndarray, whole: Piece) -> np.ndarray:
    """The inputs in the dtype of the weights; categories as they are."""
    dtype = next((array.dtype for array in whole.arrays.values()), x.dtype)
    return x if whole.layer.integers else x.astype(dtype)


def _compare(got: np.ndarray, wanted: np.ndarray) -> None:
    """Raise LoadError if the result of a graph is not that of the layers."""
    same = got.size == wanted.size  # skl2onnx writes several numbers below each other
    apart = float(np.max(np.abs(got.reshape(wanted.shape) - wanted))) if same else np.inf
    if not apart <= TOLERANCE * max(1.0, float(np.max(np.abs(wanted)))):
        raise LoadError(f"the layers that were read give other results than the graph, by up to {apart:.2g}")
