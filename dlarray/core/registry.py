"""Classes by name. They are found as subclasses of a base class, so a new class is not registered anywhere.

A name of the library always means the class of the library. A third-party class with the same name is given as an
object; a file tells them apart by the origin of the class.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from importlib import import_module
from typing import Any, TypeVar

from dlarray.core.check import did_you_mean

__all__ = ["LIBRARY", "by_name", "classes", "full_name", "make", "origin", "same_name", "spelling"]

Kind = TypeVar("Kind")
LIBRARY = "dlarray"


def classes(kind: type[Kind]) -> dict[str, type[Kind]]:
    """Every public subclass of ``kind`` by its spelling, in the order of definition.

    A class is public if its name does not begin with an underscore and its own body does not set ``abstract = True``.
    Of several classes with one spelling it is that of the library, or else the last.
    """
    found: dict[str, type[Kind]] = {}
    for c in _public(kind):
        if spelling(c) not in found or origin(found[spelling(c)]) != LIBRARY:
            found[spelling(c)] = c
    return found


def spelling(cls: type) -> str:
    """The name of a class in words: "he_normal" for ``HeNormal``, or its attribute ``spelling`` if it has one."""
    own: str | None = vars(cls).get("spelling")
    return own or re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()


def by_name(kind: type[Kind], name: str) -> Callable[..., Kind]:
    """The subclass of ``kind`` with this name; case, hyphens, spaces and underscores are ignored.

    A class can have other names: ``aliases = ("silu",)``. The class of the library has priority. Raises ValueError for
    an unknown name, with the closest one, and for a name of several third-party classes, with their full names.
    """
    if (known := _own.get((kind, name))) is not None:
        return known
    found = _named(kind, name)
    if not any(origin(c) == LIBRARY for c in found):  # it may not be imported yet
        _import_all()
        found = _named(kind, name)
    if not found:
        words = list(classes(kind))
        known = ", ".join(sorted(words))
        needs = [c for c in _subclasses(kind) if _plain(spelling(c)) == _plain(name) and _needs_arguments(c)]
        if needs:
            raise ValueError(f"{needs[0].__name__} needs arguments: give an object instead of the name {name!r}")
        raise ValueError(f"unknown {spelling(kind)} {name!r}{did_you_mean(name, words)}; known are {known}")
    if len(found) > 1:
        several = ", ".join(map(full_name, found))
        raise ValueError(f"the {spelling(kind)} {name!r} could be any of {several}: give an object instead of a name")
    if origin(found[0]) == LIBRARY:
        _own[kind, name] = found[0]
    return found[0]


_own: dict[tuple[type[Any], str], Any] = {}
"""The classes of the library that have been found by name: no other class takes their place."""


def _named(kind: type[Kind], name: str) -> list[type[Kind]]:
    """The imported class of the library with this name; else all third-party ones."""
    found = [c for c in _public(kind) if _plain(name) in map(_plain, (spelling(c), *_words(c)))]
    return [c for c in found if origin(c) == LIBRARY][:1] or _latest(found)


@cache
def _import_all() -> None:
    """Import every public module of the library: asking for the public names does that."""
    _ = import_module(LIBRARY).__all__


def same_name(kind: type[Kind], name: str) -> list[type[Kind]]:
    """All public subclasses of ``kind`` with this spelling; of a class that was defined again, the last."""
    return _latest([c for c in _public(kind) if spelling(c) == name])


def origin(cls: type) -> str:
    """The origin of a class: "dlarray" for one of the library, the module for any other."""
    return LIBRARY if cls.__module__.partition(".")[0] == LIBRARY else cls.__module__


def full_name(thing: type | Callable[..., object]) -> str:
    """Module and qualified name of a class or function."""
    return f"{thing.__module__}.{thing.__qualname__}"


def make(kind: type[Kind], given: Kind | str) -> Kind:
    """``given`` itself if it is a ``kind``; for a name an object of that class with its defaults."""
    if isinstance(given, kind):
        return given
    if isinstance(given, str):
        return by_name(kind, given)()
    raise TypeError(f"{spelling(kind)} must be a name or an instance, got {given!r}")


def _words(cls: type) -> tuple[str, ...]:
    return cls.__name__, *vars(cls).get("aliases", ())


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()


def _public(kind: type[Kind]) -> list[type[Kind]]:
    return [c for c in _subclasses(kind) if not c.__name__.startswith("_") and not vars(c).get("abstract")]


def _latest(found: list[type[Kind]]) -> list[type[Kind]]:
    """Each class once: of one that was defined again, as in a cell of a notebook, the last definition."""
    return list({full_name(c): c for c in found}.values())


def _subclasses(kind: type[Kind]) -> Iterator[type[Kind]]:
    for c in kind.__subclasses__():
        yield c
        yield from _subclasses(c)


def _needs_arguments(cls: type) -> bool:
    return is_dataclass(cls) and any(f.init and f.default is f.default_factory is MISSING for f in fields(cls))
