"""Configuration as data: layers, losses and initializers as JSON, and back through a closed set of names.

A file names classes by their spelled names alone, and only classes that exist in the program can be named: no import
path, no callable, nothing to execute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any, cast

from dlarray import activations as _activations
from dlarray import normalization as _normalization
from dlarray.initializers import Initializer
from dlarray.layer import Layer
from dlarray.losses import Loss
from dlarray.model import MLP
from dlarray.names import classes, spelling

__all__ = ["describe", "describe_model", "restore", "restore_model"]

KINDS: dict[str, type[Any]] = {"layer": Layer, "loss": Loss, "initializer": Initializer}
_known_by_being_imported = (_activations, _normalization)


def describe(value: Any) -> Any:
    """A configuration as JSON-ready data. Raises TypeError for what cannot be written as data, such as a function."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)):
        return [describe(item) for item in cast("Sequence[Any]", value)]
    for kind, base in KINDS.items():
        if isinstance(value, base) and is_dataclass(value) and _found_by_name(base, type(value)):
            own = {f.name: describe(getattr(value, f.name)) for f in fields(value) if f.init}
            return {"kind": kind, "name": spelling(type(value)), "fields": own}
    raise TypeError(f"a file holds data and names of public classes only: {value!r} cannot be written")


def _found_by_name(kind: type[Any], cls: type[Any]) -> bool:
    """Whether ``restore`` will find this class by its name: it is public, and no other is spelled the same.

    A class that was defined again, as in a notebook's cell, counts as the same.
    """
    found = classes(kind).get(spelling(cls))
    return found is not None and (found.__module__, found.__qualname__) == (cls.__module__, cls.__qualname__)


def restore(data: Any) -> Any:
    """The configuration that ``describe`` wrote. Raises ValueError or TypeError for anything else."""
    if data is None or isinstance(data, (bool, int, float, str)):
        return data
    if isinstance(data, list):
        return tuple(restore(item) for item in cast("list[Any]", data))
    entry = _entries(data, {"kind", "name", "fields"})
    kind, name = entry["kind"], entry["name"]
    own = _entries(entry["fields"])
    if kind not in KINDS:
        raise ValueError(f"not a configuration: {str(entry)[:200]}")
    known = classes(KINDS[kind])
    if name not in known:
        raise ValueError(f"unknown {kind} {name!r}; a class of one's own must be defined before the file is read")
    return known[name](**{key: restore(item) for key, item in own.items()})


def describe_model(model: MLP) -> dict[str, Any]:
    """A model as JSON-ready data."""
    return {"inputs": model.inputs, "layers": describe(model.layers)}


def restore_model(data: Any) -> MLP:
    """The model that ``describe_model`` wrote."""
    entry = _entries(data, {"inputs", "layers"})
    return MLP(entry["inputs"], restore(entry["layers"]))


def _entries(data: Any, names: set[str] | None = None) -> dict[str, Any]:
    """Data that must be an object, with exactly these names where they are given."""
    if not isinstance(data, dict):
        raise ValueError(f"not a configuration: {str(data)[:200]}")
    entries = cast("dict[str, Any]", data)
    if names is not None and entries.keys() != names:
        raise ValueError(f"not a configuration: {str(entries)[:200]}")
    return entries
