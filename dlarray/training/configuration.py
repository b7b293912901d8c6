"""Configurations as data: layers, losses and initializers as JSON, and back.

A file names a class by its short name and its module, "dlarray" for all classes of the library. Only classes that the
program has already defined are found: nothing is imported and nothing is executed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any, cast

from dlarray import activations as _activations
from dlarray import layers as _layers
from dlarray.core.layer import Layer
from dlarray.core.registry import LIBRARY, full_name, origin, same_name, spelling
from dlarray.initializers import Initializer
from dlarray.losses import Loss
from dlarray.model import MLP

__all__ = ["deserialize", "deserialize_model", "serialize", "serialize_model"]

KINDS: dict[str, type[Any]] = {"layer": Layer, "loss": Loss, "initializer": Initializer}
PROGRAM = ("__main__", "__mp_main__")
"""The modules of classes that are defined in a script or a notebook."""
_known_by_being_imported = (_activations, _layers)


def serialize(value: Any) -> Any:
    """A configuration as data for JSON. Raises TypeError for values that are not data, such as functions."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)):
        return [serialize(item) for item in cast("Sequence[Any]", value)]
    for kind, base in KINDS.items():
        if isinstance(value, base) and is_dataclass(value) and _found_by_name(base, type(value)):
            own = {f.name: serialize(getattr(value, f.name)) for f in fields(value) if f.init}
            cls = type(value)
            return {"kind": kind, "name": spelling(cls), "module": origin(cls), "fields": own}
    raise TypeError(f"a file can hold only data and names of public classes: {value!r} cannot be written")


def _found_by_name(kind: type[Any], cls: type[Any]) -> bool:
    """Whether ``deserialize`` will find this class: it is public, and its module has no other class of this name.

    A class that is defined again, as in a notebook's cell, counts as the same class.
    """
    found = [c for c in same_name(kind, spelling(cls)) if origin(c) == origin(cls)]
    return [full_name(c) for c in found] == [full_name(cls)]


def deserialize(data: Any) -> Any:
    """The configuration that ``serialize`` wrote. Raises ValueError or TypeError for anything else."""
    if data is None or isinstance(data, (bool, int, float, str)):
        return data
    if isinstance(data, list):
        return tuple(deserialize(item) for item in cast("list[Any]", data))
    entry: dict[str, Any] = {"module": None} | _entries(data)  # older files have no module
    if entry.keys() != {"kind", "name", "module", "fields"} or entry["kind"] not in KINDS:
        raise ValueError(f"not a configuration: {str(data)[:200]}")
    cls = _class(entry["kind"], entry["name"], entry["module"])
    return cls(**{key: deserialize(item) for key, item in _entries(entry["fields"]).items()})


def _class(kind: str, name: Any, module: Any) -> type[Any]:
    """The class that a file names. Raises ValueError if there is none or more than one."""
    known = same_name(KINDS[kind], name)
    if module is None:
        found = known
    else:
        found = [c for c in known if origin(c) == module]
        if not found and module in PROGRAM:  # a script's class may have moved to a module since
            found = [c for c in known if origin(c) != LIBRARY]
        elif not found and module != LIBRARY:
            found = [c for c in known if origin(c) in PROGRAM]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"the {kind} {name!r} could be any of {', '.join(map(full_name, found))}")
    where = "" if module in (None, LIBRARY) else f" of the module {module!r}"
    others = ", ".join(map(full_name, known))
    hint = f"; there is {others}: if that is the same class, set its __module__ to {module!r}" if others else ""
    raise ValueError(f"unknown {kind} {name!r}{where}; define a custom class before the file is read{hint}")


def serialize_model(model: MLP) -> dict[str, Any]:
    """A model as data for JSON."""
    return {"inputs": model.inputs, "layers": serialize(model.layers)}


def deserialize_model(data: Any) -> MLP:
    """The model that ``serialize_model`` wrote."""
    entry = _entries(data, {"inputs", "layers"})
    return MLP(entry["inputs"], deserialize(entry["layers"]))


def _entries(data: Any, names: set[str] | None = None) -> dict[str, Any]:
    """Check that data is an object, with exactly these names if they are given."""
    if not isinstance(data, dict):
        raise ValueError(f"not a configuration: {str(data)[:200]}")
    entries = cast("dict[str, Any]", data)
    if names is not None and entries.keys() != names:
        raise ValueError(f"not a configuration: {str(entries)[:200]}")
    return entries
