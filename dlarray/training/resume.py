"""Training checkpoints: a walk in a file, and back on its way.

The file is a model's (``dlarray.load`` reads it) with more in it: the optimizer's state, the place in the epoch, the
history, and what the callbacks remember. Nothing random has a state: orders and masks depend on seed, epoch and step.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from typing import Any, cast

import numpy as np

from dlarray.array import is_array
from dlarray.device import Device, to_numpy
from dlarray.layout import Layout, Theta
from dlarray.model import on_device
from dlarray.training.callback import Memory, Walk
from dlarray.training.checkpoint import CheckpointError, read_file, write_file
from dlarray.training.comparison import difference
from dlarray.training.configuration import describe, describe_model

__all__ = ["read_walk", "write_walk"]

_Arrays = dict[str, np.ndarray]


def write_walk(path: str | PathLike[str], walk: Walk) -> None:
    """Write all that a walk needs to go on, whole or not at all; ``fit(…, resume=path)`` takes it up.

    Raises OSError with the path where that fails, the old file untouched; TypeError for a model that holds a function,
    for an optimizer whose state is not like θ, and for a callback that remembers what cannot be written.
    """
    theta, buffers = walk.state["theta"], walk.state["buffers"]
    losses, weights = walk.losses.read()
    beside: _Arrays = {
        "walk.losses": np.asarray(losses, dtype=np.float64),
        "walk.weights": np.asarray(weights, dtype=np.float64),
    }
    whole = walk.steps - walk.place  # where an epoch was broken off, its row is written anew when it has ended
    beside["walk.history"] = np.asarray(walk.history.steps[:whole], dtype=np.float64)
    data = {
        "settings": walk.settings,
        "epoch": walk.epoch,
        "steps": walk.steps,
        "seconds": walk.seconds,
        "figures": walk.history.epochs[: walk.epoch],
        "optimizer": _packed_optimizer(walk, beside),
        "scaling": {name: _number(x) for name, x in walk.state.get("scaling", {}).items()},
        "callbacks": [[name, _packed_memory(i, m, walk, beside)] for i, (name, m) in enumerate(walk.memories)],
    }
    write_file(path, walk.model, theta, buffers, walk.loss, walk.dtype, {"walk": data}, beside)


def read_walk(path: str | PathLike[str], walk: Walk) -> None:
    """Take a walk, before its first step, to where the one in the file was.

    Raises CheckpointError where the file is no training checkpoint; OSError with the path where it cannot be read;
    ValueError where model, loss or a setting is another one than in the file.
    """
    model, loss, dtype, arrays, config = read_file(path)
    data = config.get("walk")
    if data is None:
        raise CheckpointError(f"{path} holds a model and no walk: go on from its weights, theta=dlarray.load(…).theta")
    if (then := data.get("settings")) is None:
        raise CheckpointError(f"{path} is not a training checkpoint: it has no settings")
    now = walk.settings | {"model": describe_model(walk.model), "loss": describe(walk.loss), "dtype": walk.dtype}
    now = json.loads(json.dumps(now))
    then |= {"model": json.loads(json.dumps(describe_model(model))), "loss": describe(loss), "dtype": dtype}
    other = [name for name in sorted(now.keys() | then.keys()) if now.get(name) != then.get(name)]
    if other:
        what = "; ".join(f"{name} {difference(then.get(name), now.get(name))}" for name in other)
        raise ValueError(f"{path} is of another run, and going on from it would give neither: {what}")
    try:
        _restore(walk, data, arrays)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} is not a training checkpoint: {error!r}") from error


def _restore(walk: Walk, data: dict[str, Any], arrays: _Arrays) -> None:
    device = walk.device
    layout, kept = walk.model.layout, walk.model.buffer_layout
    walk.replace(_vectors("", layout, arrays, device), _vectors("", kept, arrays, device))
    walk.alter(
        optimizer=_unpacked_optimizer(walk, data["optimizer"], arrays),
        steps=device.asarray(np.asarray(data["steps"], dtype=np.int32)),
    )
    if data["scaling"]:
        walk.alter(scaling={name: _scalar(number, device) for name, number in data["scaling"].items()})
    walk.epoch, walk.steps, walk.before = data["epoch"], data["steps"], data["seconds"]
    for value, weight in zip(arrays["walk.losses"].tolist(), arrays["walk.weights"].tolist(), strict=True):
        walk.losses.add(value, 1, weight)
    walk.history.steps.extend(arrays["walk.history"].tolist())
    walk.history.epochs.extend(data["figures"])
    walk.remembered = [(name, _unpacked_memory(i, m, walk, arrays)) for i, (name, m) in enumerate(data["callbacks"])]
    walk.good = walk.trained


def _packed_optimizer(walk: Walk, beside: _Arrays) -> dict[str, Any]:
    """The numbers of an optimizer's state; what is like θ goes to the arrays."""
    states = walk.state["optimizer"]
    numbers: dict[str, Any] = {}
    for name in states[0] if states else ():
        parts = tuple(state[name] for state in states if name in state)
        if parts[0].ndim == 0:  # the first state's counts for all: t stands in no other
            numbers[name] = _number(parts[0])
        elif not _pack(f"walk.optimizer.{name}.", parts, walk.model.layout_of(walk.state["theta"]), beside):
            raise TypeError(f"the optimizer's {name!r} is neither a number nor like θ, and cannot be written")
    return numbers


def _unpacked_optimizer(walk: Walk, numbers: dict[str, Any], arrays: _Arrays) -> Any:
    states = walk.state["optimizer"]
    mine = {name for name in arrays if name.startswith("walk.optimizer.")}
    names = list(states[0]) if states else []
    if missing := {name for name in names if name not in numbers and not any(_of(name, m) for m in mine)}:
        raise KeyError(f"the optimizer's {', '.join(sorted(missing))}")
    names += [name for name in numbers if name not in names]  # a scale, where the rate was changed on the way
    found: list[dict[str, Any]] = [{} for _ in states]
    for name in names:
        if name in numbers:
            for state, like in zip(found, states, strict=True):
                if name in like or name not in states[0]:
                    state[name] = _scalar(numbers[name], walk.device)
            continue
        parts = _vectors(f"walk.optimizer.{name}.", walk.model.layout, arrays, walk.device)
        for state, part in zip(found, parts, strict=True):
            state[name] = part
    return tuple(found)


def _of(name: str, path: str) -> bool:
    return path.startswith(f"walk.optimizer.{name}.")


def _packed_memory(i: int, memory: Memory, walk: Walk, beside: _Arrays) -> dict[str, Any]:
    packed: dict[str, Any] = {}
    for name, value in memory.items():
        if name.startswith("_"):
            continue
        if isinstance(value, tuple):
            vectors = cast("Theta", value)
            layouts = {"theta": walk.model.layout_of(walk.state["theta"]), "buffers": _kept_layout(walk)}
            kind = next(
                (k for k, own in layouts.items() if _pack(f"walk.callback{i}.{name}.", vectors, own, beside)), ""
            )
            if not kind:
                raise TypeError(f"a callback remembers {name!r}, a tuple that is neither like θ nor like the buffers")
            packed[name] = {"like": kind}
        else:
            packed[name] = _plain(name, value)
    return packed


def _unpacked_memory(i: int, memory: dict[str, Any], walk: Walk, arrays: _Arrays) -> Memory:
    layouts = {"theta": walk.model.layout, "buffers": walk.model.buffer_layout}
    return {
        name: _vectors(f"walk.callback{i}.{name}.", layouts[value["like"]], arrays, walk.device)
        if isinstance(value, dict)
        else value
        for name, value in memory.items()
    }


def _plain(name: str, value: Any) -> Any:
    try:
        return json.loads(json.dumps(value)) if not isinstance(value, Mapping) else _refused(name, value)
    except TypeError:
        return _refused(name, value)


def _refused(name: str, value: Any) -> Any:
    raise TypeError(
        f"a callback remembers {name!r}, which a checkpoint cannot hold: numbers, words, lists and θ can be written, "
        f"got {type(value).__name__}; a name that begins with an underscore is left out"
    )


def _kept_layout(walk: Walk) -> Layout:
    layout = walk.model.buffer_layout
    return layout if walk.device.backend.writes_in_place else layout.separated()


def _pack(prefix: str, vectors: Theta, layout: Layout, beside: _Arrays) -> bool:
    """Add the arrays in vectors of this layout; False where they are of another one."""
    if not all(is_array(v) for v in vectors) or [tuple(v.shape) for v in vectors] != [(n,) for n in layout.lengths]:
        return False
    beside |= {f"{prefix}{name}": to_numpy(x) for name, x in layout.split(vectors).items()}
    return True


def _vectors(prefix: str, layout: Layout, arrays: _Arrays, device: Device) -> Theta:
    return on_device(layout, {name: arrays[f"{prefix}{name}"] for name, _ in layout.shapes}, device)


def _number(x: Any) -> list[Any]:
    host = to_numpy(x)
    return [host.dtype.name, host.item()]


def _scalar(number: list[Any], device: Device) -> Any:
    return device.asarray(np.asarray(number[1], dtype=number[0]))
