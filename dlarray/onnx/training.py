"""``export_training``: a training step as ONNX graphs, which any runtime repeats without dlarray and without Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from dlarray.core.check import did_you_mean
from dlarray.core.files import replacing
from dlarray.core.registry import make
from dlarray.device import Device, resolve, to_numpy
from dlarray.losses import Loss
from dlarray.model import MLP, on_device
from dlarray.onnx.training_graphs import NEXT, TrainingGraphs
from dlarray.optimizers import Optimizer
from dlarray.training import Trained
from dlarray.training.step import Step

__all__ = ["TrainingFiles", "export_training", "trained_from"]


@dataclass(frozen=True)
class TrainingFiles:
    """What ``export_training`` has written: the folder, the shape of each array of the state by name, all bytes."""

    folder: Path
    state: Mapping[str, tuple[int, ...]]
    bytes: int


def export_training(
    model: MLP | Trained,
    loss: str | Loss,
    optimizer: str | Optimizer,
    path: str | PathLike[str],
    *,
    seed: int = 0,
    dtype: str = "float32",
) -> TrainingFiles:
    """Write the training of a model as three ONNX graphs into a folder, which is made if it is not there.

    ``initial.onnx`` has no inputs; its outputs are the state before the first step, by name. ``step.onnx`` has as
    inputs the arrays of the state by these names, ``x``, (N, inputs), and ``target``, (N,) for labels of classes and
    (N, columns) for others; N can differ from step to step. Its outputs are ``loss`` and the next state, each array
    under its name with ``next.`` before it. ``predict.onnx`` has as inputs the parameters and buffers by their names,
    and ``x``; its outputs are ``prediction``, (N, outputs), and for classes ``label``, (N,).

    The parameters are named as in ``trained.parameters``: "0.W", "0.b", …. The step is the one that ``fit`` takes, with
    this seed for the dropout masks.

    Parameters
    ----------
    model
        A model, whose initial weights the seed decides, or a trained one, which is trained further.
    loss, optimizer
        As in ``fit``.
    path
        The folder.
    seed, dtype
        As in ``fit``. A trained model keeps its dtype.

    Raises
    ------
    DeviceError
        If onnx or onnxruntime is not installed.
    ValueError
        If the loss cannot train this model.
    NotImplementedError
        If the step cannot be written as a graph, as with BFloat16State.
    ExportError
        If onnxruntime gives other losses than the formulas. No file is written.
    """
    device = resolve("onnx")
    theta, buffers, dtype = _initial(model, seed, device, dtype)
    step = Step(_network(model), make(Loss, loss), make(Optimizer, optimizer))
    graphs = TrainingGraphs(step, step.init(theta, buffers, seed, device), dtype)
    models = {name: made.SerializeToString() for name, made in graphs.models.items()}
    graphs.check(models)
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in models.items():
        with replacing(folder / f"{name}.onnx") as file:
            file.write(data)
    return TrainingFiles(folder, {name: x.shape for name, x in graphs.changing.items()}, sum(map(len, models.values())))


def trained_from(
    model: MLP, loss: str | Loss, state: Mapping[str, Any], *, device: str | Device | None = None
) -> Trained:
    """The trained model with the parameters and buffers of a state, arrays by name, as a step's outputs give them.

    Other arrays of the state are not needed. Names may begin with "next.". Raises ValueError if an array is missing or
    has another shape.
    """
    arrays = {name.removeprefix(NEXT): np.asarray(x) for name, x in state.items()}
    target = resolve(device)
    layouts = model.layout, model.buffer_layout
    for name, shape in (item for layout in layouts for item in layout.shapes):
        if name not in arrays:
            raise ValueError(f"the state has no array {name!r}{did_you_mean(name, list(arrays))}")
        if arrays[name].shape != tuple(shape):
            raise ValueError(f"the array {name!r} must have the shape {tuple(shape)}, got {arrays[name].shape}")
    theta, buffers = (on_device(own, {name: arrays[name] for name, _ in own.shapes}, target) for own in layouts)
    dtype = str(next(iter(arrays[name] for name, _ in model.layout.shapes)).dtype) if theta else "float32"
    return Trained(model, theta, buffers, make(Loss, loss), target, dtype)


def _network(model: MLP | Trained) -> MLP:
    return model.model if isinstance(model, Trained) else model


def _initial(model: MLP | Trained, seed: int, device: Device, dtype: str) -> tuple[Any, Any, str]:
    """θ, the buffers and their dtype on the device."""
    if not isinstance(model, Trained):
        return model.init(seed, device, dtype), model.init_buffers(device, dtype), dtype
    net = model.model
    parameters = {name: to_numpy(x) for name, x in model.parameters.items()}
    buffers = {name: to_numpy(x) for name, x in net.named_buffers(model.buffers).items()} if model.buffers else {}
    return on_device(net.layout, parameters, device), on_device(net.buffer_layout, buffers, device), model.dtype
