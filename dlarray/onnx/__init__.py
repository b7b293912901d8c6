"""ONNX: write trained models as graphs that onnxruntime and other runtimes compute, without Python.

    from dlarray import onnx

    onnx.export(trained, "model.onnx")
    onnx.export_training(model, loss, optimizer, "folder")
    again = onnx.load("model.onnx")

An exported graph is made by the library's own formulas, which run once on arrays that record their operations. ``load``
reads plain graphs of other programs too. Both need onnx and onnxruntime: ``pip install "dlarray[onnx]"``.
"""

from dlarray.onnx.export import *
from dlarray.onnx.import_graph import LoadError as LoadError
from dlarray.onnx.load import *
from dlarray.onnx.program import ExportError as ExportError
from dlarray.onnx.quantization import *
from dlarray.onnx.skl2onnx_converter import *
from dlarray.onnx.table_models import table_inputs as table_inputs
from dlarray.onnx.training import *

__all__ = [
    "ExportError",
    "Exported",
    "LoadError",
    "Quantized",
    "TrainingFiles",
    "export",
    "export_training",
    "load",
    "quantize",
    "register_converters",
    "table_inputs",
    "trained_from",
]
