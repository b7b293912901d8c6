"""The three graphs of a training: the initial state, a step, and predictions, on arrays by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import numpy as np

from dlarray.core.array import Array, array_namespace, largest_column
from dlarray.core.random import Bits
from dlarray.core.trees import copy_tree, flatten, unflatten
from dlarray.device import asarray, to_numpy
from dlarray.model import MLP
from dlarray.onnx.checks import session_of
from dlarray.onnx.graph import graph
from dlarray.onnx.libraries import library
from dlarray.onnx.program import ExportError
from dlarray.training.step import Step

__all__ = ["NEXT", "TrainingGraphs"]

NEXT = "next."
"""What the names of a step's outputs have before the names of the inputs that they replace."""
CHECKED = 3
"""The steps that are compared with the formulas on numbers."""
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
"""Of a loss, or of 1 if that is larger."""


class TrainingGraphs:
    """A step and its initial state by name, and the three graphs of it."""

    def __init__(self, step: Step, state: Any, dtype: str) -> None:
        self._step = step
        self._state = state
        self._dtype = dtype
        self._names = [_name(step.model, path) for path, _ in _paths(state)]
        leaves: list[Array] = []
        array = cast("Any", type(state["steps"]))
        self._structure = flatten(state, leaves, (array,))
        self._shapes = {name: x.shape for name, x in zip(self._names, leaves, strict=True)}
        slots = dict((*step.model.layout.shapes, *step.model.buffer_layout.shapes))
        self._all = {
            name: to_numpy(x).reshape(slots.get(name, x.shape)) for name, x in zip(self._names, leaves, strict=True)
        }
        unchanged: set[str] = set()
        self._step_graph(self._all, unchanged.add)
        self.changing = {name: x for name, x in self._all.items() if name not in unchanged}
        """The arrays that a step changes; the others are constants of its graph."""

    @property
    def models(self) -> dict[str, Any]:
        """The three models by name."""
        initial = graph(lambda given: {name: asarray(x, "onnx") for name, x in self.changing.items()}, {})
        step = self._step_graph(self.changing, lambda name: None)
        return {"initial": initial, "step": step, "predict": self._predict_graph()}

    def check(self, models: Mapping[str, bytes]) -> None:
        """Raise ExportError if the losses of some steps in onnxruntime are not those of the formulas on numbers."""
        for data in models.values():
            library("onnx").checker.check_model(data, full_check=True)
        initial, step = (session_of(models[name]) for name in ("initial", "step"))
        x, t = self._examples()
        state, names = copy_tree(self._state), list(self.changing)
        given = dict(zip(names, initial.run(names, {}), strict=True))
        for i in range(CHECKED):
            state, loss = self._step(state, (asarray(x, "onnx"), asarray(t, "onnx"), None))
            found, *arrays = step.run(["loss", *(f"{NEXT}{name}" for name in names)], given | {"x": x, "target": t})
            given = dict(zip(names, arrays, strict=True))
            wanted = float(loss)
            if not abs(found - wanted) <= TOLERANCE[self._dtype] * max(1.0, abs(wanted)) and np.isfinite(wanted):
                raise ExportError(f"the loss of step {i + 1} is {found} in the graph, {wanted} by the formulas")

    def _examples(self) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets on which the graphs are checked. Most losses take these targets."""
        n, model = 5, self._step.model
        x = np.zeros((n, model.inputs)) if self._x[0] == "int32" else Bits(0, "check").normal(n * model.inputs)
        t: np.ndarray = np.arange(n) % max(model.outputs, 2)
        if not self._step.loss.targets_are_labels:
            columns = self._step.loss.target_columns(model.outputs)
            t = t[:, None] == (np.arange(columns) if columns > 1 else 1)
        return x.reshape(n, model.inputs).astype(self._x[0]), t.astype(self._target[0])

    def _predict_graph(self) -> Any:
        """From the parameters, the buffers and x to predictions."""
        model, loss = self._step.model, self._step.loss

        def predictions(given: dict[str, Array]) -> dict[str, Array]:
            theta, buffers = (self._vectors(given, layout.shapes) for layout in (model.layout, model.buffer_layout))
            z = model.predict(theta, given["x"], buffers)
            y = loss.output_activation.predict(z)
            if loss.task == "multiclass":
                return {"prediction": y, "label": largest_column(z)}
            if loss.task == "binary":
                xp = array_namespace(y)
                return {"prediction": y, "label": xp.astype(y > loss.threshold, xp.int32)}
            return {"prediction": y}

        shapes = (*model.layout.shapes, *model.buffer_layout.shapes)
        return graph(predictions, {name: (self._dtype, shape) for name, shape in shapes} | {"x": self._x})

    def _vectors(self, given: Mapping[str, Array], shapes: Any) -> tuple[Array, ...]:
        return tuple(self._vector(given, name) for name, _ in shapes)

    def _vector(self, given: Mapping[str, Array], name: str) -> Array:
        """An array of the state in the shape that the step takes; one that is not given is a constant."""
        return _reshaped(given[name] if name in given else asarray(self._all[name], "onnx"), self._shapes[name])

    @property
    def _x(self) -> tuple[str, tuple[Any, ...]]:
        model = self._step.model
        return ("int32" if model.layers[0].integers else self._dtype), ("N", model.inputs)

    @property
    def _target(self) -> tuple[str, tuple[Any, ...]]:
        loss = self._step.loss
        if loss.targets_are_labels:
            return "int32", ("N",)
        return self._dtype, ("N", loss.target_columns(self._step.model.outputs))

    def _step_graph(self, arrays: Mapping[str, np.ndarray], unchanged: Callable[[str], Any]) -> Any:
        """From these arrays of the state, x and target to the next ones and the loss.

        ``unchanged`` is called with the name of each array of the state that the step leaves as it is.
        """

        def function(given: dict[str, Array]) -> dict[str, Array]:
            before = [self._vector(given, name) for name in self._names]
            state = unflatten(self._structure, iter(before))
            after, loss = self._step(state, (given["x"], given["target"], None))
            outputs = {"loss": loss}
            for name, (_, x), old in zip(self._names, _paths(after), before, strict=True):
                if x is old:
                    unchanged(name)
                else:
                    outputs[f"{NEXT}{name}"] = _reshaped(x, self._all[name].shape)
            return outputs

        inputs = {name: (x.dtype.name, x.shape) for name, x in arrays.items()}
        return graph(function, inputs | {"x": self._x, "target": self._target})


def _paths(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Array]]:
    """The arrays of a tree of dicts and tuples, each with the keys that lead to it."""
    if not isinstance(tree, (dict, tuple)):
        yield path, tree
        return
    items = cast("Any", tree.items() if isinstance(tree, dict) else enumerate(tree))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    for key, item in items:
        yield from _paths(item, (*path, key))


def _name(model: MLP, path: tuple[Any, ...]) -> str:
    """The name of an array of the state: a parameter's own, "optimizer.m.0.W" for a moment of it, "steps"."""
    kind, number, inner = path[0], path[1] if len(path) > 1 else 0, path[2:]
    if kind == "theta":
        return model.layout.shapes[number][0]
    if kind == "buffers":
        return model.buffer_layout.shapes[number][0]
    whole = kind != "optimizer" or inner == ("t",)
    return ".".join([kind, *inner, *([] if whole else [model.layout.shapes[number][0]])])


def _reshaped(x: Array, shape: tuple[int, ...]) -> Array:
    return x if x.shape == shape else array_namespace(x).reshape(x, shape)
