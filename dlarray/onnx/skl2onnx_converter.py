"""Estimators inside of scikit-learn's pipelines: a converter for skl2onnx that writes the library's own graph."""

from __future__ import annotations

from typing import Any

from dlarray.onnx.estimators import of_estimator
from dlarray.onnx.libraries import library
from dlarray.onnx.tracing import trace

__all__ = ["register_converters"]

ALIAS = "DlarrayFormulas"


def register_converters() -> None:
    """Let skl2onnx convert ``dlarray.estimators`` with any layers and losses, also at the end of a pipeline.

    Afterwards ``skl2onnx.to_onnx(pipeline, x)`` writes the graph of ``export`` for such an estimator, with its outputs:
    labels and probabilities as arrays, never as ZipMap. skl2onnx writes the other steps, and checks nothing: compare
    the file with ``predict`` yourself.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline  # doctest: +SKIP
    >>> onnx.register_converters()  # doctest: +SKIP
    >>> proto = skl2onnx.to_onnx(make_pipeline(StandardScaler(), MLPClassifier()).fit(x, y), x[:1])  # doctest: +SKIP
    """
    tools = library("skl2onnx")
    from dlarray.estimators import MLPClassifier, MLPRegressor

    for estimator in (MLPClassifier, MLPRegressor):
        tools.update_registered_converter(
            estimator,
            f"{ALIAS}{estimator.__name__}",
            _nothing,
            _convert,
            parser=_parse,
            options={"zipmap": [False, True]} if estimator is MLPClassifier else None,
        )


def _nothing(operator: Any) -> None:
    """The types of outputs are known when they are declared."""


def _parse(scope: Any, model: Any, inputs: list[Any], custom_parsers: Any = None) -> list[Any]:
    """Declare the operator of an estimator and its outputs."""
    operator = scope.declare_local_operator(f"{ALIAS}{type(model).__name__}", model)
    operator.inputs = inputs
    for value in _graph(model, inputs[0]).graph.output:
        operator.outputs.append(scope.declare_local_variable(value.name, _type(value)))
    return operator.outputs


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Write the nodes of an estimator's graph, with names that are free in the whole graph."""
    onnx = library("onnx")
    proto = _graph(operator.raw_operator, operator.inputs[0])
    [given] = proto.graph.input
    names = {given.name: operator.inputs[0].full_name}
    names |= {own.name: there.full_name for own, there in zip(proto.graph.output, operator.outputs, strict=True)}
    if not _is_floating(operator.inputs[0]):
        names[given.name] = scope.get_unique_variable_name("floats")
        cast = scope.get_unique_operator_name("Cast")
        to = onnx.TensorProto.FLOAT
        container.add_node("Cast", [operator.inputs[0].full_name], [names[given.name]], name=cast, to=to)
    for x in proto.graph.initializer:
        names[x.name] = x.name = scope.get_unique_variable_name(f"dlarray_{x.name}")
        container.initializers.append(x)
    for node in proto.graph.node:
        for name in node.output:
            names.setdefault(name, scope.get_unique_variable_name(name))
        attributes = {part.name: onnx.helper.get_attribute_value(part) for part in node.attribute}
        container.add_node(
            node.op_type,
            [names[name] for name in node.input],
            [names[name] for name in node.output],
            name=scope.get_unique_operator_name(node.op_type),
            **attributes,
        )


def _graph(estimator: Any, variable: Any) -> Any:
    """The graph of an estimator for an input of this type."""
    double = type(variable.type).__name__ == "DoubleTensorType"
    return trace(of_estimator(estimator, "float64" if double else "float32"))


def _is_floating(variable: Any) -> bool:
    return type(variable.type).__name__ in ("FloatTensorType", "DoubleTensorType")


def _type(value: Any) -> Any:
    """skl2onnx's type of an output."""
    types, kinds = library("skl2onnx.common.data_types"), library("onnx").TensorProto
    tensor = value.type.tensor_type
    known = {kinds.STRING: types.StringTensorType, kinds.INT64: types.Int64TensorType}
    known |= {kinds.FLOAT: types.FloatTensorType, kinds.DOUBLE: types.DoubleTensorType}
    return known[tensor.elem_type]([None, *(dim.dim_value for dim in tensor.shape.dim[1:])])
