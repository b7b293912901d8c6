"""The search for devices: from a name to a device that works, and the table of all devices."""

from __future__ import annotations

import copyreg
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlarray.core import libraries
from dlarray.core.array import Array
from dlarray.core.check import did_you_mean
from dlarray.device import backend as backends
from dlarray.device.backend import Backend
from dlarray.device.device import Device
from dlarray.device.errors import DeviceError

__all__ = ["DeviceStatus", "cause_of", "device_of", "devices", "find", "tested"]

_logger = logging.getLogger("dlarray")


@dataclass(frozen=True)
class DeviceStatus:
    """A row in the table of ``devices()``: whether a device can be used, and if not, the reason and a remedy."""

    name: str
    backend: str
    usable: bool
    library: str = ""
    reason: str = ""
    remedy: str = ""


_working: dict[str, Device] = {}
_made: dict[tuple[Backend, str], Device] = {}


def find(name: str, source: str) -> Device:
    """The device of this name, tested once. Raises DeviceError; ``source`` says in its message who named the device.

    A library's own object for a device, such as ``torch.device("cuda")``, is as good as its name.
    """
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        name = _name_of(name)
    if name == "auto":
        return _first_accelerator()
    try:
        return tested(name, source)
    except DeviceError:
        raise
    except Exception as error:
        raise DeviceError(_explain(source, _parse(name, source)[0], error)) from error


def tested(name: str, source: str) -> Device:
    """The same for a name only, without a search for what could be used instead: it raises the library's own error."""
    if name not in _working:
        _working[name] = _probe(*_parse(name, source))
    return _working[name]


def cause_of(error: BaseException) -> str:
    """An error of a library in one line."""
    if isinstance(error, ModuleNotFoundError):
        return f"the package {error.name} is not installed"
    if isinstance(error, StopIteration):
        return "it has no accelerator"
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _parse(name: str, source: str) -> tuple[Backend, str]:
    head, _, rest = name.partition(":")
    for backend in libraries.importable():
        if head in backend.short_names:
            return backend, name
    try:
        return libraries.get(head), rest
    except ValueError:
        words = [word for backend in libraries.importable() for word in (*backend.short_names, backend.name)] + ["auto"]
        raise DeviceError(
            f"{source} names an unknown device{did_you_mean(head, words)}; a device is written [backend:]device, "
            f"known are {', '.join(dict.fromkeys(words))}{_in_this_folder(head)}"
        ) from None
    except Exception as error:
        raise DeviceError(f"{source} names a backend whose package cannot be imported: {cause_of(error)}") from error


def _in_this_folder(name: str) -> str:
    """How to use a backend that lies in the current folder, where Python does not look; else an empty text."""
    module = Path(f"dlarray_{name}")
    if not module.is_dir() and not module.with_suffix(".py").is_file():
        return ""
    return (
        f"; {module} is in the current folder, where Python does not look for modules now: "
        "run `python -m dlarray` instead of `dlarray`, or add the folder to PYTHONPATH"
    )


def _name_of(handle: object) -> str:
    """The name of the device that is this object in its library. Raises TypeError for any other object."""
    root = type(handle).__module__.partition(".")[0]
    for backend in libraries.importable():
        if root in backend.array_modules:
            found = next((local for local in backend.devices() if backend.handle(local) == handle), str(handle))
            return _public_name(backend, found)
    raise TypeError(
        f"a device is given by its name, such as 'cpu' or 'jax', or as the object of its library, got {handle!r}"
    )


def device_of(x: Array) -> Device:
    """The device of an array. Raises TypeError for an array of an unknown library."""
    home = backends.of(x)
    return _device(home, home.device_of(x))


def devices() -> list[DeviceStatus]:
    """Every device of every backend, with a reason for each that cannot be used. It imports the libraries."""
    table: list[DeviceStatus] = []
    for name in libraries.names():
        try:
            backend = libraries.get(name)
        except Exception as error:  # a third-party package that cannot be imported
            table.append(DeviceStatus(name, name, False, "", cause_of(error)))
            continue
        try:
            locals_ = backend.devices()
            library = f"{name} {backend.version()}"
        except Exception as error:
            table.append(
                DeviceStatus((*backend.short_names, name)[0], name, False, "", cause_of(error), _remedy(backend, error))
            )
            continue
        for local in locals_:
            public = _public_name(backend, local)
            try:
                _probe(backend, local)
            except Exception as error:
                table.append(DeviceStatus(public, name, False, library, cause_of(error), _remedy(backend, error)))
            else:
                table.append(DeviceStatus(public, name, True, library))
    return table


def _public_name(backend: Backend, local: str) -> str:
    """The full name of a device, from which it is found again: "cpu", "cuda:1", "jax:cpu", "torch:cuda:0"."""
    if local.partition(":")[0] in backend.short_names:
        short = local.removesuffix(":0")
        return short if short == local or backend.handle(short) == backend.handle(local) else local
    return f"{backend.name}:{local}"


def _probe(backend: Backend, local: str) -> Device:
    """The device with this name in its backend, after the test of one small product on it.

    An import is not enough: CuPy can be imported without a driver and fails at the first allocation.
    """
    handle = backend.handle(local or backend.devices()[0])
    two = backend.asarray(np.full((1, 1), 2.0, dtype=np.float32), handle)
    if (owner := backends.of(two)) is not backend:  # formulas ask the array, and would compute by the other namespace
        raise TypeError(
            f"its asarray returns arrays of the backend {owner.name}, of type "
            f"{type(two).__module__}.{type(two).__qualname__}; expected a type of {' or '.join(backend.array_modules)}"
        )
    with backend.entered(handle):
        host = backend.to_numpy(two @ two)
    if np.shape(host) != (1, 1):
        raise TypeError(f"to_numpy of an array of shape (1, 1) returns {host!r}")
    result = float(host[0, 0])
    if result != 4:
        raise ArithmeticError(f"2 times 2 is {result} on this device")
    return _device(backend, backend.device_of(two))


def _device(backend: Backend, local: str) -> Device:
    """The Device of a backend's device; always the same object, whatever name was used."""
    if (backend, local) not in _made:
        _made[backend, local] = Device(_public_name(backend, local), backend, backend.handle(local))
    return _made[backend, local]


def _first_accelerator() -> Device:
    if "auto" not in _working:
        ranked = [b for b in libraries.importable() if b.auto_rank is not None]
        for backend in sorted(ranked, key=lambda b: b.auto_rank or 0):
            try:
                _working["auto"] = _probe(backend, next(d for d in backend.devices() if not d.startswith("cpu")))
                break
            except Exception as error:  # only auto skips a device that does not work, and logs it
                _logger.info("auto skipped %s: %s", backend.name, cause_of(error))
        else:
            _working["auto"] = find("cpu", "auto")
        _logger.warning("device 'auto': chose %s", _working["auto"].name)
    return _working["auto"]


def _remedy(backend: Backend, error: BaseException) -> str:
    """How to install a missing package; else what the device needs."""
    if not isinstance(error, ImportError):
        return backend.device_hint
    return f'pip install "{backend.requirement}"' if backend.requirement else ""


def _explain(source: str, backend: Backend, error: Exception) -> str:
    usable = [status.name for status in devices() if status.usable]
    lines = [f"{source} names a device that cannot be used: {cause_of(error)}"]
    if remedy := _remedy(backend, error):
        lines.append(f"  remedy: {remedy}")
    lines.append(f"  devices that work here: {', '.join(usable)}")
    return "\n".join(lines)


def _again(name: str) -> Device:
    return find(name, f"a copy of an object on {name}")


def _by_name(device: Device) -> Any:
    """A device is copied and pickled by its name, because the handle cannot be."""
    return _again, (device.name,)


copyreg.pickle(Device, _by_name)
