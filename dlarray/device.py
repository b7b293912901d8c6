"""Where new arrays go: argument > ``use_device`` > ``set_device`` > the variable DLARRAY_DEVICE > cpu.

A device is written ``[backend:]device``: "cpu" is NumPy, "cuda" and "cuda:1" are CuPy, and "torch", "torch:cuda:0",
"jax", "strict" name the library. "auto" is the first accelerator that works, else cpu. The variable is read when it is
needed, never at import.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlarray import backend as backends
from dlarray.array import Array, is_array, refuse_masked, use_namespace
from dlarray.backend import Backend
from dlarray.bfloat16 import use_view
from dlarray.check import did_you_mean
from dlarray.shortage import refuse_for_memory
from dlarray.special import use_erfc

__all__ = [
    "Device",
    "DeviceError",
    "DeviceStatus",
    "asarray",
    "current_device",
    "device_of",
    "devices",
    "resolve",
    "set_device",
    "to_device",
    "to_numbers",
    "to_numpy",
    "use_device",
]

_VARIABLE = "DLARRAY_DEVICE"
_logger = logging.getLogger("dlarray")


class DeviceError(RuntimeError):
    """A device that was asked for and cannot be had."""


@dataclass(frozen=True)
class Device:
    """A device that has been found to work: its name, its backend and the library's own object for it."""

    name: str
    backend: Backend
    place: Any

    def asarray(self, values: Any, dtype: str | None = None) -> Array:
        """A new array on this device from a host array or nested sequences: one transfer.

        Raises OutOfMemory, and TypeError for a masked array.
        """
        refuse_masked("what goes to a device", values)
        try:
            host = np.asarray(values, dtype=dtype, order="C")
            return self.backend.asarray(host.astype(host.dtype.newbyteorder("="), copy=False), self.place)
        except Exception as error:
            self.refuse_for_memory(error, "for an array")
            raise

    @contextmanager
    def working(self, purpose: str, remedy: str = "") -> Generator[None]:
        """A ``with`` block of work on the device, in the arrays' own types whatever the caller has switched on.

        In it the library's own error for want of memory becomes an OutOfMemory.
        """
        try:
            with self.backend.own_types(self.place):
                yield
        except Exception as error:
            self.refuse_for_memory(error, purpose, remedy)
            raise

    def refuse_for_memory(self, error: Exception, purpose: str, remedy: str = "") -> None:
        """``dlarray.shortage``'s: raise OutOfMemory where this error of the library's means that."""
        refuse_for_memory(error, self.name, self.backend, self.place, purpose, remedy)

    def __reduce__(self) -> Any:
        """Copied, and passed to another process, by its name: the library's own object for it stays where it is."""
        return _again, (self.name,)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class DeviceStatus:
    """A device in the table of ``devices()``: whether it can be used, and if not, why and what would help."""

    name: str
    backend: str
    usable: bool
    library: str = ""
    reason: str = ""
    remedy: str = ""


_in_context: ContextVar[str | None] = ContextVar("dlarray_device", default=None)
_in_process: str | None = None
_working: dict[str, Device] = {}
_made: dict[tuple[Backend, str], Device] = {}
_equipped: set[Backend] = set()


def set_device(name: str | None) -> None:
    """Choose the device of new arrays for the whole process, every thread of it; None takes the choice back.

    Raises DeviceError, the choice unchanged, where the device cannot be used.
    """
    global _in_process
    if name is not None:
        _find(name, f"set_device({name!r})")
    _in_process = name


@contextmanager
def use_device(name: str) -> Generator[Device]:
    """Choose the device of new arrays within a ``with`` block.

    It holds for the thread or task that entered it and for no other: a context variable, above ``set_device``.
    A thread started inside begins with the process's choice (``contextvars.copy_context`` carries it over).

    Examples
    --------
    >>> import dlarray
    >>> with dlarray.use_device("cpu") as device:
    ...     x = dlarray.asarray([1.0, 2.0])
    >>> print(device, type(x).__name__, dlarray.device_of(x))
    cpu ndarray cpu
    """
    found = _find(name, f"use_device({name!r})")
    token = _in_context.set(name)
    try:
        yield found
    finally:
        _in_context.reset(token)


def current_device() -> Device:
    """The device on which new arrays would be made now. Raises DeviceError, naming who asked for it."""
    return resolve(None)


def resolve(device: str | Device | None) -> Device:
    """A device from an argument: itself, the one it names, or the current one where it is None."""
    if isinstance(device, Device):
        return device
    if device is not None:
        return _find(device, f"device={device!r}")
    if (name := _in_context.get()) is not None:
        return _find(name, f"use_device({name!r})")
    if _in_process is not None:
        return _find(_in_process, f"set_device({_in_process!r})")
    if name := os.environ.get(_VARIABLE):
        return _find(name, f"the environment variable {_VARIABLE}={name!r}")
    return _find("cpu", "the default")


def asarray(values: Any, device: str | Device | None = None, dtype: str | None = None) -> Array:
    """A new array on a device from host numbers: anything that ``numpy.asarray`` takes. One explicit transfer."""
    return resolve(device).asarray(values, dtype)


def to_device(x: Array, device: str | Device | None = None) -> Array:
    """An array on another device, of another library if need be; the same array where it lies there already."""
    target = resolve(device)
    if not is_array(x):
        raise TypeError(f"to_device moves arrays, got {type(x).__name__}; dlarray.asarray makes one from other values")
    home = backends.of(x)
    return home.move(x, target.place) if home is target.backend else target.asarray(home.to_numpy(x))


def to_numpy(x: Array) -> np.ndarray:
    """The numbers of any array as a NumPy array on the host: the one way out, always written out."""
    return backends.of(x).to_numpy(x)


def to_numbers(values: Sequence[Any]) -> list[float]:
    """Arrays without axes, or plain numbers among them, as Python's numbers: what lies on a device in one transfer."""
    foreign = [i for i, x in enumerate(values) if not isinstance(x, (float, np.ndarray, np.generic))]
    read = list(values)
    if foreign:
        home = backends.of(values[foreign[0]])
        for i, x in zip(foreign, home.gather([values[i] for i in foreign]).tolist(), strict=True):
            read[i] = x
    return list(map(float, read))


def device_of(x: Array) -> Device:
    """The device on which an array lies."""
    _equip(home := backends.of(x), x)  # nobody may have asked for a device yet
    return _device(home, home.device_of(x))


def devices() -> list[DeviceStatus]:
    """Every device of every backend, with the reason beside each that cannot be used. Imports their libraries."""
    table: list[DeviceStatus] = []
    for name in backends.names():
        try:
            backend = backends.get(name)
        except Exception as error:  # a stranger's package that does not import
            table.append(DeviceStatus(name, name, False, "", _cause(error)))
            continue
        try:
            locals_ = backend.devices()
        except Exception as error:
            table.append(
                DeviceStatus((*backend.plain, name)[0], name, False, "", _cause(error), _remedy(backend, error))
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
    """The name that leads back to a backend's device, one for each: "cpu", "cuda:1", "jax:cpu", "torch:cuda:0"."""
    if local.partition(":")[0] in backend.plain:
        return local.removesuffix(":0")
    return f"{backend.name}:{local}"


def _find(name: str, asker: str) -> Device:
    """The working device of this name, probed once. Raises DeviceError, which names the asker."""
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"a device is named by a string such as 'cpu' or 'jax', got {name!r}")
    if name == "auto":
        return _first_accelerator()
    if name not in _working:
        backend, local = _parse(name, asker)
        try:
            _working[name] = _probe(backend, local)
        except Exception as error:
            raise DeviceError(_explain(name, asker, backend, error)) from error
    return _working[name]


def _parse(name: str, asker: str) -> tuple[Backend, str]:
    head, _, rest = name.partition(":")
    for backend in backends.importable():
        if head in backend.plain:
            return backend, name
    try:
        return backends.get(head), rest
    except ValueError:
        words = [word for backend in backends.importable() for word in (*backend.plain, backend.name)] + ["auto"]
        raise DeviceError(
            f"{asker} asks for an unknown device{did_you_mean(head, words)}; a device is written [backend:]device, "
            f"and known are {', '.join(dict.fromkeys(words))}"
        ) from None
    except Exception as error:
        raise DeviceError(f"{asker} asks for a backend whose own package fails: {_cause(error)}") from error


def _probe(backend: Backend, local: str) -> Device:
    """The device that a backend calls so, by its proper name, after one small product has been computed on it.

    Importing a library proves nothing: CuPy imports without a driver and fails at the first allocation.
    """
    place = backend.place(local or backend.devices()[0])
    two = backend.asarray(np.full((1, 1), 2.0, dtype=np.float32), place)
    if (result := float(backend.to_numpy(two @ two)[0, 0])) != 4:
        raise ArithmeticError(f"2 times 2 came out as {result} on this device")
    _equip(backend, two)
    return _device(backend, backend.device_of(two))


def _equip(backend: Backend, x: Array) -> None:
    """Let formulas use what a backend names of its library's own, of which x is an array."""
    if backend in _equipped:
        return
    _equipped.add(backend)
    use_namespace(x, backend.namespace())
    for root in backend.arrays:
        use_view(root, backend.view)
        if erfc := backend.erfc():
            use_erfc(root, erfc)


def _device(backend: Backend, local: str) -> Device:
    """The one Device of a backend's device, however it is asked for."""
    if (backend, local) not in _made:
        _made[backend, local] = Device(_public_name(backend, local), backend, backend.place(local))
    return _made[backend, local]


def _again(name: str) -> Device:
    return _find(name, f"a copy of something on {name}")


def _first_accelerator() -> Device:
    if "auto" not in _working:
        ranked = [b for b in backends.importable() if b.rank is not None]
        for backend in sorted(ranked, key=lambda b: b.rank or 0):
            try:
                _working["auto"] = _probe(backend, next(d for d in backend.devices() if not d.startswith("cpu")))
                break
            except Exception as error:  # only auto may pass over a device that does not work, and it says so
                _logger.info("auto passed over %s: %s", backend.name, _cause(error))
        else:
            _working["auto"] = _find("cpu", "auto")
        _logger.warning("device 'auto': %s was chosen", _working["auto"].name)
    return _working["auto"]


def _cause(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"the package {error.name} is not installed"
    if isinstance(error, StopIteration):
        return "it has no accelerator"
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _remedy(backend: Backend, error: BaseException) -> str:
    """The package where it is missing; where it is there and its device is not, what the device needs."""
    if not isinstance(error, ImportError):
        return backend.needs
    return f'pip install "{backend.requires}"' if backend.requires else ""


def _explain(name: str, asker: str, backend: Backend, error: Exception) -> str:
    usable = [status.name for status in devices() if status.usable]
    lines = [f"{asker} asks for a device that cannot be used: {_cause(error)}"]
    if remedy := _remedy(backend, error):
        lines.append(f"  remedy: {remedy}")
    lines.append(f"  devices that work here: {', '.join(usable)}")
    return "\n".join(lines)
