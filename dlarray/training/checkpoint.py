"""Models in files: safetensors, with the configuration as JSON and a SHA-256 of everything in the metadata.

A file holds data only. The format itself detects no corruption, so its header is checked before memory is taken and the
digest after. Parameters have torch's names ("0.weight", "0.bias") and dlarray's shapes: a weight is (inputs, units).

Beside model, loss and dtype the configuration may hold the ``history`` of the training and ``notes``, an object of JSON
in which other parts of dlarray keep what belongs to the model. Files without them are read all the same.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import Counter
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import safetensors.numpy

from dlarray.device import Device, resolve, to_numpy
from dlarray.files import replacing
from dlarray.layer import Shape
from dlarray.layout import Theta
from dlarray.losses import Loss
from dlarray.model import MLP, on_device
from dlarray.training.configuration import describe, describe_model, restore, restore_model
from dlarray.training.history import History

__all__ = ["CheckpointError", "read_model", "write_model"]

VERSION = 1
MAX_HEADER = 16 * 2**20
TORCH_NAMES = {
    "W": "weight",
    "b": "bias",
    "gamma": "weight",
    "beta": "bias",
    "mean": "running_mean",
    "variance": "running_var",
}
DTYPES = {"F32": "float32", "F64": "float64", "I16": "int16"}  # the last of an optimizer's state alone


class CheckpointError(Exception):
    """A file that is not a whole and true model of this library."""


def write_model(
    path: str | PathLike[str],
    model: MLP,
    theta: Theta,
    buffers: Theta,
    loss: Loss,
    dtype: str,
    history: History | None = None,
    notes: Mapping[str, Any] | None = None,
) -> None:
    """Write a trained model to a file, whole or not at all; with it a history and notes, an object of JSON.

    See ``dlarray.files.replacing``. Raises OSError with the path where that fails, the old file untouched, TypeError
    for a model that holds a function, and ValueError where the notes are larger than a header may be.
    """
    about: dict[str, Any] = {}
    if history is not None and history.epochs:
        about["history"] = history.as_data()
    if notes:
        about["notes"] = dict(notes)
    write_file(path, model, theta, buffers, loss, dtype, about)


def write_file(
    path: str | PathLike[str],
    model: MLP,
    theta: Theta,
    buffers: Theta,
    loss: Loss,
    dtype: str,
    about: Mapping[str, Any],
    beside: Mapping[str, np.ndarray] | None = None,
) -> None:
    """``write_model``, with ``about`` beside the configuration, and host arrays under names that begin with "walk."."""
    names = _file_names(model)
    numbers = model.parameters(theta) | model.kept(buffers)
    arrays = {names[name]: to_numpy(p) for name, p in numbers.items()} | dict(beside or {})
    config = json.dumps({"model": describe_model(model), "loss": describe(loss), "dtype": dtype, **about})
    metadata = {"format": "dlarray", "version": str(VERSION), "config": config, "sha256": _digest(config, arrays)}
    data = _serialised(arrays, metadata)
    with replacing(path) as file:
        file.write(data)


def read_model(
    path: str | PathLike[str], device: str | Device | None
) -> tuple[MLP, Theta, Theta, Loss, Device, str, History, dict[str, Any]]:
    """The model in a file with θ, buffers, loss, device, the type of its numbers, its history and its notes.

    Raises CheckpointError where the file is not a whole model of this library (truncated, changed, of a newer version,
    with an unknown layer, or of another kind); OSError with the path where it cannot be read; DeviceError; ValueError
    where the device has no such dtype.
    """
    target = resolve(device)
    model, loss, dtype, arrays, config = read_file(path)
    theta, buffers = (
        on_device(layout, {name: arrays[name] for name, _ in layout.shapes}, target)
        for layout in (model.layout, model.buffer_layout)
    )
    return model, theta, buffers, loss, target, dtype, config["history"], config["notes"]


def read_file(path: str | PathLike[str]) -> tuple[MLP, Loss, str, dict[str, np.ndarray], dict[str, Any]]:
    """Model, loss, dtype, arrays by the model's names and "walk.…", and all that is said in words."""
    with Path(path).open("rb") as file:
        try:
            return _read(file)
        except (MemoryError, OSError):
            raise
        except Exception as error:
            raise CheckpointError(f"{path} is not a dlarray model: {error}") from error


def _read(file: BinaryIO) -> tuple[MLP, Loss, str, dict[str, np.ndarray], dict[str, Any]]:
    """``read_file``. Raises anything where the file is not a whole model."""
    header = _header(file)
    metadata = _metadata(header)
    config = json.loads(metadata["config"], object_pairs_hook=_unique)
    model, loss, dtype = restore_model(config["model"]), restore(config["loss"]), config["dtype"]
    if not isinstance(loss, Loss) or dtype not in ("float32", "float64"):
        raise ValueError("it names no loss or no dtype")
    config["history"] = History.from_data(config["history"]) if "history" in config else History()
    if not isinstance(config.setdefault("notes", {}), dict):
        raise ValueError("its notes are no object")
    names = _file_names(model)
    beside = {name for name in header if name.startswith("walk.") and "walk" in config}
    of_model = {name: entry for name, entry in header.items() if name not in beside}
    _check_shapes(of_model, {names[name]: (list(shape), dtype) for name, shape in _shapes(model).items()})
    file.seek(0)
    arrays = safetensors.numpy.load(file.read())
    if _digest(metadata["config"], arrays) != metadata["sha256"]:
        raise ValueError("its contents do not match its SHA-256: it was changed or damaged")
    found = {own: arrays[name] for own, name in names.items()} | {name: arrays[name] for name in beside}
    return model, loss, dtype, found, config


def _shapes(model: MLP) -> dict[str, Shape]:
    return dict(model.layout.shapes) | dict(model.buffer_layout.shapes)


def _file_names(model: MLP) -> dict[str, str]:
    """The arrays' names in the file: "0.W" is torch's "0.weight", where no other array of that layer has this name."""
    names: dict[str, str] = {}
    for name in _shapes(model):
        head, _, own = name.rpartition(".")
        names[name] = f"{head}.{TORCH_NAMES.get(own, own)}"
    count = Counter(names.values())
    return {name: torch_s if count[torch_s] == 1 else name for name, torch_s in names.items()}


def _serialised(arrays: Mapping[str, np.ndarray], metadata: dict[str, str]) -> bytes:
    """A safetensors file, the same bytes for the same model.

    The library would write its metadata in an order that differs from run to run, and views with strides wrongly.
    """
    header: dict[str, Any] = {"__metadata__": metadata}
    numbers: list[bytes] = []
    end = 0
    for name, x in arrays.items():
        numbers.append(x.astype(x.dtype.newbyteorder("<"), copy=False).tobytes())
        start, end = end, end + x.nbytes
        dtype = next(code for code, word in DTYPES.items() if word == x.dtype.name)
        header[name] = {"dtype": dtype, "shape": list(x.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    if len(text) > MAX_HEADER:
        raise ValueError(f"the header would have {len(text):,} bytes, and {MAX_HEADER:,} are read: keep fewer notes")
    text += b" " * (-len(text) % 8)  # numbers begin at a multiple of their size
    return b"".join([len(text).to_bytes(8, "little"), text, *numbers])


def _digest(config: str, arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the configuration and every array's name, dtype, shape and bytes."""
    digest = hashlib.sha256(config.encode())
    for name in sorted(arrays):
        x = arrays[name]
        digest.update(f"\n{name} {x.dtype.str} {x.shape}\n".encode())
        digest.update(np.ascontiguousarray(x).data)
    return digest.hexdigest()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("its header names something twice")
    return found


def _header(file: BinaryIO) -> dict[str, Any]:
    """The header of a safetensors file, checked: every array in bounds, end to end, under a plain name."""
    size = os.fstat(file.fileno()).st_size
    if size < 8:
        raise ValueError("it is too short to be a safetensors file")
    length = int.from_bytes(file.read(8), "little")
    text = file.read(length) if 2 <= length <= min(MAX_HEADER, size - 8) else b""
    if text[:1] != b"{":
        raise ValueError("it is no safetensors file")
    header = json.loads(text, object_pairs_hook=_unique)
    end = 0
    for name, entry in sorted(
        ((n, e) for n, e in header.items() if n != "__metadata__"), key=lambda item: item[1]["data_offsets"]
    ):
        if not all(part.replace("_", "a").isalnum() for part in name.split(".")):
            raise ValueError(f"it holds an array of the name {name!r}")
        if entry.keys() != {"dtype", "shape", "data_offsets"} or entry["dtype"] not in DTYPES:
            raise ValueError(f"its entry for {name} is unusual: {str(entry)[:200]}")
        start, stop = entry["data_offsets"]
        width = np.dtype(DTYPES[entry["dtype"]]).itemsize
        if start != end or stop - start != math.prod(entry["shape"]) * width:
            raise ValueError(f"the array {name} does not fit its place")
        end = stop
    if end != size - 8 - length:
        raise ValueError(f"it should hold {end} bytes of numbers, and holds {size - 8 - length}: it is not whole")
    return header


def _metadata(header: dict[str, Any]) -> dict[str, str]:
    metadata = header.get("__metadata__", {})
    if metadata.get("format") != "dlarray":
        raise ValueError("it is a safetensors file of another program")
    if metadata.get("version") != str(VERSION):
        raise ValueError(f"it is of version {metadata.get('version')}, this dlarray reads version {VERSION}")
    if wrong := {"format", "version", "config", "sha256"} ^ metadata.keys():
        raise ValueError(f"its metadata lacks, or should not have, {', '.join(sorted(wrong))}")
    return metadata


def _check_shapes(header: dict[str, Any], wanted: dict[str, tuple[list[int], str]]) -> None:
    """Hold the file's arrays against the model's, shapes and dtypes, before any memory is taken for them."""
    found = {name: (e["shape"], DTYPES[e["dtype"]]) for name, e in header.items() if name != "__metadata__"}
    differences = [
        *(f"{name} is missing" for name in wanted if name not in found),
        *(f"{name} is unexpected" for name in found if name not in wanted),
        *(
            f"{name} is {found[name]}, not {wanted[name]}"
            for name in wanted
            if found.get(name, wanted[name]) != wanted[name]
        ),
    ]
    if differences:
        raise ValueError(f"its arrays are not those of its model: {'; '.join(differences)}")
