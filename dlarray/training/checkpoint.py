"""Models in files: safetensors, with the configuration as JSON and a SHA-256 of everything in the metadata.

A file holds data only; ``safetensors_file`` defines its format. The digest is checked before anything else in the file
is used. Parameters have torch's names ("0.weight", "0.bias") and dlarray's shapes: a weight is (inputs, units).

In addition to model, loss and dtype, the configuration can hold the ``history`` of the training, the names of
``features`` and ``classes``, and ``notes``, a JSON object in which other parts of dlarray store data about the model.
Files without them can be read too.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from dlarray.core.files import replacing
from dlarray.core.layer import Shape
from dlarray.core.layout import Theta
from dlarray.device import Device, resolve, to_numpy
from dlarray.losses import Loss
from dlarray.model import MLP, on_device
from dlarray.training.configuration import deserialize, deserialize_model, serialize, serialize_model
from dlarray.training.data_names import DataNames
from dlarray.training.history import History
from dlarray.training.json_data import entries, to_json, unique_names
from dlarray.training.safetensors_file import pack, unpack

__all__ = ["CheckpointError", "read_model", "write_model"]

TORCH_NAMES = {
    "W": "weight",
    "b": "bias",
    "gamma": "weight",
    "beta": "bias",
    "mean": "running_mean",
    "variance": "running_var",
}
MAX_MESSAGE = 1000  # characters of a file's content in a message


class CheckpointError(ValueError):
    """A file is not a complete and unchanged model of this library."""


def write_model(
    path: str | PathLike[str],
    model: MLP,
    theta: Theta,
    buffers: Theta,
    loss: Loss,
    dtype: str,
    history: History | None = None,
    notes: Mapping[str, Any] | None = None,
    names: DataNames | None = None,
) -> None:
    """Write a trained model to a file, completely or not at all, with its history and with notes, a JSON object.

    See ``core.files.replacing``. Raises OSError with the path if that fails, and the old file is unchanged; TypeError
    for a model that contains a function and for notes that are not JSON: numbers, strings, None, and lists and objects
    of them, with strings as names. NaN and infinities are written as Python's json does.
    """
    about: dict[str, Any] = {} if names is None else names.to_data()
    if history is not None and history.epochs:
        about["history"] = history.to_data()
    if notes:
        try:
            about["notes"] = to_json("notes", notes)
        except RecursionError:
            raise ValueError("notes are nested too deeply to be written") from None
    write_file(path, model, theta, buffers, loss, dtype, about)


def write_file(
    path: str | PathLike[str],
    model: MLP,
    theta: Theta,
    buffers: Theta,
    loss: Loss,
    dtype: str,
    about: Mapping[str, Any],
    run_arrays: Mapping[str, np.ndarray] | None = None,
) -> None:
    """``write_model`` with ``about`` as further configuration and with further host arrays named "run.…"."""
    names = _file_names(model)
    numbers = model.parameters(theta) | model.named_buffers(buffers)
    arrays = {names[name]: to_numpy(p) for name, p in numbers.items()} | dict(run_arrays or {})
    config = json.dumps({"model": serialize_model(model), "loss": serialize(loss), "dtype": dtype, **about})
    _parse_config(config)  # refuse a configuration that could not be read, before an old file is replaced
    data = pack(config, arrays)
    with replacing(path) as file:
        file.write(data)


def read_model(
    path: str | PathLike[str], device: str | Device | None
) -> tuple[MLP, Theta, Theta, Loss, Device, str, History, DataNames, dict[str, Any]]:
    """The model in a file with θ, buffers, loss, device, dtype, history, names of the data, and notes.

    Raises CheckpointError if the file is not a complete model of this library (truncated, changed, of a newer version,
    with an unknown layer, or of another program); OSError with the path if it cannot be read; DeviceError; ValueError
    if the device lacks the dtype.
    """
    target = resolve(device)
    model, loss, dtype, arrays, config = read_file(path)
    theta, buffers = (
        on_device(layout, {name: arrays[name] for name, _ in layout.shapes}, target)
        for layout in (model.layout, model.buffer_layout)
    )
    history = _history_of_run(path, config["run"], arrays) if "run" in config else config["history"]
    return model, theta, buffers, loss, target, dtype, history, config["names"], config["notes"]


def _history_of_run(path: str | PathLike[str], data: Any, arrays: Mapping[str, np.ndarray]) -> History:
    """The history in a training checkpoint, whose steps are an array."""
    try:
        steps = arrays["run.history"].tolist()
        return History.from_data({"count": len(steps), "each": 1, "steps": steps, "epochs": data["metrics"]})
    except (LookupError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is not a dlarray model: {str(error)[:MAX_MESSAGE]}") from error


def read_file(path: str | PathLike[str]) -> tuple[MLP, Loss, str, dict[str, np.ndarray], dict[str, Any]]:
    """Model, loss, dtype, arrays by the model's names and "run.…", and the configuration."""
    with Path(path).open("rb") as file:
        try:
            text, arrays = unpack(file)
            model, loss, dtype, config = _parse_config(text)
            names = _file_names(model)
            run_arrays = {name for name in arrays if name.startswith("run.") and "run" in config}
            of_model = {name: x for name, x in arrays.items() if name not in run_arrays}
            _check_arrays(of_model, {names[name]: (shape, dtype) for name, shape in _shapes(model).items()})
        except (MemoryError, OSError):
            raise
        except Exception as error:
            raise CheckpointError(f"{path} is not a dlarray model: {str(error)[:MAX_MESSAGE]}") from error
    found = {own: arrays[name] for own, name in names.items()} | {name: arrays[name] for name in run_arrays}
    return model, loss, dtype, found, config


def _parse_config(text: str) -> tuple[MLP, Loss, str, dict[str, Any]]:
    """Model, loss, dtype and the rest of a configuration. Raises some exception if the text is not one."""
    config = entries("its configuration", json.loads(text, object_pairs_hook=unique_names), "model", "loss", "dtype")
    model, loss, dtype = deserialize_model(config["model"]), deserialize(config["loss"]), config["dtype"]
    if not isinstance(loss, Loss) or dtype not in ("float32", "float64"):
        raise ValueError("it names no loss or no dtype")
    config["history"] = History.from_data(config["history"]) if "history" in config else History()
    config["names"] = DataNames.from_data(config, loss, model.inputs, model.outputs)
    entries("its notes", config.setdefault("notes", {}))
    return model, loss, dtype, config


def _shapes(model: MLP) -> dict[str, Shape]:
    return dict(model.layout.shapes) | dict(model.buffer_layout.shapes)


def _file_names(model: MLP) -> dict[str, str]:
    """The arrays' names in the file: torch's "0.weight" for "0.W", if no other array of that layer has this name."""
    names: dict[str, str] = {}
    for name in _shapes(model):
        head, _, own = name.rpartition(".")
        names[name] = f"{head}.{TORCH_NAMES.get(own, own)}"
    count = Counter(names.values())
    return {name: torch_s if count[torch_s] == 1 else name for name, torch_s in names.items()}


def _check_arrays(found: Mapping[str, np.ndarray], wanted: Mapping[str, tuple[Shape, str]]) -> None:
    """Raise ValueError if the file's arrays do not have the names, shapes and dtypes of the model's."""
    have = {name: (x.shape, x.dtype.name) for name, x in found.items()}
    differences = [
        *(f"{name} is missing" for name in wanted if name not in have),
        *(f"{name} is unexpected" for name in have if name not in wanted),
        *(f"{name} is {have[name]}, not {it}" for name, it in wanted.items() if have.get(name, it) != it),
    ]
    if differences:
        raise ValueError(f"its arrays are not those of its model: {'; '.join(differences)}")
