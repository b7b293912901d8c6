"""Trained networks as programs: the network's formulas, and labels as scikit-learn's users know them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dlarray.activations import Activation, Identity
from dlarray.core.array import Array, array_namespace, largest_column, root_module
from dlarray.core.registry import spelling
from dlarray.device import to_numpy
from dlarray.layers import Chain
from dlarray.model import MLP
from dlarray.onnx.configuration import network_metadata
from dlarray.onnx.program import LABEL, PROBABILITIES, SCORES, VARIABLE, ExportError, Feeds, Program, Tensor
from dlarray.training import Trained
from dlarray.training.data_names import DataNames
from dlarray.training.predictor import flat

__all__ = [
    "CLASSES",
    "INPUT",
    "class_array",
    "described",
    "name_of_values",
    "network_constants",
    "network_outputs",
    "of_trained",
    "rounding",
]

INPUT, CLASSES = "X", "classes"
ROWS = (1, 7, 128)
"""The examples in each of the random batches on which a graph is checked."""


def of_trained(trained: Trained, dtype: str, examples: Any = None) -> Program:
    """The program of a model that ``fit`` or ``load`` returned. ``examples`` are inputs on which it is checked."""
    if examples is not None:
        examples = DataNames(trained.features, trained.classes).inputs(examples)
    constants = network_constants(trained, dtype)
    classes = None if trained.loss.task == "regression" else class_array(_classes(trained))
    if classes is not None and not _has_several_labels(trained):
        constants[CLASSES] = classes

    def outputs(given: Mapping[str, Array]) -> dict[str, Array]:
        z, y = network_outputs(trained, given, given[INPUT])
        return _named(trained, z, y, given)

    def predict(x: Any) -> Feeds:
        y = np.asarray(trained.predict(x))
        if trained.loss.task == "regression":
            return {VARIABLE: y}
        labels: Any = trained.predict_labels(x)
        return {LABEL: labels, name_of_values(trained): _columns(trained, y)}

    return Program(
        {INPUT: Tensor("int64" if trained.model.layers[0].integers else dtype, trained.model.inputs)},
        constants,
        outputs,
        [({INPUT: x}, x) for x in _samples(trained.model, dtype, examples)],
        predict,
        lambda x: rounding(trained, x, dtype),
        _threshold(trained),
        described(trained, trained.features, classes),
    )


def network_constants(trained: Trained, dtype: str) -> dict[str, np.ndarray]:
    """The parameters and buffers of a network on the host, by name."""
    named = trained.parameters | (trained.model.named_buffers(trained.buffers) if trained.buffers else {})
    return {name: to_numpy(array).astype(dtype) for name, array in named.items()}


def network_outputs(trained: Trained, named: Mapping[str, Array], x: Array) -> tuple[Array, Array]:
    """The outputs of the last layer, and the predictions, from parameters and buffers by name."""
    z = _through(trained.model, len(trained.model.layers), named, x)
    try:
        return z, trained.loss.output_activation.predict(z)
    except Exception as error:
        raise _untraceable(f"the output activation {trained.loss.output_activation}", error) from error


def _through(model: MLP, layers: int, named: Mapping[str, Array], x: Array) -> Array:
    """The outputs of the first layers. Raises ExportError that names the layer whose formula cannot be traced."""
    chain = Chain(model.layers[:layers])
    own = chain.shapes(model.inputs) | chain.buffers(model.inputs)
    try:
        z = chain.predict(x, **{name: named[name] for name in own})
        if root_module(z) != root_module(x):
            raise TypeError(f"it has returned an array of {root_module(z)}")
        return z
    except Exception as error:
        if layers > 1:
            _through(model, layers - 1, named, x)  # an earlier layer can be the cause
        raise _untraceable(f"layer {layers - 1}, {model.layers[layers - 1]},", error) from error


def _untraceable(what: str, error: Exception) -> ExportError:
    return ExportError(
        f"{what} cannot be traced: {type(error).__name__}: {error}. A formula is traced if it uses "
        "array_namespace(x) alone, no functions of another library and no branch on a value"
    )


def rounding(trained: Trained, x: np.ndarray, dtype: str) -> float:
    """The largest difference between predictions in this dtype, or the model's own, and in float64."""
    if dtype == trained.dtype == "float64":
        return 0.0
    with np.errstate(all="ignore"):
        found = [
            network_outputs(trained, network_constants(trained, kind), x if x.dtype.kind == "i" else x.astype(kind))[1]
            for kind in ("float32", "float64")
        ]
        apart = np.abs(found[0] - found[1])
    return float(np.max(apart, initial=0.0, where=np.isfinite(apart)))


def _samples(model: MLP, dtype: str, examples: Any = None) -> list[np.ndarray]:
    """Inputs on which a graph is checked: the given ones, or random ones in batches of several sizes."""
    if examples is not None:
        x = np.asarray(examples)
        return [x.astype("int64" if model.layers[0].integers else dtype)]
    random = np.random.default_rng(0)
    if model.layers[0].integers:
        return [random.integers(0, _categories(model), (n, model.inputs)) for n in ROWS]
    return [random.normal(0, 2, (n, model.inputs)).astype(dtype) for n in ROWS]


def _categories(model: MLP) -> int:
    """The categories of the first layer; 1 if it does not say how many it has."""
    first: Any = model.layers[0]
    while isinstance(first, Chain):
        first = first.layers[0]
    return int(getattr(first, "categories", 1))


def _classes(trained: Trained) -> Sequence[Any]:
    if trained.classes is not None:
        return trained.classes
    return range(trained.model.outputs if trained.loss.task == "multiclass" else 2)


def class_array(classes: Sequence[Any] | np.ndarray) -> np.ndarray:
    """The labels of classes as a graph holds them: text, int64 for whole numbers and booleans, else float64."""
    found = np.asarray(classes)
    if found.dtype.kind in "UOT":
        return np.asarray([str(label) for label in found.tolist()])
    whole = found.dtype.kind in "biu" or bool((found == np.floor(found)).all())
    return found.astype(np.int64 if whole else np.float64)


def name_of_values(trained: Trained) -> str:
    """The name of the numbers beside labels: probabilities of the loss, or of the model's last layer, or scores."""
    last, own = trained.model.layers[-1], trained.loss.output_activation
    f = last if isinstance(own, Identity) and isinstance(last, Activation) else own
    return PROBABILITIES if f.gives_probabilities else SCORES


def _named(trained: Trained, z: Array, y: Array, given: Mapping[str, Array]) -> dict[str, Array]:
    """The outputs of the graph from the outputs of the last layer and the predictions."""
    xp, task = array_namespace(y), trained.loss.task
    if task == "regression":
        return {VARIABLE: y}
    if task == "multiclass":
        chosen = xp.minimum(largest_column(z), trained.model.outputs - 1)  # a row of NaN has no largest number
    else:
        chosen = flat(xp.astype(y > trained.loss.threshold, xp.int64))
    label = xp.astype(chosen, xp.int64) if _has_several_labels(trained) else xp.take(given[CLASSES], chosen)
    return {LABEL: label, name_of_values(trained): _columns(trained, y)}


def _columns(trained: Trained, y: Array) -> Array:
    """The predictions with one column for each class: two if one probability tells two classes apart."""
    one = trained.loss.task == "binary" and trained.model.outputs == 1
    if not one or name_of_values(trained) == SCORES:
        return y
    return array_namespace(y).concat([1 - y, y], axis=1)


def _has_several_labels(trained: Trained) -> bool:
    """Whether each output is a label of its own, 0 or 1."""
    return trained.loss.task == "binary" and trained.model.outputs > 1


def _threshold(trained: Trained) -> float | None:
    return trained.loss.threshold if trained.loss.task == "binary" else None


def described(trained: Trained, features: Sequence[str] | None, classes: np.ndarray | None) -> dict[str, str]:
    """What a file says of a network: its task, loss and layers, and the names of features and classes as JSON."""
    found = network_metadata(trained) | {
        "task": trained.loss.task,
        "loss": spelling(type(trained.loss)),
        "layers": ", ".join(map(str, trained.model.layers)),
    }
    found |= {} if features is None else {"features": json.dumps(list(features), ensure_ascii=False)}
    return found | ({} if classes is None else {"classes": json.dumps(classes.tolist(), ensure_ascii=False)})
