"""Resume a run from its training checkpoint. Every entry of the file is checked before it is used."""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from typing import Any

import numpy as np

from dlarray.core.array import Array
from dlarray.core.check import finite, non_negative, real, whole
from dlarray.core.layout import Layout, Theta
from dlarray.device import Device, to_numpy
from dlarray.losses import Loss
from dlarray.model import MLP, on_device
from dlarray.training.batch_source import BatchSource
from dlarray.training.callback import Callback, Memory, Run
from dlarray.training.checkpoint import MAX_MESSAGE, CheckpointError, read_file
from dlarray.training.comparison import difference
from dlarray.training.configuration import serialize, serialize_model
from dlarray.training.data_names import DataNames
from dlarray.training.frames import is_frame
from dlarray.training.json_data import entries, items, string

__all__ = ["read_run", "resumed_names"]

ENTRIES = ("settings", "epoch", "steps", "seconds", "metrics", "optimizer", "scaling", "callbacks")
_OTHER_RUN = "{} is from a different run and cannot be resumed here"
MAX_STEPS = 2**31 - 1  # the counter of steps has 32 bits


def resumed_names(path: str | PathLike[str], names: DataNames, x: Any) -> DataNames:
    """The names of the examples, with the features of the run in the file if it has them.

    Raises ValueError if x is a frame without one of them; CheckpointError and OSError as ``read_run`` does.
    """
    features: tuple[str, ...] | None = read_file(path)[-1]["names"].features
    if features is None:
        return names
    columns = list(x.columns) if is_frame(x) else features
    if missing := [feature for feature in features if feature not in columns]:
        raise ValueError(
            f"{_OTHER_RUN.format(path)}: it was trained on the column {missing[0]!r}, and x has "
            f"{', '.join(map(str, columns))}"
        )
    return replace(names, features=features)


def read_run(path: str | PathLike[str], run: Run, source: BatchSource, callbacks: Sequence[Callback]) -> None:
    """Set a run, before its first step, to the state of the run in the file.

    Raises CheckpointError with the path and the entry if the file is not a training checkpoint; OSError with the path
    if it cannot be read; ValueError if model, loss or a setting differs from the file.
    """
    model, loss, dtype, arrays, config = read_file(path)
    if "run" not in config:
        raise CheckpointError(
            f"{path} holds a model and no run: start from its weights with theta=dlarray.load(…).theta"
        )
    with _checkpoint_errors(path):
        data = entries("the run", config["run"], *ENTRIES)
        other = _differences(run, entries("settings", data["settings"]), model, loss, dtype)
    if other:
        raise ValueError(f"{_OTHER_RUN.format(path)}: {'; '.join(other)}")
    with _checkpoint_errors(path):
        file = _RunArrays(run, arrays)
        _restore(file, data, source)
        for callback in callbacks:
            with _prefix_errors(f"the memory of {type(callback).__name__}"):
                callback.check_memory(run, run.memory(callback))


@contextmanager
def _checkpoint_errors(path: str | PathLike[str]) -> Generator[None]:
    """Errors inside mean that the file is invalid: raise CheckpointError with the path."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is not a training checkpoint: {str(error)[:MAX_MESSAGE]}") from error


@contextmanager
def _prefix_errors(what: str) -> Generator[None]:
    try:
        yield
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{what}: {error}") from error


def _differences(run: Run, then: dict[str, Any], model: MLP, loss: Loss, dtype: str) -> list[str]:
    """A message for each difference between this run and the file."""
    now = run.settings | {"model": serialize_model(run.model), "loss": serialize(run.loss), "dtype": run.dtype}
    now = json.loads(json.dumps(now))
    then = then | {"model": json.loads(json.dumps(serialize_model(model))), "loss": serialize(loss), "dtype": dtype}
    names = [name for name in sorted(now.keys() | then.keys()) if now.get(name) != then.get(name)]
    return [f"{name} {difference(then.get(name), now.get(name))}" for name in names]


def _restore(file: _RunArrays, data: dict[str, Any], source: BatchSource) -> None:
    run, device = file.run, file.run.device
    epoch, steps = (whole(name, data[name], most=MAX_STEPS) for name in ("epoch", "steps"))
    losses, weights, history = (file.numbers(f"run.{name}") for name in ("losses", "weights", "history"))
    if len(losses) + len(history) != steps or len(weights) != len(losses):
        raise ValueError(f"steps is {steps}, and it has the losses of {len(history)} steps and of {len(losses)} more")
    if not np.all(weights >= 0) or not np.all(np.isfinite(weights)):
        raise ValueError("run.weights must be finite, and at least 0")
    if source.steps is not None and (epoch * source.steps + len(losses) != steps or len(losses) > source.steps):
        raise ValueError(f"steps is {steps}, and not {epoch} epochs of {source.steps} steps and {len(losses)} more")
    rows = [entries("metrics", row) for row in items("metrics", data["metrics"])]
    if len(rows) != epoch:
        raise ValueError(f"epoch is {epoch}, and it has the metrics of {len(rows)} epochs")
    metrics = [{name: real(f"the metric {name!r}", value) for name, value in row.items()} for row in rows]
    seconds = non_negative("seconds", data["seconds"])

    run.replace(file.vectors("", run.model.layout), file.vectors("", run.model.buffer_layout))
    run.optimizer_state = _optimizer(file, entries("optimizer", data["optimizer"]), steps)
    run.update_state(steps=device.asarray(np.asarray(steps, dtype=np.int32)))
    fresh = run.state.get("scaling", {})
    scaling = entries("scaling", data["scaling"], *fresh)
    if fresh:
        run.update_state(
            scaling={name: _scalar(f"scaling.{name}", scaling[name], x, device, 0) for name, x in fresh.items()}
        )
    run.epoch, run.steps, run.seconds_before = epoch, steps, seconds
    for value, weight in zip(losses.tolist(), weights.tolist(), strict=True):
        run.losses.add(value, 1, weight)
    run.history.steps.extend(history.tolist())
    run.history.epochs.extend(metrics)
    run.resumed_memories = [_memory(file, i, item) for i, item in enumerate(items("callbacks", data["callbacks"]))]
    file.check_used()
    run.last_good = run.trained


class _RunArrays:
    """The arrays of a file. Each can be taken once."""

    def __init__(self, run: Run, arrays: dict[str, np.ndarray]) -> None:
        self.run = run
        self._arrays = dict(arrays)

    def numbers(self, name: str) -> np.ndarray:
        """A vector of float64."""
        x = self._take(name)
        if x.ndim != 1 or x.dtype != np.float64:
            raise ValueError(f"{name} must be a vector of float64, got {x.dtype} of the shape {x.shape}")
        return x

    def vectors(self, prefix: str, layout: Layout, dtype: str | None = None) -> Theta:
        """θ, or arrays in its layout, by default with its dtype."""
        dtype = dtype or self.run.dtype
        found = {name: self._take(f"{prefix}{name}") for name, _ in layout.shapes}
        for (name, shape), x in zip(layout.shapes, found.values(), strict=True):
            if (x.shape, x.dtype.name) != (shape, dtype):
                raise ValueError(f"{prefix}{name} must be {dtype} of the shape {shape}, got {x.dtype} of {x.shape}")
        return on_device(layout, found, self.run.device)

    def check_used(self) -> None:
        """Raise ValueError if the file has an array that was not taken."""
        if self._arrays:
            raise ValueError(f"it holds unknown arrays: {', '.join(sorted(self._arrays))[:200]}")

    def _take(self, name: str) -> np.ndarray:
        if name not in self._arrays:
            raise ValueError(f"it lacks the array {name}")
        return self._arrays.pop(name)


def _optimizer(file: _RunArrays, numbers: dict[str, Any], steps: int) -> Any:
    """The optimizer's state from the file: the entries of this run's state, and a scale of the rate if it was set."""
    states, device = file.run.state["optimizer"], file.run.device
    fresh: dict[str, Array] = dict(states[0]) if states else {}
    found: list[dict[str, Any]] = [{} for _ in states]
    for name, like in fresh.items():
        if like.ndim:
            dtype = to_numpy(like[:1]).dtype.name
            parts = file.vectors(f"run.optimizer.{name}.", file.run.model.layout, dtype)
            for state, part in zip(found, parts, strict=True):
                state[name] = part
            continue
        pair = entries("optimizer", numbers, name)[name]
        bounds = (0, steps) if name == "t" else (-math.inf, math.inf)
        for state, own in zip(found, states, strict=True):
            if name in own:
                state[name] = _scalar(f"optimizer.{name}", pair, like, device, *bounds)
    for name in numbers.keys() - fresh.keys():  # the scale exists only if the rate was changed
        if name != "scale":
            raise ValueError(f"optimizer.{name} is no number of {type(file.run.optimizer).__name__}")
        like = np.zeros((), dtype=file.run.dtype)
        for state in found:
            state[name] = _scalar("optimizer.scale", numbers[name], like, device, 0)
    if both := [name for name, like in fresh.items() if like.ndim and name in numbers]:
        raise ValueError(f"optimizer.{both[0]} must be an array")
    return tuple(found)


def _scalar(
    what: str, value: Any, like: Array, device: Device, least: float = -math.inf, most: float = math.inf
) -> Array:
    """A number that is written with its dtype, as a 0-d array of this run's dtype."""
    pair, dtype = items(what, value), to_numpy(like).dtype
    if len(pair) != 2 or pair[0] != dtype.name:
        raise ValueError(f"{what} must be [{dtype.name!r}, a number], got {str(value)[:80]}")
    info = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
    number = whole(what, pair[1], int(info.min)) if dtype.kind in "iu" else finite(what, pair[1])
    if not max(least, float(info.min)) <= number <= min(most, float(info.max)):
        raise ValueError(f"{what} is out of range, got {pair[1]!r}")
    return device.asarray(np.asarray(number, dtype=dtype))


def _memory(file: _RunArrays, i: int, item: Any) -> tuple[str, Memory]:
    """The name and the memory of a callback: data, and arrays in the layout of θ or of the buffers."""
    pair = items(f"callbacks[{i}]", item)
    if len(pair) != 2:
        raise ValueError(f"callbacks[{i}] must be a name and a memory, got {str(item)[:80]}")
    name, memory = string(f"callbacks[{i}]", pair[0]), entries(f"callbacks[{i}]", pair[1])
    layouts = {"theta": file.run.model.layout, "buffers": file.run.model.buffer_layout}
    found: Memory = {}
    for key, value in memory.items():
        if key.startswith("_"):
            raise ValueError(f"callbacks[{i}] has {key!r}, and names with an underscore are not written")
        if not isinstance(value, dict):
            found[key] = value
            continue
        kind = string(f"callbacks[{i}].{key}", entries(f"callbacks[{i}].{key}", value, "like")["like"])
        if kind not in layouts:
            raise ValueError(f"callbacks[{i}].{key} must be like theta or buffers, got {kind[:80]!r}")
        found[key] = file.vectors(f"run.callback{i}.{key}.", layouts[kind])
    return name, found
