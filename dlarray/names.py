"""Classes by name: found by walking subclasses, so that a new class appears everywhere by being written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeVar

from dlarray.check import did_you_mean

__all__ = ["by_name", "classes", "make", "spelling"]

Kind = TypeVar("Kind")


def classes(kind: type[Kind]) -> dict[str, type[Kind]]:
    """Every public class of this kind by its spelled name, in the order of their definition.

    A class is public when its name does not begin with an underscore and it sets no ``abstract = True`` of its own.
    """
    return {spelling(c): c for c in _subclasses(kind) if not c.__name__.startswith("_") and not vars(c).get("abstract")}


def spelling(cls: type) -> str:
    """A class's name in words, ``HeNormal`` is "he_normal", or its own ``spelling`` where that rule splits badly."""
    own: str | None = vars(cls).get("spelling")
    return own or re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()


def by_name(kind: type[Kind], name: str) -> Callable[..., Kind]:
    """The class of this kind that ``name`` spells; case, hyphens, spaces and underscores do not matter.

    A class may add other words for itself as ``aliases = ("silu",)``. Raises ValueError, with the nearest name.
    """
    found: dict[str, type[Kind]] = {}
    for word, cls in classes(kind).items():
        for alias in (word, cls.__name__, *vars(cls).get("aliases", ())):
            found.setdefault(_plain(alias), cls)
    if _plain(name) not in found:
        words = list(classes(kind))
        known = ", ".join(sorted(words))
        raise ValueError(f"unknown {spelling(kind)} {name!r}{did_you_mean(name, words)}; known are {known}")
    return found[_plain(name)]


def make(kind: type[Kind], given: Kind | str) -> Kind:
    """``given`` itself where it is of this kind already, else the class that it names, made with its defaults."""
    if isinstance(given, kind):
        return given
    if isinstance(given, str):
        return by_name(kind, given)()
    raise TypeError(f"{spelling(kind)} must be a name or an instance, got {given!r}")


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()


def _subclasses(kind: type[Kind]) -> Iterator[type[Kind]]:
    for c in kind.__subclasses__():
        yield c
        yield from _subclasses(c)
