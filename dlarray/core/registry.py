"""Classes by name: found by walking subclasses, so that a new class appears everywhere by being written.

A name of the library's stays the library's: a class from elsewhere that is called "tanh" too is used as an object, and
a file says which of the two it means by the class's origin.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeVar

from dlarray.core.check import did_you_mean

__all__ = ["LIBRARY", "by_name", "classes", "full_name", "make", "origin", "same_name", "spelling"]

Kind = TypeVar("Kind")
LIBRARY = "dlarray"


def classes(kind: type[Kind]) -> dict[str, type[Kind]]:
    """Every public class of this kind by its spelled name, in the order of their definition.

    A class is public when its name does not begin with an underscore and it sets no ``abstract = True`` of its own. Of
    several of one name it is the library's, or else the last.
    """
    found: dict[str, type[Kind]] = {}
    for c in _public(kind):
        if spelling(c) not in found or origin(found[spelling(c)]) != LIBRARY:
            found[spelling(c)] = c
    return found


def spelling(cls: type) -> str:
    """A class's name in words, ``HeNormal`` is "he_normal", or its own ``spelling`` where that rule splits badly."""
    own: str | None = vars(cls).get("spelling")
    return own or re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()


def by_name(kind: type[Kind], name: str) -> Callable[..., Kind]:
    """The class of this kind that ``name`` spells; case, hyphens, spaces and underscores do not matter.

    A class may add other words for itself as ``aliases = ("silu",)``. The library's class goes before any other. Raises
    ValueError, with the nearest name, for one that is unknown, and with all that it could mean for one that several
    classes from elsewhere have.
    """
    found = [c for c in _public(kind) if _plain(name) in map(_plain, (spelling(c), *_words(c)))]
    found = [c for c in found if origin(c) == LIBRARY][:1] or _latest(found)
    if not found:
        words = list(classes(kind))
        known = ", ".join(sorted(words))
        raise ValueError(f"unknown {spelling(kind)} {name!r}{did_you_mean(name, words)}; known are {known}")
    if len(found) > 1:
        several = ", ".join(map(full_name, found))
        raise ValueError(f"the {spelling(kind)} {name!r} could be any of {several}: give an object instead of a name")
    return found[0]


def same_name(kind: type[Kind], name: str) -> list[type[Kind]]:
    """All public classes of this kind whose spelled name this is; of a class that was defined again, the last."""
    return _latest([c for c in _public(kind) if spelling(c) == name])


def origin(cls: type) -> str:
    """Where a class is from: "dlarray", or the module of one that is not the library's."""
    return LIBRARY if cls.__module__.partition(".")[0] == LIBRARY else cls.__module__


def full_name(thing: type | Callable[..., object]) -> str:
    """Module and name of a class or function, by which no two of them are taken for one another."""
    return f"{thing.__module__}.{thing.__qualname__}"


def make(kind: type[Kind], given: Kind | str) -> Kind:
    """``given`` itself where it is of this kind already, else the class that it names, made with its defaults."""
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
    """Each class once: one that was defined again, as in a notebook's cell, is the one defined last."""
    return list({full_name(c): c for c in found}.values())


def _subclasses(kind: type[Kind]) -> Iterator[type[Kind]]:
    for c in kind.__subclasses__():
        yield c
        yield from _subclasses(c)
