"""``load``: a trained model from a file."""

from __future__ import annotations

from os import PathLike
from typing import Any

from dlarray.device import Device
from dlarray.training.checkpoint import read_model
from dlarray.training.trained import Trained

__all__ = ["load", "load_with_notes"]


def load(path: str | PathLike[str], device: str | Device | None = None) -> Trained:
    """Read a model that ``Trained.save`` wrote onto a device; by default the current device.

    Raises CheckpointError if the file is not a complete model of this library (truncated, changed, of a newer version,
    with an unknown layer, or of another program); OSError with the path if it cannot be read; DeviceError; ValueError
    if the device lacks the dtype.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import dlarray
    >>> x = np.asarray([[0.0], [1.0], [2.0]])
    >>> trained = dlarray.fit(dlarray.mlp(1, 4, 1), x, 2 * x, batch_size=3, progress=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "model.safetensors"
    ...     trained.save(path)
    ...     again = dlarray.load(path)
    >>> bool(np.array_equal(again.predict(x), trained.predict(x)))
    True
    """
    return load_with_notes(path, device)[0]


def load_with_notes(path: str | PathLike[str], device: str | Device | None = None) -> tuple[Trained, dict[str, Any]]:
    """The model and the notes that were saved with it. Raises as ``load`` does."""
    model, theta, buffers, loss, target, dtype, history, names, notes = read_model(path, device)
    return Trained(model, theta, buffers, loss, target, dtype, history, names.features, names.classes), notes
