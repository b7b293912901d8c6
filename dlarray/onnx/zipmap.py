"""Probabilities as mappings from labels: the operator ZipMap, as skl2onnx writes it by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlarray.onnx.libraries import library
from dlarray.onnx.program import LABEL, PROBABILITIES

__all__ = ["RESERVED", "add_zipmap", "without_zipmap"]

OUTPUT_LABEL, OUTPUT_PROBABILITY = "output_label", "output_probability"
"""The names of skl2onnx for outputs with ZipMap."""
CAST = "probabilities_float"
RESERVED = {OUTPUT_LABEL, OUTPUT_PROBABILITY, CAST}
"""Names that inputs of a graph cannot have."""


def without_zipmap(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """The outputs of such a graph, or of another one, as arrays under the names without ZipMap."""
    if OUTPUT_PROBABILITY not in found:
        return found
    rows = [list(mapping.values()) for mapping in found[OUTPUT_PROBABILITY]]
    return {LABEL: found[OUTPUT_LABEL], PROBABILITIES: np.asarray(rows, dtype=np.float32)}


def add_zipmap(proto: Any) -> None:
    """Make a list of mappings of the probabilities of a graph, in place. Raises ValueError if it has none."""
    onnx = library("onnx")
    helper, graph, kinds = onnx.helper, proto.graph, onnx.TensorProto
    outputs = {value.name: value for value in graph.output}
    known = {x.name: onnx.numpy_helper.to_array(x) for x in graph.initializer}
    if PROBABILITIES not in outputs or "classes" not in known or len(outputs[LABEL].type.tensor_type.shape.dim) > 1:
        raise ValueError("zipmap is for one label with probabilities, which this model does not have: leave it out")
    text = outputs[LABEL].type.tensor_type.elem_type == kinds.STRING
    if not text and outputs[LABEL].type.tensor_type.elem_type != kinds.INT64:
        raise ValueError("zipmap is for labels that are text or integers: leave it out")
    labels = known["classes"].tolist()
    classes = {"classlabels_strings": [str(label) for label in labels]} if text else {"classlabels_int64s": labels}
    graph.node.extend(
        [
            helper.make_node("Cast", [PROBABILITIES], [CAST], to=kinds.FLOAT),
            helper.make_node("ZipMap", [CAST], [OUTPUT_PROBABILITY], domain="ai.onnx.ml", **classes),
            helper.make_node("Identity", [LABEL], [OUTPUT_LABEL]),
        ]
    )
    pair = helper.make_map_type_proto(
        kinds.STRING if text else kinds.INT64, helper.make_tensor_type_proto(kinds.FLOAT, None)
    )
    mapping = helper.make_value_info(OUTPUT_PROBABILITY, helper.make_sequence_type_proto(pair))
    label = helper.make_value_info(OUTPUT_LABEL, outputs[LABEL].type)
    del graph.output[:]
    graph.output.extend([label, mapping])
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
