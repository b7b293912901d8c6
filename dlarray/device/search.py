"""The search for devices: from a name to a device that works, and the table of all devices."""

from __future__ import annotations

import copyreg
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlarray.core.array import Array, use_namespace
from dlarray.core.bfloat16 import use_view
from dlarray.core.check import did_you_mean
from dlarray.core.special import use_erfc
from dlarray.device import backend as backends
from dlarray.device.backend import Backend
from dlarray.device.device import Device
from dlarray.device.errors import DeviceError

__all__ = ["DeviceStatus", "device_of", "devices", "find"]

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
_equipped: set[Backend] = set()


def find(name: str, source: str) -> Device:
    """The device of this name, tested once. Raises DeviceError; ``source`` says in its message who named the device."""
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"a device is given by its name, such as 'cpu' or 'jax', got {name!r}")
    if name == "auto":
        return _first_accelerator()
    if name not in _working:
        backend, local = _parse(name, source)
        try:
            _working[name] = _probe(backend, local)
        except Exception as error:
            raise DeviceError(_explain(source, backend, error)) from error
    return _working[name]


def _parse(name: str, source: str) -> tuple[Backend, str]:
    head, _, rest = name.partition(":")
    for backend in backends.importable():
        if head in backend.short_names:
            return backend, name
    try:
        return backends.get(head), rest
    except ValueError:
        words = [word for backend in backends.importable() for word in (*backend.short_names, backend.name)] + ["auto"]
        raise DeviceError(
            f"{source} names an unknown device{did_you_mean(head, words)}; a device is written [backend:]device, "
            f"known are {', '.join(dict.fromkeys(words))}"
        ) from None
    except Exception as error:
        raise DeviceError(f"{source} names a backend whose package cannot be imported: {_cause(error)}") from error


def device_of(x: Array) -> Device:
    """The device of an array. Raises TypeError for an array of an unknown library."""
    _equip(home := backends.of(x), x)  # this may be the first use of the backend
    return _device(home, home.device_of(x))


def devices() -> list[DeviceStatus]:
    """Every device of every backend, with a reason for each that cannot be used. It imports the libraries."""
    table: list[DeviceStatus] = []
    for name in backends.names():
        try:
            backend = backends.get(name)
        except Exception as error:  # a third-party package that cannot be imported
            table.append(DeviceStatus(name, name, False, "", _cause(error)))
            continue
        try:
            locals_ = backend.devices()
        except Exception as error:
            table.append(
                DeviceStatus((*backend.short_names, name)[0], name, False, "", _cause(error), _remedy(backend, error))
            )
            continue
        library = f"{name} {backend.version()}"
        for local in locals_:
            public = _public_name(backend, local)
            try:
                _probe(backend, local)
            except Exception as error:
                table.append(DeviceStatus(public, name, False, library, _cause(error), _remedy(backend, error)))
            else:
                table.append(DeviceStatus(public, name, True, library))
    return table


def _public_name(backend: Backend, local: str) -> str:
    """The full name of a device, from which it is found again: "cpu", "cuda:1", "jax:cpu", "torch:cuda:0"."""
    if local.partition(":")[0] in backend.short_names:
        return local.removesuffix(":0")
    return f"{backend.name}:{local}"


def _probe(backend: Backend, local: str) -> Device:
    """The device with this name in its backend, after the test of one small product on it.

    An import is not enough: CuPy can be imported without a driver and fails at the first allocation.
    """
    handle = backend.handle(local or backend.devices()[0])
    two = backend.asarray(np.full((1, 1), 2.0, dtype=np.float32), handle)
    with backend.entered(handle):
        result = float(backend.to_numpy(two @ two)[0, 0])
    if result != 4:
        raise ArithmeticError(f"2 times 2 is {result} on this device")
    _equip(backend, two)
    return _device(backend, backend.device_of(two))


def _equip(backend: Backend, x: Array) -> None:
    """Let formulas use the functions of a backend's library; x is an array of it. Once for each backend."""
    if backend in _equipped:
        return
    _equipped.add(backend)
    use_namespace(x, backend.namespace())
    for root in backend.array_modules:
        use_view(root, backend.view)
        if erfc := backend.erfc():
            use_erfc(root, erfc)


def _device(backend: Backend, local: str) -> Device:
    """The Device of a backend's device; always the same object, whatever name was used."""
    if (backend, local) not in _made:
        _made[backend, local] = Device(_public_name(backend, local), backend, backend.handle(local))
    return _made[backend, local]


def _first_accelerator() -> Device:
    if "auto" not in _working:
        ranked = [b for b in backends.importable() if b.auto_rank is not None]
        for backend in sorted(ranked, key=lambda b: b.auto_rank or 0):
            try:
                _working["auto"] = _probe(backend, next(d for d in backend.devices() if not d.startswith("cpu")))
                break
            except Exception as error:  # only auto skips a device that does not work, and logs it
                _logger.info("auto skipped %s: %s", backend.name, _cause(error))
        else:
            _working["auto"] = find("cpu", "auto")
        _logger.warning("device 'auto': chose %s", _working["auto"].name)
    return _working["auto"]


def _cause(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"the package {error.name} is not installed"
    if isinstance(error, StopIteration):
        return "it has no accelerator"
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _remedy(backend: Backend, error: BaseException) -> str:
    """How to install a missing package; else what the device needs."""
    if not isinstance(error, ImportError):
        return backend.device_hint
    return f'pip install "{backend.requirement}"' if backend.requirement else ""


def _explain(source: str, backend: Backend, error: Exception) -> str:
    usable = [status.name for status in devices() if status.usable]
    lines = [f"{source} names a device that cannot be used: {_cause(error)}"]
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
