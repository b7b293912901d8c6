"""Inference: probabilities of one example and of 4096, by everyone with the same weights."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import problems
from remote import Gone, Remote
from steps import Settings

from dlarray.bench import CASES, Player, Problem, Products, interleave, low
from dlarray.device import resolve
from dlarray.losses import SparseCategoricalCrossEntropy
from dlarray.training import Trained
from dlarray.training.answers import PLAIN

CASE_NAMES, BATCH_SIZES = ("S", "M", "L"), (1, 4096)
OURS = {
    "the products alone": "inference.Forward",
    "dlarray": "inference.Ours",
    "dlarray, NumPy alone": "inference.without_numba",
    "dlarray, the function alone": "inference.Accelerated",
    "dlarray, formulas run plainly": "inference.Plain",
}
RIVALS = {
    "sklearn": {"scikit-learn": "inference.Sklearn"},
    "torch": {"PyTorch": "inference.Torch", "PyTorch, torch.compile": "inference.torch_compiled"},
    "onnxruntime": {"onnxruntime": "inference.Onnx"},
}


class Predictor(Player):
    """Steps of inference. ``step`` returns the probabilities, and ``losses`` one number for each of the batches."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.x = [x for x, _ in problem.batches]

    def value(self, loss: Any) -> float:
        """The entropy of the predictions: a number that differs where the probabilities do."""
        p = np.asarray(loss, dtype=np.float64)
        return float(-np.mean(np.sum(p * np.log(np.maximum(p, 1e-30)), axis=1)))


class Forward(Products):
    """The limit: X W of each layer."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.case, resolve("cpu"), backward=False)


class Ours(Predictor):
    """What ``fit`` returns, asked as users ask it: host arrays in, probabilities out, inputs checked."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        model, cpu = problem.case.model, resolve("cpu")
        theta = model.init(0, cpu, problem.case.dtype)
        self.trained = Trained(model, theta, (), SparseCategoricalCrossEntropy(), cpu, problem.case.dtype)

        for _ in range(PLAIN + 2):  # until it is compiled
            self.trained.predict(self.x[0])

    def step(self, i: int) -> Any:
        return self.trained.predict(self.x[i % len(self.x)])


def without_numba(problem: Problem) -> Player:
    """The same as if Numba were not installed: the planner's kernels are NumPy's ufuncs."""
    sys.modules["numba"] = None  # type: ignore[assignment] - it cannot be found from now on
    return Ours(problem)


class Plain(Ours):
    """The formulas alone, unchecked: the model and softmax."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.theta, self.answer = self.trained.theta, self.formulas

    def formulas(self, theta: Any, x: Any) -> Any:
        return self.trained.loss.link.predict(self.trained.model.predict(theta, x))

    def step(self, i: int) -> Any:
        return self.answer(self.theta, self.x[i % len(self.x)])


class Accelerated(Plain):
    """The formulas alone, unchecked, as the backend makes them faster."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.answer = self.trained.device.backend.accelerate(self.formulas)


class Sklearn(Predictor):
    """``MLPClassifier.predict_proba``."""

    def __init__(self, problem: Problem) -> None:
        from rivals_others import Sklearn as Training

        super().__init__(problem)
        self.model = Training(problem).model

    def step(self, i: int) -> Any:
        return self.model.predict_proba(self.x[i % len(self.x)])


class Torch(Predictor):
    """The modules in inference mode. Tensors are made beforehand."""

    def __init__(self, problem: Problem, compiled: bool = False) -> None:
        import rivals_torch
        import torch

        super().__init__(problem)
        model = rivals_torch.network(problem).append(torch.nn.Softmax(dim=1)).eval()
        self.model = torch.compile(model) if compiled else model
        self.x, self.mode = [torch.tensor(x) for x in self.x], torch.inference_mode

    def step(self, i: int) -> Any:
        with self.mode():
            return self.model(self.x[i % len(self.x)])


def torch_compiled(problem: Problem) -> Player:
    """The modules through torch.compile."""
    return Torch(problem, compiled=True)


class Onnx(Predictor):
    """onnxruntime on a graph of Gemm, Relu and Softmax."""

    def __init__(self, problem: Problem) -> None:
        import os

        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper

        super().__init__(problem)
        nodes, weights, last = [], [], "x"
        for i, (w, b) in enumerate(problem.weights):
            weights += [numpy_helper.from_array(w, f"W{i}"), numpy_helper.from_array(b, f"b{i}")]
            nodes += [helper.make_node("Gemm", [last, f"W{i}", f"b{i}"], [f"z{i}"])]
            kind = "Relu" if i < len(problem.weights) - 1 else "Softmax"
            nodes += [helper.make_node(kind, [f"z{i}"], [last := f"a{i}"])]
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width])
            for name, width in (("x", problem.case.widths[0]), (last, problem.case.widths[-1]))
        ]
        graph = helper.make_graph(nodes, "mlp", ends[:1], ends[1:], weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
        bytes_ = model.SerializeToString()
        self.session = onnxruntime.InferenceSession(bytes_, options, providers=["CPUExecutionProvider"])

    def step(self, i: int) -> Any:
        return self.session.run(None, {"x": self.x[i % len(self.x)]})[0]


def measure(rivals: str, settings: Settings, tell: Callable[[str], None]) -> dict[str, Any]:
    """Figures by case and batch size: ratios to the limit, milliseconds, and whether all say the same."""
    words = {"all": list(RIVALS), "none": []}.get(rivals, [word.strip() for word in rivals.split(",")])
    wanted = OURS | {name: place for word in words for name, place in RIVALS.get(word, {}).items()}
    return {
        name: {str(batch): at_batch(name, batch, wanted, settings, tell) for batch in BATCH_SIZES}
        for name in CASE_NAMES
    }


def at_batch(
    name: str, batch: int, wanted: dict[str, str], settings: Settings, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Figures of one network and batch size."""
    case = replace(CASES[name], batch=batch)
    absent: dict[str, str] = {}
    running: dict[str, Remote] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.npz"
        problems.write(Problem.of(case), path)
        tell(f"{name}: predict at batch {batch}")
        try:
            for who, place in wanted.items():
                try:
                    running[who] = Remote([place, str(path)], settings.patience)
                except Gone as gone:
                    absent[who] = str(gone)
            said: dict[str, float] = {}
            for who, remote in running.items():
                try:
                    said |= {} if who == "the products alone" else {who: remote.ask("losses", steps=1)[0]}
                except Gone as gone:
                    absent[who] = str(gone)
            ready = {who: remote for who, remote in running.items() if not remote.failure}
            means = interleave(ready, settings.bursts, settings.seconds)
        finally:
            for remote in running.values():
                remote.close()
    absent |= {who: remote.failure for who, remote in running.items() if remote.failure}
    times = {who: low(values) for who, values in means.items() if who not in absent}
    limit = times["the products alone"]
    return {
        "limit_ms": 1e3 * limit,
        **{who: t / limit for who, t in times.items()},
        "milliseconds": {who: 1e3 * t for who, t in times.items()},
        "equal": {who: bool(np.isclose(value, said["dlarray"], rtol=1e-4)) for who, value in said.items()},
        "absent": absent,
    }
