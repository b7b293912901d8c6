"""Training checkpoints: a run in a file, from which ``resumption`` takes it up again.

The file is a model's (``dlarray.load`` reads it) with more in it: the optimizer's state, the place in the epoch, the
history, and what the callbacks remember. Nothing random has a state: orders and masks depend on seed, epoch and step.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any, cast

import numpy as np

from dlarray.core.array import is_array
from dlarray.core.layout import Layout, Theta
from dlarray.device import to_numpy
from dlarray.training.callback import Memory, Run
from dlarray.training.checkpoint import write_file
from dlarray.training.json_data import to_json

__all__ = ["write_run"]

_Arrays = dict[str, np.ndarray]


def write_run(path: str | PathLike[str], run: Run) -> None:
    """Write all that a walk needs to go on, whole or not at all; ``fit(…, resume=path)`` takes it up.

    Raises OSError with the path where that fails, the old file untouched; TypeError for a model that holds a function,
    for an optimizer whose state is not like θ, and for a callback that remembers what cannot be written.
    """
    theta, buffers = run.state["theta"], run.state["buffers"]
    losses, weights = run.losses.read()
    beside: _Arrays = {
        "run.losses": np.asarray(losses, dtype=np.float64),
        "run.weights": np.asarray(weights, dtype=np.float64),
    }
    whole = run.steps - run.batch_index  # where an epoch was broken off, its row is written anew when it has ended
    beside["run.history"] = np.asarray(run.history.steps[:whole], dtype=np.float64)
    data = {
        "settings": run.settings,
        "epoch": run.epoch,
        "steps": run.steps,
        "seconds": run.seconds,
        "metrics": run.history.epochs[: run.epoch],
        "optimizer": _pack_optimizer(run, beside),
        "scaling": {name: _number(x) for name, x in run.state.get("scaling", {}).items()},
        "callbacks": [[name, _pack_memory(i, m, run, beside)] for i, (name, m) in enumerate(run.memories)],
    }
    write_file(path, run.model, theta, buffers, run.loss, run.dtype, {"run": data}, beside)


def _pack_optimizer(run: Run, beside: _Arrays) -> dict[str, Any]:
    """The numbers of an optimizer's state; what is like θ goes to the arrays."""
    states = run.state["optimizer"]
    numbers: dict[str, Any] = {}
    for name in states[0] if states else ():
        parts = tuple(state[name] for state in states if name in state)
        if parts[0].ndim == 0:  # the first state's counts for all: t stands in no other
            numbers[name] = _number(parts[0])
        elif not _pack_vectors(f"run.optimizer.{name}.", parts, run.model.layout_of(run.state["theta"]), beside):
            raise TypeError(f"the optimizer's {name!r} is neither a number nor like θ, and cannot be written")
    return numbers


def _pack_memory(i: int, memory: Memory, run: Run, beside: _Arrays) -> dict[str, Any]:
    packed: dict[str, Any] = {}
    for name, value in memory.items():
        if name.startswith("_"):
            continue
        if isinstance(value, tuple):
            vectors = cast("Theta", value)
            layouts = {"theta": run.model.layout_of(run.state["theta"]), "buffers": _buffer_layout(run)}
            kind = next(
                (k for k, own in layouts.items() if _pack_vectors(f"run.callback{i}.{name}.", vectors, own, beside)), ""
            )
            if not kind:
                raise TypeError(f"a callback remembers {name!r}, a tuple that is neither like θ nor like the buffers")
            packed[name] = {"like": kind}
        else:
            packed[name] = _to_json(name, value)
    return packed


def _to_json(name: str, value: Any) -> Any:
    try:
        return to_json(name, value) if not isinstance(value, Mapping) else _refuse(name, value)
    except TypeError:
        return _refuse(name, value)


def _refuse(name: str, value: Any) -> Any:
    raise TypeError(
        f"a callback remembers {name!r}, which a checkpoint cannot hold: numbers, words, lists and θ can be written, "
        f"got {type(value).__name__}; a name that begins with an underscore is left out"
    )


def _buffer_layout(run: Run) -> Layout:
    layout = run.model.buffer_layout
    return layout if run.device.backend.writes_in_place else layout.split_up()


def _pack_vectors(prefix: str, vectors: Theta, layout: Layout, beside: _Arrays) -> bool:
    """Add the arrays in vectors of this layout; False where they are of another one."""
    if not all(is_array(v) for v in vectors) or [tuple(v.shape) for v in vectors] != [(n,) for n in layout.lengths]:
        return False
    beside |= {f"{prefix}{name}": to_numpy(x) for name, x in layout.split(vectors).items()}
    return True


def _number(x: Any) -> list[Any]:
    host = to_numpy(x)
    return [host.dtype.name, host.item()]
