"""Training checkpoints: a run in a file, which ``read_run`` resumes.

The file is a model file (``dlarray.load`` reads it) with the optimizer's state, the position in the epoch, the history
and the memories of the callbacks. Random numbers need no state: orders and masks depend on seed, epoch and step.
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
    """Write everything that ``fit(…, resume=path)`` needs to resume the run, completely or not at all.

    Raises OSError with the path if that fails, and the old file is unchanged; TypeError for a model that contains a
    function, for an optimizer whose state does not have the layout of θ, and for memories that cannot be written.
    With several ranks all call it, because each may have a piece of the optimizer's state, and rank 0 writes.
    """
    optimizer = run.optimizer_state
    if not run.writes:
        return
    theta, buffers = run.state["theta"], run.state["buffers"]
    losses, weights = run.losses.read()
    arrays: _Arrays = {
        "run.losses": np.asarray(losses, dtype=np.float64),
        "run.weights": np.asarray(weights, dtype=np.float64),
    }
    whole = run.steps - run.batch_index  # the row of an incomplete epoch is written when the epoch has ended
    arrays["run.history"] = np.asarray(run.history.steps[:whole], dtype=np.float64)
    data = {
        "settings": run.settings,
        "epoch": run.epoch,
        "steps": run.steps,
        "seconds": run.seconds,
        "metrics": run.history.epochs[: run.epoch],
        "optimizer": _pack_optimizer(run, optimizer, arrays),
        "scaling": {name: _number(x) for name, x in run.state.get("scaling", {}).items()},
        "callbacks": [[name, _pack_memory(i, m, run, arrays)] for i, (name, m) in enumerate(run.memories)],
    }
    write_file(path, run.model, theta, buffers, run.loss, run.dtype, {"run": data} | run.data_names.to_data(), arrays)


def _pack_optimizer(run: Run, states: Any, arrays: _Arrays) -> dict[str, Any]:
    """The numbers of an optimizer's state. Arrays in the layout of θ are added to ``arrays``."""
    numbers: dict[str, Any] = {}
    for name in states[0] if states else ():
        parts = tuple(state[name] for state in states if name in state)
        if parts[0].ndim == 0:  # only the first state has t
            numbers[name] = _number(parts[0])
        elif not _pack_vectors(f"run.optimizer.{name}.", parts, run.model.layout_of(run.state["theta"]), arrays):
            raise TypeError(
                f"the optimizer's {name!r} is neither a number nor in the layout of θ, and cannot be written"
            )
    return numbers


def _pack_memory(i: int, memory: Memory, run: Run, arrays: _Arrays) -> dict[str, Any]:
    packed: dict[str, Any] = {}
    for name, value in memory.items():
        if name.startswith("_"):
            continue
        if isinstance(value, tuple):
            vectors = cast("Theta", value)
            layouts = {"theta": run.model.layout_of(run.state["theta"]), "buffers": _buffer_layout(run)}
            kind = next(
                (k for k, own in layouts.items() if _pack_vectors(f"run.callback{i}.{name}.", vectors, own, arrays)), ""
            )
            if not kind:
                raise TypeError(
                    f"the memory of a callback has {name!r}, a tuple in the layout neither of θ nor of the buffers"
                )
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
        f"the memory of a callback has {name!r}, which a checkpoint cannot hold: numbers, strings, lists and θ can be "
        f"written, got {type(value).__name__}; names that begin with an underscore are left out"
    )


def _buffer_layout(run: Run) -> Layout:
    layout = run.model.buffer_layout
    return layout if run.device.backend.writes_in_place else layout.split_up()


def _pack_vectors(prefix: str, vectors: Theta, layout: Layout, arrays: _Arrays) -> bool:
    """Add the arrays of these vectors; False if they do not have this layout."""
    if not all(is_array(v) for v in vectors) or [tuple(v.shape) for v in vectors] != [(n,) for n in layout.lengths]:
        return False
    arrays |= {f"{prefix}{name}": to_numpy(x) for name, x in layout.split(vectors).items()}
    return True


def _number(x: Any) -> list[Any]:
    host = to_numpy(x)
    return [host.dtype.name, host.item()]
