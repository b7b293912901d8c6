"""Inference: probabilities, from all with the same weights."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import numpy as np

from contenders.base import Measured, hide_llvmlite
from dlarray.bench import Products, RawProducts, Workload
from dlarray.device import resolve
from dlarray.losses import SparseCategoricalCrossEntropy
from dlarray.training import Trained
from dlarray.training.predictor import EAGER_CALLS
from setting import Setting


class Predictor(Measured):
    """Steps of inference. ``step`` returns the probabilities, and ``losses`` one number for each of the batches."""

    def __init__(self, workload: Workload, setting: Setting) -> None:
        self.workload = workload
        self.x: list[Any] = [x for x, _ in workload.batches]

    def value(self, loss: Any) -> float:
        """The entropy of the predictions: a number that differs where the probabilities do."""
        p: Any = np.asarray(loss, dtype=np.float64)
        return float(-(p * np.log(np.maximum(p, 1e-30))).sum(axis=1).mean())


class Raw(RawProducts, Measured):
    """The limit: X W of each layer by NumPy's BLAS, called from native code."""

    def __init__(self, workload: Workload, setting: Setting) -> None:
        super().__init__(workload.case, backward=False)


class Forward(Products, Measured):
    """The same by numpy.matmul."""

    def __init__(self, workload: Workload, setting: Setting) -> None:
        super().__init__(workload.case, resolve("cpu"), backward=False)


class Ours(Predictor):
    """What ``fit`` returns, called as users call it: host arrays in, probabilities out, inputs checked."""

    def __init__(self, workload: Workload, setting: Setting) -> None:
        super().__init__(workload, setting)
        model, cpu = workload.case.model, resolve("cpu")
        theta = model.init(0, cpu, workload.case.dtype)
        self.trained = Trained(model, theta, (), SparseCategoricalCrossEntropy(), cpu, workload.case.dtype)

        for _ in range(EAGER_CALLS + 2):  # until it is compiled
            self.trained.predict(self.x[0])

    def step(self, i: int) -> Any:
        return self.trained.predict(self.x[i % len(self.x)])


def numpy(workload: Workload, setting: Setting) -> Measured:
    """The same as if llvmlite were not installed: the planner's kernels are NumPy's ufuncs."""
    hide_llvmlite()
    return Ours(workload, setting)


class Eager(Ours):
    """The formulas alone, unchecked: the model and softmax."""

    def __init__(self, workload: Workload, setting: Setting) -> None:
        super().__init__(workload, setting)
        self.theta, self.function = self.trained.theta, self.formulas

    def formulas(self, theta: Any, x: Any) -> Any:
        return self.trained.loss.output_activation.predict(self.trained.model.predict(theta, x))

    def step(self, i: int) -> Any:
        return self.function(self.theta, self.x[i % len(self.x)])


class Accelerated(Eager):
    """The formulas alone, unchecked, as the backend makes them faster."""

    def __init__(self, workload: Workload, setting: Setting) -> None:
        super().__init__(workload, setting)
        self.function = self.trained.device.backend.accelerate(self.formulas)


class Sklearn(Predictor):
    """``MLPClassifier.predict_proba``."""

    def __init__(self, workload: Workload, setting: Setting) -> None:
        from contenders.others import Sklearn as Training

        super().__init__(workload, setting)
        self.model: Any = Training(workload, setting).model

    def step(self, i: int) -> Any:
        return self.model.predict_proba(self.x[i % len(self.x)])


class Torch(Predictor):
    """The modules in inference mode. Tensors are made beforehand."""

    def __init__(self, workload: Workload, setting: Setting, compiled: bool = False) -> None:
        import torch

        from contenders.torch import network

        super().__init__(workload, setting)
        model = network(workload).append(torch.nn.Softmax(dim=1)).eval()
        self.model = torch.compile(model) if compiled else model
        self.x, self.mode = [torch.tensor(x) for x in self.x], torch.inference_mode

    def step(self, i: int) -> Any:
        with self.mode():
            return self.model(self.x[i % len(self.x)])


def torch_compiled(workload: Workload, setting: Setting) -> Measured:
    """The modules through torch.compile."""
    return Torch(workload, setting, compiled=True)


class Onnx(Predictor):
    """onnxruntime on a graph of Gemm, Relu and Softmax."""

    def __init__(self, workload: Workload, setting: Setting) -> None:
        onnx: Any = import_module("onnx")
        runtime: Any = import_module("onnxruntime")
        super().__init__(workload, setting)
        helper, array = onnx.helper, onnx.numpy_helper.from_array
        nodes: list[Any] = []
        weights: list[Any] = []
        last = "x"
        for i, (w, b) in enumerate(workload.weights):
            weights += [array(w, f"W{i}"), array(b, f"b{i}")]
            nodes += [helper.make_node("Gemm", [last, f"W{i}", f"b{i}"], [f"z{i}"])]
            kind = "Relu" if i < len(workload.weights) - 1 else "Softmax"
            nodes += [helper.make_node(kind, [f"z{i}"], [last := f"a{i}"])]
        ends = [
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", width])
            for name, width in (("x", workload.case.widths[0]), (last, workload.case.widths[-1]))
        ]
        graph = helper.make_graph(nodes, "mlp", ends[:1], ends[1:], weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
        providers = ["CPUExecutionProvider"]
        self.session: Any = runtime.InferenceSession(model.SerializeToString(), options, providers=providers)

    def step(self, i: int) -> Any:
        return self.session.run(None, {"x": self.x[i % len(self.x)]})[0]
