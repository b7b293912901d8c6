"""Array libraries: how their backends are found, and which one an array belongs to.

A backend is a package that is listed in the entry-point group ``dlarray.backends`` and has an instance of
``dlarray.backend.Backend`` named ``backend``. It is imported when it is first needed, and it imports its library when
it is used. An array belongs to the backend that names the first part of the module of its type.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, entry_points, packages_distributions, version
from typing import Any, ClassVar, Protocol

from dlarray.core.check import did_you_mean

__all__ = ["Library", "forget_types", "get", "importable", "library_of", "names", "root_module", "version_of"]

GROUP = "dlarray.backends"
_logger = logging.getLogger("dlarray")


class Library(Protocol):
    """What formulas ask a backend; ``dlarray.backend.Backend`` describes the members."""

    name: ClassVar[str]
    array_modules: ClassVar[tuple[str, ...]]
    standard: ClassVar[bool]
    int32_wraps: ClassVar[bool]
    bit_operations: ClassVar[bool]

    def namespace(self) -> Any:
        """The array-API namespace."""
        ...

    def device_of(self, x: Any) -> str:
        """The name of an array's device."""
        ...

    def handle(self, device: str) -> Any:
        """The library's own object for a device."""
        ...

    def to_numpy(self, x: Any) -> Any:
        """The numbers of an array on the host."""
        ...

    def erfc(self) -> Callable[[Any], Any] | None:
        """The library's complementary error function."""
        ...

    def view(self, x: Any, dtype: str) -> Any:
        """The bits of an array as another dtype."""
        ...


_loaded: dict[str, Any] = {}
_broken: set[str] = set()
_library_of: dict[type[Any], Library | None] = {}
NAMESPACES: dict[type[Any], Any] = {}
"""The namespaces that ``array_namespace`` has found, by the type of the array: an eager step asks for dozens."""


@cache
def _announced() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group=GROUP)}


def names() -> list[str]:
    """The names of the backends that are installed or have been used, in alphabetical order."""
    return sorted({*_announced(), *_loaded})


def get(name: str) -> Any:
    """The backend of this name. Raises ValueError if there is none.

    Entry points are written when a package is installed. A backend without one is found by the name of its package,
    ``dlarray_<name>``.
    """
    if name not in _loaded:
        module = _announced().get(name, f"dlarray_{name}")
        try:
            _loaded[name] = import_module(module).backend
        except ModuleNotFoundError as error:
            if error.name != module.partition(".")[0]:
                raise
            known = names()
            raise ValueError(
                f"unknown backend {name!r}{did_you_mean(name, known)}; known are {', '.join(known)}"
            ) from None
        if name not in _announced():  # arrays of its library may have been seen before
            forget_types()
    return _loaded[name]


def forget_types() -> None:
    """Look each type of array up again: a backend has been added or removed."""
    _library_of.clear()
    NAMESPACES.clear()


def importable() -> list[Any]:
    """Every backend whose package can be imported; a warning is logged for each of the others, once."""
    for name in names():
        if name not in _loaded and name not in _broken:
            try:
                get(name)
            except Exception as error:
                _broken.add(name)
                _logger.warning("the backend %r cannot be imported: %s: %s", name, type(error).__name__, error)
    return [_loaded[name] for name in names() if name in _loaded]


def library_of(x: object) -> Library | None:
    """The backend of an array, found by its type; None if no backend names its library.

    If several name it, the one with the name of the library has it, else the first in alphabetical order.
    """
    kind = type(x)
    try:
        return _library_of[kind]
    except KeyError:
        root = root_module(x)
        able = {backend.name: backend for backend in importable() if root in backend.array_modules}
        found = _library_of[kind] = able.get(root, next(iter(able.values()), None))
        return found


def root_module(x: object) -> str:
    """The first part of the module of the type of ``x``, such as "numpy": the name of its library."""
    return type(x).__module__.partition(".")[0]


@cache
def version_of(module: str) -> str | None:
    """The version of the installed package that has this module, as paddlepaddle has "paddle"; None without one."""
    try:
        return version(module)
    except PackageNotFoundError:  # the package has another name: read what each has installed
        found = packages_distributions().get(module)
        return version(found[0]) if found else None
