"""``export``: a trained model as an ONNX file, checked before it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any

from dlarray.core.check import one_of
from dlarray.core.files import replacing
from dlarray.onnx.checks import check_graph
from dlarray.onnx.estimators import of_estimator
from dlarray.onnx.libraries import library
from dlarray.onnx.networks import of_trained
from dlarray.onnx.program import Program
from dlarray.onnx.table_models import of_table_model
from dlarray.onnx.tracing import trace
from dlarray.onnx.zipmap import add_zipmap
from dlarray.tables import TableModel
from dlarray.training import Trained

__all__ = ["Exported", "export"]

DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Exported:
    """What ``export`` has written: the file, its inputs and outputs with their types, and the result of the check.

    ``deviation`` is the largest difference between the graph in onnxruntime and the model's own predictions, as a part
    of the largest prediction, or of 1 if that is smaller.
    """

    path: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    deviation: float
    bytes: int

    def __str__(self) -> str:
        lines = [f"{self.path}, {self.bytes:,} bytes"]
        for title, values in (("input", self.inputs), ("output", self.outputs)):
            lines += [f"{title} {name}: {form}" for name, form in values.items()]
        return "\n".join([*lines, f"checked with onnxruntime: deviates by {self.deviation:.1g}"])


def export(
    model: Any,
    path: str | PathLike[str],
    *,
    dtype: str | None = None,
    examples: Any = None,
    zipmap: bool = False,
) -> Exported:
    """Write a trained model as an ONNX file, opset 21, for any number of rows.

    The graph is what the model's own formulas compute. Before the file is kept, onnx checks the graph, and onnxruntime
    must give what the model predicts: to 1e-6 of the largest prediction, plus what rounding in float32 explains.

    Parameters
    ----------
    model
        What ``fit``, ``load`` or ``tables.train`` has returned, or a fitted MLPClassifier or MLPRegressor of
        ``dlarray.estimators``.
    path
        The file, usually with the ending .onnx.
    dtype
        "float32" or "float64", in which the graph computes, and the type of its input; by default the model's own.
    examples
        Inputs on which the graph is checked: (n, features), or a table for a model of a table; by default random ones.
    zipmap
        Whether probabilities are a list of mappings from labels, as skl2onnx writes them without ``zipmap=False``,
        instead of an array (n, classes).

    Returns
    -------
    exported
        The inputs and outputs of the file with their types, and the largest deviation in the check.

    Raises
    ------
    ExportError
        If a layer's formula cannot be traced, or the graph gives other predictions. No file is written then.
    ImportError
        If onnx or onnxruntime is not installed.
    TypeError
        If the model is of another type.
    ValueError
        For another dtype, and for ``zipmap`` if the model has no probabilities of one label.
    OSError
        With the path, if the file cannot be written.

    Examples
    --------
    >>> import dlarray
    >>> from dlarray import onnx
    >>> onnx.export(dlarray.mlp(2, 3), "model.onnx")
    Traceback (most recent call last):
    TypeError: model must be trained: what fit, load or tables.train returns, or a fitted estimator, got MLP
    """
    program = program_of(model, dtype, examples)
    proto = trace(program)
    if zipmap:
        add_zipmap(proto)
    data = proto.SerializeToString()
    deviation = check_graph(data, program)
    with replacing(path) as file:
        file.write(data)
    inputs, outputs = (_types(values) for values in (proto.graph.input, proto.graph.output))
    return Exported(fspath(path), inputs, outputs, deviation, len(data))


def program_of(model: Any, dtype: str | None, examples: Any) -> Program:
    """The program of a model. Raises TypeError if it is none that can be exported, ValueError for another dtype."""
    if isinstance(model, TableModel):
        return of_table_model(model, _dtype(dtype, model.trained), examples)
    if isinstance(model, Trained):
        return of_trained(model, _dtype(dtype, model), examples)
    if hasattr(model, "to_trained") and hasattr(model, "coefs_"):
        return of_estimator(model, _dtype(dtype, model.to_trained()), examples)
    given = f"{type(model).__name__}{' that is not fitted' if hasattr(model, 'to_trained') else ''}"
    raise TypeError(
        f"model must be trained: what fit, load or tables.train returns, or a fitted estimator, got {given}"
    )


def _dtype(asked: str | None, trained: Trained) -> str:
    if asked is not None:
        return one_of("dtype", asked, DTYPES)
    return trained.dtype if trained.dtype in DTYPES else "float32"


def _types(values: Any) -> dict[str, str]:
    """The types of the inputs or outputs of a graph by name, such as "float32 (N, 4)"."""
    helper = library("onnx").helper
    found: dict[str, str] = {}
    for value in values:
        tensor = value.type.tensor_type
        if not tensor.elem_type:
            found[value.name] = "one mapping from label to probability for each row"
            continue
        kind = "text" if tensor.elem_type == library("onnx").TensorProto.STRING else None
        kind = kind or str(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        sizes = [dim.dim_param or str(dim.dim_value) for dim in tensor.shape.dim]
        found[value.name] = f"{kind} ({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
    return found
